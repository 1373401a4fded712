//! The databases that statements are planned on, filled through the ports.

use trueno_core::id::FindingId;
use trueno_core::model::{
    CloudAccount, CoverageStatus, EventDraft, FindingDraft, NewComment, Role, Severity,
};
use trueno_core::port::{ClaimRequest, JobOutcome, JobQueue as _, Settlement};
use trueno_core::state::finding::FindingStep;
use trueno_store_postgres::PostgresStore;
use trueno_testkit::fixtures::{
    Requested, RunningScan, SCAN_KIND, Tenant, World, coverage, finding, region, resource, task,
};

use crate::support::{self, Database};

/// How much is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// An organization, and nothing of it.
    Empty,
    /// Two organizations with a few rows of everything: each table fits one block.
    Small,
    /// Twenty organizations with a thousand resources, findings and jobs each, a hundred scans and
    /// accounts, and forty of what else there is.
    Large,
}

struct Counts {
    organizations: usize,
    /// Accounts of each organization that are being scanned.
    accounts: usize,
    /// Accounts that are not.
    more_accounts: usize,
    /// Resources and findings of each account.
    rows: usize,
    /// Scans of each account that wait, beside the one that runs.
    scans: usize,
    /// Jobs of each organization that run no scan.
    jobs: usize,
    /// Members, schedules, exceptions and comments of each organization; each member with an audit
    /// event.
    others: usize,
}

impl Size {
    const fn counts(self) -> Counts {
        let (organizations, accounts, more_accounts, rows, scans, jobs, others) = match self {
            Self::Empty => (1, 0, 0, 0, 0, 0, 0),
            Self::Small => (2, 1, 3, 4, 2, 8, 3),
            Self::Large => (20, 4, 120, 250, 24, 900, 40),
        };
        Counts {
            organizations,
            accounts,
            more_accounts,
            rows,
            scans,
            jobs,
            others,
        }
    }
}

/// A database to plan on, and who asks.
pub(crate) struct Data {
    pub(crate) world: World,
    pub(crate) database: Database,
    /// The organization in the middle: neither the first nor the last in any index.
    pub(crate) tenant: Tenant,
    /// One of its running scans, and a finding with comments and history.
    pub(crate) scan: Option<(RunningScan, FindingId)>,
}

/// A kind that was read in every region but the last one, which is still being read.
pub(crate) const KIND: &str = "ec2.volume";
pub(crate) const REGION: &str = "us-west-2";
pub(crate) const CHECK: &str = "ec2.volume.gp2";

const KINDS: [&str; 4] = ["ec2.address", "ec2.instance", "ec2.snapshot", KIND];
const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", REGION];
const CHECKS: [&str; 3] = ["ec2.address.idle", CHECK, "ec2.volume.unattached"];

/// Makes one.
pub(crate) async fn load(size: Size) -> Data {
    let harness = support::harness().await;
    let (store, database) = (harness.store.clone(), harness.database.borrowed());
    let world = World::new(harness).await;
    // Tables are counted below, once: plans do not depend on when it is the daemon's turn.
    database
        .execute(
            "do $$ declare name text; begin
                for name in select oid::regclass::text from pg_class
                    where relkind = 'r' and relnamespace = 'trueno'::regnamespace
                loop
                    execute format('alter table %s set (autovacuum_enabled = off)', name);
                end loop;
             end $$",
        )
        .await;
    let counts = size.counts();
    let mut tenants = Vec::new();
    let mut scans = Vec::new();
    for _ in 0..counts.organizations {
        let tenant = world.organization().await;
        for _ in 0..counts.accounts {
            let account = world.account(&tenant).await;
            let running = world.running_scan_of(&tenant, account).await;
            let worked_on = fill(&world, &running, counts.rows).await;
            scans.push((tenants.len(), running, worked_on));
        }
        connect(&world, &tenant, counts.more_accounts).await;
        tenants.push(tenant);
    }
    // Afterwards, since the scans above are claimed as the only ones that wait.
    for (owner, running, worked_on) in &scans {
        wait(&world, &tenants[*owner], &running.account, counts.scans).await;
        let share = counts.others.div_ceil(counts.accounts);
        work(&world, &tenants[*owner], &running.account, worked_on, share).await;
    }
    for tenant in &tenants {
        // As many that are done.
        finish(&world, &store, tenant, counts.jobs).await;
    }
    for tenant in &tenants {
        enqueue(&world, &store, tenant, counts.jobs).await;
        for _ in 0..counts.others {
            world.member(tenant, Role::Analyst).await;
        }
    }
    // A third of the schedules is due, each at a time of its own.
    database
        .execute(
            "update trueno.schedule s set next_run_at = clock_timestamp() - nth * interval '1 hour'
             from (
                select organization_id, id, row_number() over (order by id) as nth
                from trueno.schedule
             ) n
             where s.organization_id = n.organization_id and s.id = n.id and nth % 3 = 1",
        )
        .await;
    database.execute("vacuum analyze").await;
    let asks = tenants.len() / 2;
    let scan = scans.into_iter().find(|(owner, ..)| *owner == asks);
    Data {
        tenant: tenants.swap_remove(asks),
        scan: scan.map(|(_, running, worked_on)| (running, worked_on[0])),
        world,
        database,
    }
}

