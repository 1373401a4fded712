//! Schedules.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use trueno_core::error::Error;
use trueno_core::id::{CloudAccountId, ScheduleId};
use trueno_core::model::{
    CronExpression, MissedTicks, NewSchedule, ScanKind, Schedule, ScheduleStatus, Version,
};
use trueno_core::runtime::schedules;
use utoipa::{IntoParams, ToSchema};

use super::scans::{Accepted, RequestedScanItem, accepted};
use super::{List, schema};
use crate::HttpState;
use crate::extract::{
    IdInPath, IfMatch, JsonBody, Member, Query, Versioned, acts, list_query, named, precondition,
};
use crate::problem::Problem;

/// A schedule of scans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScheduleItem {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub id: ScheduleId,
    /// Its display name.
    pub name: String,
    /// The account to scan.
    #[schema(value_type = uuid::Uuid)]
    pub account: CloudAccountId,
    /// What kind of scan.
    #[schema(schema_with = schema::scan_kind)]
    pub kind: ScanKind,
    /// When: minute, hour, day of month, month, day of week.
    pub cron: String,
    /// The IANA time zone that `cron` is read in.
    pub time_zone: String,
    /// What becomes of ticks that nothing fired in time.
    #[schema(schema_with = schema::missed_ticks)]
    pub missed: MissedTicks,
    /// How many seconds after its tick a scan begins at the most.
    pub jitter_seconds: u64,
    /// Whether it is followed.
    #[schema(schema_with = schema::schedule_status)]
    pub status: ScheduleStatus,
    /// The tick that is due next, before the jitter; `null` while it is paused or parked.
    pub next_run_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts changes; the `ETag` of the schedule.
    pub version: Version,
}

impl From<Schedule> for ScheduleItem {
    fn from(schedule: Schedule) -> Self {
        Self {
            id: schedule.id,
            name: schedule.name,
            account: schedule.account,
            kind: schedule.kind,
            cron: schedule.cron.expression().to_owned(),
            time_zone: schedule.cron.time_zone().to_owned(),
            missed: schedule.missed,
            jitter_seconds: schedule.jitter.as_secs(),
            status: schedule.status,
            next_run_at: schedule.next_run_at,
            created_at: schedule.created_at,
            version: schedule.version,
        }
    }
}

/// A schedule to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleBody {
    /// Its display name: 1 to 200 characters.
    name: String,
    /// The account to scan.
    #[schema(value_type = uuid::Uuid)]
    account: String,
    /// When, such as `0 6 * * mon-fri`: minute, hour, day of month, month, day of week.
    cron: String,
    /// The IANA time zone that `cron` is read in.
    time_zone: String,
    /// What becomes of ticks that nothing fired in time: `run_once` unless told.
    #[schema(schema_with = schema::missed_ticks)]
    missed: Option<String>,
    /// How many seconds after its tick a scan may begin, so that not all begin together: 0 to 3600, 0
    /// unless told.
    jitter_seconds: Option<u64>,
}

/// What to change of a schedule.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleChange {
    #[schema(schema_with = schema::schedule_status)]
    status: String,
}

list_query! {
    /// Which schedules.
    ScheduleQuery {}
}

/// Lists schedules, by id.
#[utoipa::path(get, path = "/v1/schedules", tag = "schedules", params(ScheduleQuery), responses(
    (status = OK, description = "A page of schedules", body = List<ScheduleItem>),
))]
pub(super) async fn list(
    member: Member<acts::Read>,
    Query(query): Query<ScheduleQuery>,
) -> Result<Json<List<ScheduleItem>>, Problem> {
    let page = member.view().await?.schedules(&query.page()?).await?;
    Ok(Json(List::of(page, ScheduleItem::from)))
}

/// Makes a schedule of inventory scans, active.
#[utoipa::path(post, path = "/v1/schedules", tag = "schedules", request_body = ScheduleBody, responses(
    (status = CREATED, description = "The schedule", body = ScheduleItem),
))]
pub(super) async fn create(
    State(state): State<HttpState>,
    member: Member<acts::ManageSchedules>,
    JsonBody(body): JsonBody<ScheduleBody>,
) -> Result<(StatusCode, Versioned<ScheduleItem>), Problem> {
    let account: CloudAccountId = named("account", body.account.parse())?;
    let cron = CronExpression::new(&body.cron, &body.time_zone)?;
    let id = state.ids.next(state.clock.now());
    let new = NewSchedule::new(id, &body.name, account, ScanKind::Inventory, cron);
    let mut new = named("name", new)?;
    if let Some(missed) = &body.missed {
        new = new.with_missed(named("missed", missed.parse())?);
    }
    let jitter = Duration::from_secs(body.jitter_seconds.unwrap_or(0));
    let new = named("jitter_seconds", new.with_jitter(jitter))?;
    let (store, scope) = (member.store.as_ref(), &member.scope);
    let schedule = schedules::create(store, scope, new).await?;
    Ok((
        StatusCode::CREATED,
        Versioned(schedule.version, schedule.into()),
    ))
}

