//! `trueno queue`: what operators and members ask of the queue.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::json;
use trueno_core::access::{Action, OrgScope};
use trueno_core::model::{Job, JobStatus};
use trueno_core::port::{
    CancelOutcome, Horizon, JobFilter, PageRequest, QueueStats, TenantStore, WaitReason,
};
use trueno_core::runtime::jobs;
use trueno_server::output::out;

use crate::cli::{Format, JobArgs, QueueArgs, QueueCommand, StoreUrl};
use crate::local::Local;
use crate::store::{self, Stores};

pub(crate) async fn run(args: &QueueArgs) -> Result<ExitCode> {
    if matches!(args.store.store, StoreUrl::Memory) {
        bail!(
            "the memory store of another process cannot be looked into; give --store postgres://…"
        );
    }
    let stores = store::open(&args.store, &args.keys).await?;
    let local = Local::named(&args.store.organization);
    let tenants = &*stores.tenants;
    let scope = async |action| local.scope(tenants, action).await;
    let text = match &args.command {
        QueueCommand::Stats => {
            let stats = stores.queue.stats().await?;
            let horizon = stores.queue.horizon().await?;
            overview(stats, horizon, args.format)?
        }
        QueueCommand::List(list) => {
            let mut filter = JobFilter::default();
            filter.status = list.status;
            filter.kind.clone_from(&list.kind);
            let mut view = tenants.read(&scope(Action::Read).await?).await?;
            let page = PageRequest::first(list.limit)?;
            let found = view.jobs(&filter, &page).await?;
            let mut text = shown(&found.items, args.format)?;
            if found.next.is_some() && args.format == Format::Table {
                text.push_str("there are more: ask for a larger --limit\n");
            }
            text
        }
        QueueCommand::Show(JobArgs { job }) => {
            let mut view = tenants.read(&scope(Action::Read).await?).await?;
            in_full(&view.job(*job).await?, args.format)?
        }
        QueueCommand::Retry(JobArgs { job }) => {
            let job = jobs::redrive(tenants, &scope(Action::Scan).await?, *job).await?;
            in_full(&job, args.format)?
        }
        QueueCommand::Discard(JobArgs { job }) => {
            let job = jobs::discard(tenants, &scope(Action::Scan).await?, *job).await?;
            in_full(&job, args.format)?
        }
        QueueCommand::Cancel(JobArgs { job }) => {
            cancel(tenants, &scope(Action::Scan).await?, job, args.format).await?
        }
        QueueCommand::Why(JobArgs { job }) => {
            why(&stores, &scope(Action::Read).await?, job, args.format).await?
        }
    };
    out(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn overview(stats: QueueStats, horizon: Option<Horizon>, format: Format) -> Result<String> {
    let QueueStats { waiting, running } = stats;
    if format == Format::Json {
        let said = json!({"waiting": waiting, "running": running, "horizon": horizon});
        return Ok(format!("{said}\n"));
    }
    let held = horizon.map_or_else(
        || "nothing holds vacuum back".to_owned(),
        |horizon| format!("vacuum is held back by {horizon}"),
    );
    Ok(format!(
        "waiting  {waiting}\nrunning  {running}\nhorizon  {held}\n"
    ))
}

async fn cancel(
    tenants: &dyn TenantStore,
    scope: &OrgScope,
    job: &trueno_core::id::JobId,
    format: Format,
) -> Result<String> {
    let outcome = jobs::cancel(tenants, scope, *job).await?;
    let (name, said) = match outcome {
        CancelOutcome::Cancelled => ("cancelled", "cancelled before it began".to_owned()),
        CancelOutcome::Requested => (
            "requested",
            "it runs; its worker was asked to stop it".to_owned(),
        ),
        CancelOutcome::AlreadyFinished(status) => {
            ("already_finished", format!("it had ended: {status}"))
        }
    };
    Ok(match format {
        Format::Json => format!("{}\n", json!({"job": job, "outcome": name})),
        Format::Table => format!("{job}: {said}\n"),
    })
}

async fn why(
    stores: &Stores,
    scope: &OrgScope,
    job: &trueno_core::id::JobId,
    format: Format,
) -> Result<String> {
    let reason = stores.queue.why_waiting(scope, *job).await?;
    if format == Format::Json {
        return Ok(format!("{}\n", serde_json::to_string(&reason)?));
    }
    let said = match reason {
        WaitReason::Due => "it is due, and no worker has taken it yet".to_owned(),
        WaitReason::Scheduled { run_at } => format!("it is not to begin before {run_at}"),
        WaitReason::Backoff { run_at, last_error } => format!(
            "an attempt failed ({}); the next begins at {run_at}",
            last_error.as_deref().unwrap_or("no error was given")
        ),
        WaitReason::Paused => "an operator holds its organization or its kind back".to_owned(),
        WaitReason::OrganizationLimit { max_running } => {
            format!("{max_running} jobs of the organization run, and no more may")
        }
        WaitReason::ConcurrencyLimit { concurrency } => format!(
            "{} jobs run under the key {}, and no more may",
            concurrency.limit(),
            concurrency.key()
        ),
        WaitReason::NoWorker => {
            "no worker that is there takes jobs of its kind: start one that does, \
             or cancel it"
                .to_owned()
        }
        WaitReason::NotWaiting { status } => format!("it does not wait: it is {status}"),
        other => format!("{other:?}"),
    };
    Ok(format!("{job}: {said}\n"))
}

/// Jobs, a line each: as JSON, one object a line.
fn shown(jobs: &[Job], format: Format) -> Result<String> {
    let mut text = String::new();
    for job in jobs {
        match format {
            Format::Json => writeln!(text, "{}", serde_json::to_string(job)?)?,
            Format::Table => writeln!(
                text,
                "{}  {:<9}  {:<20}  {}/{}  {}",
                job.id,
                job.status,
                job.kind,
                job.failed_attempts,
                job.max_attempts,
                job.last_error().unwrap_or_default()
            )?,
        }
    }
    if jobs.is_empty() && format == Format::Table {
        text.push_str("no such jobs\n");
    }
    Ok(text)
}

fn in_full(job: &Job, format: Format) -> Result<String> {
    if format == Format::Json {
        return shown(std::slice::from_ref(job), format);
    }
    let mut text = format!(
        "job          {}\nkind         {}\nstatus       {}\nenqueued     {}\nrun at       {}\n\
         attempts     {} of {} failed, {} leases lost\npriority     {}\n",
        job.id,
        job.kind,
        job.status,
        job.created_at,
        job.run_at,
        job.failed_attempts,
        job.max_attempts,
        job.lost_leases,
        job.priority,
    );
    if let Some(concurrency) = &job.concurrency {
        let (key, limit) = (concurrency.key(), concurrency.limit());
        writeln!(text, "concurrency  {limit} under {key}")?;
    }
    if let Some(at) = job.finished_at {
        writeln!(text, "ended        {at}")?;
    }
    if job.cancel_requested && job.status == JobStatus::Running {
        writeln!(text, "asked to stop")?;
    }
    for error in &job.errors {
        writeln!(text, "error        {}  {}", error.at, error.error)?;
    }
    if let Some(result) = &job.result {
        writeln!(text, "result       {result}")?;
    }
    Ok(text)
}
