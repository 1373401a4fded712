//! The format of a recording: JSON lines, the first of which names the format; the others are one
//! answer each, sorted by what was asked.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use trueno_core::error::{Error, ErrorKind, Result};

use crate::guard::Identified;

const FORMAT: &str = "trueno-aws-recording-1";

/// Parameters that do not tell one question from another: they differ between runs, or only say how
/// large a page may be. The external id, the session policy and the session's name are secret or
/// particular to whoever asks.
const PASSED_OVER: [&str; 6] = [
    "DurationSeconds",
    "ExternalId",
    "MaxResults",
    "Policy",
    "RoleSessionName",
    "Version",
];

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Question {
    service: String,
    region: String,
    operation: String,
    params: BTreeMap<String, String>,
}

impl From<Identified> for Question {
    fn from(request: Identified) -> Self {
        let Identified {
            service,
            region,
            operation,
            mut params,
        } = request;
        params.retain(|name, _| !PASSED_OVER.contains(&name.as_str()));
        Self {
            service,
            region,
            operation,
            params,
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} in {}", self.service, self.operation, self.region)?;
        let mut separator = " with ";
        for (name, value) in &self.params {
            write!(f, "{separator}{name}={value}")?;
            separator = ", ";
        }
        Ok(())
    }
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) content_type: Option<String>,
    pub(crate) body: String,
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    question: Question,
    #[serde(flatten)]
    answer: Answer,
}

/// The recorded answers of an AWS account.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Recording {
    answers: BTreeMap<Question, Answer>,
}

impl Recording {
    /// Reads a recording.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with the number of the line that is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |number: usize, problem: &str| {
            Error::new(
                ErrorKind::Config,
                format!("recording, line {number}: {problem}"),
            )
        };
        let mut lines = (1..).zip(text.lines());
        let header = lines
            .next()
            .map(|(_, line)| serde_json::from_str::<Header>(line));
        if !matches!(header, Some(Ok(header)) if header.format == FORMAT) {
            return Err(wrong(1, &format!("expected {{\"format\":\"{FORMAT}\"}}")));
        }
        let mut answers = BTreeMap::new();
        for (number, line) in lines {
            let line: Line = serde_json::from_str(line)
                .map_err(|source| wrong(number, "is no recorded answer").with_source(source))?;
            if answers.insert(line.question, line.answer).is_some() {
                return Err(wrong(number, "answers what an earlier line answers"));
            }
        }
        Ok(Self { answers })
    }

    /// The recording as text, the same for the same answers.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] where it cannot be written as JSON.
    pub fn to_text(&self) -> Result<String> {
        let failed = |source: serde_json::Error| {
            let message = "the recording cannot be written as JSON";
            Error::new(ErrorKind::Unexpected, message).with_source(source)
        };
        let header = Header {
            format: FORMAT.to_owned(),
        };
        let mut text = serde_json::to_string(&header).map_err(failed)?;
        text.push('\n');
        for (question, answer) in &self.answers {
            let line = Line {
                question: question.clone(),
                answer: answer.clone(),
            };
            text.push_str(&serde_json::to_string(&line).map_err(failed)?);
            text.push('\n');
        }
        Ok(text)
    }

    /// How many answers it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// True where it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    pub(super) fn answer(&self, question: &Question) -> Option<&Answer> {
        self.answers.get(question)
    }

    /// The last answer to a question counts: the ones before it were tried again.
    pub(super) fn keep(&mut self, question: Question, answer: Answer) {
        self.answers.insert(question, answer);
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recording({} answers)", self.answers.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(params: &[(&str, &str)]) -> Question {
        let params = params
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Question::from(Identified {
            service: "ec2".to_owned(),
            region: "eu-west-1".to_owned(),
            operation: "DescribeVolumes".to_owned(),
            params: params.collect(),
        })
    }

    fn answer(body: &str) -> Answer {
        Answer {
            status: 200,
            content_type: Some("text/xml".to_owned()),
            body: body.to_owned(),
        }
    }

    #[test]
    fn a_recording_comes_back_as_it_was_written() {
        let mut recording = Recording::default();
        recording.keep(question(&[("NextToken", "b")]), answer("<b/>"));
        recording.keep(question(&[]), answer("<early/>"));
        recording.keep(question(&[]), answer("<a>\"ü\"\n</a>"));
        let text = recording.to_text().unwrap();
        assert_eq!(Recording::parse(&text).unwrap(), recording);
        assert_eq!(recording.len(), 2);
        assert_eq!(
            recording.answer(&question(&[])),
            Some(&answer("<a>\"ü\"\n</a>"))
        );
    }

    #[test]
    fn what_is_particular_to_a_run_does_not_tell_questions_apart() {
        let one = question(&[("MaxResults", "500"), ("Version", "1"), ("NextToken", "t")]);
        assert_eq!(one, question(&[("NextToken", "t")]));
        assert_ne!(one, question(&[("NextToken", "u")]));
        let secret = question(&[("ExternalId", "tru1-x"), ("Policy", "p")]);
        assert_eq!(secret.to_string(), "ec2:DescribeVolumes in eu-west-1");
    }

    #[test]
    fn a_corrupt_recording_is_refused_by_line() {
        let mut whole = Recording::default();
        whole.keep(question(&[]), answer("<a/>"));
        let whole = whole.to_text().unwrap();
        let line = whole.lines().last().unwrap();
        for (text, wanted) in [
            (String::new(), "line 1"),
            ("{\"format\":\"other\"}\n".to_owned(), "line 1"),
            (format!("{whole}{{}}\n"), "line 3"),
            (format!("{whole}{line}\n"), "line 3"),
        ] {
            let error = Recording::parse(&text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(wanted), "{error}");
        }
    }
}
