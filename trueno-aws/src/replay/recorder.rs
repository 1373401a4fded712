//! Keeps what AWS answers, without the secrets in it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::config_bag::ConfigBag;

use super::Recording;
use super::recording::{Answer, Question};
use crate::guard::{Identified, identify};

/// What stands for credentials in a recording: made up, and valid for long enough that a replay
/// never has to renew them. The request's id goes too, so that a recording can be made again.
const DUMMIES: [(&str, &str); 5] = [
    ("AccessKeyId", "ASIAEXAMPLEEXAMPLE00"),
    ("SecretAccessKey", "example-secret-access-key"),
    ("SessionToken", "example-session-token"),
    ("Expiration", "2999-12-31T23:59:59Z"),
    ("RequestId", "00000000-0000-0000-0000-000000000000"),
];

/// Collects answers while a scanner works. Cloning shares the collection.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Recording>>);

impl Recorder {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What it has seen so far.
    #[must_use]
    pub fn recording(&self) -> Recording {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn keep(&self, question: Question, answer: Answer) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .keep(question, answer);
    }
}

/// A client that sends everything and keeps what is answered.
pub(crate) fn recording_client(recorder: Recorder, inner: SharedHttpClient) -> SharedHttpClient {
    SharedHttpClient::new(Recorded { recorder, inner })
}

struct Recorded<I> {
    recorder: Recorder,
    inner: I,
}

impl<I> fmt::Debug for Recorded<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("trueno-recorder")
    }
}

impl HttpClient for Recorded<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Recorded {
            recorder: self.recorder.clone(),
            inner,
        })
    }

    // It would make a connector and throw it away, for every client of every task.
    fn validate_base_client_config(
        &self,
        _components: &RuntimeComponentsBuilder,
        _cfg: &ConfigBag,
    ) -> Result<(), BoxError> {
        Ok(())
    }

    fn validate_final_config(
        &self,
        components: &RuntimeComponents,
        cfg: &ConfigBag,
    ) -> Result<(), BoxError> {
        HttpClient::validate_final_config(&self.inner, components, cfg)
    }
}

impl HttpConnector for Recorded<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        // The guard stands in front and lets through only what can be told.
        let Ok(read) = identify(&request) else {
            return self.inner.call(request);
        };
        let answer = self.inner.call(request);
        let recorder = self.recorder.clone();
        HttpConnectorFuture::new(async move { keep(&recorder, read, answer.await?).await })
    }
}

async fn keep(
    recorder: &Recorder,
    read: Identified,
    mut response: HttpResponse,
) -> Result<HttpResponse, ConnectorError> {
    let body = std::mem::replace(response.body_mut(), SdkBody::taken());
    let bytes = ByteStream::new(body)
        .collect()
        .await
        .map_err(|source| ConnectorError::io(source.into()))?
        .into_bytes();
    let text = std::str::from_utf8(&bytes).map_err(|source| ConnectorError::user(source.into()))?;
    // Only STS hands out credentials. EC2 uses some of these names for other things.
    let body = if read.service == "sts" {
        without_secrets(text)
    } else {
        text.to_owned()
    };
    let answer = Answer {
        status: response.status().as_u16(),
        content_type: response.headers().get("content-type").map(str::to_owned),
        body,
    };
    recorder.keep(Question::from(read), answer);
    *response.body_mut() = SdkBody::from(bytes);
    Ok(response)
}

fn without_secrets(text: &str) -> String {
    DUMMIES.iter().fold(text.to_owned(), |text, (tag, dummy)| {
        replaced(&text, tag, dummy)
    })
}

/// The text with `dummy` inside every element `tag`.
fn replaced(text: &str, tag: &str, dummy: &str) -> String {
    let (start, end) = (format!("<{tag}>"), format!("</{tag}>"));
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(&start) {
        out.push_str(before);
        out.push_str(&start);
        out.push_str(dummy);
        // Without its end, the rest may still be the secret: it goes.
        rest = after.find(&end).map_or("", |at| &after[at..]);
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_an_answer_is_kept() {
        let answer = "<R><Credentials><AccessKeyId>ASIAREAL</AccessKeyId><SecretAccessKey>real1\
                      </SecretAccessKey><SessionToken>real2</SessionToken><Expiration>2026-01-01T00:\
                      00:00Z</Expiration></Credentials><Arn>arn</Arn></R>";
        let kept = without_secrets(answer);
        assert!(
            !kept.contains("REAL") && !kept.contains("real") && !kept.contains("2026"),
            "{kept}"
        );
        assert!(kept.contains("<AccessKeyId>ASIAEXAMPLE") && kept.ends_with("<Arn>arn</Arn></R>"));
        assert!(!without_secrets("<SessionToken>cut-in-the-mid").contains("cut"));
    }
}
