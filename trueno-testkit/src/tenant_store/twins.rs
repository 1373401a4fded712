//! What the isolation cases start from.

use trueno_core::access::{Action, OrgScope};
use trueno_core::error::{ErrorKind, Result};
use trueno_core::id::{CloudAccountId, CommentId, FindingId, JobId, ScanId, UserId};
use trueno_core::model::{
    CloudAccount, CoverageStatus, EventDraft, Exception, NewCloudAccount, NewComment, NewException,
    Role, Schedule,
};
use trueno_core::port::tenant_store::ExceptionFilter;
use trueno_core::port::{
    Enqueued, FindingFilter, PageRequest, ReadView, ResourceFilter, ScanFilter,
};

use super::World;
use super::members::add;
use crate::fixtures::{
    EXCEPTION_LASTS, Requested, RunningScan, SCAN_KIND, Tenant, coverage, finding, finding_id,
    resource, task,
};
use crate::suite::refused;

/// Where the twins' resources are.
pub(super) const REGION: &str = "eu-west-1";

/// One of two organizations that share every id.
pub(super) struct Twin {
    pub(super) tenant: Tenant,
    pub(super) run: RunningScan,
    /// An approver of both.
    pub(super) member: UserId,
    /// The approver's scope to decide about exceptions.
    pub(super) decides: OrgScope,
    pub(super) comment: CommentId,
    pub(super) exception: Exception,
    pub(super) schedule: Schedule,
}

impl Twin {
    /// The finding, which has the same id in both.
    pub(super) fn finding(&self) -> FindingId {
        finding_id(self.run.account.id, "vol-1")
    }
}

/// Two organizations with an account, a running scan, coverage, a resource, a finding, a comment, an
/// exception, a schedule and a second member each, under the same ids and keys.
pub(super) async fn twins(w: &World) -> (Twin, Twin) {
    let new = w.new_account();
    let (scan, job) = (w.id(), w.job_of_kind(SCAN_KIND));
    let (member, comment, now) = (w.id(), w.id(), w.now().await);
    let schedule = w.new_schedule(new.id);
    let id = finding_id(new.id, "vol-1");
    let lasts = now + EXCEPTION_LASTS;
    let exception = NewException::new(w.id(), id, "accepted", lasts, now).unwrap();
    let mut twins = Vec::new();
    for name in ["first", "second"] {
        let tenant = w.organization().await;
        add(w, &tenant.members, member, Role::Approver)
            .await
            .unwrap();
        let mut named = new.clone();
        named.name = name.to_owned();
        let account = insert(w, &tenant, named).await.unwrap();
        let mut unit = w.begin_scan(&tenant).await;
        let requested = Requested { scan, job: job.id };
        unit.insert_scan(w.new_scan(&account, requested))
            .await
            .unwrap();
        let enqueued = unit.enqueue(vec![job.clone()]).await.unwrap();
        assert_eq!(
            enqueued,
            [Enqueued::Created(job.id)],
            "P1: an id of another's is free"
        );
        unit.commit(EventDraft::new("scan.requested", "scan", scan))
            .await
            .unwrap();
        let lease = w.claim_one().await;
        w.start(&lease, 4).await;
        let mut ingest = w.store.ingest(&lease).await.unwrap();
        let mut volume = resource("ec2.volume", REGION, "vol-1");
        volume.name = Some(name.to_owned());
        ingest.put_resources(vec![volume]).await.unwrap();
        let mut draft = finding("vol-1");
        draft.name = Some(name.to_owned());
        ingest.put_findings(vec![draft]).await.unwrap();
        let read = coverage(task("ec2.volume", REGION), CoverageStatus::Complete);
        ingest.put_coverage(vec![read]).await.unwrap();
        ingest.commit().await.unwrap();
        let run = RunningScan {
            account,
            scan,
            job: job.id,
            lease,
        };
        let said = NewComment::new(comment, id, name).unwrap();
        let mut unit = w.store.begin(&tenant.findings).await.unwrap();
        unit.add_comment(said).await.unwrap();
        let exception = unit.request_exception(exception.clone()).await.unwrap();
        let schedule = unit.insert_schedule(schedule.clone()).await.unwrap();
        unit.commit(EventDraft::new("finding.commented", "finding", id))
            .await
            .unwrap();
        twins.push(Twin {
            decides: w.scope(&tenant, member, Action::DecideExceptions).await,
            tenant,
            run,
            member,
            comment,
            exception,
            schedule,
        });
    }
    let second = twins.remove(1);
    (twins.remove(0), second)
}

