//! Every list of a view, with every filter that it has.

use trueno_core::id::FindingId;
use trueno_core::model::{ExceptionStatus, FindingStatus, JobStatus, Severity};
use trueno_core::port::tenant_store::{
    ExceptionFilter, FindingFilter, ResourceFilter, ScanFilter, TagFilter,
};
use trueno_core::port::{JobFilter, PageRequest, ReadView, TenantStore};
use trueno_testkit::fixtures::{RunningScan, region, resource_kind};

use super::{Expected, Recorder};
use crate::data::{CHECK, Data, KIND, REGION};

pub(super) async fn all(recorder: &mut Recorder<'_>, data: &Data, store: &dyn TenantStore) {
    let mut view = store.read(&data.tenant.read).await.unwrap();
    let view = &mut *view;
    let scan = data.scan.as_ref().map(|(running, _)| running);
    accounts(recorder, view).await;
    scans(recorder, view, scan).await;
    resources(recorder, view, scan).await;
    findings(recorder, view, scan).await;
    recommendations(recorder, view, scan).await;
    exceptions(recorder, view, data.scan.as_ref().map(|(_, id)| *id)).await;
    recorder
        .pages("members", "all", async |page: PageRequest| {
            view.members(&page).await
        })
        .await;
    recorder
        .pages("schedules", "all", async |page: PageRequest| {
            view.schedules(&page).await
        })
        .await;
    recorder
        .pages("audit", "all", async |page: PageRequest| {
            view.audit_events(&page).await
        })
        .await;
    for (what, filter) in [
        ("all", JobFilter::default()),
        (
            "that wait",
            JobFilter::default().with_status(JobStatus::Queued),
        ),
        (
            "dead letters",
            JobFilter::default().with_status(JobStatus::Dead),
        ),
    ] {
        recorder
            .pages("jobs", what, async |page: PageRequest| {
                view.jobs(&filter, &page).await
            })
            .await;
    }
    if let Some((_, finding)) = &data.scan {
        of_a_finding(recorder, view, *finding).await;
    }
}

async fn accounts(recorder: &mut Recorder<'_>, view: &mut dyn ReadView) {
    let list = async |page: PageRequest| view.accounts(&page).await;
    recorder.pages("accounts", "all", list).await;
}

async fn scans(
    recorder: &mut Recorder<'_>,
    view: &mut dyn ReadView,
    running: Option<&RunningScan>,
) {
    let mut filters = vec![("all", ScanFilter::default())];
    if let Some(running) = running {
        let of_account = ScanFilter::default().with_account(running.account.id);
        filters.push(("of an account", of_account));
        let coverage = view.coverage(running.scan);
        recorder
            .record("scans", Expected::Whole, "coverage of a scan", coverage)
            .await;
    }
    for (what, filter) in filters {
        let list = async |page: PageRequest| view.scans(&filter, &page).await;
        recorder.pages("scans", what, list).await;
    }
}

/// The tag that every resource and finding has.
fn tag(value: Option<&str>) -> TagFilter {
    TagFilter {
        key: "Owner".to_owned(),
        value: value.map(str::to_owned),
    }
}

const OWNER: &str = "platform \u{1f30d}";

async fn resources(
    recorder: &mut Recorder<'_>,
    view: &mut dyn ReadView,
    running: Option<&RunningScan>,
) {
    let all = ResourceFilter::default;
    let (kind, there) = (resource_kind(KIND), region(REGION));
    let mut filters = vec![
        ("all", all()),
        ("of a kind", all().with_kind(kind.clone())),
        ("in a region", all().with_region(there.clone())),
        ("with a tag", all().with_tag(tag(None))),
        ("with a tag's value", all().with_tag(tag(Some(OWNER)))),
        ("gone", all().gone()),
    ];
    if let Some(running) = running {
        let of_account = all().with_account(running.account.id);
        let exact = of_account.clone().with_kind(kind).with_region(there);
        filters.extend([
            ("of an account", of_account.clone()),
            ("of an account, gone", of_account.gone()),
            ("of an account, a kind and a region", exact),
            ("last seen by a scan", all().with_scan(running.scan)),
        ]);
    }
    for (what, filter) in filters {
        let list = async |page: PageRequest| view.resources(&filter, &page).await;
        recorder.pages("resources", what, list).await;
    }
}

