//! How organizations share the workers, for operators.

use trueno_core::error::{Error, Result};
use trueno_core::id::OrganizationId;
use trueno_core::model::{OrganizationLimits, QueueTarget};

use crate::encode::RowExt as _;
use crate::error;
use crate::store::PostgresStore;
use crate::tenant_store::organizations;
use crate::transaction::Tx;

pub(super) async fn set_limits(
    store: &PostgresStore,
    organization: OrganizationId,
    limits: &OrganizationLimits,
) -> Result<()> {
    let mut tx = store.begin_processor().await?;
    let query = tx.query("select set_queue_limits($1, $2, $3, $4) as found");
    let row = query
        .bind(organization.as_uuid())
        .bind(i64::from(limits.weight()))
        .bind(limits.max_running().map(i64::from))
        .bind(limits.max_live().map(i64::from))
        .fetch_one(tx.connection())
        .await
        .map_err(error::statement)?;
    found(tx, row.flag("found")?).await?;
    store.wake();
    Ok(())
}

pub(super) async fn limits(
    store: &PostgresStore,
    organization: OrganizationId,
) -> Result<OrganizationLimits> {
    let mut tx = store.begin_processor().await?;
    let query = tx.query("select weight, max_running, max_live from queue_limits($1)");
    let row = query
        .bind(organization.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?;
    tx.rollback().await?;
    let Some(row) = row else {
        return Ok(OrganizationLimits::default());
    };
    let wrong = |source: Error| error::corrupt("limits", source);
    let mut limits = OrganizationLimits::default()
        .with_weight(row.count("weight")?)
        .map_err(wrong)?;
    if let Some(jobs) = row.count_opt("max_running")? {
        limits = limits.with_max_running(jobs).map_err(wrong)?;
    }
    if let Some(jobs) = row.count_opt("max_live")? {
        limits = limits.with_max_live(jobs).map_err(wrong)?;
    }
    Ok(limits)
}

/// What happens to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    Pause,
    Resume,
}

pub(super) async fn hold(store: &PostgresStore, target: &QueueTarget, hold: Hold) -> Result<()> {
    let mut tx = store.begin_processor().await?;
    let is_paused = hold == Hold::Pause;
    match target {
        QueueTarget::Organization(organization) => {
            let query = tx.query("select pause_organization($1, $2) as found");
            let row = query
                .bind(organization.as_uuid())
                .bind(is_paused)
                .fetch_one(tx.connection())
                .await
                .map_err(error::statement)?;
            found(tx, row.flag("found")?).await?;
        }
        QueueTarget::Kind(kind) => {
            let query = tx.query("select pause_kind($1, $2)");
            query
                .bind(kind.as_str())
                .bind(is_paused)
                .execute(tx.connection())
                .await
                .map_err(error::statement)?;
            tx.commit().await?;
        }
        _ => {
            return Err(Error::invalid(
                "target",
                "is none that this queue can hold back",
            ));
        }
    }
    if hold == Hold::Resume {
        store.wake();
    }
    Ok(())
}

async fn found(tx: Tx, found: bool) -> Result<()> {
    if !found {
        return Err(tx.fail(organizations::not_found()).await);
    }
    tx.commit().await
}
