//! Statuses in words, and values as text.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use trueno_core::model::{CoverageStatus, ScanStatus, Severity};
use trueno_core::money::{Currency, MICROS_PER_UNIT};

/// A moment for people (`text`, in UTC) and for programs (`iso`).
pub(super) struct Moment {
    pub(super) iso: String,
    pub(super) text: String,
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Self {
            iso: at.to_string(),
            text: at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        }
    }
}

pub(super) const fn scan_status(status: ScanStatus) -> &'static str {
    match status {
        ScanStatus::Queued => "Queued",
        ScanStatus::Running => "Running",
        ScanStatus::Succeeded => "Succeeded",
        ScanStatus::Partial => "Partial",
        ScanStatus::Failed => "Failed",
        ScanStatus::Cancelled => "Cancelled",
        newer => newer.as_str(),
    }
}

/// What a status means for whoever reads the result (P8).
pub(super) const fn scan_meaning(status: ScanStatus) -> &'static str {
    match status {
        ScanStatus::Queued => "The scan waits for a processor. This page refreshes itself.",
        ScanStatus::Running => "The account is being read. This page refreshes itself.",
        ScanStatus::Succeeded => "Everything that the scan set out to read was read.",
        ScanStatus::Partial => {
            "Some of the account could not be read. What is below holds for what was read; of the \
             rest nothing is known."
        }
        ScanStatus::Failed => "The scan ended without a result.",
        ScanStatus::Cancelled => "The scan was stopped before it had a result.",
        _ => "This page does not know what the status means.",
    }
}

/// Which of the style sheet's tones a status has; the words beside it say the same.
pub(super) const fn scan_tone(status: ScanStatus) -> &'static str {
    match status {
        ScanStatus::Queued | ScanStatus::Running => "busy",
        ScanStatus::Succeeded => "good",
        ScanStatus::Partial => "warn",
        ScanStatus::Failed => "bad",
        _ => "plain",
    }
}

pub(super) const fn coverage_status(status: CoverageStatus) -> &'static str {
    match status {
        CoverageStatus::Complete => "complete",
        CoverageStatus::Reading => "being read",
        CoverageStatus::NotEnabled => "not enabled",
        CoverageStatus::Denied => "denied",
        CoverageStatus::Throttled => "throttled",
        CoverageStatus::Unreachable => "unreachable",
        other => other.as_str(),
    }
}

pub(super) const fn coverage_tone(status: CoverageStatus) -> &'static str {
    match status {
        CoverageStatus::Complete => "good",
        CoverageStatus::Reading => "busy",
        CoverageStatus::NotEnabled => "plain",
        // Denied, throttled, unreachable, undetermined: it was not read.
        _ => "warn",
    }
}

pub(super) const fn severity_tone(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "busy",
        Severity::Medium => "warn",
        Severity::High => "bad",
        _ => "plain",
    }
}

/// `1 finding`, `2 findings`.
pub(super) fn count(number: u64, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// A duration to the second, such as `1 min 5 s`; `None` for one that is negative.
pub(super) fn duration(time: SignedDuration) -> Option<String> {
    let seconds = u64::try_from(time.as_secs()).ok()?;
    Some(match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    })
}

/// A fact of a finding's evidence: its name and value as text, cut to what a table cell can hold.
/// Integers named `…_micros` are amounts and are written out exactly: they may be unit prices.
pub(super) fn fact(name: &str, value: &Value, currency: Currency) -> (String, String) {
    if let (Some(name), Some(micros)) = (name.strip_suffix("_micros"), value.as_i64()) {
        return (label(name), exact(micros, currency));
    }
    let text = match value {
        Value::Null => "unknown".to_owned(),
        Value::String(text) if text.is_empty() => "empty".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    (label(name), cut(text))
}

fn label(name: &str) -> String {
    cut(name.replace('_', " "))
}

fn cut(text: String) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

fn exact(micros: i64, currency: Currency) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let (micros, unit) = (micros.unsigned_abs(), MICROS_PER_UNIT.unsigned_abs());
    let mut fraction = format!("{:06}", micros % unit);
    while fraction.len() > 2 && fraction.ends_with('0') {
        fraction.pop();
    }
    format!("{currency} {sign}{}.{fraction}", micros / unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn facts_are_cut_and_amounts_are_exact() {
        let usd = |name, value| fact(name, &value, Currency::Usd);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(usd("size_gib", json!(100)), pair("size gib", "100"));
        assert_eq!(
            usd("hourly_micros", json!(11_600)),
            pair("hourly", "USD 0.0116")
        );
        assert_eq!(
            usd("bound_micros", json!(-5_000_000)),
            pair("bound", "USD -5.00")
        );
        assert_eq!(usd("bound_micros", json!(null)).1, "unknown");
        assert_eq!(usd("description", json!("")).1, "empty");
        assert_eq!(usd("zones", json!(["a", "b"])).1, r#"["a","b"]"#);
        let (_, long) = usd("note", json!("ä".repeat(500)));
        assert_eq!(long.chars().count(), 81);
    }

    #[test]
    fn durations_and_counts_read_well() {
        assert_eq!(
            duration(SignedDuration::from_secs(65)).unwrap(),
            "1 min 5 s"
        );
        assert_eq!(duration(SignedDuration::from_secs(9)).unwrap(), "9 s");
        assert_eq!(duration(SignedDuration::from_secs(-1)), None);
        assert_eq!(count(1, "finding"), "1 finding");
        assert_eq!(count(0, "finding"), "0 findings");
    }
}
