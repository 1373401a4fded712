use std::collections::BTreeSet;

use super::*;
use crate::id::IdSource;
use proptest::prelude::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Occurrences at multiples of `period` seconds.
fn every(period: i64) -> impl Fn(Timestamp) -> Result<Timestamp, &'static str> + Copy {
    move |t| Ok(at((t.as_second().div_euclid(period) + 1) * period))
}

#[test]
fn a_tick_on_time_runs_whatever_the_policy() {
    for &missed in MissedTicks::ALL {
        assert_eq!(
            step(missed, at(600), at(599), every(300)),
            None,
            "{missed}: not due"
        );
        let wanted = Step {
            run: Some(at(600)),
            passed_over: 0,
            next: Ok(at(900)),
        };
        assert_eq!(
            step(missed, at(600), at(600), every(300)),
            Some(wanted),
            "{missed}"
        );
    }
}

#[test]
fn each_policy_has_its_own_way_with_missed_ticks() {
    // Due: 300, 600, 900 and 1,200; the last one by 50 s.
    let now = at(1_250);
    let of = |missed| step(missed, at(300), now, every(300)).unwrap();
    let late = |missed| step(missed, at(300), at(1_280), every(300)).unwrap();
    let wanted = |run: Option<i64>, passed_over, next| Step {
        run: run.map(at),
        passed_over,
        next: Ok(at(next)),
    };
    assert_eq!(of(MissedTicks::RunAll), wanted(Some(300), 0, 600));
    assert_eq!(of(MissedTicks::RunOnce), wanted(Some(1_200), 3, 1_500));
    assert_eq!(of(MissedTicks::Skip), wanted(Some(1_200), 3, 1_500));
    assert_eq!(
        late(MissedTicks::Skip),
        wanted(None, 4, 1_500),
        "80 s are too late"
    );
}

#[test]
fn what_is_no_occurrence_gives_way_to_the_next_one() {
    for &missed in MissedTicks::ALL {
        let moved = step(missed, at(450), at(500), every(300)).unwrap();
        let wanted = Step {
            run: None,
            passed_over: 0,
            next: Ok(at(600)),
        };
        assert_eq!(moved, wanted, "{missed}");
    }
}

#[test]
fn a_tick_runs_though_the_next_one_cannot_be_worked_out() {
    let last = |t: Timestamp| if t < at(600) { Ok(at(600)) } else { Err("why") };
    for &missed in MissedTicks::ALL {
        let step = step(missed, at(600), at(610), last).unwrap();
        assert_eq!(
            (step.run, step.next),
            (Some(at(600)), Err("why")),
            "{missed}"
        );
    }
}

#[test]
fn where_nothing_can_be_worked_out_nothing_runs() {
    for &missed in MissedTicks::ALL {
        let step = step(missed, at(600), at(610), |_| Err("why")).unwrap();
        let wanted = Step {
            run: None,
            passed_over: 0,
            next: Err("why"),
        };
        assert_eq!(step, wanted, "{missed}");
    }
}

#[test]
fn a_step_gives_up_a_bounded_number_of_ticks() {
    let step = step(MissedTicks::RunOnce, at(1), at(1_000_000), every(1)).unwrap();
    let bound = i64::try_from(MOST_PASSED_OVER).unwrap();
    assert_eq!((step.run, step.passed_over), (None, MOST_PASSED_OVER));
    assert_eq!(step.next, Ok(at(1 + bound)), "the next step goes on there");
}

#[test]
fn jitter_is_the_same_for_the_same_tick_and_spreads() {
    let ids = IdSource::seeded(1);
    let hour = Duration::from_secs(3_600);
    let schedules: Vec<ScheduleId> = (0..1_000).map(|_| ids.next(at(0))).collect();
    let offsets: Vec<Duration> = schedules
        .iter()
        .map(|schedule| jitter_offset(*schedule, at(600), hour))
        .collect();
    for (schedule, offset) in schedules.iter().zip(&offsets) {
        assert!(*offset < hour);
        assert_eq!(jitter_offset(*schedule, at(600), hour), *offset);
        assert_eq!(
            jitter_offset(*schedule, at(600), Duration::ZERO),
            Duration::ZERO
        );
    }
    let quarters: BTreeSet<u64> = offsets
        .iter()
        .map(|offset| offset.as_secs() / 900)
        .collect();
    assert_eq!(quarters.len(), 4, "every quarter of the hour has some");
    let of_another_tick = jitter_offset(schedules[0], at(1_200), hour);
    assert_ne!(of_another_tick, offsets[0]);
}

/// What a schedule did while time went on and a scheduler looked at some moments.
struct History {
    due_at: Timestamp,
    ran: Vec<Timestamp>,
    passed_over: u64,
}

/// Steps at `now` until nothing is due.
fn catch_up(history: &mut History, missed: MissedTicks, now: Timestamp, period: i64) {
    while let Some(step) = step(missed, history.due_at, now, every(period)) {
        let next = step.next.unwrap();
        assert!(next > history.due_at, "each step moves forward");
        if let Some(run) = step.run {
            assert!(run >= history.due_at && run <= now && run < next);
        }
        history.ran.extend(step.run);
        history.passed_over += step.passed_over;
        history.due_at = next;
    }
}

proptest! {
    /// However seldom a scheduler looks: every tick runs or is given up, none twice, none early.
    #[test]
    fn every_tick_is_accounted_for_once(
        missed in prop::sample::select(MissedTicks::ALL.to_vec()),
        period in 1_i64..500,
        waits in prop::collection::vec(0_i64..2_000, 1..30),
    ) {
        let mut history = History { due_at: at(period), ran: Vec::new(), passed_over: 0 };
        let mut now = 0;
        for wait in waits {
            now += wait;
            let before = history.ran.len();
            catch_up(&mut history, missed, at(now), period);
            let ran = &history.ran[before..];
            match missed {
                MissedTicks::RunAll => prop_assert_eq!(history.passed_over, 0),
                MissedTicks::RunOnce => prop_assert!(ran.len() <= 1),
                MissedTicks::Skip => {
                    let oldest = at(now) - GRACE;
                    prop_assert!(ran.iter().all(|run| *run >= oldest));
                }
            }
        }
        let ticks = u64::try_from(now / period).unwrap();
        prop_assert_eq!(history.ran.len() as u64 + history.passed_over, ticks);
        prop_assert!(history.ran.windows(2).all(|two| two[0] < two[1]));
        prop_assert!(history.ran.iter().all(|run| run.as_second() % period == 0));
        prop_assert!(history.due_at > at(now));
    }

    /// Of two schedulers that work a step out at different moments, the later one goes no less far.
    #[test]
    fn a_later_look_never_goes_back(
        missed in prop::sample::select(MissedTicks::ALL.to_vec()),
        period in 1_i64..500,
        moments in (0_i64..5_000, 0_i64..5_000),
    ) {
        let look = |now| step(missed, at(period), at(now), every(period));
        let (early, late) = (moments.0.min(moments.1), moments.0.max(moments.1));
        match (look(early), look(late)) {
            (Some(early), Some(late)) => {
                prop_assert!(late.next >= early.next);
                prop_assert!(late.passed_over >= early.passed_over);
            }
            (early, _) => prop_assert_eq!(early, None),
        }
    }
}
