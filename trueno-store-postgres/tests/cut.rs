//! Connections that are cut: what is said of a write is true (P2).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code fails by panicking"
)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::ConnectOptions as _;
use support::{Database, Harness, harness, keys, server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use trueno_core::error::ErrorKind;
use trueno_core::model::{EventDraft, JobStatus, ScanStatus};
use trueno_core::port::{
    FinishOutcome, Finished, JobOutcome, JobQueue as _, PageRequest, SettleOutcome, Settlement,
    TenantStore as _,
};
use trueno_store_postgres::PostgresStore;
use trueno_testkit::fixtures::{Tenant, World, finding, resource};

/// A proxy on loopback. Once armed, it cuts the connection on which a commit is sent: before the
/// server has it, or before its answer is back. Or it falls silent for as long as it is armed.
struct Proxy {
    address: SocketAddr,
    armed: Arc<AtomicBool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    Before,
    After,
    Silence,
}

impl Proxy {
    async fn start(cut: Cut) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let armed = Arc::new(AtomicBool::new(false));
        let arm = armed.clone();
        let target = (server().get_host().to_owned(), server().get_port());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&target).await.unwrap();
                tokio::spawn(forward(client, server, arm.clone(), cut));
            }
        });
        Self { address, armed }
    }
}

async fn forward(client: TcpStream, server: TcpStream, armed: Arc<AtomicBool>, cut: Cut) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let muted = Arc::new(AtomicBool::new(false));
    let (mute, answered) = (muted.clone(), Arc::new(Notify::new()));
    let answer = answered.clone();
    let answers = tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
            if mute.load(Ordering::Acquire) {
                answer.notify_one();
            } else if to_client.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
        let bytes = &buffer[..read];
        if cut == Cut::Silence && armed.load(Ordering::Acquire) {
            continue;
        }
        let commits = bytes.windows(7).any(|window| window == b"COMMIT\0");
        if commits && cut != Cut::Silence && armed.swap(false, Ordering::AcqRel) {
            if cut == Cut::After {
                muted.store(true, Ordering::Release);
                to_server.write_all(bytes).await.unwrap();
                answered.notified().await;
            }
            break;
        }
        if to_server.write_all(bytes).await.is_err() {
            break;
        }
    }
    answers.abort();
}

/// How long a store waits for a connection here.
const ACQUIRE: Duration = Duration::from_secs(2);

/// A store that reaches the harness's database through the proxy.
async fn through(proxy: &Proxy, database: &Database) -> PostgresStore {
    let options = database
        .options()
        .host("127.0.0.1")
        .port(proxy.address.port());
    let url = options.to_url_lossy().to_string().into();
    let config = trueno_store_postgres::PostgresConfig::new(url)
        .with_role_prefix(support::ROLES)
        .with_acquire_timeout(ACQUIRE)
        .with_wake_ups(trueno_store_postgres::WakeUpMode::Poll);
    PostgresStore::connect(config, &keys()).await.unwrap()
}

async fn world() -> (World, Tenant, Database) {
    let harness: Harness = harness().await;
    let database = harness.database.borrowed();
    let world = World::new(harness).await;
    let tenant = world.organization().await;
    (world, tenant, database)
}

