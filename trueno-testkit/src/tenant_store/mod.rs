//! The suite of [`TenantStore`](trueno_core::port::TenantStore): see [the crate](crate) for how an adapter
//! instantiates it.

pub mod accounts;
pub mod assignments;
pub mod audit_events;
pub mod comments;
pub mod counts;
pub mod cursors;
pub mod decisions;
pub mod dropped;
pub mod erase;
pub mod erase_races;
pub mod exceptions;
pub mod exceptions_end;
pub mod fencing;
pub mod filters;
pub mod findings;
pub mod finish;
pub mod ingest;
pub mod isolation;
pub mod isolation_of_changes;
pub mod isolation_of_lists;
pub mod isolation_of_writes;
mod isolation_table;
pub mod lapsing;
pub mod lifecycle;
pub mod limits;
pub mod members;
pub mod organizations;
pub mod outbox;
pub mod paging;
pub mod presence;
pub mod puts;
pub mod races;
pub mod recommendations;
pub mod roles;
pub mod scans;
pub mod schedules;
pub mod scheduling;
mod twins;
pub mod units;
pub mod views;

pub use crate::fixtures::World;
pub use isolation_table::ISOLATION;

/// The names of the cases, in order.
pub const CASES: &[&str] = crate::for_each_tenant_store_case!(__case_names {});

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
                isolation_create_organization,
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
                a_view_shows_nothing_later_than_its_opening,
                what_is_not_there_is_not_found,
                a_view_goes_on_after_not_found,
                the_holder_of_a_lease_reads,
                a_filter_may_hold_any_text,
            }
            paging {
                accounts_come_in_pages,
                scans_come_newest_first,
                resources_come_byte_by_byte,
                findings_come_byte_by_byte,
            }
            ingest {
                a_batch_is_applied_as_a_whole,
                nothing_is_visible_before_the_commit,
                a_dropped_batch_leaves_nothing,
                a_second_attempt_keeps_the_first_start,
                a_lease_without_a_scan_writes_nothing,
                a_settled_job_writes_no_more,
                only_a_running_scan_has_progress,
            }
            puts {
                putting_again_replaces,
                within_one_call_the_last_word_counts,
                a_later_scan_takes_over_what_it_sees,
                resolving_marks_findings_of_the_account,
                a_large_batch_is_applied,
                json_reads_back_as_it_was,
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
                isolation_staged,
                the_commit_decides_the_order,
                concurrent_writers_keep_their_order,
            }
            cursors {
                a_foreign_cursor_gives_nothing,
                a_cursor_of_another_organization_gives_none_of_its_rows,
            }
            filters {
                findings_pass_every_filter,
                findings_are_found_by_their_present_tags,
                resources_pass_every_filter,
                resources_are_found_by_their_present_tags,
            }
            counts {
                counts_follow_every_change,
                counts_add_up_over_concurrent_batches,
                counts_beyond_the_limit_are_exact_or_say_so,
            }
            recommendations {
                the_best_of_each_group_is_recommended,
                a_group_is_no_key,
                recommendations_add_up_to_the_totals,
                the_next_best_is_recommended,
                recommendations_come_byte_by_byte,
            }
            lifecycle {
                a_finding_is_new_then_open,
                a_look_that_says_the_same_is_no_change,
                what_is_gone_is_resolved_and_reopened,
                what_members_decided_stays,
                a_second_attempt_is_no_other_scan,
                a_dropped_batch_leaves_no_history,
            }
            findings {
                a_members_steps_go_through_the_machine,
                what_is_resolved_takes_no_step,
                a_change_of_an_old_finding_is_a_conflict,
                of_concurrent_steps_one_is_applied,
                a_history_comes_in_pages,
                a_unit_of_work_changes_a_finding_more_than_once,
            }
            assignments {
                a_finding_is_assigned,
                only_members_are_assigned,
                a_removed_member_is_assigned_to_nothing,
            }
            comments {
                comments_come_oldest_first,
                a_comment_needs_its_finding_and_an_id,
            }
            exceptions {
                an_exception_is_asked_for,
                an_exception_ends_when_it_says,
                approving_suppresses_the_finding,
                nobody_decides_about_their_own,
                an_exception_needs_a_finding_that_stands,
            }
            decisions {
                rejecting_leaves_the_finding,
                an_exception_is_withdrawn,
                a_decision_about_an_old_version_is_a_conflict,
                of_concurrent_decisions_one_is_applied,
            }
            exceptions_end {
                a_finding_has_one_live_exception,
                of_concurrent_requests_one_is_applied,
                resolving_closes_the_exception,
                a_dropped_batch_closes_no_exception,
                what_ended_is_decided_no_more,
                what_expired_is_not_approved,
                exceptions_come_newest_first,
            }
            lapsing {
                an_exception_lapses_and_reopens_its_finding,
                a_request_lapses_too,
                what_has_ended_does_not_lapse,
                isolation_lapse_exceptions,
                each_exception_lapses_once,
            }
            races {
                nobody_is_assigned_who_is_no_member,
                what_is_resolved_has_no_live_exception,
                an_exception_ends_once,
                a_look_and_members_do_not_disturb_each_other,
            }
            presence {
                a_resource_says_who_saw_it_and_when,
                what_a_complete_look_no_longer_saw_is_gone,
                an_incomplete_look_makes_nothing_gone,
                in_a_region_that_is_not_enabled_nothing_is_there,
                a_complete_look_speaks_of_its_task_alone,
                what_comes_back_is_the_same,
                a_second_attempt_keeps_what_the_first_saw,
                what_did_not_change_belongs_to_the_latest_scan,
                a_dropped_batch_makes_nothing_gone,
            }
            limits {
                a_resource_beyond_a_limit_is_refused,
                a_finding_beyond_a_limit_is_refused,
                coverage_beyond_a_limit_is_refused,
                an_event_beyond_a_limit_is_refused,
                what_is_within_the_limits_is_kept,
            }
            members {
                an_organization_reads_itself_and_its_members,
                a_members_role_decides_from_the_commit_on,
                a_removed_member_is_out,
                a_member_is_added_once,
                a_change_of_an_old_member_is_a_conflict,
                a_members_version_never_comes_back,
                of_two_changes_of_a_member_at_once_one_is_applied,
                a_dropped_unit_of_work_changes_no_member,
                only_owners_decide_about_owners,
                one_owner_stays,
                two_owners_do_not_remove_each_other,
            }
            roles {
                every_write_goes_by_the_role,
                a_scope_that_reads_opens_no_unit_of_work,
            }
            erase {
                an_erased_organization_is_gone,
                an_erasure_ends_every_lease,
                an_erased_organization_takes_no_change,
                an_erasure_is_the_last_change_of_its_unit,
            }
            erase_races {
                no_batch_outlives_an_erasure,
                nothing_outlives_an_erasure,
            }
            schedules {
                a_schedule_keeps_what_it_was_given,
                a_schedule_needs_its_account_and_an_id,
                a_schedule_is_paused_resumed_and_removed,
                a_change_of_an_old_schedule_is_a_conflict,
                schedules_come_in_pages,
            }
            scheduling {
                a_new_schedule_is_due_at_its_first_tick,
                isolation_due_schedules,
                a_due_tick_is_enqueued_with_its_event,
                a_tick_fires_once,
                of_concurrent_schedulers_one_fires,
                a_tick_to_come_is_refused,
                a_step_back_is_refused,
                each_policy_has_its_way_with_missed_ticks,
                ticks_that_all_run_wait_for_each_other,
                a_dropped_fire_is_applied_or_not,
                isolation_fire,
                a_paused_schedule_resumes_from_now_on,
                what_is_removed_or_erased_fires_no_more,
                a_tick_without_an_active_account_is_passed_over,
                a_tick_beside_a_live_scan_is_passed_over,
                a_tick_over_the_quota_is_passed_over,
                a_refused_tick_changes_nothing,
                a_parked_schedule_says_why,
            }
            audit_events {
                audit_events_come_newest_first_and_stay,
                a_view_has_the_audit_events_of_its_moment,
                only_some_roles_read_audit_events,
            }
            dropped {
                a_dropped_opening_leaves_nothing,
                a_dropped_write_leaves_nothing,
                a_dropped_commit_is_applied_or_not,
                a_dropped_batch_leaves_the_lease_free,
                a_dropped_finish_is_applied_or_not,
                a_dropped_lapse_is_applied_or_not,
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
                isolation_jobs,
                isolation_memberships,
            }
            isolation_of_lists {
                isolation_organization,
                isolation_member,
                isolation_members,
                isolation_count_findings,
                isolation_finding_counts,
                isolation_finding_history,
                isolation_comments,
                isolation_recommendations,
                isolation_exception,
                isolation_exceptions,
                isolation_schedule,
                isolation_schedules,
                isolation_audit_events,
            }
            isolation_of_changes {
                isolation_step_finding,
                isolation_assign_finding,
                isolation_add_comment,
                isolation_request_exception,
                isolation_decide_exception,
                isolation_insert_schedule,
                isolation_set_schedule_status,
                isolation_remove_schedule,
                isolation_insert_member,
                isolation_set_member_role,
                isolation_remove_member,
                isolation_erase_organization,
            }
            isolation_of_writes {
                isolation_insert_account,
                isolation_apply_account,
                isolation_insert_scan,
                isolation_unit_enqueue,
                isolation_cancel_job,
                isolation_dead_jobs,
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
