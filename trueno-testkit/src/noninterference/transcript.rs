//! What B was answered, in a form that two runs can be compared in.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::port::{Cursor, Page};
use uuid::Uuid;

use super::stage::HOURLY;

/// Everything that B was answered, one line for each answer. See [the module](super) for what is
/// renamed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    exact: String,
    timeless: String,
    pub(super) answers: BTreeMap<&'static str, Answers>,
    /// How many steps A took meanwhile.
    pub(super) acts: u64,
}

impl Transcript {
    /// With moments as they were: for stores with an injected clock.
    #[must_use]
    pub fn exact(&self) -> &str {
        &self.exact
    }

    /// With moments renamed: for stores with a clock of their own.
    #[must_use]
    pub fn timeless(&self) -> &str {
        &self.timeless
    }
}

/// How often something was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) given: u64,
    pub(super) refused: u64,
}

/// The first line in which two transcripts differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its number, from 1.
    pub line: usize,
    /// What B was answered with A there; `None` where the transcript had ended.
    pub with: Option<String>,
    /// What B was answered without A; `None` where the transcript had ended.
    pub without: Option<String>,
}

impl Difference {
    /// Compares the transcripts of a run with A and of one without. `None` where they are the same
    /// to the byte.
    #[must_use]
    pub fn between(with: &str, without: &str) -> Option<Self> {
        if with == without {
            return None;
        }
        let (mut left, mut right) = (with.split('\n'), without.split('\n'));
        let mut line = 0;
        loop {
            line += 1;
            let (with, without) = (left.next(), right.next());
            if with != without || with.is_none() {
                return Some(Self {
                    line,
                    with: with.map(str::to_owned),
                    without: without.map(str::to_owned),
                });
            }
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "(ended)".to_owned());
        write!(
            f,
            "line {}\n   with A: {}\nwithout A: {}",
            self.line,
            shown(&self.with),
            shown(&self.without)
        )
    }
}

/// Takes answers down.
#[derive(Debug)]
pub(super) struct Notes {
    step: usize,
    exact: String,
    timeless: String,
    /// The number of each UUID that the store made.
    made: HashMap<Uuid, usize>,
    /// The moments that each field of each row had so far, in order.
    moments: HashMap<String, Vec<String>>,
    /// Whether anything is taken down; otherwise only how often somebody had to wait.
    kept: bool,
    answers: BTreeMap<&'static str, Answers>,
    waits: Vec<String>,
}

impl Notes {
    pub(super) fn new(kept: bool) -> Self {
        Self {
            step: 0,
            exact: String::new(),
            timeless: String::new(),
            made: HashMap::new(),
            moments: HashMap::new(),
            kept,
            answers: BTreeMap::new(),
            waits: Vec::new(),
        }
    }

    /// What comes next belongs to the next step.
    pub(super) fn next_step(&mut self) {
        self.step += 1;
    }

    /// Takes an answer down.
    pub(super) fn answer(&mut self, what: &'static str, answer: &Result<impl Serialize>) {
        match answer {
            Ok(value) if self.kept => self.given(what, &serde_json::to_value(value).unwrap()),
            Ok(_) => {}
            Err(error) => self.refusal(what, error),
        }
    }

    /// Takes a page down. Answers its cursor.
    pub(super) fn page<T: Serialize>(
        &mut self,
        what: &'static str,
        answer: &Result<Page<T>>,
    ) -> Option<Cursor> {
        match answer {
            Ok(page) => {
                if self.kept {
                    let items = serde_json::to_value(&page.items).unwrap();
                    let next = page.next.as_ref().map(shown_cursor);
                    self.given(what, &json!({ "items": items, "next": next }));
                }
                page.next.clone()
            }
            Err(error) => {
                self.refusal(what, error);
                None
            }
        }
    }

    /// Takes an error down: all that a caller can learn of it.
    pub(super) fn refusal(&mut self, what: &'static str, error: &Error) {
        self.answers.entry(what).or_default().refused += 1;
        // Its own quota, which the message tells how to mend, kept it from nothing of the other's.
        let own_quota = || error.to_string().contains("max_live");
        if error.kind() == ErrorKind::Timeout
            || (error.kind() == ErrorKind::Exhausted && !own_quota())
        {
            self.waits.push(format!("{what}: {error}"));
        }
        let shown = json!({
            "error": error.kind().code(),
            "message": error.to_string(),
            "operation": error.operation(),
            "code": error.code(),
            "certainly_not_applied": error.certainly_not_applied(),
            "retry": format!("{:?}", error.retry()),
        });
        self.line(what, &shown);
    }

