//! The suite of [`TenantStore`](trueno_core::port::TenantStore): see [the crate](crate) for how an adapter
//! instantiates it.

pub mod accounts;
pub mod dropped;
pub mod fencing;
pub mod finish;
pub mod ingest;
pub mod isolation;
pub mod isolation_of_writes;
pub mod organizations;
pub mod outbox;
pub mod paging;
pub mod scans;
mod twins;
pub mod units;
pub mod views;

pub use crate::fixtures::World;

use crate::suite::Isolation;

/// The names of the cases, in order.
pub const CASES: &[&str] = crate::for_each_tenant_store_case!(__case_names {});

/// Every method of the port with its isolation case (P1), or why it has none: a test holds this list
/// to the traits' source, so that a new method cannot be forgotten.
pub const ISOLATION: &[(&str, Isolation)] = &[
    (
        "TenantStore::memberships",
        Isolation::Case("isolation_memberships"),
    ),
    (
        "TenantStore::create_organization",
        Isolation::Case("an_organization_id_in_use_is_refused"),
    ),
    ("TenantStore::read", Isolation::Case("isolation_accounts")),
    (
        "TenantStore::begin",
        Isolation::Case("isolation_apply_account"),
    ),
    (
        "TenantStore::ingest",
        Isolation::Case("isolation_put_resources"),
    ),
    ("TenantStore::finish", Isolation::Case("isolation_finish")),
    (
        "AuditOutbox::staged",
        Isolation::Case("it_has_the_events_of_every_organization"),
    ),
    (
        "AuditOutbox::forget",
        Isolation::None("for the sequencer, by ids that it was given"),
    ),
    (
        "AccountReads::account",
        Isolation::Case("isolation_account"),
    ),
    (
        "AccountReads::accounts",
        Isolation::Case("isolation_accounts"),
    ),
    (
        "AccountWrites::insert_account",
        Isolation::Case("isolation_insert_account"),
    ),
    (
        "AccountWrites::apply_account",
        Isolation::Case("isolation_apply_account"),
    ),
    ("ScanReads::scan", Isolation::Case("isolation_scan")),
    ("ScanReads::scans", Isolation::Case("isolation_scans")),
    ("ScanReads::coverage", Isolation::Case("isolation_coverage")),
    (
        "ScanWrites::insert_scan",
        Isolation::Case("isolation_insert_scan"),
    ),
    (
        "ResourceReads::resources",
        Isolation::Case("isolation_resources"),
    ),
    (
        "FindingReads::finding",
        Isolation::Case("isolation_finding"),
    ),
    (
        "FindingReads::findings",
        Isolation::Case("isolation_findings"),
    ),
    ("JobReads::job", Isolation::Case("isolation_job")),
    (
        "JobWrites::enqueue",
        Isolation::Case("isolation_unit_enqueue"),
    ),
    (
        "JobWrites::cancel_job",
        Isolation::Case("isolation_cancel_job"),
    ),
    ("UnitOfWork::commit", Isolation::Case("isolation_commit")),
    (
        "UnitOfWork::rollback",
        Isolation::None("undoes what its own methods did"),
    ),
    (
        "Ingest::start_scan",
        Isolation::Case("isolation_start_scan"),
    ),
    (
        "Ingest::put_resources",
        Isolation::Case("isolation_put_resources"),
    ),
    (
        "Ingest::put_coverage",
        Isolation::Case("isolation_put_coverage"),
    ),
    (
        "Ingest::put_findings",
        Isolation::Case("isolation_put_findings"),
    ),
    (
        "Ingest::resolve_findings",
        Isolation::Case("isolation_resolve_findings"),
    ),
    (
        "Ingest::set_progress",
        Isolation::Case("isolation_set_progress"),
    ),
    ("Ingest::commit", Isolation::Case("isolation_put_resources")),
];

