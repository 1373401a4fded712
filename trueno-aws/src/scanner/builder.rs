//! How a scanner is made.

use std::fmt;
use std::sync::Arc;

use aws_credential_types::provider::SharedCredentialsProvider;
use tokio::sync::OnceCell;
use trueno_core::clock::{SharedClock, SystemClock};
use trueno_core::error::Result;
use trueno_core::model::Region;
use trueno_core::vault::KeyFile;

use super::{AwsScanner, Shared};
use crate::ambient::checked_endpoint;
use crate::limits::Limits;
use crate::replay::{Recorder, Recording};

/// What carries requests.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Transport {
    /// The network.
    #[default]
    Live,
    /// The network, keeping every answer without the secrets in it.
    Record(Recorder),
    /// Recorded answers; no socket is opened, and nothing is read from the surroundings.
    Replay(Arc<Recording>),
}

/// Settings of an [`AwsScanner`]. Each has a default; a role can be assumed only with
/// [`keys`](AwsScannerBuilder::keys).
#[derive(Clone)]
pub struct AwsScannerBuilder {
    pub(crate) keys: Option<Arc<KeyFile>>,
    pub(crate) clock: SharedClock,
    pub(crate) transport: Transport,
    pub(crate) endpoint_url: Option<String>,
    pub(crate) home_region: Option<Region>,
    pub(crate) credentials: Option<SharedCredentialsProvider>,
    pub(crate) limits: Limits,
}

impl Default for AwsScannerBuilder {
    fn default() -> Self {
        Self {
            keys: None,
            clock: Arc::new(SystemClock),
            transport: Transport::Live,
            endpoint_url: None,
            home_region: None,
            credentials: None,
            limits: Limits::default(),
        }
    }
}

impl fmt::Debug for AwsScannerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsScannerBuilder")
            .field("transport", &self.transport)
            .field("endpoint_url", &self.endpoint_url)
            .field("home_region", &self.home_region)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl AwsScannerBuilder {
    /// The keys that external ids are derived with.
    #[must_use]
    pub fn keys(mut self, keys: Arc<KeyFile>) -> Self {
        self.keys = Some(keys);
        self
    }

    /// The clock that requests are signed by and credentials expire by; the machine's own unless
    /// set. Against a live endpoint it must tell the real time.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = clock;
        self
    }

    /// What carries requests; the network unless set.
    #[must_use]
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// An endpoint that stands in for all of AWS's own, in every region and in assumed sessions
    /// too. Unless set, `AWS_ENDPOINT_URL` and the profile say.
    #[must_use]
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint_url = Some(url.into());
        self
    }

    /// The region whose STS is asked and that lists the others. Unless set, the environment and
    /// the profile say; else it is us-east-1.
    #[must_use]
    pub fn home_region(mut self, region: Region) -> Self {
        self.home_region = Some(region);
        self
    }

    /// The process's own credentials. Unless set, AWS's usual chain finds them: environment,
    /// profile, web identity, container, instance metadata.
    #[must_use]
    pub fn credentials(mut self, credentials: SharedCredentialsProvider) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// How long and how often to try.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The scanner. Asks nobody for anything yet.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](trueno_core::error::ErrorKind::Config) for limits that AWS does not
    /// allow and for a malformed endpoint.
    pub fn build(mut self) -> Result<AwsScanner> {
        self.limits = self.limits.check()?;
        let endpoint = self.endpoint_url.take();
        self.endpoint_url = endpoint
            .map(|url| checked_endpoint("endpoint URL", url))
            .transpose()?;
        Ok(AwsScanner {
            shared: Arc::new(Shared {
                settings: self,
                broker: OnceCell::new(),
            }),
        })
    }
}
