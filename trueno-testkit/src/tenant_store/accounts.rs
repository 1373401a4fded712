//! Cloud accounts: their machine, their versions, and what is erased.

use std::sync::Arc;

use trueno_core::error::{ErrorKind, Result};
use trueno_core::model::{
    AccessMethod, AccountStatus, CloudAccount, EventDraft, ExternalIdHash, NewCloudAccount,
    Provider,
};
use trueno_core::port::PageRequest;
use trueno_core::state::cloud_account::AccountEvent;

use super::World;
use crate::fixtures::{Tenant, region};
use crate::suite::{near, refused};

fn with_role(w: &World) -> NewCloudAccount {
    let role_arn = "arn:aws:iam::123456789012:role/audit/TruenoReadOnly"
        .parse()
        .unwrap();
    let access = AccessMethod::AssumeRole {
        role_arn,
        external_id_hash: ExternalIdHash::from_bytes([0xa5; 32]),
        key_id: "key-1".to_owned(),
        generation: 3,
    };
    let number = "123456789012".parse().unwrap();
    NewCloudAccount::new(w.id(), Provider::Aws, number, "Größe \u{1f30d}", access)
        .unwrap()
        .with_regions(vec![region("eu-west-1"), region("us-east-1")])
}

async fn change(
    w: &World,
    tenant: &Tenant,
    account: &CloudAccount,
    step: AccountEvent,
) -> Result<CloudAccount> {
    let mut unit = w.store.begin(&tenant.accounts).await?;
    let moved = unit
        .apply_account(account.id, account.version, step)
        .await?;
    unit.commit(EventDraft::new(
        "cloud_account.changed",
        "cloud_account",
        account.id,
    ))
    .await?;
    Ok(moved)
}

/// A connection reads back as it was made: pending, in its first version, with its way in.
pub async fn a_connection_keeps_what_it_was_given(w: World) {
    let tenant = w.organization().await;
    for new in [with_role(&w), w.new_account()] {
        let before = w.now().await;
        let mut unit = w.begin_accounts(&tenant).await;
        let added = unit.insert_account(new.clone()).await.unwrap();
        let event = EventDraft::new("cloud_account.connected", "cloud_account", added.id);
        unit.commit(event).await.unwrap();
        let read = w.view(&tenant).await.account(new.id).await.unwrap();
        assert_eq!(read, added, "what was answered is what is read");
        assert_eq!(
            (read.id, read.organization, read.provider),
            (new.id, tenant.id, new.provider)
        );
        assert_eq!((&read.number, &read.name), (&new.number, &new.name));
        assert_eq!(
            (read.access.as_ref(), &read.regions),
            (Some(&new.access), &new.regions)
        );
        assert_eq!((read.status, read.version), (AccountStatus::Pending, 1));
        near(
            read.created_at,
            before,
            w.now().await,
            "when it was connected",
        );
    }
}

/// A connection's id in use is refused.
pub async fn a_connection_id_in_use_is_refused(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let mut twin = w.new_account();
    twin.id = account.id;
    let answer = w.begin_accounts(&tenant).await.insert_account(twin).await;
    refused(answer, ErrorKind::AlreadyExists, "a connection's id in use");
    assert_eq!(
        w.view(&tenant).await.account(account.id).await.unwrap(),
        account,
        "as it was"
    );
}

/// A connection goes through its machine, and each step counts its version up by one.
pub async fn a_connection_goes_through_its_machine(w: World) {
    let tenant = w.organization().await;
    let mut account = w.pending_account(&tenant).await;
    for (step, status) in [
        (AccountEvent::VerificationFailed, AccountStatus::Unverified),
        (AccountEvent::Verified, AccountStatus::Active),
        (AccountEvent::Paused, AccountStatus::Paused),
        (AccountEvent::Resumed, AccountStatus::Pending),
        (AccountEvent::Verified, AccountStatus::Active),
    ] {
        let moved = w.apply(&tenant, &account, step).await;
        assert_eq!((moved.status, moved.version), (status, account.version + 1));
        assert_eq!(
            w.view(&tenant).await.account(account.id).await.unwrap(),
            moved
        );
        account = moved;
    }
}

