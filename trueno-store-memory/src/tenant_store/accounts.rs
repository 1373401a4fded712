//! Cloud accounts.

use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use trueno_core::access::Action;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::CloudAccountId;
use trueno_core::model::{AccountStatus, CloudAccount, NewCloudAccount, Version};
use trueno_core::port::tenant_store::{AccountReads, AccountWrites};
use trueno_core::port::{Page, PageRequest};
use trueno_core::state::cloud_account::{self, AccountEvent};

use super::cursor::List;
use super::read_view::View;
use super::unit_of_work::Unit;
use super::{account_not_found, require_version};
use crate::state::Draft;

impl Draft {
    fn account(&self, id: CloudAccountId) -> Result<CloudAccount> {
        let row = self.accounts.get(&id).ok_or_else(account_not_found)?;
        Ok(CloudAccount::clone(row))
    }

    fn account_page(&self, page: &PageRequest) -> Result<Page<CloudAccount>> {
        List {
            name: "accounts".into(),
            rows: &self.accounts,
            start: Bound::Unbounded,
        }
        .page(
            page,
            |_| true,
            |_, row: &Arc<CloudAccount>| Some(CloudAccount::clone(row)),
        )
    }

    fn insert_account(&mut self, new: NewCloudAccount, now: Timestamp) -> Result<CloudAccount> {
        new.check()?;
        if self.accounts.contains(&new.id) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "the cloud account's id is in use",
            ));
        }
        let account = CloudAccount {
            id: new.id,
            organization: self.organization,
            provider: new.provider,
            number: new.number,
            name: new.name,
            access: Some(new.access),
            regions: new.regions,
            status: AccountStatus::Pending,
            created_at: now,
            version: 1,
        };
        self.accounts.put(account.id, account.clone());
        Ok(account)
    }

    fn apply_account(
        &mut self,
        id: CloudAccountId,
        version: Version,
        event: AccountEvent,
    ) -> Result<CloudAccount> {
        let mut account = self.account(id)?;
        require_version("cloud account", account.version, version)?;
        account.status = cloud_account::apply(account.status, event)?.to;
        account.version += 1;
        if account.status == AccountStatus::Disconnected {
            account.access = None;
        }
        self.accounts.put(id, account.clone());
        Ok(account)
    }
}

#[async_trait]
impl AccountReads for View {
    async fn account(&mut self, id: CloudAccountId) -> Result<CloudAccount> {
        self.look("read_view.account", |draft| draft.account(id))
    }

    async fn accounts(&mut self, page: &PageRequest) -> Result<Page<CloudAccount>> {
        self.look("read_view.accounts", |draft| draft.account_page(page))
    }
}

#[async_trait]
impl AccountReads for Unit {
    async fn account(&mut self, id: CloudAccountId) -> Result<CloudAccount> {
        self.step("unit_of_work.account", |draft| draft.account(id))
    }

    async fn accounts(&mut self, page: &PageRequest) -> Result<Page<CloudAccount>> {
        self.step("unit_of_work.accounts", |draft| draft.account_page(page))
    }
}

#[async_trait]
impl AccountWrites for Unit {
    async fn insert_account(&mut self, new: NewCloudAccount) -> Result<CloudAccount> {
        let now = self.store.now();
        let operation = "unit_of_work.insert_account";
        self.write_as(Action::ManageAccounts, operation, |draft| {
            draft.insert_account(new, now)
        })
    }

    async fn apply_account(
        &mut self,
        id: CloudAccountId,
        version: Version,
        event: AccountEvent,
    ) -> Result<CloudAccount> {
        let operation = "unit_of_work.apply_account";
        self.write_as(Action::ManageAccounts, operation, |draft| {
            draft.apply_account(id, version, event)
        })
    }
}
