//! Credentials that renew themselves: cached for one session and all its regions, in memory only
//! (P5).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use tokio::sync::Mutex;
use trueno_core::clock::SharedClock;

/// Credentials are renewed when they have less than this left: longer than a page takes with all
/// its retries, so that none is sent with credentials that end under way.
const MARGIN: Duration = Duration::from_secs(120);

/// Credentials, and where new ones come from.
pub(crate) struct Renewing {
    source: SharedCredentialsProvider,
    clock: SharedClock,
    /// Held while new ones are fetched, so that many tasks fetch them once.
    cached: Mutex<Option<Credentials>>,
}

impl Renewing {
    pub(crate) fn new(source: SharedCredentialsProvider, clock: SharedClock) -> Arc<Self> {
        Arc::new(Self {
            source,
            clock,
            cached: Mutex::new(None),
        })
    }

    /// As the SDK wants them.
    pub(crate) fn shared(self: &Arc<Self>) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Handle(Arc::clone(self)))
    }

    /// The present credentials, fetched where there are none or where they are about to end.
    pub(crate) async fn current(&self) -> provider::Result {
        let mut cached = self.cached.lock().await;
        let now = SystemTime::from(self.clock.now());
        let good_until = |credentials: &Credentials, moment: SystemTime| {
            credentials.expiry().is_none_or(|expiry| expiry > moment)
        };
        if let Some(credentials) = cached.as_ref()
            && good_until(credentials, now + MARGIN)
        {
            return Ok(credentials.clone());
        }
        match self.source.provide_credentials().await {
            Ok(credentials) if !good_until(&credentials, now) => Err(
                CredentialsError::provider_error(trueno_core::error::Error::new(
                    trueno_core::error::ErrorKind::Unauthenticated,
                    "the credentials are expired; get new ones",
                )),
            ),
            Ok(credentials) => Ok(cached.insert(credentials).clone()),
            Err(error) => match cached.as_ref().filter(|old| good_until(old, now)) {
                // Early enough for another try: the ones at hand still serve.
                Some(credentials) => {
                    tracing::warn!("credentials could not be renewed; the present ones still hold");
                    Ok(credentials.clone())
                }
                None => Err(error),
            },
        }
    }

    /// Forgets the present credentials. Answers whether there were any.
    pub(crate) async fn drop_cached(&self) -> bool {
        self.cached.lock().await.take().is_some()
    }
}

impl fmt::Debug for Renewing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

#[derive(Debug)]
struct Handle(Arc<Renewing>);

impl ProvideCredentials for Handle {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.0.current())
    }
}
