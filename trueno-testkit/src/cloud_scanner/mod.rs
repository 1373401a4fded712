//! The suite of [`CloudScanner`](trueno_core::port::CloudScanner): see [the crate](crate) for how an adapter
//! instantiates it.

pub mod connection;
pub mod plan;
pub mod scan;
mod world;

pub use world::World;

/// The names of the cases, in order.
pub const CASES: &[&str] = crate::for_each_cloud_scanner_case!(__case_names {});

/// The one list of cases. `$callback` is a macro of this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_cloud_scanner_case {
    ($callback:ident $args:tt) => {
        $crate::$callback! { $args
            plan {
                the_scanner_is_for_its_provider,
                a_plan_names_every_task_once,
                a_plan_needs_the_operations_of_its_tasks,
                planning_again_plans_the_same,
                a_session_can_do_what_its_plan_needs_and_no_more,
            }
            scan {
                every_resource_is_found_once,
                every_task_ends_in_a_last_page_or_an_error,
                resources_belong_to_their_task,
                a_scan_goes_on_from_a_checkpoint,
                an_unknown_checkpoint_is_refused,
                a_stream_may_be_dropped,
            }
            connection {
                a_verification_says_what_it_tried,
                nothing_tells_a_credential,
            }
        }
    };
}

/// Holds an adapter to the contract of [`CloudScanner`](trueno_core::port::CloudScanner): one test per case,
/// and one that prints their number.
///
/// Takes a factory of [`ScannerHarness`](crate::harness::ScannerHarness), and before it the adapter's name
/// where it is not the crate's.
#[macro_export]
macro_rules! cloud_scanner_conformance {
    ($factory:expr $(,)?) => {
        $crate::cloud_scanner_conformance!(env!("CARGO_PKG_NAME"), $factory);
    };
    ($adapter:expr, $factory:expr $(,)?) => {
        $crate::for_each_cloud_scanner_case! { __case_tests { cloud_scanner, $adapter, $factory } }
    };
}
