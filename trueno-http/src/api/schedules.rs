//! Schedules.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use trueno_core::id::{CloudAccountId, ScheduleId};
use trueno_core::model::{
    CronExpression, NewSchedule, ScanKind, Schedule, ScheduleStatus, Version,
};
use trueno_core::runtime::schedules;
use utoipa::ToSchema;

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
    /// Whether it is followed.
    #[schema(schema_with = schema::schedule_status)]
    pub status: ScheduleStatus,
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
            status: schedule.status,
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
    let (store, scope) = (member.store.as_ref(), &member.scope);
    let schedule = schedules::create(store, scope, named("name", new)?).await?;
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
