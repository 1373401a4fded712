//! One planted bug of each class: the checker finds it.

use trueno_core::model::{JobStatus, MissedTicks};
use trueno_core::state::job::{self, JobEvent};

use crate::check::{breaks, strands};
use crate::jobs::{CAPS, ENDS_ONCE, Jobs, ONE_TOKEN};
use crate::store::{NOW, token};
use crate::ticks::{NONE_LOST, ONCE};
use crate::{jobs, schedule, ticks};

/// Two workers are enough for what is wrong here.
fn small(count: usize, most: Option<u32>, key_limit: u32, faults: jobs::Faults) -> Jobs {
    let mut model = jobs(count, most, key_limit, faults);
    model.workers = 2;
    model.max_attempts = 1;
    model
}

#[test]
fn a_fence_that_asks_for_no_token_is_found() {
    let mut model = small(1, None, 2, jobs::Faults::default());
    model.rules.holds = |job, _, _, _| job.status == JobStatus::Running;
    model.rules.apply = |state, event, now| match event {
        // Whoever says that it is done is believed.
        JobEvent::Succeeded(_) if state.status == JobStatus::Running => job::apply(
            state,
            JobEvent::Succeeded(state.token.unwrap_or(token(0))),
            now,
        ),
        event => job::apply(state, event, now),
    };
    model.rules.fenced_by_session = false;
    breaks(model, ONE_TOKEN);
}

#[test]
fn a_fence_that_forgets_the_time_is_found() {
    let mut model = small(1, None, 2, jobs::Faults::default());
    model.rules.holds =
        |job, token, _, _| job.status == JobStatus::Running && job.token == Some(token);
    breaks(model, ONE_TOKEN);
}

#[test]
fn a_job_that_can_end_again_is_found() {
    let mut model = small(
        1,
        None,
        2,
        jobs::Faults {
            repeats: 1,
            ..Default::default()
        },
    );
    model.rules.apply = |state, event, now| {
        let mut state = state.clone();
        if state.status == JobStatus::Succeeded {
            state.status = JobStatus::Running;
        }
        job::apply(&state, event, now)
    };
    breaks(model, ENDS_ONCE);
}

#[test]
fn a_cap_that_is_off_by_one_is_found() {
    let mut model = small(2, Some(1), 2, jobs::Faults::default());
    model.rules.full = |limits, running| {
        limits
            .max_running()
            .filter(|most| running > u64::from(*most))
    };
    breaks(model, CAPS);
}

#[test]
fn a_key_s_limit_that_is_off_by_one_is_found() {
    let mut model = small(2, None, 1, jobs::Faults::default());
    model.rules.has_room = |limit, running| running <= u64::from(limit);
    breaks(model, CAPS);
}

#[test]
fn caps_that_are_asked_before_the_job_begins_are_found() {
    let mut model = small(2, Some(1), 2, jobs::Faults::default());
    model.rules.caps_when_it_begins = false;
    breaks(model, CAPS);
}

#[test]
fn a_claim_that_does_not_write_its_session_down_is_found() {
    let mut model = small(
        1,
        None,
        2,
        jobs::Faults {
            crashes: 1,
            ..Default::default()
        },
    );
    model.rules.claim_opens = false;
    strands(model);
}

#[test]
fn a_recovery_that_loses_the_job_is_found() {
    let mut model = small(1, None, 2, jobs::Faults::default());
    // It stays with a worker that is gone.
    model.rules.apply = |state, event, now| match event {
        JobEvent::LeaseExpired(_) => {
            let mut step = job::apply(state, event, now)?;
            step.to.status = JobStatus::Running;
            Ok(step)
        }
        event => job::apply(state, event, now),
    };
    assert!(
        job::apply(
            &job::JobState::enqueued(NOW, 1),
            JobEvent::Claimed(token(1)),
            NOW
        )
        .is_ok()
    );
    strands(model);
}

#[test]
fn a_tick_that_is_fired_without_compare_and_set_is_found() {
    let mut model = schedule(MissedTicks::RunAll, 3, ticks::Faults::default());
    model.rules.compares = false;
    breaks(model, ONCE);
}

#[test]
fn a_schedule_that_moves_on_before_its_tick_is_enqueued_is_found() {
    let faults = ticks::Faults {
        crashes: 1,
        ..Default::default()
    };
    let mut model = schedule(MissedTicks::RunAll, 3, faults);
    model.rules.in_one = false;
    breaks(model, NONE_LOST);
}

#[test]
fn a_step_that_jumps_over_what_it_has_to_run_is_found() {
    let mut model = schedule(MissedTicks::RunAll, 3, ticks::Faults::default());
    let shipped = model.rules.step;
    assert!(shipped(MissedTicks::RunAll, NOW, NOW).is_some());
    model.rules.step =
        |_, due_at, now| (ticks::Rules::shipped().step)(MissedTicks::RunOnce, due_at, now);
    breaks(model, NONE_LOST);
}
