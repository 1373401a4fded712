//! What the routes work with.

use std::collections::HashMap;
use std::sync::Arc;

use trueno_core::access::Authenticator;
use trueno_core::clock::SharedClock;
use trueno_core::id::IdSource;
use trueno_core::model::Provider;
use trueno_core::port::{CloudScanner, TenantStore};
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

    /// Makes ids from this source instead of a random one: for tests.
    #[must_use]
    pub fn with_ids(mut self, ids: IdSource) -> Self {
        self.ids = ids;
        self
    }
}