pub(super) async fn insert(
    w: &World,
    tenant: &Tenant,
    new: NewCloudAccount,
) -> Result<CloudAccount> {
    let mut unit = w.store.begin(&tenant.accounts).await?;
    let account = unit.insert_account(new).await?;
    unit.commit(EventDraft::new(
        "cloud_account.connected",
        "cloud_account",
        account.id,
    ))
    .await?;
    Ok(account)
}

/// What an organization sees of its own, as text: compared before and after the other one acts.
pub(super) async fn everything(w: &World, twin: &Twin) -> String {
    let mut view = w.view(&twin.tenant).await;
    see(&mut *view, &twin.run, twin.finding()).await
}

/// Whatever a view shows, as text.
pub(super) async fn see(view: &mut dyn ReadView, run: &RunningScan, finding: FindingId) -> String {
    let page = PageRequest::largest();
    let mut seen = String::new();
    macro_rules! see {
        ($($read:ident($($with:expr),*)),+ $(,)?) => {$(
            let answer = view.$read($($with),*).await.unwrap();
            seen += &format!("{}: {answer:?}\n", stringify!($read));
        )+};
    }
    see!(
        organization(),
        members(&page),
        accounts(&page),
        scans(&ScanFilter::default(), &page),
        coverage(run.scan),
        resources(&ResourceFilter::default(), &page),
        resources(&ResourceFilter::default().gone(), &page),
        findings(&FindingFilter::default(), &page),
        count_findings(&FindingFilter::default()),
        finding_counts(None),
        finding_history(finding, &page),
        comments(finding, &page),
        recommendations(None, &page),
        exceptions(&ExceptionFilter::default(), &page),
        schedules(&page),
        job(run.job),
        audit_events(&page),
    );
    seen
}

/// An organization whose rows nobody else has, and another one's view.
pub(super) struct Foreign {
    pub(super) owner: Tenant,
    pub(super) other: Tenant,
    pub(super) account: CloudAccountId,
    pub(super) scan: ScanId,
    pub(super) job: JobId,
    pub(super) finding: FindingId,
    pub(super) exception: Exception,
    pub(super) schedule: Schedule,
    pub(super) view: Box<dyn ReadView>,
    pub(super) missing: Box<dyn ReadView>,
}

pub(super) async fn foreign(w: &World) -> Foreign {
    let (one, two) = (w.organization().await, w.organization().await);
    let run = w.running_scan(&one).await;
    let mut ingest = w.store.ingest(&run.lease).await.unwrap();
    ingest
        .put_resources(vec![resource("ec2.volume", REGION, "vol-1")])
        .await
        .unwrap();
    ingest.put_findings(vec![finding("vol-1")]).await.unwrap();
    let read = coverage(task("ec2.volume", REGION), CoverageStatus::Complete);
    ingest.put_coverage(vec![read]).await.unwrap();
    ingest.commit().await.unwrap();
    let finding = finding_id(run.account.id, "vol-1");
    let asks = w.new_exception(finding).await;
    Foreign {
        exception: w.request(&one.findings, asks).await.unwrap(),
        schedule: w.schedule(&one, run.account.id).await,
        account: run.account.id,
        scan: run.scan,
        job: run.job,
        finding,
        view: w.view(&two).await,
        missing: w.view(&two).await,
        owner: one,
        other: two,
    }
}

/// Checks that a foreign row and a missing one are answered alike.
#[track_caller]
pub(super) fn alike<T, U>(foreign: Result<T>, missing: Result<U>) {
    let foreign = refused(foreign, ErrorKind::NotFound, "P1: another organization's");
    let missing = refused(missing, ErrorKind::NotFound, "what is not there");
    assert_eq!(
        foreign.to_string(),
        missing.to_string(),
        "P1: existence is not told"
    );
    assert_eq!(foreign.code(), missing.code(), "P1: existence is not told");
}
