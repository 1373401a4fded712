//! What the templates show.

use askama::Template;
use jiff::Timestamp;
use trueno_core::check::Totals;
use trueno_core::model::{CloudAccount, Scan, ScanStatus};
use trueno_core::money::Money;
use trueno_core::runtime::scan::{CoverageReport, ScanReport};
use trueno_core::state::scan::is_terminal;

use super::findings::{self, FindingRow, PriceLine};
use super::links::Links;
use super::words::{self, Moment};

/// The page of an organization that has no scan.
#[derive(Template)]
#[template(path = "empty.html")]
pub(super) struct EmptyPage {
    pub(super) links: Links,
}

/// What a page is about.
pub(super) struct Subject {
    pub(super) account: CloudAccount,
    pub(super) scan: Scan,
    /// The organization's latest scans, each with the name of its account.
    pub(super) recent: Vec<(Scan, String)>,
}

/// The page of one scan.
#[derive(Template)]
#[template(path = "scan.html")]
pub(super) struct ScanPage {
    links: Links,
    id: String,
    account: String,
    number: String,
    provider: String,
    status: &'static str,
    meaning: &'static str,
    tone: &'static str,
    error: Option<String>,
    times: Vec<(&'static str, Moment)>,
    superseded: bool,
    progress: Option<Progress>,
    unread: Vec<Unread>,
    results: Option<Results>,
    coverage: Vec<CoverageRow>,
    recent: Vec<RecentScan>,
}

/// A scan that has not ended.
struct Progress {
    tasks: u64,
    done: u64,
    resources: u64,
    running_for: Option<String>,
}

/// A kind of resource that could not be read.
struct Unread {
    region: String,
    kind: String,
    status: &'static str,
    error_code: Option<String>,
}

struct Results {
    partial: bool,
    saving: String,
    totals: Totals,
    count: String,
    unpriced: Option<String>,
    resources: u64,
    findings: Vec<FindingRow>,
    hidden: usize,
    prices: Vec<PriceLine>,
}

struct CoverageRow {
    service: String,
    region: String,
    status: &'static str,
    tone: &'static str,
    requests: u64,
    pages: u64,
    resources: u64,
    error_code: Option<String>,
    unread: Vec<String>,
}

struct RecentScan {
    href: String,
    account: String,
    at: Moment,
    status: &'static str,
    tone: &'static str,
    shown: bool,
}

impl ScanPage {
    pub(super) fn new(subject: Subject, report: ScanReport, links: Links, now: Timestamp) -> Self {
        let scan = subject.scan;
        let ended = is_terminal(scan.status);
        let recent = subject.recent;
        let recent = recent
            .into_iter()
            .map(|(other, account)| RecentScan::new(&other, account, &scan, &links))
            .collect();
        Self {
            id: scan.id.to_string(),
            account: subject.account.name,
            number: subject.account.number.to_string(),
            provider: subject.account.provider.as_str().to_uppercase(),
            status: words::scan_status(scan.status),
            meaning: words::scan_meaning(scan.status),
            tone: words::scan_tone(scan.status),
            times: times(&scan),
            superseded: report.scan.superseded_by.is_some(),
            progress: (!ended).then(|| Progress::new(&scan, now)),
            // While a scan runs, another attempt may still read what failed.
            unread: if ended {
                unread(&report.coverage)
            } else {
                Vec::new()
            },
            coverage: report.coverage.iter().map(CoverageRow::new).collect(),
            results: has_results(&scan, &report).then(|| Results::new(&scan, report)),
            error: scan.error,
            recent,
            links,
        }
    }
}

/// A scan that failed may have found something before; one that never got there shows no zeros,
/// which would read as clean.
fn has_results(scan: &Scan, report: &ScanReport) -> bool {
    match scan.status {
        ScanStatus::Succeeded | ScanStatus::Partial => true,
        ScanStatus::Failed | ScanStatus::Cancelled => !report.findings.is_empty(),
        _ => false,
    }
}

fn times(scan: &Scan) -> Vec<(&'static str, Moment)> {
    [
        ("Requested", Some(scan.created_at)),
        ("Started", scan.started_at),
        ("Finished", scan.finished_at),
    ]
    .into_iter()
    .filter_map(|(label, at)| Some((label, at?.into())))
    .collect()
}

fn unread(coverage: &[CoverageReport]) -> Vec<Unread> {
    let mut unread = Vec::new();
    for row in coverage {
        for kind in &row.kinds {
            if !kind.status.is_complete() {
                unread.push(Unread {
                    region: row.region.to_string(),
                    kind: kind.kind.to_string(),
                    status: words::coverage_status(kind.status),
                    error_code: kind.error_code.clone(),
                });
            }
        }
    }
    unread
}

impl Progress {
    fn new(scan: &Scan, now: Timestamp) -> Self {
        let started = scan.started_at;
        Self {
            tasks: scan.progress.tasks,
            done: scan.progress.tasks_done,
            resources: scan.progress.resources,
            running_for: started.and_then(|at| words::duration(now.duration_since(at))),
        }
    }
}

impl Results {
    fn new(scan: &Scan, report: ScanReport) -> Self {
        let totals = report.totals;
        let saving = Money {
            micros: totals.monthly_saving_micros,
            currency: totals.currency,
        };
        let unpriced = totals.unknown_prices;
        Self {
            partial: scan.status != ScanStatus::Succeeded,
            saving: saving.to_string(),
            count: words::count(totals.findings, "finding"),
            unpriced: (unpriced > 0).then(|| {
                let (has, is) = match unpriced {
                    1 => ("has", "is"),
                    _ => ("have", "are"),
                };
                let findings = words::count(unpriced, "finding");
                format!("{findings} {has} no known price and {is} not counted")
            }),
            resources: report.coverage.iter().map(|row| row.resources).sum(),
            hidden: report.findings.len().saturating_sub(findings::MOST_ROWS),
            prices: findings::prices(&report.findings),
            findings: findings::rows(report.findings, totals.currency),
            totals,
        }
    }
}

impl CoverageRow {
    fn new(row: &CoverageReport) -> Self {
        let unread = row.kinds.iter().filter(|kind| !kind.status.is_complete());
        Self {
            service: row.service.clone(),
            region: row.region.to_string(),
            status: words::coverage_status(row.status),
            tone: words::coverage_tone(row.status),
            requests: row.requests,
            pages: row.pages,
            resources: row.resources,
            error_code: row.error_code.clone(),
            unread: unread
                .map(|kind| format!("{} {}", kind.kind, words::coverage_status(kind.status)))
                .collect(),
        }
    }
}

impl RecentScan {
    fn new(scan: &Scan, account: String, shown: &Scan, links: &Links) -> Self {
        Self {
            account,
            href: links.scan(&scan.id.to_string()),
            at: scan.created_at.into(),
            status: words::scan_status(scan.status),
            tone: words::scan_tone(scan.status),
            shown: scan.id == shown.id,
        }
    }
}
