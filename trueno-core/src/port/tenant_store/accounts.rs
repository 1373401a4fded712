//! Cloud accounts.

use async_trait::async_trait;

use crate::error::Result;
use crate::id::CloudAccountId;
use crate::model::{CloudAccount, NewCloudAccount, Version};
use crate::port::{Page, PageRequest};
use crate::state::cloud_account::AccountEvent;

/// Reads of cloud accounts.
#[async_trait]
pub trait AccountReads {
    /// One connection.
    async fn account(&mut self, id: CloudAccountId) -> Result<CloudAccount>;

    /// The organization's connections, by id.
    async fn accounts(&mut self, page: &PageRequest) -> Result<Page<CloudAccount>>;
}

/// Writes of cloud accounts.
#[async_trait]
pub trait AccountWrites {
    /// Adds a connection, pending verification. An id in use fails with
    /// [`AlreadyExists`](crate::error::ErrorKind::AlreadyExists).
    async fn insert_account(&mut self, new: NewCloudAccount) -> Result<CloudAccount>;

    /// Moves a connection through its machine. Disconnecting erases how to get in.
    async fn apply_account(
        &mut self,
        id: CloudAccountId,
        version: Version,
        event: AccountEvent,
    ) -> Result<CloudAccount>;
}
