//! What the routes work with.

use std::sync::Arc;

use trueno_core::clock::SharedClock;
use trueno_core::port::TenantStore;

use crate::Authenticator;

/// What the routes work with. Clones share it.
#[derive(Clone, Debug)]
pub struct HttpState {
    pub(crate) store: Arc<dyn TenantStore>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) clock: SharedClock,
}

impl HttpState {
    /// Routes over `store`, for whom `authenticator` lets in. `clock` tells the pages for how long a
    /// scan has been running; it decides nothing.
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
        }
    }
}