/// Filters of findings: each alone, and those that are used together.
fn finding_filters(running: Option<&RunningScan>) -> Vec<(&'static str, FindingFilter)> {
    let all = FindingFilter::default;
    let status = FindingStatus::Resolved;
    let mut filters = vec![
        ("all", all()),
        ("standing", all().standing()),
        ("of a status", all().with_status(status)),
        ("of a check", all().with_check(CHECK)),
        ("in a region", all().with_region(region(REGION))),
        ("of a severity", all().with_severity(Severity::High)),
        ("with a tag", all().with_tag(tag(None))),
        ("with a tag's value", all().with_tag(tag(Some(OWNER)))),
        (
            "of a check, a region and a status",
            all()
                .with_check(CHECK)
                .with_region(region(REGION))
                .with_status(status),
        ),
        (
            "of a severity, with a tag's value, standing",
            all()
                .with_severity(Severity::High)
                .with_tag(tag(Some(OWNER)))
                .standing(),
        ),
    ];
    if let Some(running) = running {
        let of_account = all().with_account(running.account.id);
        filters.extend([
            ("of an account", of_account.clone()),
            ("of an account, standing", of_account.clone().standing()),
            (
                "of an account and a status",
                of_account.clone().with_status(status),
            ),
            (
                "of an account, with a tag's value",
                of_account.with_tag(tag(Some(OWNER))),
            ),
            ("last found by a scan", all().with_scan(running.scan)),
        ]);
    }
    filters
}

async fn findings(
    recorder: &mut Recorder<'_>,
    view: &mut dyn ReadView,
    running: Option<&RunningScan>,
) {
    for (what, filter) in finding_filters(running) {
        let list = async |page: PageRequest| view.findings(&filter, &page).await;
        recorder.pages("findings", what, list).await;
        let name = format!("how many findings, {what}");
        let count = view.count_findings(&filter);
        recorder
            .record("counts", Expected::Whole, &name, count)
            .await;
    }
    let mut of = vec![("all", None)];
    if let Some(running) = running {
        of.push(("of an account", Some(running.account.id)));
    }
    for (what, account) in of {
        let name = format!("counts by account, check and status, {what}");
        let counts = view.finding_counts(account);
        recorder
            .record("counts", Expected::Whole, &name, counts)
            .await;
    }
}

async fn recommendations(
    recorder: &mut Recorder<'_>,
    view: &mut dyn ReadView,
    running: Option<&RunningScan>,
) {
    let mut of = vec![("all", None)];
    if let Some(running) = running {
        of.push(("of an account", Some(running.account.id)));
    }
    for (what, account) in of {
        let list = async |page: PageRequest| view.recommendations(account, &page).await;
        recorder.pages("recommendations", what, list).await;
    }
}

async fn exceptions(
    recorder: &mut Recorder<'_>,
    view: &mut dyn ReadView,
    finding: Option<FindingId>,
) {
    let all = ExceptionFilter::default;
    let requested = all().with_status(ExceptionStatus::Requested);
    let mut filters = vec![("all", all()), ("of a status", requested)];
    if let Some(finding) = finding {
        filters.push(("from a finding", all().with_finding(finding)));
        let both = requested.with_finding(finding);
        filters.push(("from a finding, of a status", both));
    }
    for (what, filter) in filters {
        let list = async |page: PageRequest| view.exceptions(&filter, &page).await;
        recorder.pages("exceptions", what, list).await;
    }
}

async fn of_a_finding(recorder: &mut Recorder<'_>, view: &mut dyn ReadView, finding: FindingId) {
    let list = async |page: PageRequest| view.finding_history(finding, &page).await;
    recorder.pages("history", "of a finding", list).await;
    let list = async |page: PageRequest| view.comments(finding, &page).await;
    recorder.pages("comments", "on a finding", list).await;
}