async fn cut_at_commit(cut: Cut) -> bool {
    let (world, tenant, database) = world().await;
    let proxy = Proxy::start(cut).await;
    let store = through(&proxy, &database).await;
    let mut unit = store.begin(&tenant.accounts).await.unwrap();
    let account = unit.insert_account(world.new_account()).await.unwrap();
    proxy.armed.store(true, Ordering::Release);
    let event = EventDraft::new("cloud_account.connected", "cloud_account", account.id);
    let error = unit
        .commit(event)
        .await
        .expect_err("the answer was cut off");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.is_retryable());
    assert!(
        !error.certainly_not_applied(),
        "nobody here can know: {error:?}"
    );
    // The pool goes on by itself.
    let applied = store
        .read(&tenant.read)
        .await
        .unwrap()
        .account(account.id)
        .await
        .is_ok();
    let staged = world
        .actions_of(&tenant)
        .await
        .contains(&"cloud_account.connected".to_owned());
    assert_eq!(staged, applied, "P2: the change and its event, or neither");
    applied
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_was_applied_and_says_that_it_may_have_been() {
    assert!(cut_at_commit(Cut::After).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_lost_itself_was_not_applied_and_cannot_say_so() {
    assert!(!cut_at_commit(Cut::Before).await);
}

/// Cuts the commit of a batch; answers whether it is there. Either way the lease holds, and the batch
/// can be sent again.
async fn cut_at_ingest(cut: Cut) -> bool {
    let (world, tenant, database) = world().await;
    let scan = world.running_scan(&tenant).await;
    let proxy = Proxy::start(cut).await;
    let store = through(&proxy, &database).await;
    let ingest = async || {
        let mut ingest = store.ingest(&scan.lease).await.unwrap();
        let volume = resource("ec2.volume", "eu-west-1", "vol-1");
        ingest.put_resources(vec![volume]).await.unwrap();
        ingest.put_findings(vec![finding("vol-1")]).await.unwrap();
        ingest
    };
    let seen = async || {
        let page = PageRequest::largest();
        let mut view = store.read(&tenant.read).await.unwrap();
        let resources = view.resources(&Default::default(), &page).await.unwrap();
        let findings = view.findings(&Default::default(), &page).await.unwrap();
        (resources.items.len(), findings.items.len())
    };
    let batch = ingest().await;
    proxy.armed.store(true, Ordering::Release);
    let error = batch.commit().await.expect_err("the answer was cut off");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(!error.certainly_not_applied(), "{error:?}");
    let applied = match seen().await {
        (0, 0) => false,
        (1, 1) => true,
        half => panic!("P2: half of the batch is there: {half:?}"),
    };
    ingest().await.commit().await.unwrap();
    assert_eq!(seen().await, (1, 1));
    applied
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_answer_is_lost_is_there_as_a_whole() {
    assert!(cut_at_ingest(Cut::After).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_commit_is_lost_is_not_there_at_all() {
    assert!(!cut_at_ingest(Cut::Before).await);
}

/// Cuts the end of a job; told again, it tells whether the first time was applied.
async fn cut_at_finish(cut: Cut) -> bool {
    let (world, tenant, database) = world().await;
    let scan = world.running_scan(&tenant).await;
    let proxy = Proxy::start(cut).await;
    let store = through(&proxy, &database).await;
    let finish = || {
        let event = EventDraft::new("scan.finished", "scan", scan.scan);
        let cancelled = FinishOutcome::new(JobOutcome::Cancelled);
        store.finish(&scan.lease, cancelled, event)
    };
    proxy.armed.store(true, Ordering::Release);
    let error = finish().await.expect_err("the answer was cut off");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(!error.certainly_not_applied(), "{error:?}");
    let applied = finish().await.unwrap() == Finished::AlreadySettled;
    let events = world.actions_of(&tenant).await;
    let ends = events.iter().filter(|action| *action == "scan.finished");
    assert_eq!(ends.count(), 1, "P2: it ended once, with its event");
    let ended = world.read_scan(&tenant, scan.scan).await;
    assert_eq!(ended.status, ScanStatus::Cancelled);
    applied
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_whose_answer_is_lost_is_known_when_it_is_told_again() {
    assert!(cut_at_finish(Cut::After).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_is_lost_itself_is_applied_when_it_is_told_again() {
    assert!(!cut_at_finish(Cut::Before).await);
}

/// Cuts the settlement of an attempt that failed. What is not known is not called stale: a worker would
/// take its job for another's.
async fn cut_at_settle(cut: Cut) -> SettleOutcome {
    let (world, tenant, database) = world().await;
    world.enqueue(&tenant, world.job()).await;
    let lease = world.claim_one().await.reference();
    let proxy = Proxy::start(cut).await;
    let store = through(&proxy, &database).await;
    let settle = || {
        let outcome = JobOutcome::Failed {
            error: "it broke".to_owned(),
            retryable: false,
            retry_after: Duration::ZERO,
        };
        store.settle(vec![Settlement { lease, outcome }])
    };
    proxy.armed.store(true, Ordering::Release);
    let error = settle().await.expect_err("the answer was cut off");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(!error.certainly_not_applied(), "{error:?}");
    let told_again = settle().await.unwrap();
    let job = world.read_job(&tenant, lease.job).await;
    assert_eq!((job.status, job.failed_attempts), (JobStatus::Dead, 1));
    told_again[0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settlement_whose_answer_is_lost_is_known_when_it_is_told_again() {
    let told_again = cut_at_settle(Cut::After).await;
    assert_eq!(told_again, SettleOutcome::AlreadySettled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settlement_that_is_lost_itself_is_applied_when_it_is_told_again() {
    let told_again = cut_at_settle(Cut::Before).await;
    assert_eq!(told_again, SettleOutcome::Settled(JobStatus::Dead));
}

#[tokio::test]
async fn a_unit_of_work_that_is_cut_before_its_commit_was_certainly_not_applied() {
    let (world, tenant, database) = world().await;
    let mut unit = world.begin_accounts(&tenant).await;
    let account = unit.insert_account(world.new_account()).await.unwrap();
    let terminated = database
        .number(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity
             where datname = current_database() and state = 'idle in transaction'",
        )
        .await;
    assert_eq!(terminated, 1);
    let event = EventDraft::new("cloud_account.connected", "cloud_account", account.id);
    let error = unit
        .commit(event)
        .await
        .expect_err("its connection is gone");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.certainly_not_applied(), "{error:?}");
    let mut view = world.view(&tenant).await;
    assert_eq!(
        view.account(account.id).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_lost_while_they_lie_idle_cost_nobody_an_error() {
    const AT_ONCE: usize = 4;
    let (world, tenant, database) = world().await;
    // As many connections as views that are open at the same time.
    let open = || futures::future::join_all((0..AT_ONCE).map(|_| world.view(&tenant)));
    for view in open().await.iter_mut() {
        view.organization().await.unwrap();
    }
    let idle = async || {
        let count = "select count(*) from pg_stat_activity
             where datname = current_database() and application_name = 'trueno' and state = 'idle'";
        database.number(count).await
    };
    for _ in 0..500 {
        if idle().await >= i64::try_from(AT_ONCE).unwrap() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let terminated = database
        .number(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity
             where datname = current_database() and application_name = 'trueno'",
        )
        .await;
    assert!(
        terminated >= i64::try_from(AT_ONCE).unwrap(),
        "{terminated}"
    );
    for view in open().await.iter_mut() {
        view.organization().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_silently_gone_is_given_up_and_another_one_is_made() {
    const HANG: Duration = Duration::from_secs(60);
    let (_world, tenant, database) = world().await;
    let proxy = Proxy::start(Cut::Silence).await;
    let store = through(&proxy, &database).await;
    let works = async || {
        let mut view = store.read(&tenant.read).await?;
        view.organization().await
    };
    works().await.unwrap();
    proxy.armed.store(true, Ordering::Release);
    let error = tokio::time::timeout(HANG, works())
        .await
        .expect("it is not waited for until TCP gives up")
        .expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.certainly_not_applied(), "{error:?}");
    proxy.armed.store(false, Ordering::Release);
    let works_again = tokio::time::timeout(HANG, works()).await;
    works_again.expect("by another connection").unwrap();
}
