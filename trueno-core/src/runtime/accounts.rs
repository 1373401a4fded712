//! Connecting, verifying, pausing and disconnecting cloud accounts.

use serde_json::{Value, json};

use crate::access::{Action, OrgScope};
use crate::error::Result;
use crate::id::CloudAccountId;
use crate::model::{CloudAccount, EventDraft, NewCloudAccount, Version};
use crate::port::{CloudScanner, ScanTarget, TenantStore, Verification};
use crate::state::cloud_account::AccountEvent;

/// Adds a connection, pending verification.
///
/// # Errors
/// [`Denied`](crate::error::ErrorKind::Denied) unless the scope is for
/// [`Action::ManageAccounts`]; otherwise those of the store.
pub async fn connect(
    store: &dyn TenantStore,
    scope: &OrgScope,
    new: NewCloudAccount,
) -> Result<CloudAccount> {
    scope.require(Action::ManageAccounts)?;
    let mut work = store.begin(scope).await?;
    let account = work.insert_account(new).await?;
    let event = EventDraft::new("cloud_account.connected", "cloud_account", account.id)
        .with_detail("provider", account.provider.as_str())
        .with_detail("number", account.number.as_str());
    work.commit(event).await?;
    Ok(account)
}

/// Tries a connection, negative probes included, and records whether it may be scanned.
///
/// # Errors
/// Those of the scanner and the store: where the provider could not be asked at all, nothing is
/// recorded.
pub async fn verify(
    store: &dyn TenantStore,
    scanner: &dyn CloudScanner,
    scope: &OrgScope,
    id: CloudAccountId,
) -> Result<(CloudAccount, Verification)> {
    scope.require(Action::ManageAccounts)?;
    let account = store.read(scope).await?.account(id).await?;
    let verification = scanner.verify(&ScanTarget::new(account.clone())).await?;
    let event = if verification.passed() {
        AccountEvent::Verified
    } else {
        AccountEvent::VerificationFailed
    };
    let mut work = store.begin(scope).await?;
    let account = work.apply_account(id, account.version, event).await?;
    // Without the advice, which may name the role: that is erased when the account is disconnected,
    // and events stay.
    let probes: Vec<Value> = verification
        .probes
        .iter()
        .map(|probe| json!({ "name": probe.name, "outcome": probe.outcome }))
        .collect();
    let draft = EventDraft::new("cloud_account.verified", "cloud_account", id)
        .with_detail("passed", verification.passed())
        .with_detail("probes", probes);
    work.commit(draft).await?;
    Ok((account, verification))
}

/// Pauses a connection: no scan is requested until it is resumed.
///
/// # Errors
/// As [`disconnect`]; [`InvalidTransition`](crate::error::ErrorKind::InvalidTransition) for one that
/// is paused already.
pub async fn pause(
    store: &dyn TenantStore,
    scope: &OrgScope,
    id: CloudAccountId,
    version: Version,
) -> Result<CloudAccount> {
    apply(
        store,
        scope,
        id,
        version,
        AccountEvent::Paused,
        "cloud_account.paused",
    )
    .await
}

/// Resumes a connection: it waits for its verification again.
///
/// # Errors
/// As [`disconnect`]; [`InvalidTransition`](crate::error::ErrorKind::InvalidTransition) for one that
/// is not paused.
pub async fn resume(
    store: &dyn TenantStore,
    scope: &OrgScope,
    id: CloudAccountId,
    version: Version,
) -> Result<CloudAccount> {
    apply(
        store,
        scope,
        id,
        version,
        AccountEvent::Resumed,
        "cloud_account.resumed",
    )
    .await
}

/// Disconnects an account for good: its role and its external id's hash are erased, so that nothing
/// could get in any more. What was found in it stays, and so does its history.
///
/// # Errors
/// [`Denied`](crate::error::ErrorKind::Denied) unless the scope is for [`Action::ManageAccounts`],
/// [`Conflict`](crate::error::ErrorKind::Conflict) where the connection changed since `version`;
/// otherwise those of the store.
pub async fn disconnect(
    store: &dyn TenantStore,
    scope: &OrgScope,
    id: CloudAccountId,
    version: Version,
) -> Result<CloudAccount> {
    let (event, action) = (AccountEvent::Disconnected, "cloud_account.disconnected");
    apply(store, scope, id, version, event, action).await
}

async fn apply(
    store: &dyn TenantStore,
    scope: &OrgScope,
    id: CloudAccountId,
    version: Version,
    event: AccountEvent,
    action: &'static str,
) -> Result<CloudAccount> {
    scope.require(Action::ManageAccounts)?;
    let mut work = store.begin(scope).await?;
    let account = work.apply_account(id, version, event).await?;
    work.commit(EventDraft::new(action, "cloud_account", id))
        .await?;
    Ok(account)
}
