//! Migrating and connecting: how a store starts, is upgraded and gets new keys, and what is refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code fails by panicking"
)]

mod connect;
mod deploys;
mod history;
mod keys;
mod logins;
mod migrate;
#[path = "../support/mod.rs"]
mod support;

use sqlx::ConnectOptions as _;
use trueno_core::access::{Action, Identity, authorize};
use trueno_core::error::Error;
use trueno_core::id::IdSource;
use trueno_core::model::{EventDraft, NewOrganization};
use trueno_core::port::{AuditOutbox as _, JobQueue as _, TenantStore as _};
use trueno_core::vault::KeyFile;
use trueno_store_postgres::{PostgresConfig, PostgresStore};

pub(crate) async fn refused(config: PostgresConfig, keys: &KeyFile) -> Error {
    match PostgresStore::connect(config, keys).await {
        Ok(store) => panic!("{store:?} opened"),
        Err(error) => error,
    }
}

/// Creates an organization and reads it as its owner: through both definer functions and contexts.
pub(crate) async fn works(store: &PostgresStore) {
    let ids = IdSource::random();
    let (organization, owner) = (
        ids.next(jiff::Timestamp::MAX),
        ids.next(jiff::Timestamp::MAX),
    );
    let new = NewOrganization::new(organization, "Works", owner).unwrap();
    let event = EventDraft::new("organization.created", "organization", organization);
    store.create_organization(new, event).await.unwrap();
    let owner = Identity::authenticated(owner);
    let scope = authorize(store, &owner, organization, Action::Read)
        .await
        .unwrap();
    store.read(&scope).await.unwrap();
    store.stats().await.unwrap();
    let staged = store.staged(10).await.unwrap();
    assert!(
        staged
            .iter()
            .any(|event| event.organization == organization)
    );
}

/// A name that no other test has.
pub(crate) fn unique(prefix: &str) -> String {
    let id: uuid::Uuid = IdSource::random().next(jiff::Timestamp::UNIX_EPOCH);
    format!("{prefix}_{}", &id.simple().to_string()[20..])
}

/// Roles of a test's own, dropped after its database.
pub(crate) struct Roles(pub(crate) Vec<String>);

impl Roles {
    pub(crate) fn prefixed(prefix: &str) -> Self {
        let names = ["app", "processor", "sequencer", "system", "owner"];
        Self(names.map(|name| format!("{prefix}_{name}")).into())
    }

    pub(crate) async fn drop(self) {
        let mut admin = support::server().connect().await.unwrap();
        for role in self.0 {
            let sql = format!("drop role {role}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
                .execute(&mut admin)
                .await
                .unwrap();
        }
    }
}
