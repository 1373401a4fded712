//! The read-only guard (P4), twice: as an interceptor, which asks the SDK what it is about to do,
//! and in the HTTP connector, which reads it from the bytes about to be sent. Neither trusts the
//! other, and each alone refuses before a socket opens.

mod allow_list;
mod chain;
mod connector;
mod request;

use std::fmt;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::interceptors::context::BeforeSerializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, SharedInterceptor};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

pub use allow_list::AllowList;
pub(crate) use chain::chain_only;
pub(crate) use request::{Identified, identify};

/// What a guard answers instead of sending.
#[derive(Debug)]
pub(crate) struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is not on the read allow-list, and was not sent",
            self.0
        )
    }
}

impl std::error::Error for Refused {}

/// Both halves of the guard, for one allow-list.
#[derive(Clone, Debug)]
pub(crate) struct Guard(AllowList);

impl Guard {
    pub(crate) const fn new(allowed: AllowList) -> Self {
        Self(allowed)
    }

    /// The half that goes into the SDK's pipeline.
    pub(crate) fn interceptor(&self) -> SharedInterceptor {
        SharedInterceptor::permanent(self.clone())
    }

    /// The half that stands in front of the socket.
    pub(crate) fn http_client(&self, inner: SharedHttpClient) -> SharedHttpClient {
        connector::guarded(self.0.clone(), inner)
    }
}

impl Intercept for Guard {
    fn name(&self) -> &'static str {
        "TruenoReadOnlyGuard"
    }

    // The first hook that knows the operation: nothing is serialized, no credentials are asked for,
    // nothing is signed yet.
    fn read_before_serialization(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(metadata) = cfg.load::<Metadata>() else {
            return Err(Refused("a request of an unnamed operation".to_owned()).into());
        };
        // The SDK's name of a service differs from the one that policies and signatures use.
        let service = match metadata.service() {
            "EC2" => "ec2",
            "STS" => "sts",
            other => other,
        };
        if self.0.allows(service, metadata.name()) {
            Ok(())
        } else {
            Err(Refused(format!("{service}:{}", metadata.name())).into())
        }
    }
}

#[cfg(test)]
mod tests;