/// Accounts that nobody has verified yet.
async fn connect(world: &World, tenant: &Tenant, accounts: usize) {
    if accounts == 0 {
        return;
    }
    let mut unit = world.begin_accounts(tenant).await;
    for _ in 0..accounts {
        unit.insert_account(world.new_account()).await.unwrap();
    }
    unit.commit(EventDraft::new(
        "cloud_account.connected",
        "organization",
        tenant.id,
    ))
    .await
    .unwrap();
}

/// What a running scan has read so far. Answers the findings that are not resolved.
async fn fill(world: &World, running: &RunningScan, rows: usize) -> Vec<FindingId> {
    let native_ids: Vec<String> = (0..rows).map(|n| format!("id-{n:05}")).collect();
    let resources = native_ids
        .iter()
        .enumerate()
        .map(|(n, id)| resource(KINDS[n % KINDS.len()], REGIONS[n % REGIONS.len()], id));
    let looks = KINDS.iter().flat_map(|kind| {
        REGIONS.map(|region| {
            let status = if region == REGION {
                CoverageStatus::Reading
            } else {
                CoverageStatus::Complete
            };
            coverage(task(kind, region), status)
        })
    });
    let found = native_ids
        .iter()
        .enumerate()
        .map(|(n, id)| found(n, id))
        .collect::<Vec<_>>();
    let id = |draft: &FindingDraft| FindingId::of(running.account.id, &draft.key);
    // A fifth of them was there before.
    let (gone, stand): (Vec<_>, Vec<_>) = (0..rows).partition(|n| n % 5 == 4);
    let stand = stand.into_iter().map(|n| id(&found[n])).collect();
    let gone = gone.into_iter().map(|n| found[n].key.clone()).collect();
    let mut ingest = world.store.ingest(&running.lease).await.unwrap();
    ingest.put_resources(resources.collect()).await.unwrap();
    ingest.put_coverage(looks.collect()).await.unwrap();
    ingest.put_findings(found).await.unwrap();
    ingest.resolve_findings(gone).await.unwrap();
    ingest.commit().await.unwrap();
    stand
}

/// The nth finding: of one of the checks, regions and severities, in a group of two.
fn found(n: usize, native_id: &str) -> FindingDraft {
    let mut draft = finding(native_id);
    draft.check = CHECKS[n % CHECKS.len()].to_owned();
    draft.resource.region = region(REGIONS[n % REGIONS.len()]);
    draft.severity = Severity::ALL[n % Severity::ALL.len()];
    draft.conflict_group = Some(format!("group-{}", n / 2));
    draft
}

/// Scans that wait for a worker, with their jobs.
async fn wait(world: &World, tenant: &Tenant, account: &CloudAccount, scans: usize) {
    let mut unit = world.begin_scan(tenant).await;
    let mut jobs = Vec::new();
    for _ in 0..scans {
        let job = world.job_of_kind(SCAN_KIND);
        let requested = Requested {
            scan: world.id(),
            job: job.id,
        };
        unit.insert_scan(world.new_scan(account, requested))
            .await
            .unwrap();
        jobs.push(job);
    }
    unit.enqueue(jobs).await.unwrap();
    unit.commit(EventDraft::new(
        "scan.requested",
        "cloud_account",
        account.id,
    ))
    .await
    .unwrap();
}

/// What members do with an account's findings: exceptions from as many as are wanted, comments on
/// the first and steps with it, and schedules of the account.
async fn work(
    world: &World,
    tenant: &Tenant,
    account: &CloudAccount,
    findings: &[FindingId],
    rows: usize,
) {
    for (id, _) in findings.iter().zip(0..rows) {
        let new = world.new_exception(*id).await;
        world.request(&tenant.findings, new).await.unwrap();
    }
    let first = findings[0];
    world
        .change(&tenant.findings, async |unit| {
            for _ in 0..rows {
                let comment = NewComment::new(world.id(), first, "Looked at it").unwrap();
                unit.add_comment(comment).await?;
            }
            let mut version = 1;
            for step in [FindingStep::Start, FindingStep::PutBack] {
                version = unit.step_finding(first, version, step).await?.version;
            }
            Ok(())
        })
        .await
        .unwrap();
    world
        .change(&tenant.schedules, async |unit| {
            for _ in 0..rows {
                unit.insert_schedule(world.new_schedule(account.id)).await?;
            }
            Ok(())
        })
        .await
        .unwrap();
}

/// Jobs that ended.
async fn finish(world: &World, store: &PostgresStore, tenant: &Tenant, jobs: usize) {
    const KIND: &str = "plans.done";
    let jobs: Vec<_> = (0..jobs).map(|_| world.job_of_kind(KIND)).collect();
    if jobs.is_empty() {
        return;
    }
    let count = jobs.len();
    store.enqueue(&tenant.scan, jobs).await.unwrap();
    let kinds = vec![KIND.parse().unwrap()];
    let request = ClaimRequest::new(world.id(), "worker", kinds, count);
    let claims = store.claim(&request).await.unwrap();
    assert_eq!(claims.len(), count);
    let settlements = claims.iter().map(|claim| Settlement {
        lease: claim.lease,
        outcome: JobOutcome::Succeeded,
    });
    store.settle(settlements.collect()).await.unwrap();
}

async fn enqueue(world: &World, store: &PostgresStore, tenant: &Tenant, jobs: usize) {
    let jobs: Vec<_> = (0..jobs).map(|_| world.job()).collect();
    if !jobs.is_empty() {
        store.enqueue(&tenant.scan, jobs).await.unwrap();
    }
}
