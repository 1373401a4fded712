//! A view: an organization as of the moment it was opened.

use trueno_core::access::OrgScope;
use trueno_core::error::Result;

use super::named;
use crate::state::Draft;

/// Holds on to the rows of its moment, and to nothing else.
pub(super) struct View {
    pub(super) scope: OrgScope,
    draft: Draft,
}

impl View {
    pub(super) fn new(scope: OrgScope, draft: Draft) -> Self {
        Self { scope, draft }
    }

    /// Reads, and names the operation that failed.
    pub(super) fn look<T>(
        &self,
        operation: &'static str,
        look: impl FnOnce(&Draft) -> Result<T>,
    ) -> Result<T> {
        named(operation, look(&self.draft))
    }
}
