//! Rotating the key that contexts are signed with: without downtime, and for good at last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinHandle;
use trueno_core::error::{Error, ErrorKind};
use trueno_core::model::EventDraft;
use trueno_core::port::TenantStore;
use trueno_core::vault::{Key, KeyFile};
use trueno_store_postgres::{PostgresConfig, PostgresStore, migrate, retire_keys};
use trueno_testkit::fixtures::{Tenant, World};

use crate::support::{Database, harness_with};
use crate::{refused, works};

/// A key file with these keys, the newest last.
fn file(ids: &[&str]) -> KeyFile {
    let lines: String = ids
        .iter()
        .map(|id| {
            let bytes = id.as_bytes()[0];
            Key::new(id, [bytes; 32]).unwrap().to_line().to_string()
        })
        .collect();
    KeyFile::parse(&lines).unwrap()
}

/// What a process does all the time: reads and writes.
async fn one_round(store: &dyn TenantStore, world: &World, tenant: &Tenant) -> Result<(), Error> {
    let mut unit = store.begin(&tenant.accounts).await?;
    let account = unit.insert_account(world.new_account()).await?;
    let event = EventDraft::new("cloud_account.connected", "cloud_account", account.id);
    unit.commit(event).await?;
    let mut view = store.read(&tenant.read).await?;
    assert_eq!(view.account(account.id).await?, account);
    Ok(())
}

/// A process: it works until it is told to stop, and fails on the first error.
struct Process {
    stop: Arc<AtomicBool>,
    working: JoinHandle<u32>,
}

impl Process {
    async fn start(
        config: PostgresConfig,
        keys: KeyFile,
        world: &Arc<World>,
        tenant: &Tenant,
    ) -> Self {
        let store = PostgresStore::connect(config, &keys).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (told, world, tenant) = (stop.clone(), world.clone(), tenant.clone());
        let working = tokio::spawn(async move {
            let mut rounds = 0;
            while !told.load(Ordering::Acquire) {
                one_round(&store, &world, &tenant)
                    .await
                    .expect("nothing fails during a rotation");
                rounds += 1;
            }
            store.close().await;
            rounds
        });
        Self { stop, working }
    }

    /// Ends it, and answers how much it did.
    async fn stop(self) -> u32 {
        self.stop.store(true, Ordering::Release);
        self.working.await.expect("it never failed")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_rotated_without_stopping() {
    let database = Database::create().await;
    let config = || database.config().with_max_connections(2);
    migrate(&config(), &file(&["old"])).await.unwrap();
    let first = PostgresStore::connect(config(), &file(&["old"]))
        .await
        .unwrap();
    let harness = harness_with(database.borrowed(), config(), &file(&["old"])).await;
    let world = Arc::new(World::new(harness).await);
    let tenant = world.organization().await;
    let mut processes = Vec::new();
    for _ in 0..3 {
        processes.push(Process::start(config(), file(&["old"]), &world, &tenant).await);
    }

    // While they work: the new key is registered, and they are restarted with it one by one.
    let report = migrate(&config(), &file(&["old", "new"])).await.unwrap();
    assert_eq!(
        (report.applied.len(), report.keys),
        (0, vec!["old".into(), "new".into()])
    );
    for process in &mut processes {
        let next = Process::start(config(), file(&["old", "new"]), &world, &tenant).await;
        one_round(&first, &world, &tenant)
            .await
            .expect("old and new work side by side");
        let old = std::mem::replace(process, next);
        assert!(old.stop().await > 0, "it worked");
    }
    // No migration retires a key by itself, with whichever file.
    migrate(&config(), &file(&["new"])).await.unwrap();
    one_round(&first, &world, &tenant).await.unwrap();

    let mut open = first.begin(&tenant.accounts).await.unwrap();
    let retired = retire_keys(&config(), &file(&["new"])).await.unwrap();
    assert_eq!(retired, ["old"]);
    // From now on a context by the old key is refused: one that is open, and any new one.
    let account = world.new_account();
    let error = open.insert_account(account.clone()).await.unwrap_err();
    assert_eq!(error.code(), Some("TR001"), "{error:?}");
    let error = one_round(&first, &world, &tenant).await.unwrap_err();
    for error in [error, refused(config(), &file(&["old"])).await] {
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        assert_eq!(error.code(), Some("TR001"), "{error:?}");
        assert!(error.certainly_not_applied());
        let message = error.to_string();
        assert!(message.contains("does not know the key old"), "{message}");
    }
    for process in processes {
        assert!(
            process.stop().await > 0,
            "it worked, and nothing failed to the end"
        );
    }
    let again = retire_keys(&config(), &file(&["new"])).await.unwrap();
    assert_eq!(again, [""; 0], "there is nothing left to retire");
    let store = PostgresStore::connect(config(), &file(&["new"]))
        .await
        .unwrap();
    one_round(&store, &world, &tenant).await.unwrap();
    let mut view = store.read(&tenant.read).await.unwrap();
    let error = view.account(account.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
}

/// Whoever retires keys with a file that the database does not know would lock everybody out.
#[tokio::test]
async fn keys_are_retired_only_for_ones_that_are_known() {
    let database = Database::migrated(&file(&["old"])).await;
    for unknown in [&["new"][..], &["old", "new"]] {
        let error = retire_keys(&database.config(), &file(unknown))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        assert!(
            error.to_string().contains("does not know the key new yet"),
            "{error}"
        );
    }
    let store = PostgresStore::connect(database.config(), &file(&["old"]))
        .await
        .unwrap();
    works(&store).await;

    let empty = Database::create().await;
    let error = retire_keys(&empty.config(), &file(&["old"]))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
}

/// The id is all that tells keys apart: another key by the same one would lock out who uses the first.
#[tokio::test]
async fn another_key_by_a_known_id_is_refused() {
    let database = Database::migrated(&file(&["old"])).await;
    let other = KeyFile::single(Key::new("old", [1; 32]).unwrap());
    for error in [
        migrate(&database.config(), &other).await.unwrap_err(),
        retire_keys(&database.config(), &other).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        assert!(
            error.to_string().contains("another key by the id old"),
            "{error}"
        );
    }
    let store = PostgresStore::connect(database.config(), &file(&["old"]))
        .await
        .unwrap();
    works(&store).await;
}

/// The processor's contexts are sealed with a key of the server's own, which no rotation touches.
#[tokio::test]
async fn the_servers_own_key_outlives_every_rotation() {
    let database = Database::migrated(&file(&["old"])).await;
    migrate(&database.config(), &file(&["new"])).await.unwrap();
    let retired = retire_keys(&database.config(), &file(&["new"]))
        .await
        .unwrap();
    assert_eq!(retired, ["old"]);
    let harness = harness_with(database.borrowed(), database.config(), &file(&["new"])).await;
    let world = World::new(harness).await;
    let tenant = world.organization().await;
    let run = world.running_scan(&tenant).await;
    let mut view = world.store.read(run.lease.scope()).await.unwrap();
    assert_eq!(view.scan(run.scan).await.unwrap().id, run.scan);
}
