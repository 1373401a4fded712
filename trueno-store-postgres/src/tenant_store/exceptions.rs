//! Exceptions from findings. Whoever changes one has its finding locked first: what an exception
//! does to its finding is one step with it, and nobody waits the other way round.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::QueryBuilder;
use sqlx::error::DatabaseError;
use sqlx::postgres::PgRow;
use trueno_core::access::{Action, OrgScope};
use trueno_core::error::{Applied, Error, ErrorKind, Result};
use trueno_core::id::{AuditEventId, ExceptionId, FindingId, OrganizationId, UserId};
use trueno_core::model::{Exception, ExceptionStatus, FindingStatus, NewException, Version};
use trueno_core::port::tenant_store::{ExceptionFilter, ExceptionReads, ExceptionWrites};
use trueno_core::port::{Page, PageRequest};
use trueno_core::state::exception::{self, ExceptionDecision, ExceptionEvent};
use trueno_core::state::finding::FindingEvent;
use uuid::Uuid;

use super::unit::{PgUnitOfWork, step};
use super::{findings, paging, versions, view};
use crate::encode::RowExt as _;
use crate::error;
use crate::pool::moment;
use crate::store::PostgresStore;
use crate::transaction::Tx;

const LIST: &str = "exceptions";

/// What errors call one.
const WHAT: &str = "exception";

/// A finding's live exception: the index that lets it have one only.
const LIVE: &str = "finding_exception_live";

/// Exceptions that lapse in one transaction.
const BATCH: usize = 1_000;

view::reads! {
    ExceptionReads {
        fn exception(id: ExceptionId) -> Exception;
        fn exceptions(filter: &ExceptionFilter, page: &PageRequest) -> Page<Exception>;
    } for view
}

#[async_trait]
impl ExceptionWrites for PgUnitOfWork {
    async fn request_exception(&mut self, new: NewException) -> Result<Exception> {
        step!(self, request_exception for WorkFindings, tx =>
            request(&mut tx, self.organization(), self.member()?, new))
    }

    async fn decide_exception(
        &mut self,
        id: ExceptionId,
        version: Version,
        decision: ExceptionDecision,
    ) -> Result<Exception> {
        let scope = *self.scope();
        step!(self, decide_exception, tx => decide(&mut tx, &scope, id, version, decision))
    }
}

async fn exception(
    tx: &mut Tx,
    organization: OrganizationId,
    id: ExceptionId,
) -> Result<Exception> {
    let query = tx.query("select * from finding_exception where organization_id = $1 and id = $2");
    let row = query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?;
    decode(&row.ok_or_else(|| Error::not_found(WHAT))?)
}

async fn exceptions(
    tx: &mut Tx,
    organization: OrganizationId,
    filter: &ExceptionFilter,
    page: &PageRequest,
) -> Result<Page<Exception>> {
    let after = paging::after::<Uuid>(LIST, page)?;
    let mut query = QueryBuilder::new("select * from finding_exception where organization_id = ");
    query.push_bind(organization.as_uuid());
    if let Some(finding) = filter.finding {
        query
            .push(" and finding_id = ")
            .push_bind(finding.as_uuid());
    }
    if let Some(status) = filter.status {
        query.push(" and status = ").push_bind(status.as_str());
    }
    if let Some(id) = after {
        query.push(" and id < ").push_bind(id);
    }
    query.push(" order by id desc");
    paging::fetch(tx, LIST, query, page, decode, |row| row.id::<Uuid>("id")).await
}

async fn request(
    tx: &mut Tx,
    organization: OrganizationId,
    requester: UserId,
    new: NewException,
) -> Result<Exception> {
    let finding = findings::lock(tx, organization, new.finding()).await?;
    if finding.status == FindingStatus::Resolved {
        return Err(Error::new(
            ErrorKind::InvalidTransition,
            "the finding is resolved: there is nothing to except",
        )
        .with_applied(Applied::No));
    }
    let query = tx.query(
        "insert into finding_exception (
            organization_id, id, finding_id, reason, requester, status, expires_at
         ) values ($1, $2, $3, $4, $5, $6, $7)
         returning *",
    );
    let row = query
        .bind(organization.as_uuid())
        .bind(new.id().as_uuid())
        .bind(new.finding().as_uuid())
        .bind(new.reason())
        .bind(requester.as_uuid())
        .bind(ExceptionStatus::Requested.as_str())
        .bind(moment(new.expires_at()))
        .fetch_one(tx.connection())
        .await
        .map_err(|source| {
            if source
                .as_database_error()
                .and_then(DatabaseError::constraint)
                == Some(LIVE)
            {
                return Error::new(
                    ErrorKind::AlreadyExists,
                    "the finding has an exception already: withdraw it first",
                );
            }
            error::statement(source)
        })?;
    decode(&row)
}

