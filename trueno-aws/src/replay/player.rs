//! Answers from a recording.

use std::fmt;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;

use super::Recording;
use super::recording::Question;
use crate::guard::identify;

/// A question that a recording does not answer.
#[derive(Debug)]
pub(crate) struct NotRecorded(String);

impl fmt::Display for NotRecorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the recording holds no answer to {}", self.0)
    }
}

impl std::error::Error for NotRecorded {}

/// A client that opens no socket.
pub(crate) fn player(recording: Arc<Recording>) -> SharedHttpClient {
    http_client_fn(move |_, _| SharedHttpConnector::new(Player(Arc::clone(&recording))))
}

#[derive(Debug)]
struct Player(Arc<Recording>);

impl HttpConnector for Player {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(self.answer(&request))
    }
}

impl Player {
    fn answer(&self, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let unanswered = |what: String| ConnectorError::user(NotRecorded(what).into());
        let read = identify(request).map_err(|problem| unanswered(problem.to_string()))?;
        let question = Question::from(read);
        let answer = self
            .0
            .answer(&question)
            .ok_or_else(|| unanswered(question.to_string()))?;
        let status = StatusCode::try_from(answer.status)
            .map_err(|source| ConnectorError::user(source.into()))?;
        let mut response = HttpResponse::new(status, SdkBody::from(answer.body.clone()));
        if let Some(content_type) = answer.content_type.clone() {
            let headers = response.headers_mut();
            headers
                .try_insert("content-type", content_type)
                .map_err(|source| ConnectorError::user(source.into()))?;
        }
        Ok(response)
    }
}
