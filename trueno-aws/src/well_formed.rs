//! Answers must be whole. The SDK reads XML leniently: an answer cut after its root's start tag
//! becomes a shorter list without an error, which would pass for "nothing else is there" (P8).

use std::fmt;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, SharedInterceptor};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use xmlparser::{ElementEnd, Token, Tokenizer};

/// An answer that is no whole XML document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IllFormed(&'static str);

impl fmt::Display for IllFormed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the answer is no whole XML document: {}", self.0)
    }
}

impl std::error::Error for IllFormed {}

/// Refuses answers that are not whole.
pub(crate) fn interceptor() -> SharedInterceptor {
    SharedInterceptor::permanent(WellFormed)
}

#[derive(Debug)]
struct WellFormed;

impl Intercept for WellFormed {
    fn name(&self) -> &'static str {
        "TruenoWellFormed"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.output_or_error().is_err() {
            return Ok(());
        }
        let body = context
            .response()
            .body()
            .bytes()
            .ok_or(IllFormed("it was not read whole"))?;
        let text = std::str::from_utf8(body).map_err(|_| IllFormed("it is not UTF-8"))?;
        Ok(check(text)?)
    }
}

fn check(text: &str) -> Result<(), IllFormed> {
    let (mut open, mut roots) = (Vec::new(), 0_usize);
    for token in Tokenizer::from(text) {
        match token.map_err(|_| IllFormed("it has a malformed tag"))? {
            Token::ElementStart { prefix, local, .. } => {
                roots += usize::from(open.is_empty());
                open.push((prefix.as_str(), local.as_str()));
            }
            Token::ElementEnd {
                end: ElementEnd::Empty,
                ..
            } => {
                open.pop();
            }
            Token::ElementEnd {
                end: ElementEnd::Close(prefix, local),
                ..
            } => {
                let closes_last = open.pop() == Some((prefix.as_str(), local.as_str()));
                if !closes_last {
                    return Err(IllFormed("an end tag does not match"));
                }
            }
            _ => {}
        }
    }
    if open.is_empty() && roots == 1 {
        Ok(())
    } else {
        Err(IllFormed("it ends early"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "<?xml version=\"1.0\"?><R xmlns=\"u\"><set><item><id>v&amp;1</id>\
                          <tags/></item></set><n:x xmlns:n=\"a\">t</n:x></R>\n";

    #[test]
    fn a_whole_answer_passes() {
        assert_eq!(check(ANSWER), Ok(()));
    }

    #[test]
    fn an_answer_cut_anywhere_is_refused() {
        let whole = ANSWER.trim_end().len();
        for end in 0..whole {
            assert!(
                check(&ANSWER[..end]).is_err(),
                "cut at {end}: {}",
                &ANSWER[..end]
            );
        }
    }

    #[test]
    fn tags_that_do_not_match_are_refused() {
        for text in [
            "<a><b></a></b>",
            "<a></b>",
            "<a/><b/>",
            "<a></a></a>",
            "plain",
            "<a><b></a>",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
