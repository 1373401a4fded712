//! The suite of [`JobQueue`](trueno_core::port::JobQueue): see [the crate](crate) for how an adapter
//! instantiates it.

pub mod cancel;
pub mod caps;
pub mod claim;
mod crowd;
pub mod dead;
pub mod dropped;
pub mod enqueue;
pub mod fair;
pub mod input;
pub mod isolation;
pub mod keys;
pub mod limits;
pub mod observe;
pub mod order;
pub mod pause;
pub mod quota;
pub mod recover;
pub mod scans;
pub mod sessions;
pub mod settle;
pub mod waits;

pub use crate::fixtures::World;

use crate::suite::Isolation;

/// The names of the cases, in order.
pub const CASES: &[&str] = crate::for_each_job_queue_case!(__case_names {});

/// Every method of the port with its isolation case (P1), or why it has none: a test holds this list
/// to the trait's source, so that a new method cannot be forgotten.
pub const ISOLATION: &[(&str, Isolation)] = &[
    ("JobQueue::enqueue", Isolation::Case("isolation_enqueue")),
    ("JobQueue::claim", Isolation::Case("isolation_claim")),
    (
        "JobQueue::heartbeat",
        Isolation::Case("isolation_heartbeat"),
    ),
    ("JobQueue::settle", Isolation::Case("isolation_settle")),
    ("JobQueue::cancel", Isolation::Case("isolation_cancel")),
    (
        "JobQueue::recover_expired",
        Isolation::None("works across organizations, answers counts"),
    ),
    ("JobQueue::wake_ups", Isolation::None("hints carry nothing")),
    (
        "JobQueue::set_limits",
        Isolation::Case("isolation_set_limits"),
    ),
    ("JobQueue::limits", Isolation::Case("isolation_set_limits")),
    ("JobQueue::pause", Isolation::Case("isolation_pause")),
    ("JobQueue::resume", Isolation::Case("isolation_pause")),
    ("JobQueue::stats", Isolation::None("counts for operators")),
    (
        "JobQueue::horizon",
        Isolation::None("names sessions of the server, for operators"),
    ),
    (
        "JobQueue::forget_finished",
        Isolation::None("works across organizations, answers counts"),
    ),
    (
        "JobQueue::why_waiting",
        Isolation::Case("isolation_why_waiting"),
    ),
];

