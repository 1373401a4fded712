//! The suite of `TenantStore` over the store in memory, wrapped: as it is it passes, and each way of
//! breaking it is noticed by the case that promises otherwise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod planted;
mod reads;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use trueno_core::clock::Clock as _;
use trueno_core::id::IdSource;
use trueno_core::port::{JobQueue, TenantStore};
use trueno_store_memory::MemoryStore;
use trueno_testkit::clock::ManualClock;
use trueno_testkit::harness::StoreHarness;
use trueno_testkit::suite::run;
use trueno_testkit::tenant_store::{
    World, assignments, audit_events, counts, cursors, erase, exceptions, exceptions_end, filters,
    findings, isolation_of_lists, lapsing, lifecycle, limits, members, presence, recommendations,
    roles, scheduling,
};

use planted::{Defect, Planted};

struct Harness {
    clock: ManualClock,
    ids: IdSource,
    queue: MemoryStore,
    store: Planted,
}

async fn broken(defect: Defect) -> Harness {
    let (clock, ids) = (ManualClock::default(), IdSource::seeded(1));
    let real = MemoryStore::new(clock.shared(), ids.clone());
    Harness {
        clock,
        ids,
        store: Planted::new(Arc::new(real.clone()), defect),
        queue: real,
    }
}

#[async_trait]
impl StoreHarness for Harness {
    fn store(&self) -> Arc<dyn TenantStore> {
        Arc::new(self.store.clone())
    }

    fn queue(&self) -> Arc<dyn JobQueue> {
        Arc::new(self.queue.clone())
    }

    fn ids(&self) -> IdSource {
        self.ids.clone()
    }

    async fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

mod a_sound_store_passes {
    use super::{Defect, broken};

