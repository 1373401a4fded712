use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn token(n: u128) -> LeaseToken {
    LeaseToken::from_uuid(Uuid::from_u128(n))
}

/// Tokens are drawn from few, so that sequences meet their own, other and old ones.
fn events() -> impl Strategy<Value = (JobEvent, i64)> {
    let token = (1_u128..6).prop_map(token);
    let event = prop_oneof![
        4 => token.clone().prop_map(JobEvent::Claimed),
        2 => token.clone().prop_map(JobEvent::Succeeded),
        3 => (token.clone(), any::<bool>(), 0_u64..100).prop_map(|(token, retryable, wait)| {
            JobEvent::Failed { token, retryable, retry_after: Duration::from_secs(wait) }
        }),
        2 => token.clone().prop_map(JobEvent::Returned),
        1 => token.clone().prop_map(JobEvent::CancelledBy),
        3 => token.prop_map(JobEvent::LeaseExpired),
        1 => Just(JobEvent::CancelRequested),
        1 => Just(JobEvent::Redriven),
        1 => Just(JobEvent::Discarded),
    ];
    (event, 0_i64..50)
}

proptest! {
    #[test]
    fn any_sequence_of_events_keeps_the_invariants(
        max_attempts in 1_u32..4,
        steps in prop::collection::vec(events(), 1..80),
    ) {
        let mut now = 0;
        let mut state = JobState::enqueued(at(0), max_attempts);
        for (event, wait) in steps {
            now += wait;
            match apply(&state, event, at(now)) {
                Ok(Transition { from, to }) => {
                    prop_assert_eq!(&from, &state);
                    // P3: whoever acted under a lease held the present one.
                    if let Some(fence) = event.fence() {
                        prop_assert_eq!(from.token, Some(fence));
                        prop_assert_eq!(from.status, JobStatus::Running);
                    }
                    if from.status.is_terminal() {
                        prop_assert_eq!(from.status, JobStatus::Dead, "nothing else leaves an end");
                        prop_assert!(matches!(event, JobEvent::Redriven | JobEvent::Discarded));
                        // Who held it is told that it does no more.
                        prop_assert!(event == JobEvent::Discarded || to.token.is_none());
                        state = to;
                        continue;
                    }
                    prop_assert!(to.failed_attempts <= max_attempts);
                    prop_assert!(to.lost_leases <= LOST_LEASE_LIMIT);
                    let counted = (to.failed_attempts - from.failed_attempts)
                        + (to.lost_leases - from.lost_leases);
                    prop_assert!(counted <= 1, "attempts and lost leases are counted apart");
                    if to.status == JobStatus::Failed {
                        prop_assert!(to.failed_attempts < max_attempts);
                    }
                    if to.status == JobStatus::Running {
                        prop_assert!(to.token.is_some());
                    }
                    if to.cancel_requested {
                        prop_assert!(!matches!(to.status, JobStatus::Queued | JobStatus::Failed));
                    }
                    state = to;
                }
                Err(invalid) => {
                    // The same refused event is refused again: a refusal changes nothing.
                    prop_assert_eq!(apply(&state, event, at(now)), Err(invalid));
                    if let Some(fence) = event.fence() {
                        let expected = if state.token == Some(fence) {
                            Refusal::AlreadySettled
                        } else {
                            Refusal::Stale
                        };
                        prop_assert_eq!(invalid.refusal, expected);
                    }
                }
            }
        }
    }

    #[test]
    fn a_due_job_ends_when_every_attempt_fails(max_attempts in 1_u32..20) {
        let mut state = JobState::enqueued(at(0), max_attempts);
        for attempt in 0..max_attempts {
            let lease = token(u128::from(attempt) + 1);
            state = apply(&state, JobEvent::Claimed(lease), state.run_at).unwrap().to;
            let failed = JobEvent::Failed {
                token: lease,
                retryable: true,
                retry_after: Duration::from_secs(1),
            };
            state = apply(&state, failed, state.run_at).unwrap().to;
        }
        prop_assert_eq!(state.status, JobStatus::Dead);
        prop_assert_eq!(state.failed_attempts, max_attempts);
    }
}

#[test]
fn settling_twice_is_told_apart_from_settling_late() {
    let queued = JobState::enqueued(at(0), 2);
    let running = apply(&queued, JobEvent::Claimed(token(1)), at(0))
        .unwrap()
        .to;
    let done = apply(&running, JobEvent::Succeeded(token(1)), at(1))
        .unwrap()
        .to;
    let again = apply(&done, JobEvent::Succeeded(token(1)), at(2)).unwrap_err();
    assert_eq!(again.refusal, Refusal::AlreadySettled);
    let late = apply(&done, JobEvent::Succeeded(token(2)), at(2)).unwrap_err();
    assert_eq!(late.refusal, Refusal::Stale);
}

#[test]
fn a_returned_job_counts_no_attempt_and_is_due_at_once() {
    let queued = JobState::enqueued(at(0), 2);
    let running = apply(&queued, JobEvent::Claimed(token(1)), at(5))
        .unwrap()
        .to;
    let back = apply(&running, JobEvent::Returned(token(1)), at(6))
        .unwrap()
        .to;
    assert_eq!(
        (back.status, back.failed_attempts, back.lost_leases),
        (JobStatus::Queued, 0, 0)
    );
    assert!(back.is_due(at(6)));
}

#[test]
fn five_lost_leases_are_a_crash_loop() {
    let mut state = JobState::enqueued(at(0), 2);
    for n in 1..=u128::from(LOST_LEASE_LIMIT) {
        state = apply(&state, JobEvent::Claimed(token(n)), at(0))
            .unwrap()
            .to;
        state = apply(&state, JobEvent::LeaseExpired(token(n)), at(0))
            .unwrap()
            .to;
    }
    assert_eq!((state.status, state.failed_attempts), (JobStatus::Dead, 0));
}

#[test]
fn a_job_is_not_claimed_before_its_time() {
    let state = JobState::enqueued(at(10), 2);
    let early = apply(&state, JobEvent::Claimed(token(1)), at(9)).unwrap_err();
    assert_eq!(early.refusal, Refusal::NotAllowed);
    assert!(apply(&state, JobEvent::Claimed(token(1)), at(10)).is_ok());
}

#[test]
fn a_dead_job_begins_anew_or_is_given_up() {
    let queued = JobState::enqueued(at(0), 1);
    let running = apply(&queued, JobEvent::Claimed(token(1)), at(0))
        .unwrap()
        .to;
    let failed = JobEvent::Failed {
        token: token(1),
        retryable: true,
        retry_after: Duration::ZERO,
    };
    let dead = apply(&running, failed, at(1)).unwrap().to;
    assert_eq!(dead.status, JobStatus::Dead);

    let again = apply(&dead, JobEvent::Redriven, at(5)).unwrap().to;
    assert_eq!(again, JobState::enqueued(at(5), 1));
    let late = apply(&again, JobEvent::Succeeded(token(1)), at(5)).unwrap_err();
    assert_eq!(late.refusal, Refusal::Stale);

    let gone = apply(&dead, JobEvent::Discarded, at(5)).unwrap().to;
    assert_eq!(gone.status, JobStatus::Cancelled);
    for event in [JobEvent::Redriven, JobEvent::Discarded] {
        let refusal = |state: &JobState| apply(state, event, at(6)).unwrap_err().refusal;
        assert_eq!(refusal(&gone), Refusal::Finished);
        assert_eq!(refusal(&running), Refusal::NotAllowed);
    }
}
