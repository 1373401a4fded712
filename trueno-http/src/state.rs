//! What the routes work with.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use trueno_core::access::Authenticator;
use trueno_core::clock::SharedClock;
use trueno_core::error::{Error, Result};
use trueno_core::id::IdSource;
use trueno_core::model::Provider;
use trueno_core::port::{CloudScanner, TenantStore};
use trueno_core::runtime::Scheduler;
use trueno_core::vault::KeyFile;

/// What the routes work with. Clones share it.
#[derive(Clone, Debug)]
pub struct HttpState {
    pub(crate) store: Arc<dyn TenantStore>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) clock: SharedClock,
    pub(crate) ids: IdSource,
    pub(crate) keys: Option<Arc<KeyFile>>,
    pub(crate) scanners: HashMap<Provider, Arc<dyn CloudScanner>>,
    pub(crate) system: Option<SystemTick>,
}

/// What `POST /v1/system/tick` works with.
#[derive(Clone, Debug)]
pub(crate) struct SystemTick {
    pub(crate) scheduler: Arc<Scheduler>,
    pub(crate) token: SystemToken,
}

/// What whoever operates a server shows to it: no member's, and good for system routes alone.
#[derive(Clone)]
pub struct SystemToken(SecretString);

impl SystemToken {
    /// Characters of the shortest token.
    const SHORTEST: usize = 32;

    /// # Errors
    /// [`ErrorKind::InvalidInput`](trueno_core::error::ErrorKind::InvalidInput) for a token that is
    /// shorter than 32 characters, or holds what no header can: it takes visible ASCII.
    pub fn new(token: SecretString) -> Result<Self> {
        let text = token.expose_secret();
        if text.len() < Self::SHORTEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::invalid(
                "system token",
                "needs at least 32 visible ASCII characters, without spaces",
            ));
        }
        Ok(Self(token))
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for SystemToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemToken(…)")
    }
}

impl HttpState {
    /// Routes over `store`, for whom `authenticator` lets in. `clock` is what ids are ordered by,
    /// ends of exceptions are held against, and the pages tell the age of a scan by.
    #[must_use]
    pub fn new(
        store: Arc<dyn TenantStore>,
        authenticator: Arc<dyn Authenticator>,
        clock: SharedClock,
    ) -> Self {
        Self {
            store,
            authenticator,
            clock,
            ids: IdSource::random(),
            keys: None,
            scanners: HashMap::new(),
            system: None,
        }
    }

    /// Connects accounts: external ids are derived from the newest of these keys.
    #[must_use]
    pub fn with_keys(mut self, keys: Arc<KeyFile>) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Verifies connections, with the scanner of each one's provider.
    #[must_use]
    pub fn with_scanners(mut self, scanners: Vec<Arc<dyn CloudScanner>>) -> Self {
        self.scanners = scanners
            .into_iter()
            .map(|scanner| (scanner.provider(), scanner))
            .collect();
        self
    }

    /// Takes `POST /v1/system/tick` from whoever shows this token: it fires what is due, with this
    /// scheduler. Without, there is nothing at that path.
    #[must_use]
    pub fn with_system_tick(mut self, scheduler: Arc<Scheduler>, token: SystemToken) -> Self {
        self.system = Some(SystemTick { scheduler, token });
        self
    }

    /// Makes ids from this source instead of a random one: for tests.
    #[must_use]
    pub fn with_ids(mut self, ids: IdSource) -> Self {
        self.ids = ids;
        self
    }
}
