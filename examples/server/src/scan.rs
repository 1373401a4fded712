//! `trueno scan`: one scan, its result on stdout.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use trueno_aws::check;
use trueno_aws::price::PriceTable;
use trueno_core::check::Engine;
use trueno_core::model::{ScanProgress, ScanStatus};
use trueno_core::runtime::scan::ScanReport;
use trueno_server::output::{note, out};
use trueno_server::signals::{INTERRUPTED, stop_token};

use crate::cli::{CheckArgs, Format, ScanArgs, StoreUrl};
use crate::local::Local;
use crate::local_scan::{Interrupted, LocalScan};
use crate::{ambient, demo, store, table};

pub(crate) async fn run(args: &ScanArgs) -> Result<ExitCode> {
    let subject = if args.source.demo {
        demo::subject(&args.store.organization, &args.checks)?
    } else {
        ambient::subject(args).await?
    };
    let engine = engine(&args.checks)?;
    let stores = store::open(&args.store, &args.keys).await?;
    let local = Local::ensure(stores.tenants.as_ref(), &args.store.organization).await?;
    let scan = LocalScan {
        stores,
        local,
        subject,
        engine,
    };
    let bar = progress_bar();
    let result = scan
        .run(stop_token()?, |progress| show(&bar, progress))
        .await;
    bar.finish_and_clear();
    let report = match result {
        Ok(report) => report,
        Err(error) if error.is::<Interrupted>() => {
            note("interrupted");
            if !matches!(args.store.store, StoreUrl::Memory) {
                note("the same command takes the scan up where it stopped");
            }
            return Ok(ExitCode::from(INTERRUPTED));
        }
        Err(error) => return Err(error),
    };
    check_ended(&report)?;
    match args.format {
        Format::Json => out(&format!(
            "{}
",
            serde_json::to_string_pretty(&report)?
        ))?,
        Format::Table => out(&table::render(&report))?,
    }
    if args.format == Format::Json && report.scan.status == ScanStatus::Partial {
        note("the scan is partial: coverage says what could not be read");
    }
    Ok(ExitCode::SUCCESS)
}

/// The checks, with the overrides and prices that were asked for: wrong ones are refused here,
/// before anything is read.
pub(crate) fn engine(args: &CheckArgs) -> Result<Arc<Engine>> {
    let mut prices = PriceTable::builtin()?;
    if let Some(path) = &args.prices {
        let named = |problem: String| anyhow::anyhow!("price table {}: {problem}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
        prices = prices
            .with_overrides(PriceTable::parse(&text).map_err(|error| named(error.to_string()))?);
    }
    let mut engine = Engine::new(check::all(), Arc::new(prices))?;
    for assignment in &args.overrides {
        engine.set(assignment)?;
    }
    Ok(Arc::new(engine))
}

/// A scan that failed has no result to print.
pub(crate) fn check_ended(report: &ScanReport) -> Result<()> {
    match report.scan.status {
        ScanStatus::Succeeded | ScanStatus::Partial => Ok(()),
        status => match &report.scan.error {
            Some(error) => bail!("the scan {status}: {error}"),
            None => bail!("the scan is {status}"),
        },
    }
}

fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {bar:30} {pos}/{len} tasks {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn show(bar: &ProgressBar, progress: ScanProgress) {
    bar.set_length(progress.tasks);
    bar.set_position(progress.tasks_done);
    bar.set_message(format!("{} resources", progress.resources));
}
