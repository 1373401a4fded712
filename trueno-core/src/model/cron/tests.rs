use super::*;
use crate::error::ErrorKind;
use proptest::prelude::*;

fn runs(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let cron = CronExpression::new(expression, zone).unwrap();
    let runs = cron.next_runs(after.parse().unwrap(), count);
    runs.iter().map(ToString::to_string).collect()
}

fn refused(expression: &str, zone: &str) -> String {
    let error = CronExpression::new(expression, zone).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    error.to_string()
}

#[test]
fn ticks_are_read_in_their_time_zone() {
    assert_eq!(
        runs(
            "0 6 * * mon-fri",
            "Europe/Berlin",
            "2026-11-20T05:00:00Z",
            2
        ),
        ["2026-11-23T05:00:00Z", "2026-11-24T05:00:00Z"],
        "06:00 on Friday itself is not after itself; then comes Monday"
    );
    assert_eq!(
        runs("0 6 * * *", "America/New_York", "2026-07-01T00:00:00Z", 1),
        ["2026-07-01T10:00:00Z"]
    );
}

// Clocks of Berlin jump from 02:00 to 03:00 on 29 March 2026, and back from 03:00 to 02:00 on
// 25 October 2026, at 01:00 UTC.

#[test]
fn a_fixed_time_in_a_gap_fires_right_after_it() {
    assert_eq!(
        runs("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3),
        [
            "2026-03-28T01:30:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-30T00:30:00Z"
        ]
    );
}

#[test]
fn a_fixed_time_that_comes_twice_fires_the_first_time() {
    assert_eq!(
        runs("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
    assert_eq!(
        runs("30 2 * * *", "Europe/Berlin", "2026-10-25T00:45:00Z", 1),
        ["2026-10-26T01:30:00Z"],
        "asked between the two"
    );
}

#[test]
fn an_interval_passes_over_a_gap_and_fires_in_both_halves_of_an_overlap() {
    assert_eq!(
        runs("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", 2),
        ["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"],
        "01:30, then 03:00"
    );
    assert_eq!(
        runs("*/30 2 * * *", "Europe/Berlin", "2026-10-24T22:00:00Z", 5),
        [
            "2026-10-25T00:00:00Z",
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T01:30:00Z",
            "2026-10-26T01:00:00Z"
        ]
    );
}

#[test]
fn rare_days_fire_and_impossible_ones_are_refused() {
    assert_eq!(
        runs("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 1),
        ["2104-02-29T00:00:00Z"],
        "2100 has no leap day"
    );
    for never in ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *"] {
        assert_eq!(
            refused(never, "Europe/Berlin"),
            "cron: never fires: none of its months (field 4) has such a day (field 3); change one of \
             the two"
        );
    }
}

#[test]
fn the_end_of_the_calendar_is_an_error_and_not_silence() {
    let cron = CronExpression::new("0 0 1 1 *", "UTC").unwrap();
    let late: Timestamp = "4999-06-01T00:00:00Z".parse().unwrap();
    let last = cron.next_after(late).unwrap();
    assert_eq!(last.to_string(), "5000-01-01T00:00:00Z");
    let error = cron.next_after(last).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(
        error.to_string(),
        "cron: no tick after 5000-01-01T00:00:00Z could be worked out"
    );
    assert!(std::error::Error::source(&error).is_some(), "it says why");
    assert_eq!(cron.next_runs(late, 5), [last]);
}

#[test]
fn what_is_refused_is_named() {
    assert!(refused("0 6 * *", "UTC").starts_with("cron: needs five fields"));
    assert!(refused("0 0 6 * * *", "UTC").starts_with("cron: needs five fields"));
    assert!(refused("0 6 * * *", "Mars/Olympus").starts_with("time_zone:"));
    let long = format!("{} * * * *", vec!["1"; 200].join(","));
    assert!(refused(&long, "UTC").starts_with("cron: needs at most 256 bytes"));
}

#[test]
fn at_most_a_hundred_runs_are_listed() {
    assert_eq!(
        runs("* * * * *", "UTC", "2026-01-01T00:00:00Z", 1_000).len(),
        100
    );
    assert!(runs("* * * * *", "UTC", "2026-01-01T00:00:00Z", 0).is_empty());
}

#[test]
fn json_that_is_no_expression_is_refused() {
    let cron = CronExpression::new("0 6 * * *", "UTC").unwrap();
    let json = serde_json::to_value(&cron).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"expression": "0 6 * * *", "time_zone": "UTC"})
    );
    assert_eq!(
        serde_json::from_value::<CronExpression>(json).unwrap(),
        cron
    );
    let wrong = serde_json::json!({"expression": "0 0 30 2 *", "time_zone": "UTC"});
    assert!(serde_json::from_value::<CronExpression>(wrong).is_err());
}

proptest! {
    /// Over every change of clocks, half-hour ones included: ticks only ever come later, on whole
    /// minutes of the wall, and whoever asks just before a tick is told that tick.
    #[test]
    fn ticks_come_forward(
        second in 1_700_000_000_i64..1_900_000_000,
        nano in 0_i32..1_000_000_000,
        expression in prop::sample::select(vec![
            "* * * * *", "*/15 * * * *", "30 2 * * *", "0 0 * * sun", "15,45 1-3 * * *", "0 0 29 2 *",
        ]),
        zone in prop::sample::select(vec![
            "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu",
        ]),
    ) {
        let cron = CronExpression::new(expression, zone).unwrap();
        let mut after = Timestamp::new(second, nano).unwrap();
        for _ in 0..20 {
            let next = cron.next_after(after).unwrap();
            prop_assert!(next > after);
            prop_assert_eq!(next.as_second() % 60, 0);
            prop_assert_eq!(next.subsec_nanosecond(), 0);
            let just_before = next - std::time::Duration::from_nanos(1);
            prop_assert_eq!(cron.next_after(just_before).unwrap(), next);
            after = next;
        }
    }
}
