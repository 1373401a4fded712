//! The suite of [`AuditSink`](trueno_core::port::AuditSink): see [the crate](crate) for how an adapter
//! instantiates it.

pub mod append;
pub mod isolation;
pub mod proofs;
mod world;

pub use world::World;

use crate::suite::Isolation;

/// The names of the cases, in order.
pub const CASES: &[&str] = crate::for_each_audit_sink_case!(__case_names {});

/// Every method of the port with its isolation case (P1): a test holds this list to the trait's
/// source, so that a new method cannot be forgotten.
pub const ISOLATION: &[(&str, Isolation)] = &[
    ("AuditSink::append", Isolation::Case("isolation_append")),
    ("AuditSink::head", Isolation::Case("isolation_head")),
    ("AuditSink::entries", Isolation::Case("isolation_entries")),
    (
        "AuditSink::inclusion_proof",
        Isolation::Case("isolation_inclusion_proof"),
    ),
    (
        "AuditSink::consistency_proof",
        Isolation::Case("isolation_consistency_proof"),
    ),
];

/// The one list of cases. `$callback` is a macro of this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_audit_sink_case {
    ($callback:ident $args:tt) => {
        $crate::$callback! { $args
            append {
                entries_are_the_events_in_order,
                an_empty_ledger_has_the_empty_root,
                entries_are_read_from_anywhere,
                appending_again_changes_nothing,
                a_batch_is_spread_over_its_ledgers,
                concurrent_batches_keep_their_order,
                a_batch_is_appended_as_a_whole,
                a_dropped_append_is_delivered_again,
            }
            proofs {
                every_entry_is_proved_in_every_tree,
                every_head_is_a_beginning_of_every_later_one,
                beyond_the_ledger_is_not_found,
                a_changed_entry_is_corrupt,
            }
            isolation {
                isolation_append,
                isolation_head,
                isolation_entries,
                isolation_inclusion_proof,
                isolation_consistency_proof,
            }
        }
    };
}

/// Holds an adapter to the contract of [`AuditSink`](trueno_core::port::AuditSink): one test per case,
/// and one that prints their number.
///
/// Takes a factory of [`SinkHarness`](crate::harness::SinkHarness), and before it the adapter's name
/// where it is not the crate's.
#[macro_export]
macro_rules! audit_sink_conformance {
    ($factory:expr $(,)?) => {
        $crate::audit_sink_conformance!(env!("CARGO_PKG_NAME"), $factory);
    };
    ($adapter:expr, $factory:expr $(,)?) => {
        $crate::for_each_audit_sink_case! { __case_tests { audit_sink, $adapter, $factory } }
    };
}