    trueno_testkit::tenant_store_conformance!("a wrapped store", || broken(Defect::None));
}

/// Checks that a case fails over a store with `defect`.
#[track_caller]
fn noticed(defect: Defect, case: impl AsyncFnOnce(World) + std::panic::UnwindSafe) {
    let ran = std::panic::catch_unwind(|| {
        run(
            "tenant_store",
            "defect",
            async { World::new(broken(defect).await).await },
            case,
        );
    });
    assert!(ran.is_err(), "{defect:?} went unnoticed");
}

#[test]
fn every_defect_of_findings_is_noticed() {
    use lifecycle::{
        a_finding_is_new_then_open, a_look_that_says_the_same_is_no_change,
        a_second_attempt_is_no_other_scan, what_is_gone_is_resolved_and_reopened,
    };
    noticed(Defect::ForgetsTheLastChange, a_finding_is_new_then_open);
    noticed(Defect::BlamesTheSystem, a_finding_is_new_then_open);
    noticed(
        Defect::BlamesTheSystem,
        findings::a_members_steps_go_through_the_machine,
    );
    for defect in [Defect::CountsLooksAsChanges, Defect::OverlooksChanges] {
        noticed(defect, a_look_that_says_the_same_is_no_change);
    }
    noticed(Defect::ReopensAsNew, what_is_gone_is_resolved_and_reopened);
    noticed(
        Defect::CountsAttemptsAsScans,
        a_second_attempt_is_no_other_scan,
    );
    noticed(
        Defect::TakesAnyVersion,
        findings::a_change_of_an_old_finding_is_a_conflict,
    );
    noticed(
        Defect::TakesAnyVersion,
        findings::of_concurrent_steps_one_is_applied,
    );
    noticed(
        Defect::AssignsAnybody,
        assignments::only_members_are_assigned,
    );
    noticed(
        Defect::LeavesThemAssigned,
        assignments::a_removed_member_is_assigned_to_nothing,
    );
}

#[test]
fn every_defect_of_exceptions_is_noticed() {
    noticed(
        Defect::LetsTheRequesterApprove,
        exceptions::nobody_decides_about_their_own,
    );
    noticed(
        Defect::SuppressesNothing,
        exceptions::approving_suppresses_the_finding,
    );
    noticed(
        Defect::KeepsThemOpen,
        exceptions_end::resolving_closes_the_exception,
    );
    let lapses = lapsing::an_exception_lapses_and_reopens_its_finding;
    noticed(Defect::LapsesEarly, lapses);
    noticed(Defect::LapsesInSilence, lapses);
    noticed(Defect::NeverReopens, lapses);
    noticed(Defect::BlamesTheProcessor, lapses);
    noticed(
        Defect::LapsesEverything,
        lapsing::isolation_lapse_exceptions,
    );
}

#[test]
fn every_defect_of_due_schedules_is_noticed() {
    let fires = scheduling::a_due_tick_is_enqueued_with_its_event;
    noticed(Defect::FiresNothing, fires);
    noticed(Defect::FiresInSilence, fires);
    noticed(Defect::FiresTwice, scheduling::a_tick_fires_once);
    noticed(
        Defect::ListsWhatIsFirst,
        scheduling::isolation_due_schedules,
    );
}

#[test]
fn every_defect_of_resources_and_limits_is_noticed() {
    noticed(
        Defect::MakesGoneOnAnyLook,
        presence::an_incomplete_look_makes_nothing_gone,
    );
    noticed(
        Defect::ShowsWhatIsGone,
        presence::what_a_complete_look_no_longer_saw_is_gone,
    );
    noticed(
        Defect::SkipsWhatDidNotChange,
        presence::what_did_not_change_belongs_to_the_latest_scan,
    );
    noticed(
        Defect::TrimsWhatIsTooLarge,
        limits::a_resource_beyond_a_limit_is_refused,
    );
    noticed(
        Defect::FiltersTagsByKey,
        filters::findings_pass_every_filter,
    );
    noticed(
        Defect::FiltersTagsByKey,
        filters::resources_pass_every_filter,
    );
    noticed(Defect::TakesOneFilter, filters::findings_pass_every_filter);
    noticed(
        Defect::TakesAnyCursor,
        cursors::a_foreign_cursor_gives_nothing,
    );
}

#[test]
fn every_defect_of_counts_is_noticed() {
    let beyond = counts::counts_beyond_the_limit_are_exact_or_say_so;
    noticed(Defect::CountsNothingBeyond, beyond);
    noticed(Defect::TakesTheLimitForExact, beyond);
    noticed(
        Defect::RecommendsAlone,
        recommendations::the_best_of_each_group_is_recommended,
    );
    noticed(
        Defect::RecommendsAlone,
        recommendations::recommendations_add_up_to_the_totals,
    );
    noticed(
        Defect::RecommendsTheWorst,
        recommendations::recommendations_add_up_to_the_totals,
    );
}

#[test]
fn every_defect_of_organizations_is_noticed() {
    noticed(Defect::AsksForNoRole, roles::every_write_goes_by_the_role);
    noticed(Defect::LetsTheLastOwnerGo, members::one_owner_stays);
    noticed(Defect::AddsMembersAgain, members::a_member_is_added_once);
    noticed(
        Defect::TakesAnyVersion,
        members::a_change_of_an_old_member_is_a_conflict,
    );
    noticed(
        Defect::TakesAnyVersion,
        members::a_members_version_never_comes_back,
    );
    noticed(
        Defect::TakesAnyVersion,
        members::of_two_changes_of_a_member_at_once_one_is_applied,
    );
    let gone = erase::an_erased_organization_is_gone;
    noticed(Defect::KeepsMembers, gone);
    noticed(Defect::KeepsMembers, members::a_removed_member_is_out);
    noticed(Defect::ErasesItsHistory, gone);
    noticed(Defect::UsesIdsAgain, gone);
    noticed(
        Defect::ForgetsWhatTheLedgerHas,
        audit_events::audit_events_come_newest_first_and_stay,
    );
    noticed(
        Defect::ShowsAuditToAll,
        audit_events::only_some_roles_read_audit_events,
    );
    noticed(
        Defect::LeaksCounts,
        isolation_of_lists::isolation_finding_counts,
    );
    noticed(Defect::LeaksRows, isolation_of_lists::isolation_exception);
    noticed(Defect::LeaksRows, isolation_of_lists::isolation_schedule);
    noticed(Defect::LeaksRows, isolation_of_lists::isolation_comments);
}
