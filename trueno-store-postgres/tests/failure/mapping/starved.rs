//! Servers that run out of something, stop, or stand by: each a server of the test's own.

use std::os::unix::fs::symlink;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, Row as _};
use trueno_core::error::ErrorKind;
use trueno_core::port::tenant_store::ResourceFilter;
use trueno_core::port::{JobQueue as _, PageRequest, TenantStore as _};
use trueno_store_postgres::{Login, PostgresConfig, PostgresStore};
use trueno_testkit::fixtures::{finding, resource};

use super::{Expected, Place, connected, error_of};
use crate::server::Server;
use crate::support::{ROLES, keys};

/// How long the stores here wait for a connection.
const ACQUIRE: Duration = Duration::from_millis(500);

async fn place(server: &Server) -> Place {
    let harness = server.harness(|config| config.with_acquire_timeout(ACQUIRE));
    Place::of(harness.await).await
}

#[tokio::test]
async fn a_full_disk_is_told_apart_and_undoes_the_whole_batch() {
    let server = Server::start(&[]).await;
    let place = place(&server).await;
    let scan = place.world.running_scan(&place.tenant).await;
    let mut admin = place.database.admin().await;
    let row = admin
        .fetch_one("select pg_relation_filepath('trueno.finding')")
        .await
        .unwrap();
    // The table lies on a device that has no room: the server gets ENOSPC where it extends it.
    let table = server.data().join(row.get::<String, _>(0));
    let aside = table.with_extension("aside");
    std::fs::rename(&table, &aside).unwrap();
    symlink("/dev/full", &table).unwrap();

    let mut ingest = place.store.ingest(&scan.lease).await.unwrap();
    let volume = resource("ec2.volume", "eu-west-1", "vol-1");
    ingest.put_resources(vec![volume.clone()]).await.unwrap();
    let error = error_of(ingest.put_findings(vec![finding("vol-1")]).await);
    Expected::new(ErrorKind::StorageFull, "53100").holds(&error);
    assert!(error.to_string().contains("disk"), "{error}");
    assert!(error_of(ingest.commit().await).certainly_not_applied());
    let filter = ResourceFilter::default();
    let mut view = place.world.view(&place.tenant).await;
    let page = view
        .resources(&filter, &PageRequest::largest())
        .await
        .unwrap();
    assert_eq!(page.items, [], "the batch was undone as a whole");
    drop(view);

    std::fs::remove_file(&table).unwrap();
    std::fs::rename(&aside, &table).unwrap();
    // Connections have the device open still; they open a table that was altered anew.
    admin
        .execute("alter table trueno.finding set (fillfactor = 100)")
        .await
        .unwrap();
    let mut ingest = place.store.ingest(&scan.lease).await.unwrap();
    ingest.put_resources(vec![volume]).await.unwrap();
    ingest.put_findings(vec![finding("vol-1")]).await.unwrap();
    ingest.commit().await.unwrap();
    place.works().await;
}

/// Opens connections as this login until the server has none left, and answers them.
async fn use_up(server: &Server, login: &str) -> Vec<PgConnection> {
    let mut taken = Vec::new();
    loop {
        match server.options().username(login).connect().await {
            Ok(connection) => taken.push(connection),
            Err(error) => {
                let code = error.as_database_error().and_then(|error| error.code());
                assert_eq!(code.as_deref(), Some("53300"), "{error}");
                return taken;
            }
        }
    }
}

#[tokio::test]
async fn a_server_without_a_connection_left_is_exhausted_and_not_away() {
    let expected = Expected::new(ErrorKind::Exhausted, "53300");
    let server = Server::start(&["max_connections=20"]).await;
    let place = place(&server).await;
    place.works().await;
    place.terminate("true").await;
    let taken = use_up(&server, "postgres").await;
    let error = error_of(place.store.begin(&place.tenant.accounts).await);
    expected.holds(&error);
    assert!(error.to_string().contains("connection left"), "{error}");
    drop(taken);
    // Leaving takes a moment, too.
    while server.options().connect().await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    place.works().await;

    // The same where it is the login that may have no more.
    let roles = format!("{ROLES}_app, {ROLES}_processor, {ROLES}_sequencer");
    let create = format!("create role limited login connection limit 1 in role {roles}");
    place.database.execute(&create).await;
    let options = place.database.options().username("limited");
    let url = options.to_url_lossy().to_string();
    let config = PostgresConfig::new(url.into())
        .with_role_prefix(ROLES)
        .with_login(Login::Direct)
        .with_max_connections(1)
        .with_acquire_timeout(ACQUIRE);
    let store = PostgresStore::connect(config, &keys()).await.unwrap();
    // The app has the one connection, and the processor gets none.
    store.read(&place.tenant.read).await.unwrap();
    expected.holds(&error_of(store.stats().await));
    let raise = "alter role limited connection limit 2";
    place.database.execute(raise).await;
    store.stats().await.unwrap();
}

#[tokio::test]
async fn a_server_without_memory_for_locks_is_exhausted() {
    let settings = ["max_connections=20", "max_locks_per_transaction=10"];
    let server = Server::start(&settings).await;
    let place = place(&server).await;
    place.works().await;
    let accounts = place.accounts().await;
    let mut admin = place.database.admin().await;
    let use_up = admin
        .execute("select pg_advisory_lock(lock) from generate_series(1, 1000000) lock")
        .await;
    let error = use_up.expect_err("there is not room for that many");
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "53200");
    let error = error_of(place.add_account().await);
    Expected::new(ErrorKind::Exhausted, "53200").holds(&error);
    assert!(error.to_string().contains("memory"), "{error}");
    admin
        .execute("select pg_advisory_unlock_all()")
        .await
        .unwrap();
    assert_eq!(place.accounts().await, accounts);
    place.works().await;
}