async fn decide(
    tx: &mut Tx,
    scope: &OrgScope,
    id: ExceptionId,
    version: Version,
    decision: ExceptionDecision,
) -> Result<Exception> {
    if decision != ExceptionDecision::Withdraw {
        scope.permit(Action::DecideExceptions)?;
    }
    let organization = scope.organization();
    // An exception never changes its finding, so it is read before either is locked.
    let finding = exception(tx, organization, id).await?.finding;
    let finding = findings::lock(tx, organization, finding).await?;
    let query = tx.query(
        "select *, clock_timestamp() as now from finding_exception
         where organization_id = $1 and id = $2 for no key update",
    );
    let row = query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?
        .ok_or_else(|| Error::not_found(WHAT))?;
    let before = decode(&row)?;
    let approver = permit(scope, &before, decision)?;
    versions::check(&row, WHAT, version)?;
    let to = exception::apply(before.status, ExceptionEvent::Decided(decision))?.to;
    if to == ExceptionStatus::Approved && before.expires_at <= row.time("now")? {
        return Err(Error::new(
            ErrorKind::InvalidTransition,
            "the exception's time ran out before it was approved; ask for another",
        )
        .with_applied(Applied::No));
    }
    let effect = match to {
        ExceptionStatus::Approved => Some(FindingEvent::Suppressed),
        ExceptionStatus::Withdrawn if before.status == ExceptionStatus::Approved => {
            Some(FindingEvent::ExceptionEnded)
        }
        _ => None,
    };
    if let Some(event) = effect {
        findings::apply(tx, organization, scope.actor(), &finding, event).await?;
    }
    let query = tx.query(
        "update finding_exception set
            status = $3, approver = coalesce($4, approver), changed_at = clock_timestamp(),
            version = version + 1
         where organization_id = $1 and id = $2
         returning *",
    );
    let row = query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .bind(to.as_str())
        .bind(approver.map(|user| user.as_uuid()))
        .fetch_one(tx.connection())
        .await
        .map_err(error::statement)?;
    decode(&row)
}

/// Passes who may take a decision (P11). Answers who then counts as approver.
fn permit(
    scope: &OrgScope,
    exception: &Exception,
    decision: ExceptionDecision,
) -> Result<Option<UserId>> {
    let member = scope.member_id();
    let is_requester = member == Some(exception.requester);
    match decision {
        ExceptionDecision::Withdraw if is_requester => Ok(None),
        ExceptionDecision::Withdraw => scope.permit(Action::DecideExceptions).map(|()| None),
        ExceptionDecision::Approve | ExceptionDecision::Reject if is_requester => Err(Error::new(
            ErrorKind::Denied,
            "somebody other than the requester has to approve or reject it",
        )),
        ExceptionDecision::Approve | ExceptionDecision::Reject => Ok(member),
    }
}

/// Closes the live exceptions from findings that were resolved, which the transaction has locked.
pub(super) async fn close(
    tx: &mut Tx,
    organization: OrganizationId,
    of: &[FindingId],
) -> Result<()> {
    let query = tx.query(
        "select e.id, e.status from unnest($2::uuid[]) f (id)
         cross join lateral (
            select id, status from finding_exception
            where organization_id = $1 and finding_id = f.id
                and status in ('requested', 'approved')
            limit 1 for no key update
         ) e",
    );
    let rows = query
        .bind(organization.as_uuid())
        .bind(of.iter().map(FindingId::as_uuid).collect::<Vec<_>>())
        .fetch_all(tx.connection())
        .await
        .map_err(error::statement)?;
    let mut ids: Vec<Uuid> = Vec::with_capacity(rows.len());
    let mut statuses = Vec::with_capacity(rows.len());
    for row in &rows {
        ids.push(row.id("id")?);
        let to = exception::apply(row.parsed("status")?, ExceptionEvent::Closed)?.to;
        statuses.push(to.as_str());
    }
    if ids.is_empty() {
        return Ok(());
    }
    let query = tx.query(
        "update finding_exception e set
            status = d.status, changed_at = clock_timestamp(), version = e.version + 1
         from unnest($2::uuid[], $3::text[]) d (id, status)
         where e.organization_id = $1 and e.id = d.id",
    );
    query
        .bind(organization.as_uuid())
        .bind(ids)
        .bind(statuses)
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    Ok(())
}

/// Ends exceptions of any organization whose time ran out, a batch after the other.
pub(super) async fn lapse(store: &PostgresStore, now: Timestamp, limit: usize) -> Result<u64> {
    let mut lapsed: u64 = 0;
    let mut left = limit;
    while left > 0 {
        let batch = left.min(BATCH);
        let ended = lapse_batch(store, now, batch).await?;
        lapsed += ended;
        let full = usize::try_from(ended).is_ok_and(|ended| ended == batch);
        left = if full { left - batch } else { 0 };
    }
    Ok(lapsed)
}

async fn lapse_batch(store: &PostgresStore, now: Timestamp, limit: usize) -> Result<u64> {
    let mut tx = store.begin_processor().await?;
    let at = tx.now();
    let events: Vec<Uuid> = (0..limit)
        .map(|_| store.ids().next::<AuditEventId>(at).as_uuid())
        .collect();
    let query = tx.query("select lapse_exceptions($1, $2, $3) as lapsed");
    let row = query
        .bind(moment(now))
        .bind(i32::try_from(limit).unwrap_or(i32::MAX))
        .bind(events)
        .fetch_one(tx.connection())
        .await
        .map_err(error::statement)?;
    let lapsed = row.count("lapsed")?;
    tx.commit().await?;
    Ok(lapsed)
}

fn decode(row: &PgRow) -> Result<Exception> {
    Ok(Exception {
        id: row.id("id")?,
        finding: row.id("finding_id")?,
        reason: row.text("reason")?,
        requester: row.id("requester")?,
        approver: row.id_opt("approver")?,
        status: row.parsed("status")?,
        expires_at: row.time("expires_at")?,
        created_at: row.time("created_at")?,
        changed_at: row.time("changed_at")?,
        version: row.count("version")?,
    })
}
