//! What whoever operates the server asks of it: of no organization, with a token of its own.

use axum::Json;
use serde::{Deserialize, Serialize};
use trueno_core::runtime::TickReport;
use utoipa::ToSchema;

use crate::extract::System;
use crate::problem::Problem;

/// What a look at the due schedules did: counts, of no organization's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TickItem {
    /// Scans that were enqueued.
    pub enqueued: u64,
    /// Ticks that were given up: missed ones, and those that could not run.
    pub passed_over: u64,
    /// Schedules that failed, and are due still.
    pub failed: u64,
    /// There may be more that is due: ask again.
    pub more: bool,
}

impl From<TickReport> for TickItem {
    fn from(report: TickReport) -> Self {
        Self {
            enqueued: report.enqueued,
            passed_over: report.passed_over,
            failed: report.failed,
            more: report.more,
        }
    }
}

/// Fires the schedules that are due, for servers without a scheduler of their own: a cron job that
/// calls in. Not there unless the server was given a token for it.
#[utoipa::path(post, path = "/v1/system/tick", tag = "server", security(("system" = [])), responses(
    (status = OK, description = "What was done", body = TickItem),
))]
pub(super) async fn tick(System(scheduler): System) -> Result<Json<TickItem>, Problem> {
    Ok(Json(scheduler.tick().await?.into()))
}
