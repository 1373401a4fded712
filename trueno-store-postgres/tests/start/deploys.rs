//! Programs of different versions on one schema: rolling deploys, and schemas that somebody changed.

use trueno_core::error::ErrorKind;
use trueno_core::port::JobQueue as _;
use trueno_store_postgres::{PostgresStore, migrate};

use crate::support::{Database, ROLES, keys};
use crate::{refused, works};

/// Every function and trigger with its owner, privileges and settings.
const FUNCTIONS: &str = "
    select string_agg(said, e'\\n' order by said) from (
        select concat_ws(' ', pg_get_functiondef(oid), proowner::regrole, proacl) as said
            from pg_proc where pronamespace = 'trueno'::regnamespace
        union all select concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled)
            from pg_trigger t join pg_class c on c.oid = t.tgrelid
            where c.relnamespace = 'trueno'::regnamespace and not t.tgisinternal
    ) made";

/// What the schema says that its functions were made from.
const MADE_FROM: &str = "select functions from trueno.schema_info";

/// A function with another body: it answers wrongly, and nothing else notices.
const OTHER_BODY: &str = "
    create or replace function trueno.queue_stats()
        returns table (waiting bigint, running bigint)
        language sql volatile security definer
        set search_path = pg_catalog, trueno, pg_temp as $$ select 7::bigint, 7::bigint $$";

#[tokio::test]
async fn functions_that_were_changed_are_made_anew() {
    let database = Database::migrated(&keys()).await;
    let store = PostgresStore::connect(database.config(), &keys())
        .await
        .unwrap();
    let (made, made_from) = (
        database.text(FUNCTIONS).await,
        database.text(MADE_FROM).await,
    );
    let app = format!("{ROLES}_app");
    for change in [
        OTHER_BODY,
        "alter function trueno.enter_lease(uuid, uuid, uuid, uuid) reset search_path",
        "grant execute on function trueno.context_seal(text, uuid, bytea) to public",
        &format!("grant execute on function trueno.staged(int) to {app}"),
        &format!("revoke execute on function trueno.memberships(uuid) from {app}"),
        "drop function trueno.heartbeat(uuid, interval)",
        "drop trigger audit_outbox_of_inserts on trueno.audit_staged",
        "alter table trueno.member disable trigger member_lookup_of_inserts",
        // By another program of the same version: from other files, with the same result or not.
        "update trueno.schema_info set functions = 'other'",
        &format!("update trueno.schema_info set functions = 'other'; {OTHER_BODY}"),
    ] {
        database.execute(change).await;
        let report = migrate(&database.config(), &keys()).await.unwrap();
        assert_eq!(report.applied, ["functions"], "{change}");
        assert_eq!(database.text(FUNCTIONS).await, made, "{change}");
        assert_eq!(database.text(MADE_FROM).await, made_from, "{change}");
        let report = migrate(&database.config(), &keys()).await.unwrap();
        assert_eq!(report.applied, [""; 0], "{change}");
    }
    // As it was connected before, and went on meanwhile.
    works(&store).await;
}

#[tokio::test]
async fn functions_of_a_newer_program_are_left_as_they_are() {
    let database = Database::migrated(&keys()).await;
    database
        .execute(&format!(
            "{OTHER_BODY};
             insert into trueno.schema_migration values (99, '0099_later', 'x');
             update trueno.schema_info set functions = 'newer'"
        ))
        .await;
    let newer = database.text(FUNCTIONS).await;
    let report = migrate(&database.config(), &keys()).await.unwrap();
    assert_eq!(report.applied, [""; 0]);
    assert_eq!(database.text(FUNCTIONS).await, newer);
    assert_eq!(database.text(MADE_FROM).await, "newer");
    let store = PostgresStore::connect(database.config(), &keys())
        .await
        .unwrap();
    assert_eq!(
        store.stats().await.unwrap().waiting,
        7,
        "it is the newer one"
    );
}

#[tokio::test]
async fn a_newer_schema_serves_this_program_for_as_long_as_it_says() {
    let database = Database::migrated(&keys()).await;
    database
        .execute("insert into trueno.schema_migration values (99, '0099_later', 'x')")
        .await;
    works(
        &PostgresStore::connect(database.config(), &keys())
            .await
            .unwrap(),
    )
    .await;
    let report = migrate(&database.config(), &keys()).await.unwrap();
    assert_eq!((report.version, report.applied.len()), (99, 0));
    database
        .execute("update trueno.schema_info set oldest_binary = 99")
        .await;
    let error = refused(database.config(), &keys()).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert!(error.to_string().contains("upgrade"), "{error}");
    let error = migrate(&database.config(), &keys()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    database
        .execute(
            "delete from trueno.schema_migration where version = 99;
             delete from trueno.schema_migration
                where version = (select max(version) from trueno.schema_migration)",
        )
        .await;
    let error = refused(database.config(), &keys()).await;
    assert!(
        error.to_string().contains("run `trueno migrate`"),
        "{error}"
    );
}

#[tokio::test]
async fn a_migration_that_was_changed_is_refused() {
    let database = Database::migrated(&keys()).await;
    assert!(
        migrate(&database.config(), &keys())
            .await
            .unwrap()
            .applied
            .is_empty()
    );
    database
        .execute("update trueno.schema_migration set checksum = 'x' where version = 3")
        .await;
    let error = migrate(&database.config(), &keys()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
    assert!(error.to_string().contains("0003_policies"), "{error}");
}