/// Shows a schedule.
#[utoipa::path(get, path = "/v1/schedules/{id}", tag = "schedules",
    params(("id" = uuid::Uuid, Path, description = "The schedule")), responses(
    (status = OK, description = "The schedule", body = ScheduleItem),
))]
pub(super) async fn one(
    member: Member<acts::Read>,
    IdInPath(id): IdInPath<ScheduleId>,
) -> Result<Versioned<ScheduleItem>, Problem> {
    let schedule = member.view().await?.schedule(id).await?;
    Ok(Versioned(schedule.version, schedule.into()))
}

/// When a schedule fires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NextRuns {
    /// Its next ticks, before the jitter, in order. None while it is paused or parked.
    pub items: Vec<Timestamp>,
}

/// How many runs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RunsQuery {
    /// How many: 1 to 100, 10 unless told.
    #[param(value_type = Option<u64>)]
    limit: Option<String>,
}

/// Lists when a schedule fires next.
#[utoipa::path(get, path = "/v1/schedules/{id}/runs", tag = "schedules",
    params(("id" = uuid::Uuid, Path, description = "The schedule"), RunsQuery), responses(
    (status = OK, description = "The next ticks", body = NextRuns),
))]
pub(super) async fn runs(
    member: Member<acts::Read>,
    IdInPath(id): IdInPath<ScheduleId>,
    Query(query): Query<RunsQuery>,
) -> Result<Json<NextRuns>, Problem> {
    let limit = query.limit.as_deref().map_or(Ok(10), str::parse::<usize>);
    let limit = limit
        .ok()
        .filter(|limit| (1..=CronExpression::MOST_RUNS).contains(limit));
    let limit = limit.ok_or_else(|| Error::invalid("limit", "needs to be 1 to 100"))?;
    let schedule = member.view().await?.schedule(id).await?;
    let items = schedule.next_run_at.map_or_else(Vec::new, |next| {
        let later = schedule.cron.next_runs(next, limit - 1);
        std::iter::once(next).chain(later).collect()
    });
    Ok(Json(NextRuns { items }))
}

/// Requests the scan of a schedule now, paused or not. Its ticks stay as they are.
#[utoipa::path(post, path = "/v1/schedules/{id}/runs", tag = "schedules",
    params(("id" = uuid::Uuid, Path, description = "The schedule")), responses(
    (status = ACCEPTED, description = "The scan waits for a processor", body = RequestedScanItem),
))]
pub(super) async fn trigger(
    State(state): State<HttpState>,
    member: Member<acts::Scan>,
    IdInPath(id): IdInPath<ScheduleId>,
) -> Result<Accepted, Problem> {
    let (store, scope) = (member.store.as_ref(), &member.scope);
    let clock = state.clock.as_ref();
    let requested = schedules::trigger(store, scope, id, &state.ids, clock).await?;
    Ok(accepted(requested))
}

/// Pauses or resumes a schedule.
#[utoipa::path(patch, path = "/v1/schedules/{id}", tag = "schedules", request_body = ScheduleChange,
    params(
        ("id" = uuid::Uuid, Path, description = "The schedule"),
        ("If-Match" = String, Header, description = "The schedule's ETag"),
    ),
    responses(
    (status = OK, description = "The schedule as it is now", body = ScheduleItem),
))]
pub(super) async fn change(
    member: Member<acts::ManageSchedules>,
    IdInPath(id): IdInPath<ScheduleId>,
    IfMatch(version): IfMatch,
    JsonBody(body): JsonBody<ScheduleChange>,
) -> Result<Versioned<ScheduleItem>, Problem> {
    let status: ScheduleStatus = named("status", body.status.parse())?;
    let (store, scope) = (member.store.as_ref(), &member.scope);
    let schedule = schedules::set_status(store, scope, id, version, status)
        .await
        .map_err(precondition)?;
    Ok(Versioned(schedule.version, schedule.into()))
}

/// Removes a schedule.
#[utoipa::path(delete, path = "/v1/schedules/{id}", tag = "schedules",
    params(
        ("id" = uuid::Uuid, Path, description = "The schedule"),
        ("If-Match" = String, Header, description = "The schedule's ETag"),
    ),
    responses(
    (status = NO_CONTENT, description = "It is no longer there"),
))]
pub(super) async fn remove(
    member: Member<acts::ManageSchedules>,
    IdInPath(id): IdInPath<ScheduleId>,
    IfMatch(version): IfMatch,
) -> Result<StatusCode, Problem> {
    schedules::remove(member.store.as_ref(), &member.scope, id, version)
        .await
        .map_err(precondition)?;
    Ok(StatusCode::NO_CONTENT)
}
