//! What a scan spends its own time on: checks, and the queue.
#![expect(
    clippy::expect_used,
    reason = "a bench that cannot be set up has nothing to measure"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use serde_json::json;
use tokio::runtime::Runtime;
use trueno_aws::check;
use trueno_aws::facts::{Facts, VOLUME, VolumeFacts};
use trueno_aws::price::PriceTable;
use trueno_core::access::{Action, Identity, OrgScope, authorize};
use trueno_core::check::{CoverageMap, Engine, Relations};
use trueno_core::clock::SystemClock;
use trueno_core::id::{IdSource, OrganizationId, UserId, WorkerSessionId};
use trueno_core::model::{
    AccountNumber, Coverage, CoverageStatus, EventDraft, JobKind, JobPayload, NewJob,
    NewOrganization, Resource, ResourceRef, TaskKey,
};
use trueno_core::port::{
    ClaimRequest, JobOutcome, JobQueue, SettleOutcome, Settlement, TenantStore,
};
use trueno_store_memory::MemoryStore;

const RESOURCES: u64 = 10_000;
const JOBS: u64 = 1_000;
const KIND: JobKind = JobKind::known("bench");

fn volumes(now: Timestamp) -> Vec<Resource> {
    let types = ["gp2", "gp3", "io1", "st1"];
    (0..RESOURCES)
        .map(|n| {
            let facts = VolumeFacts {
                state: if n % 3 == 0 { "available" } else { "in-use" }.to_owned(),
                volume_type: types[(n % 4) as usize].to_owned(),
                size_gib: 8 + (n % 500) as i64,
                iops: Some(3_000),
                throughput_mibps: Some(125),
                created_at: now - std::time::Duration::from_secs(86_400 * (n % 60)),
                snapshot_id: None,
                instance_ids: Vec::new(),
            };
            Resource {
                reference: ResourceRef {
                    kind: VOLUME,
                    region: "us-east-1".parse().expect("a region"),
                    native_id: format!("vol-{n:017x}"),
                },
                name: None,
                tags: BTreeMap::from([("team".to_owned(), format!("team-{}", n % 10))]),
                attributes: facts.to_attributes().expect("facts are JSON"),
            }
        })
        .collect()
}

fn checks(criterion: &mut Criterion) {
    let prices = PriceTable::builtin().expect("the built-in prices");
    let engine = Engine::new(check::all(), Arc::new(prices)).expect("the checks");
    let now: Timestamp = "2026-11-15T00:00:00Z".parse().expect("a time");
    let account: AccountNumber = "123456789012".parse().expect("a number");
    let resources = volumes(now);
    let coverage: Vec<Coverage> = engine
        .checks()
        .flat_map(|check| {
            [&check.info().subject]
                .into_iter()
                .chain(check.info().related)
                .cloned()
        })
        .map(|kind| {
            let region = "us-east-1".parse().expect("a region");
            let task = TaskKey {
                service: "ec2".to_owned(),
                region,
                kind,
            };
            Coverage {
                status: CoverageStatus::Complete,
                ..Coverage::begin(task)
            }
        })
        .collect();
    let coverage = CoverageMap::new(&coverage);
    let mut group = criterion.benchmark_group("checks");
    group
        .throughput(Throughput::Elements(RESOURCES))
        .sample_size(20);
    group.bench_function("evaluate", |bench| {
        bench.iter(|| {
            let mut relations = Relations::default();
            resources
                .iter()
                .for_each(|resource| engine.relate(resource, &mut relations));
            resources
                .iter()
                .map(|r| {
                    engine
                        .evaluate(&account, r, &relations, &coverage, now)
                        .len()
                })
                .sum::<usize>()
        });
    });
    group.finish();
}

async fn organization(ids: &IdSource) -> (Arc<MemoryStore>, OrgScope) {
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock), ids.clone()));
    let (organization, user): (OrganizationId, UserId) = (
        ids.next(Timestamp::UNIX_EPOCH),
        ids.next(Timestamp::UNIX_EPOCH),
    );
    let new = NewOrganization::new(organization, "bench", user).expect("a name");
    let event = EventDraft::new("organization.created", "organization", organization);
    store
        .create_organization(new, event)
        .await
        .expect("created");
    let owner = Identity::authenticated(user);
    let scope = authorize(store.as_ref(), &owner, organization, Action::Scan).await;
    (store, scope.expect("the owner may scan"))
}

async fn drain(
    store: Arc<MemoryStore>,
    scope: OrgScope,
    jobs: Vec<NewJob>,
    session: WorkerSessionId,
) {
    store.enqueue(&scope, jobs).await.expect("enqueued");
    let request = ClaimRequest::new(session, "bench", vec![KIND], 100);
    let mut settled = 0;
    while settled < JOBS {
        let claims = store.claim(&request).await.expect("claimed");
        let settlements = claims
            .iter()
            .map(|claim| Settlement {
                lease: claim.lease,
                outcome: JobOutcome::Succeeded,
            })
            .collect();
        let outcomes = store.settle(settlements).await.expect("settled");
        assert!(
            outcomes
                .iter()
                .all(|outcome| matches!(outcome, SettleOutcome::Settled(_)))
        );
        settled += outcomes.len() as u64;
    }
}

fn queue(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let ids = IdSource::seeded(1);
    let mut group = criterion.benchmark_group("queue");
    group.throughput(Throughput::Elements(JOBS)).sample_size(20);
    group.bench_function("memory", |bench| {
        bench.iter_batched(
            || {
                let (store, scope) = runtime.block_on(organization(&ids));
                let jobs = (0..JOBS)
                    .map(|_| {
                        let payload = JobPayload {
                            version: 1,
                            body: json!({}),
                        };
                        let id = ids.next(Timestamp::UNIX_EPOCH);
                        NewJob::new(id, KIND, payload).expect("a job")
                    })
                    .collect();
                (store, scope, jobs, ids.next(Timestamp::UNIX_EPOCH))
            },
            |(store, scope, jobs, session)| runtime.block_on(drain(store, scope, jobs, session)),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, checks, queue);
criterion_main!(benches);
