//! What is open while its organization is erased does not outlive it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use trueno_core::error::{ErrorKind, Result};
use trueno_core::model::EventDraft;

use super::World;
use super::erase::{Full, assert_reads_nothing, erase, full};
use crate::fixtures::{finding, resource};
use crate::suite::refused;

/// P3: a batch that is open when the organization is erased does not outlive it, whichever of the
/// two commits first.
pub async fn no_batch_outlives_an_erasure(w: World) {
    let full = Arc::new(full(&w).await);
    let w = Arc::new(w);
    let mut open = w.store.ingest(&full.run.lease).await.unwrap();
    let volume = resource("ec2.volume", "eu-west-1", "vol-9");
    open.put_resources(vec![volume]).await.unwrap();
    open.put_findings(vec![finding("vol-9")]).await.unwrap();
    let (erasure, first) = begin_erasure(&w, &full).await;
    let committed = open.commit().await;
    if first {
        refused(committed, ErrorKind::StaleLease, "P3: it came second");
    } else {
        committed.unwrap();
    }
    end_erasure(&w, &full, erasure).await;
    assert_reads_nothing(&w, &full).await;
}

/// What a unit of work that began before the erasure wrote does not outlive it, whichever of the
/// two commits first.
pub async fn nothing_outlives_an_erasure(w: World) {
    let full = Arc::new(full(&w).await);
    let w = Arc::new(w);
    let tenant = &full.team.tenant;
    let mut early = w.begin_accounts(tenant).await;
    let account = early.insert_account(w.new_account()).await.unwrap();
    early.enqueue(vec![w.job()]).await.unwrap();
    let (erasure, first) = begin_erasure(&w, &full).await;
    let draft = EventDraft::new("cloud_account.connected", "cloud_account", account.id);
    let committed = early.commit(draft).await;
    if first {
        let kind = committed.unwrap_err().kind();
        assert!(
            matches!(kind, ErrorKind::NotFound | ErrorKind::Conflict),
            "its organization is gone: {kind:?}"
        );
    } else {
        committed.unwrap();
    }
    end_erasure(&w, &full, erasure).await;
    assert_reads_nothing(&w, &full).await;
    let answer = w.view(tenant).await.account(account.id).await;
    refused(answer, ErrorKind::NotFound, "what was written with it");
    assert_eq!(w.claimable().await, [], "nothing waits");
}

/// Begins to erase next to what is open, and says whether that was done while it was: a store that
/// lets one wait for the other is slow, not wrong.
async fn begin_erasure(w: &Arc<World>, full: &Arc<Full>) -> (JoinHandle<Result<()>>, bool) {
    let erasure = tokio::spawn({
        let (w, full) = (Arc::clone(w), Arc::clone(full));
        async move { erase(&w, &full).await }
    });
    for _ in 0..40 {
        if erasure.is_finished() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let first = erasure.is_finished();
    (erasure, first)
}

/// Waits for an erasure, and asks again where it saw another organization than there is now.
async fn end_erasure(w: &World, full: &Full, erasure: JoinHandle<Result<()>>) {
    if let Err(error) = erasure.await.unwrap() {
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
        erase(w, full).await.unwrap();
    }
}
