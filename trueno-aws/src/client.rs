//! The one place that makes SDK clients, each with both halves of the guard on it.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ec2::config::{
    AppName, BehaviorVersion, IdentityCache, Region, SharedIdentityCache,
    StalledStreamProtectionConfig,
};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_http_client::tls;
use aws_smithy_runtime::client::retries::{RetryPartition, TokenBucket};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use trueno_core::clock::SharedClock;

use crate::guard::{AllowList, Guard};
use crate::limits::Limits;
use crate::well_formed;

const APP_NAME: &str = "trueno";

/// A clock as the SDK wants it.
#[derive(Clone, Debug)]
pub(crate) struct ClockTime(pub(crate) SharedClock);

impl TimeSource for ClockTime {
    fn now(&self) -> SystemTime {
        SystemTime::from(self.0.now())
    }
}

/// Endpoints that stand in for AWS's own, by service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endpoints {
    pub(crate) ec2: Option<String>,
    pub(crate) sts: Option<String>,
}

/// What every client of a scanner has in common.
pub(crate) struct Common {
    /// Sends whatever it is given: reached only through [`Clients`].
    pub(crate) http: SharedHttpClient,
    pub(crate) clock: SharedClock,
    pub(crate) limits: Limits,
    pub(crate) endpoints: Endpoints,
}

/// Makes the clients of one session: one allow-list, one retry budget.
#[derive(Clone)]
pub(crate) struct Clients {
    common: Arc<Common>,
    guard: Guard,
    budget: RetryPartition,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

/// Fills in one service's configuration: both SDK crates have a builder of the same shape, and no
/// trait for it.
macro_rules! guarded_config {
    ($sdk:ident, $clients:expr, $region:expr, $credentials:expr, $endpoint:expr) => {{
        let (clients, common): (&Clients, &Common) = ($clients, &$clients.common);
        let mut builder = $sdk::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new($region.to_owned()))
            .http_client(clients.guard.http_client(common.http.clone()))
            .time_source(SharedTimeSource::new(ClockTime(common.clock.clone())))
            .sleep_impl(TokioSleep::new())
            .retry_config(common.limits.retry_config())
            .retry_partition(clients.budget.clone())
            .timeout_config(common.limits.timeout_config())
            .identity_cache(uncached())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        builder.push_interceptor(clients.guard.interceptor());
        builder.push_interceptor(well_formed::interceptor());
        builder.set_app_name(AppName::new(APP_NAME).ok());
        builder.set_credentials_provider(Some($credentials));
        builder.set_endpoint_url($endpoint.clone());
        $sdk::Client::from_conf(builder.build())
    }};
}

impl Clients {
    /// Clients that can do what the list allows. They share one retry budget, and share it with no
    /// other session: the SDK's own default is one for the whole process, so that one account's
    /// throttling would take away another's retries.
    pub(crate) fn new(common: Arc<Common>, allowed: AllowList) -> Self {
        let bucket = TokenBucket::builder()
            .capacity(common.limits.retry_tokens())
            .build();
        let budget = RetryPartition::custom("trueno-session")
            .token_bucket(bucket)
            .build();
        Self {
            common,
            guard: Guard::new(allowed),
            budget,
        }
    }

    pub(crate) fn ec2(
        &self,
        region: &str,
        credentials: SharedCredentialsProvider,
    ) -> aws_sdk_ec2::Client {
        guarded_config!(
            aws_sdk_ec2,
            self,
            region,
            credentials,
            self.common.endpoints.ec2
        )
    }

    pub(crate) fn sts(
        &self,
        region: &str,
        credentials: SharedCredentialsProvider,
    ) -> aws_sdk_sts::Client {
        guarded_config!(
            aws_sdk_sts,
            self,
            region,
            credentials,
            self.common.endpoints.sts
        )
    }
}

/// The network. Plain HTTP works with it too, for endpoints that stand in for AWS.
pub(crate) fn https() -> SharedHttpClient {
    let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
    aws_smithy_http_client::Builder::new()
        .tls_provider(provider)
        .build_https()
}

/// Credentials are cached by the session, for all its regions at once.
fn uncached() -> SharedIdentityCache {
    IdentityCache::no_cache()
}

impl Limits {
    pub(crate) fn retry_config(&self) -> RetryConfig {
        RetryConfig::standard()
            .with_max_attempts(self.attempts)
            .with_initial_backoff(self.first_backoff)
            .with_max_backoff(self.largest_backoff)
    }

    pub(crate) fn timeout_config(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect_timeout)
            .operation_attempt_timeout(self.attempt_timeout)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_credential_types::Credentials;
    use aws_smithy_runtime_api::client::http::http_client_fn;
    use trueno_core::clock::SystemClock;
    use trueno_core::error::ErrorKind;

    use crate::error::Call;
    use crate::operation::DESCRIBE_REGIONS;

    /// A client that must never be asked for a connector, let alone a connection.
    fn nobody() -> SharedHttpClient {
        http_client_fn(|_, _| panic!("a connection is being made"))
    }

    /// A client with an answer to nothing: what reaches it is not refused, it is unknown.
    fn empty_replay() -> SharedHttpClient {
        crate::replay::player(Arc::default())
    }

    fn made(http: SharedHttpClient) -> aws_sdk_ec2::Client {
        let (clock, limits) = (Arc::new(SystemClock), Limits::default());
        let common = Common {
            http,
            clock,
            limits,
            endpoints: Endpoints::default(),
        };
        let nobody = Credentials::new("AKIATEST", "secret", None, None, "test");
        Clients::new(Arc::new(common), AllowList::all())
            .ec2("us-east-1", SharedCredentialsProvider::new(nobody))
    }

    macro_rules! kind_of {
        ($answer:expr) => {{
            let error = $answer.expect_err("nothing answers");
            Call::new(DESCRIBE_REGIONS, "us-east-1")
                .sdk_error(&error)
                .kind()
        }};
    }

    #[tokio::test]
    async fn a_client_has_the_interceptor_on_it() {
        let client = made(nobody());
        assert_eq!(
            kind_of!(client.terminate_instances().send().await),
            ErrorKind::Denied
        );
    }

    #[tokio::test]
    async fn a_client_has_the_connector_on_it() {
        let mut builder = made(empty_replay()).config().to_builder();
        builder.set_interceptors(std::iter::empty());
        let client = aws_sdk_ec2::Client::from_conf(builder.build());
        assert_eq!(
            kind_of!(client.terminate_instances().send().await),
            ErrorKind::Denied
        );
        assert_eq!(
            kind_of!(client.describe_volumes().send().await),
            ErrorKind::Unsupported
        );
    }

    #[tokio::test]
    async fn the_guard_stands_in_front_of_a_replay_too() {
        let client = made(empty_replay());
        assert_eq!(
            kind_of!(client.run_instances().send().await),
            ErrorKind::Denied
        );
        assert_eq!(
            kind_of!(client.describe_volumes().send().await),
            ErrorKind::Unsupported
        );
    }
}
