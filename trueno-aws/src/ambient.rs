//! What the process's surroundings say: its credentials, its region, its endpoints.

use std::sync::Arc;
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region as SdkRegion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::service_config::ServiceConfigKey;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::vault::KeyFile;

use crate::client::{ClockTime, Common, Endpoints, https};
use crate::guard::chain_only;
use crate::partition;
use crate::replay::{player, recording_client};
use crate::scanner::{AwsScannerBuilder, Transport};
use crate::session::{Broker, Renewing};

/// Metadata answers at once or not at all: a machine without it must not make everybody wait.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);

/// The broker of a scanner, with everything that it takes from its surroundings. A replay takes
/// nothing.
pub(crate) async fn broker(settings: &AwsScannerBuilder) -> Result<Broker> {
    match &settings.transport {
        Transport::Live => live(settings, https()).await,
        Transport::Record(recorder) => {
            live(settings, recording_client(recorder.clone(), https())).await
        }
        Transport::Replay(recording) => {
            let nobody = Credentials::new("AKIAEXAMPLE", "example", None, None, "replay");
            let home = settings
                .home_region
                .as_ref()
                .map_or(partition::DEFAULT_REGION, |r| r.as_str());
            let credentials = SharedCredentialsProvider::new(nobody);
            let http = player(Arc::clone(recording));
            Ok(made(
                settings,
                http,
                Endpoints::default(),
                credentials,
                home,
            ))
        }
    }
}

async fn live(settings: &AwsScannerBuilder, http: SharedHttpClient) -> Result<Broker> {
    let home = match &settings.home_region {
        Some(region) => region.as_str().to_owned(),
        None => chain_region().await,
    };
    let credentials = match &settings.credentials {
        Some(credentials) => credentials.clone(),
        None => chain_credentials(settings, &home).await,
    };
    let endpoints = match &settings.endpoint_url {
        Some(url) => Endpoints {
            ec2: Some(url.clone()),
            sts: Some(url.clone()),
        },
        None => configured_endpoints(&home).await?,
    };
    Ok(made(settings, http, endpoints, credentials, &home))
}

fn made(
    settings: &AwsScannerBuilder,
    http: SharedHttpClient,
    endpoints: Endpoints,
    credentials: SharedCredentialsProvider,
    home: &str,
) -> Broker {
    let (clock, limits) = (settings.clock.clone(), settings.limits.clone());
    let keys: Option<Arc<KeyFile>> = settings.keys.clone();
    let own = Renewing::new(credentials, clock.clone());
    let common = Arc::new(Common {
        http,
        clock,
        limits,
        endpoints,
    });
    Broker {
        common,
        keys,
        own,
        home: home.to_owned(),
    }
}

/// The region of the environment or of the profile. Metadata is not asked: where one runs says
/// nothing of what one scans.
async fn chain_region() -> String {
    let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new());
    let region = chain.region().await;
    region.map_or_else(
        || partition::DEFAULT_REGION.to_owned(),
        |region| region.to_string(),
    )
}

async fn chain_credentials(settings: &AwsScannerBuilder, home: &str) -> SharedCredentialsProvider {
    let region = SdkRegion::new(home.to_owned());
    let provider = ProviderConfig::without_region()
        .with_region(Some(region.clone()))
        .with_http_client(chain_only(https()))
        .with_time_source(ClockTime(settings.clock.clone()))
        .with_sleep_impl(TokioSleep::new())
        .with_retry_config(settings.limits.retry_config())
        .with_timeout_config(settings.limits.timeout_config());
    let metadata = aws_config::imds::Client::builder()
        .configure(&provider)
        .max_attempts(2)
        .connect_timeout(METADATA_TIMEOUT)
        .read_timeout(METADATA_TIMEOUT)
        .build();
    let chain = DefaultCredentialsChain::builder()
        .configure(provider)
        .imds_client(metadata)
        .region(region);
    SharedCredentialsProvider::new(chain.build().await)
}

/// What `AWS_ENDPOINT_URL`, its forms for one service and the profile say.
async fn configured_endpoints(home: &str) -> Result<Endpoints> {
    let loaded = aws_config::defaults(BehaviorVersion::latest())
        .region(SdkRegion::new(home.to_owned()))
        .no_credentials()
        .load()
        .await;
    Ok(Endpoints {
        ec2: endpoint(&loaded, "EC2")?,
        sts: endpoint(&loaded, "STS")?,
    })
}

fn endpoint(loaded: &SdkConfig, service: &str) -> Result<Option<String>> {
    let key = ServiceConfigKey::builder()
        .service_id(service)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .map_err(|source| {
            Error::new(ErrorKind::Unexpected, "no such setting").with_source(source)
        })?;
    let specific = loaded
        .service_config()
        .and_then(|settings| settings.load_config(key));
    let url = specific.or_else(|| loaded.endpoint_url().map(str::to_owned));
    url.map(|url| checked_endpoint("AWS_ENDPOINT_URL", url))
        .transpose()
}

/// The SDK only warns of an endpoint that it cannot use, and then asks AWS itself.
pub(crate) fn checked_endpoint(setting: &str, url: String) -> Result<String> {
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"));
    let well_formed = rest.is_some_and(|rest| {
        let host = rest.split('/').next().unwrap_or_default();
        !host.is_empty() && !rest.contains(['?', '#', '@', ' '])
    });
    if well_formed && url.is_ascii() {
        return Ok(url);
    }
    let message = format!("{setting}: needs the form http://HOST:PORT or https://HOST");
    Err(Error::new(ErrorKind::Config, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_the_sdk_would_pass_over_is_refused() {
        for url in [
            "http://127.0.0.1:5005",
            "https://ec2.example",
            "http://[::1]:1/path",
        ] {
            assert!(checked_endpoint("e", url.to_owned()).is_ok(), "{url}");
        }
        for url in [
            "",
            "notaurl",
            "ftp://h",
            "http://",
            "http:///x",
            "http://u:p@h",
            "http://h?x",
        ] {
            let error = checked_endpoint("e", url.to_owned()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        }
    }
}