/// The one list of cases. `$callback` is a macro of this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_job_queue_case {
    ($callback:ident $args:tt) => {
        $crate::$callback! { $args
            enqueue {
                enqueue_answers_in_order,
                a_claimed_job_is_what_was_enqueued,
                timeout_and_backoff_arrive_with_each_claim,
                a_correlation_stays_with_its_job,
                a_batch_is_enqueued_as_a_whole_or_not_at_all,
                a_job_id_in_use_is_refused,
                a_dedupe_key_stands_for_the_live_job,
                a_dedupe_key_is_free_again_after_the_end,
                a_dedupe_key_counts_per_organization_and_kind,
                a_dedupe_key_may_count_whatever_the_kind,
                a_dedupe_window_outlasts_the_end,
                a_dedupe_window_has_one_winner,
                enqueueing_needs_a_scope_that_writes,
                a_job_that_breaks_the_rules_is_refused,
            }
            input {
                a_payload_that_is_too_large_is_refused_with_its_size,
                a_payload_that_is_nested_too_deep_is_refused,
                a_run_at_before_1970_is_refused,
                a_job_of_the_far_future_waits_and_can_be_cancelled,
            }
            claim {
                run_at_is_honoured,
                a_claim_gives_no_more_than_its_limit,
                a_claim_gives_only_the_kinds_it_asked_for,
                concurrent_claimants_never_share_a_job,
                each_claim_has_a_new_token,
                a_batch_is_spread_over_organizations,
                no_organization_is_starved,
                bad_claims_are_refused,
            }
            dead {
                a_dead_job_begins_anew,
                a_discarded_job_is_cancelled,
                only_the_dead_are_redriven_or_discarded,
                a_dead_job_waits_for_its_dedupe_key,
                a_dead_job_of_a_scan_is_not_redriven,
                dead_letters_need_a_role,
                jobs_are_listed,
                the_latest_errors_are_kept,
                a_result_is_kept,
                what_ended_long_ago_is_forgotten,
            }
            order {
                jobs_come_by_rank_then_id,
                priority_ages,
                priority_ages_from_claim_to_claim,
                priorities_out_of_range_are_refused,
            }
            fair {
                organizations_share_equally_whatever_they_have_waiting,
                claims_at_the_same_time_share_equally,
                organizations_share_by_weight,
                who_comes_late_gets_an_equal_share,
                what_one_cannot_take_is_the_others,
            }
            caps {
                no_more_run_than_max_running,
                a_cap_can_be_changed_while_jobs_run,
                a_place_is_free_however_the_attempt_ended,
                a_lost_lease_keeps_its_place_until_it_is_recovered,
                a_full_organization_holds_no_other_back,
                max_running_holds_when_many_claim_at_once,
            }
            keys {
                a_concurrency_key_limits_what_runs_under_it,
                each_job_brings_its_own_limit,
                a_key_is_shared_by_kinds,
                a_claim_for_one_job_finds_it_behind_a_full_key,
                a_place_under_a_key_is_free_however_the_attempt_ended,
                a_cancelled_job_leaves_its_key_to_the_others,
                blocked_jobs_hold_no_others_back,
                a_key_counts_within_its_organization,
                key_limits_hold_when_many_claim_at_once,
            }
            pause {
                a_paused_organization_begins_nothing,
                a_paused_kind_begins_nothing_of_anybody,
                a_kind_that_nobody_enqueued_can_be_paused,
                both_pauses_have_to_be_lifted,
            }
            quota {
                a_full_organization_enqueues_no_more,
                every_end_makes_room,
                the_quota_counts_what_a_unit_of_work_enqueued,
                what_finish_enqueues_is_always_taken,
                a_lowered_quota_takes_nothing_away,
            }
            limits {
                limits_are_what_was_set_last,
                a_cap_of_zero_is_refused,
                an_unknown_organization_is_not_found,
                an_erased_organization_keeps_no_limits,
            }
            sessions {
                a_heartbeat_extends_every_lease_of_its_session,
                a_claim_extends_the_leases_of_its_session,
                the_first_claim_opens_the_session,
                a_session_that_no_claim_opened_is_stale,
                an_expired_session_is_over_before_recovery,
                an_expired_session_stays_over_after_recovery,
                a_heartbeat_tells_of_what_is_held,
                bad_heartbeats_are_refused,
                a_shorter_claim_or_heartbeat_does_not_shorten_leases,
                a_job_claimed_again_by_its_session_is_held_once,
                workers_of_one_name_are_told_apart,
                two_workers_under_one_session_lose_no_job,
            }
            settle {
                a_batch_is_settled_one_by_one,
                a_batch_of_hundreds_is_answered_in_order,
                settling_twice_is_told_apart_from_stale,
                a_lease_that_a_batch_names_again_was_settled_before,
                a_settlement_that_races_itself_is_told_apart_from_stale,
                a_cancellation_that_races_the_end_leaves_nothing_behind,
                a_settled_job_that_waits_again_remembers_its_lease,
                a_failed_attempt_comes_again_after_its_wait,
                the_last_failed_attempt_is_the_end,
                a_returned_job_is_claimable_at_once,
                a_lease_with_another_part_settles_nothing,
                a_success_that_would_strand_a_scan_refuses_the_batch,
            }
            recover {
                a_lost_lease_is_counted_apart_from_failed_attempts,
                a_held_lease_is_not_recovered,
                a_job_that_crashes_its_workers_is_dead,
                an_orphan_asked_to_stop_is_cancelled,
                a_recovery_keeps_to_its_limit,
                a_zombie_changes_nothing,
            }
            cancel {
                a_waiting_job_is_cancelled_and_never_runs,
                a_running_job_is_asked_to_stop,
                a_job_asked_to_stop_does_not_wait_again,
                a_finished_job_is_left_alone,
                cancelling_needs_a_scope_that_writes,
                an_unknown_job_is_not_found,
            }
            scans {
                cancelling_a_waiting_job_ends_its_scan,
                cancelling_a_job_in_backoff_ends_its_scan,
                asking_a_running_job_to_stop_leaves_its_scan_running,
                a_crash_looped_job_ends_its_scan,
                an_orphan_asked_to_stop_ends_its_scan,
                a_returned_job_that_was_asked_to_stop_ends_its_scan,
                a_returned_job_leaves_its_scan_running,
            }
            observe {
                a_waiting_job_tells_its_way_to_the_end,
                stats_count_the_live_queue,
                the_horizon_names_no_organization,
                an_enqueue_wakes_a_listener,
                a_committed_unit_of_work_wakes_a_listener,
            }
            waits {
                a_job_waits_for_a_worker_of_its_kind,
                a_job_waits_while_it_is_paused,
                a_job_waits_for_room_in_its_organization,
                a_job_waits_for_room_under_its_key,
                the_first_reason_is_told,
            }
            dropped {
                a_dropped_enqueue_is_whole_or_nothing,
                a_dropped_claim_comes_back,
                a_dropped_settlement_can_be_sent_again,
            }
            isolation {
                isolation_enqueue,
                isolation_cancel,
                isolation_why_waiting,
                isolation_settle,
                isolation_claim,
                isolation_heartbeat,
                isolation_set_limits,
                isolation_pause,
            }
        }
    };
}

/// Holds an adapter to the contract of [`JobQueue`](trueno_core::port::JobQueue): one test per case,
/// and one that prints their number.
///
/// Takes a factory of [`StoreHarness`](crate::harness::StoreHarness), and before it the adapter's name
/// where it is not the crate's.
#[macro_export]
macro_rules! job_queue_conformance {
    ($factory:expr $(,)?) => {
        $crate::job_queue_conformance!(env!("CARGO_PKG_NAME"), $factory);
    };
    ($adapter:expr, $factory:expr $(,)?) => {
        $crate::for_each_job_queue_case! { __case_tests { job_queue, $adapter, $factory } }
    };
}