/// A step that the machine does not allow is refused, and nothing changes.
pub async fn a_step_that_is_not_allowed_is_refused(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let answer = change(&w, &tenant, &account, AccountEvent::Resumed).await;
    refused(
        answer,
        ErrorKind::InvalidTransition,
        "only a paused connection is resumed",
    );
    assert_eq!(
        w.view(&tenant).await.account(account.id).await.unwrap(),
        account,
        "as it was"
    );
}

/// Optimistic concurrency: an update of another version than the present one is a conflict, and
/// one of a missing row finds nothing.
pub async fn an_update_of_an_old_version_is_a_conflict(w: World) {
    let tenant = w.organization().await;
    let old = w.pending_account(&tenant).await;
    let present = w.apply(&tenant, &old, AccountEvent::Verified).await;
    let answer = change(&w, &tenant, &old, AccountEvent::Paused).await;
    refused(answer, ErrorKind::Conflict, "an old version");
    let future = CloudAccount {
        version: present.version + 1,
        ..present.clone()
    };
    let answer = change(&w, &tenant, &future, AccountEvent::Paused).await;
    refused(
        answer,
        ErrorKind::Conflict,
        "a version that is not there yet",
    );
    let missing = CloudAccount {
        id: w.id(),
        ..present.clone()
    };
    let answer = change(&w, &tenant, &missing, AccountEvent::Paused).await;
    refused(
        answer,
        ErrorKind::NotFound,
        "a connection that is not there",
    );
    assert_eq!(
        w.view(&tenant).await.account(old.id).await.unwrap(),
        present,
        "as it was"
    );
}

/// Optimistic concurrency: of updates of the same version at the same time, one is applied and
/// every other one is a conflict.
pub async fn of_concurrent_updates_one_is_applied(w: World) {
    let tenant = w.organization().await;
    let account = w.pending_account(&tenant).await;
    w.forget_staged().await;
    let w = Arc::new(w);
    let updates = (0..4).map(|_| {
        let (w, tenant, account) = (Arc::clone(&w), tenant.clone(), account.clone());
        tokio::spawn(async move { change(&w, &tenant, &account, AccountEvent::Verified).await })
    });
    let mut applied = 0;
    for answer in futures::future::join_all(updates).await {
        match answer.unwrap() {
            Ok(_) => applied += 1,
            lost => {
                refused(lost, ErrorKind::Conflict, "who came second");
            }
        }
    }
    assert_eq!(applied, 1, "exactly one was applied");
    let read = w.view(&tenant).await.account(account.id).await.unwrap();
    assert_eq!(
        (read.status, read.version),
        (AccountStatus::Active, account.version + 1)
    );
    assert_eq!(
        w.staged_of(&tenant).await.len(),
        1,
        "P2: one change, one event"
    );
}

/// P5: disconnecting erases how to get in, for good.
pub async fn disconnecting_erases_the_way_in(w: World) {
    let tenant = w.organization().await;
    let mut unit = w.begin_accounts(&tenant).await;
    let account = unit.insert_account(with_role(&w)).await.unwrap();
    unit.commit(EventDraft::new(
        "cloud_account.connected",
        "cloud_account",
        account.id,
    ))
    .await
    .unwrap();
    let gone = w.apply(&tenant, &account, AccountEvent::Disconnected).await;
    assert_eq!(
        (gone.status, gone.access.as_ref()),
        (AccountStatus::Disconnected, None)
    );
    let mut view = w.view(&tenant).await;
    assert_eq!(
        view.account(account.id).await.unwrap().access,
        None,
        "P5: nothing is kept"
    );
    let listed = view.accounts(&PageRequest::largest()).await.unwrap().items;
    assert_eq!(
        listed,
        std::slice::from_ref(&gone),
        "it is still listed, without its way in"
    );
    for step in [
        AccountEvent::Verified,
        AccountEvent::Resumed,
        AccountEvent::Disconnected,
    ] {
        let answer = change(&w, &tenant, &gone, step).await;
        refused(answer, ErrorKind::InvalidTransition, "none comes back");
    }
}
