//! Connecting and verifying cloud accounts.

use crate::access::{Action, OrgScope};
use crate::error::Result;
use crate::id::CloudAccountId;
use crate::model::{CloudAccount, EventDraft, NewCloudAccount};
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
    let probes = serde_json::to_value(&verification.probes).unwrap_or_default();
    let draft = EventDraft::new("cloud_account.verified", "cloud_account", id)
        .with_detail("passed", verification.passed())
        .with_detail("probes", probes);
    work.commit(draft).await?;
    Ok((account, verification))
}