/// The one list of cases. `$callback` is a macro of this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_tenant_store_case {
    ($callback:ident $args:tt) => {
        $crate::$callback! { $args
            organizations {
                an_organization_is_created_with_its_owner,
                an_owner_gets_a_scope_and_nobody_else_does,
                a_user_may_be_a_member_of_several,
                an_organization_id_in_use_is_refused,
            }
            units {
                change_job_and_event_commit_together,
                a_rollback_leaves_nothing,
                a_drop_leaves_nothing,
                a_scope_to_read_changes_nothing,
                a_lease_opens_no_unit_of_work,
                after_an_error_it_is_spent,
                an_event_is_as_drafted_by_whom_and_when,
                a_scan_commits_with_its_job_or_not_at_all,
            }
            accounts {
                a_connection_keeps_what_it_was_given,
                a_connection_id_in_use_is_refused,
                a_connection_goes_through_its_machine,
                a_step_that_is_not_allowed_is_refused,
                an_update_of_an_old_version_is_a_conflict,
                of_concurrent_updates_one_is_applied,
                disconnecting_erases_the_way_in,
            }
            scans {
                a_requested_scan_is_queued,
                a_scan_needs_its_account,
                a_scan_id_in_use_is_refused,
                a_unit_of_work_enqueues_as_the_queue_does,
                cancelling_a_waiting_job_ends_its_scan,
                cancelling_a_running_job_asks_it_to_stop,
            }
            views {
                a_view_answers_as_of_its_opening,
                what_is_not_there_is_not_found,
                a_view_goes_on_after_not_found,
                the_holder_of_a_lease_reads,
            }
            paging {
                accounts_come_in_pages,
                scans_come_newest_first,
                resources_come_byte_by_byte,
                findings_come_byte_by_byte,
                a_foreign_cursor_gives_nothing,
            }
            ingest {
                a_batch_is_applied_as_a_whole,
                nothing_is_visible_before_the_commit,
                a_dropped_batch_leaves_nothing,
                putting_again_replaces,
                a_later_scan_takes_over_what_it_sees,
                resolving_marks_findings_of_the_account,
                a_second_attempt_keeps_the_first_start,
                a_lease_without_a_scan_writes_nothing,
                a_large_batch_is_applied,
                a_settled_job_writes_no_more,
                only_a_running_scan_has_progress,
            }
            fencing {
                a_lease_that_ran_out_is_worth_nothing,
                a_lease_that_was_taken_over_is_worth_nothing,
                a_lease_lost_before_the_commit_changes_nothing,
                a_lease_taken_over_before_the_commit_changes_nothing,
                a_finished_lease_opens_nothing,
                a_held_lease_opens_its_doors,
            }
            finish {
                a_success_ends_everything_together,
                an_incomplete_look_ends_partial,
                a_failed_attempt_keeps_the_scan_running,
                the_last_failure_fails_the_scan,
                a_hopeless_failure_fails_the_scan_at_once,
                a_stopped_job_cancels_its_scan,
                a_returned_job_goes_on_elsewhere,
                finishing_twice_changes_nothing,
                a_job_without_a_scan_finishes,
                a_refused_finish_changes_nothing,
                a_scan_that_never_began_is_not_completed,
                a_success_says_how_its_scan_ends,
            }
            outbox {
                events_come_in_order_until_forgotten,
                it_has_the_events_of_every_organization,
                the_commit_decides_the_order,
                concurrent_writers_keep_their_order,
            }
            dropped {
                a_dropped_opening_leaves_nothing,
                a_dropped_write_leaves_nothing,
                a_dropped_commit_is_applied_or_not,
                a_dropped_batch_leaves_the_lease_free,
                a_dropped_finish_is_applied_or_not,
            }
            isolation {
                isolation_account,
                isolation_accounts,
                isolation_scan,
                isolation_scans,
                isolation_coverage,
                isolation_resources,
                isolation_findings,
                isolation_finding,
                isolation_job,
                isolation_memberships,
            }
            isolation_of_writes {
                isolation_insert_account,
                isolation_apply_account,
                isolation_insert_scan,
                isolation_unit_enqueue,
                isolation_cancel_job,
                isolation_commit,
                isolation_start_scan,
                isolation_put_resources,
                isolation_put_coverage,
                isolation_put_findings,
                isolation_resolve_findings,
                isolation_set_progress,
                isolation_finish,
            }
        }
    };
}

/// Holds an adapter to the contract of [`TenantStore`](trueno_core::port::TenantStore): one test per case,
/// and one that prints their number.
///
/// Takes a factory of [`StoreHarness`](crate::harness::StoreHarness), and before it the adapter's name
/// where it is not the crate's.
#[macro_export]
macro_rules! tenant_store_conformance {
    ($factory:expr $(,)?) => {
        $crate::tenant_store_conformance!(env!("CARGO_PKG_NAME"), $factory);
    };
    ($adapter:expr, $factory:expr $(,)?) => {
        $crate::for_each_tenant_store_case! { __case_tests { tenant_store, $adapter, $factory } }
    };
}
