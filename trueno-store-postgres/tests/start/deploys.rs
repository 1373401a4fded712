//! Programs of different versions on one schema: rolling deploys.

use trueno_core::error::ErrorKind;
use trueno_store_postgres::{PostgresStore, migrate};

use crate::support::{Database, keys};
use crate::{refused, works};

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
