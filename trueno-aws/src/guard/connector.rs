//! The guard in front of the socket.

use std::fmt;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::config_bag::ConfigBag;

use super::request::identify;
use super::{AllowList, Refused};

/// A client that sends what the list allows, and nothing else.
pub(super) fn guarded(allowed: AllowList, inner: SharedHttpClient) -> SharedHttpClient {
    checked("trueno-read-only-guard", inner, move |request| {
        check(&allowed, request)
    })
}

fn check(allowed: &AllowList, request: &HttpRequest) -> Result<(), Refused> {
    match identify(request) {
        Ok(read) if allowed.allows(&read.service, &read.operation) => Ok(()),
        Ok(read) => Err(Refused(format!("{}:{}", read.service, read.operation))),
        Err(problem) => Err(Refused(problem.to_string())),
    }
}

/// A client that sends a request only where `check` finds nothing against it.
pub(super) fn checked(
    name: &'static str,
    inner: SharedHttpClient,
    check: impl Fn(&HttpRequest) -> Result<(), Refused> + Clone + Send + Sync + 'static,
) -> SharedHttpClient {
    SharedHttpClient::new(Checked { name, inner, check })
}

#[derive(Clone)]
struct Checked<I, C> {
    name: &'static str,
    inner: I,
    check: C,
}

impl<I, C> fmt::Debug for Checked<I, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl<C> HttpClient for Checked<SharedHttpClient, C>
where
    C: Fn(&HttpRequest) -> Result<(), Refused> + Clone + Send + Sync + 'static,
{
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Checked {
            name: self.name,
            inner,
            check: self.check.clone(),
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

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.inner.connector_metadata()
    }
}

impl<C> HttpConnector for Checked<SharedHttpConnector, C>
where
    C: Fn(&HttpRequest) -> Result<(), Refused> + Send + Sync,
{
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        match (self.check)(&request) {
            Ok(()) => self.inner.call(request),
            // The kind `user` is what the SDK does not try again.
            Err(refused) => {
                let error = ConnectorError::user(refused.into()).never_connected();
                HttpConnectorFuture::ready(Err(error))
            }
        }
    }
}

/// A connector as the client would hand it out, for tests that have no runtime components.
#[cfg(test)]
pub(super) fn connector(
    allowed: AllowList,
    inner: impl HttpConnector + 'static,
) -> SharedHttpConnector {
    SharedHttpConnector::new(Checked {
        name: "test",
        inner: SharedHttpConnector::new(inner),
        check: move |request: &HttpRequest| check(&allowed, request),
    })
}