    /// A proof in which this is never given proves nothing of it.
    pub(super) fn wants(&mut self, what: &'static str) {
        self.answers.entry(what).or_default();
    }

    /// Takes down what was answered, as it is to be shown.
    pub(super) fn given(&mut self, what: &'static str, shown: &Value) {
        self.answers.entry(what).or_default().given += 1;
        self.line(what, shown);
    }

    /// Takes down what is no answer.
    pub(super) fn line(&mut self, what: &str, value: &Value) {
        if !self.kept {
            return;
        }
        let exact = format!("{} {what} {value}\n", self.step);
        let value = self.timeless_value(value, what, "");
        let timeless = format!("{} {what} {value}\n", self.step);
        let (exact, timeless) = (self.renamed(&exact), self.renamed(&timeless));
        self.exact.push_str(&exact);
        self.timeless.push_str(&timeless);
    }

    /// What had to wait so long that it was given up, since this was last asked.
    pub(super) fn take_waits(&mut self) -> Vec<String> {
        std::mem::take(&mut self.waits)
    }

    pub(super) fn into_transcript(self, acts: u64) -> Transcript {
        Transcript {
            exact: self.exact,
            timeless: self.timeless,
            answers: self.answers,
            acts,
        }
    }

    /// `text` with what the store made replaced by numbers.
    fn renamed(&mut self, text: &str) -> String {
        const LENGTH: usize = 36;
        let mut renamed = String::with_capacity(text.len());
        let (mut from, mut at) = (0, 0);
        while let Some(window) = text.as_bytes().get(at..at + LENGTH) {
            let Some(id) = store_made(window) else {
                at += 1;
                continue;
            };
            let next = self.made.len();
            let nth = *self.made.entry(id).or_insert(next);
            renamed.push_str(&text[from..at]);
            renamed.push_str(&format!("<made {nth}>"));
            at += LENGTH;
            from = at;
        }
        renamed.push_str(&text[from..]);
        renamed
    }

    /// `value` with its moments replaced: `row` names the row that it is of, `field` its place in it.
    fn timeless_value(&mut self, value: &Value, row: &str, field: &str) -> Value {
        match value {
            Value::String(text) if text.parse::<Timestamp>().is_ok() => {
                let had = self.moments.entry(format!("{row} {field}")).or_default();
                let nth = had.iter().position(|moment| moment == text);
                let nth = nth.unwrap_or_else(|| {
                    had.push(text.clone());
                    had.len() - 1
                });
                Value::String(format!("<moment {nth}>"))
            }
            Value::String(text) if HOURLY.contains(&text.as_str()) => Value::from("<hourly>"),
            Value::Array(items) => items
                .iter()
                .map(|item| self.timeless_value(item, row, field))
                .collect(),
            Value::Object(fields) => {
                let own = row_name(fields);
                let row = own.as_deref().unwrap_or(row);
                let timeless = |(name, value): (&String, &Value)| {
                    (name.clone(), self.timeless_value(value, row, name))
                };
                Value::Object(fields.iter().map(timeless).collect())
            }
            other => other.clone(),
        }
    }
}