#[tokio::test]
async fn a_server_that_stops_is_unavailable_until_it_is_back() {
    let mut server = Server::start(&[]).await;
    let place = place(&server).await;
    let mut units = Vec::new();
    for _ in 0..2 {
        let mut unit = place.world.begin_accounts(&place.tenant).await;
        let account = unit.insert_account(place.new_account()).await.unwrap();
        units.push((unit, account.id));
    }
    // It takes nobody new any more, and lets those who are there finish.
    server.ask_to_stop("TERM");
    let mut held = Vec::new();
    let error = loop {
        match place.store.begin(&place.tenant.accounts).await {
            Ok(unit) => held.push(unit),
            Err(error) => break error,
        }
    };
    Expected::new(ErrorKind::Unavailable, "57P03").holds(&error);
    drop(held);
    let (unit, account) = units.remove(0);
    unit.commit(connected(account)).await.unwrap();
    // It ends those who are there.
    server.ask_to_stop("INT");
    server.stopped();
    let (mut unit, _) = units.remove(0);
    // Through a socket of the file system its last words are lost.
    let gone = Expected {
        code: None,
        ..Expected::new(ErrorKind::Unavailable, "57P01")
    };
    let error = error_of(unit.insert_account(place.new_account()).await);
    gone.holds(&error);
    assert!(error.to_string().contains("broke"), "{error}");
    let error = error_of(place.store.begin(&place.tenant.accounts).await);
    gone.holds(&error);
    assert!(error.to_string().contains("cannot be reached"), "{error}");

    server.launch();
    server.accepts().await;
    assert_eq!(place.accounts().await, 1, "only what was acknowledged");
    place.works().await;
}

#[tokio::test]
async fn a_server_that_is_gone_is_unavailable_to_everybody_who_waits() {
    let mut server = Server::start(&[]).await;
    let place = place(&server).await;
    place.works().await;
    server.kill();
    // More than there are connections: some wait to connect, the others for their turn.
    let waiting = (0..12).map(|_| place.store.begin(&place.tenant.accounts));
    let gone = Expected {
        code: None,
        ..Expected::new(ErrorKind::Unavailable, "")
    };
    for answer in futures::future::join_all(waiting).await {
        let error = error_of(answer);
        gone.holds(&error);
        assert!(error.to_string().contains("cannot be reached"), "{error}");
    }
    server.launch();
    server.accepts().await;
    place.works().await;
}

#[tokio::test]
async fn a_standby_is_read_and_not_written_and_works_once_it_is_promoted() {
    let mut server = Server::start(&[]).await;
    let place = place(&server).await;
    let scan = place.world.running_scan(&place.tenant).await;
    let accounts = place.accounts().await;
    server.ask_to_stop("INT");
    server.stopped();
    std::fs::write(server.data().join("standby.signal"), "").unwrap();
    server.launch();
    server.accepts().await;

    let expected = Expected::new(ErrorKind::Unavailable, "25006");
    let error = error_of(place.add_account().await);
    expected.holds(&error);
    assert!(error.to_string().contains("read-only"), "{error}");
    expected.holds(&error_of(place.store.ingest(&scan.lease).await));
    expected.holds(&error_of(
        place.store.claim(&place.world.claim_request(1)).await,
    ));
    let memberships = place.store.memberships(place.tenant.owner).await.unwrap();
    assert_eq!(memberships.len(), 1);
    let mut view = place.world.view(&place.tenant).await;
    assert_eq!(view.account(scan.account.id).await.unwrap(), scan.account);
    drop(view);

    let mut admin = place.database.admin().await;
    let promoted = admin.fetch_one("select pg_promote()").await.unwrap();
    assert!(promoted.get::<bool, _>(0));
    assert_eq!(place.accounts().await, accounts);
    place.works().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_waits_for_a_standby_may_have_been_applied_and_says_so() {
    let server = Server::start(&[]).await;
    let place = place(&server).await;
    let mut admin = server.options().connect().await.unwrap();
    let mut ask_for = async |standby: &str| {
        for statement in [
            &format!("alter system set synchronous_standby_names = '{standby}'"),
            "select pg_reload_conf()",
        ] {
            admin
                .execute(AssertSqlSafe(statement.to_owned()))
                .await
                .unwrap();
        }
        // Every process takes it up by itself.
        let shown = "select (current_setting('synchronous_standby_names') <> '')::int::bigint";
        while place.database.number(shown).await != i64::from(!standby.is_empty()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    ask_for("nobody").await;
    let waits = "wait_event = 'SyncRep'";
    let ending = async {
        place.until(waits).await;
        place.terminate(waits).await
    };
    let (answer, ended) = tokio::join!(place.add_account(), ending);
    assert_eq!(ended, 1);
    let error = error_of(answer);
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.is_retryable());
    assert!(!error.certainly_not_applied(), "{error:?}");
    ask_for("").await;
    assert_eq!(place.accounts().await, 1, "it was applied");
    place.works().await;
}