/// What tells a row apart from every other one; `None` for an object that is no row.
fn row_name(fields: &Map<String, Value>) -> Option<String> {
    // By what rows without an id are named: changes of findings, resources and members.
    const PARTS: [&str; 7] = [
        "finding",
        "version",
        "account",
        "kind",
        "region",
        "native_id",
        "user",
    ];
    let parts: Vec<String> = match fields.get("id") {
        Some(id) => vec![id.to_string()],
        None => PARTS
            .iter()
            .filter_map(|part| Some(format!("{part}={}", fields.get(*part)?)))
            .collect(),
    };
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// The UUID that `text` is, where it is one that the store made.
fn store_made(text: &[u8]) -> Option<Uuid> {
    if text.get(8) != Some(&b'-') || text.get(14) != Some(&b'7') {
        return None;
    }
    Uuid::try_parse_ascii(text).ok()
}

/// A cursor's parts as what they encode.
fn shown_cursor(cursor: &Cursor) -> Vec<Value> {
    let shown = |part: &str| {
        let decoded = BASE64URL_NOPAD.decode(part.as_bytes()).ok();
        decoded
            .and_then(|json| serde_json::from_slice(&json).ok())
            .unwrap_or_else(|| Value::from(part))
    };
    cursor.as_str().split('.').map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use trueno_core::port::PageRequest;

    const MADE: [&str; 2] = [
        "019b7650-1c00-7000-8000-000000000001",
        "019b7650-1c00-7000-8000-000000000002",
    ];
    const CHOSEN: &str = "d1497bdb-076c-8536-82be-32b7b8d03f94";

    fn notes(lines: &[Value]) -> Transcript {
        let mut notes = Notes::new(true);
        for line in lines {
            notes.given("it", line);
        }
        notes.into_transcript(0)
    }

    #[test]
    fn what_the_store_made_is_renamed_and_stays_recognizable() {
        let both = notes(&[json!([MADE[1], CHOSEN]), json!(MADE[0]), json!(MADE[1])]);
        let expected =
            format!("0 it [\"<made 0>\",\"{CHOSEN}\"]\n0 it \"<made 1>\"\n0 it \"<made 0>\"\n");
        assert_eq!(both.exact(), expected);
        assert_eq!(both.timeless(), expected);
        let other = notes(&[json!([MADE[0], CHOSEN]), json!(MADE[1]), json!(MADE[0])]);
        assert_eq!(other, both, "their bits do not matter");
        let again = notes(&[json!([MADE[0], CHOSEN]), json!(MADE[1]), json!(MADE[1])]);
        assert_ne!(again.exact(), both.exact(), "which is which does");
    }

    #[test]
    fn a_moment_that_changed_between_two_reads_shows_without_the_clock() {
        let row = |id: u8, at: &str| json!({ "id": id, "seen_at": at, "nested": { "at": at } });
        let (first, second) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000001Z");
        let quiet = notes(&[row(1, first), row(2, second), row(1, first)]);
        let shown = |nth: u8| format!(r#"{{"at":"<moment {nth}>"}}"#);
        assert_eq!(quiet.timeless().matches(&shown(0)).count(), 3);
        assert!(quiet.exact().contains(first), "{}", quiet.exact());
        let slower = notes(&[row(1, second), row(2, second), row(1, second)]);
        assert_eq!(slower.timeless(), quiet.timeless());
        let touched = notes(&[row(1, first), row(2, second), row(1, second)]);
        assert_eq!(touched.timeless().matches(&shown(1)).count(), 1);
    }

    #[test]
    fn cursors_are_shown_as_what_they_encode() {
        let key = BASE64URL_NOPAD.encode(format!("[\"{}\",7]", MADE[0]).as_bytes());
        let page = Page {
            items: vec![1],
            next: Some(Cursor::from_key(format!("events.{key}"))),
        };
        let mut notes = Notes::new(true);
        let next = notes.page("events", &Ok(page.clone()));
        assert_eq!(next, page.next);
        let transcript = notes.into_transcript(0);
        let expected = "0 events {\"items\":[1],\"next\":[\"events\",[\"<made 0>\",7]]}\n";
        assert_eq!(transcript.exact(), expected);
    }

    #[test]
    fn errors_are_taken_down_as_their_caller_sees_them() {
        let mut notes = Notes::new(true);
        let denied = PageRequest::first(0).map(|_| ());
        notes.answer("it", &denied);
        notes.refusal(
            "it",
            &Error::new(ErrorKind::Timeout, "too late").with_detail("hidden"),
        );
        assert_eq!(notes.take_waits(), ["it: too late"]);
        let transcript = notes.into_transcript(0);
        let text = transcript.exact();
        for part in [
            "invalid_input",
            "limit: needs 1 to 1000",
            "Never",
            "Backoff",
            "false",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("hidden"), "{text}");
        assert_eq!(transcript.answers["it"].refused, 2);
    }

    #[test]
    fn the_first_line_that_differs_is_named() {
        assert_eq!(Difference::between("a\nb\n", "a\nb\n"), None);
        let difference = Difference::between("a\nb\nc\n", "a\nx\nc\n").unwrap();
        assert_eq!(difference.line, 2);
        assert_eq!(difference.with.as_deref(), Some("b"));
        assert_eq!(difference.without.as_deref(), Some("x"));
        let shorter = Difference::between("a\n", "a").unwrap();
        assert_eq!((shorter.line, shorter.without), (2, None));
        assert!(difference.to_string().contains("with A: b\nwithout A: x"));
    }
}
