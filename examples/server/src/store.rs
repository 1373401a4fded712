//! Opens the store that the command line names, and prepares a Postgres one.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use trueno_core::clock::SystemClock;
use trueno_core::id::IdSource;
use trueno_core::port::{AuditOutbox, AuditSink, JobQueue, TenantStore};
use trueno_server::keys;
use trueno_server::output::out;
use trueno_store_memory::{MemoryLedger, MemoryStore};
use trueno_store_postgres::{PostgresConfig, PostgresStore};

use crate::cli::{HistoryArgs, KeyArgs, MigrateArgs, StoreArgs, StoreUrl};

/// One store behind its ports.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) tenants: Arc<dyn TenantStore>,
    pub(crate) queue: Arc<dyn JobQueue>,
    /// Where staged audit events go. Postgres keeps them staged until its own ledger takes them.
    pub(crate) ledger: Option<(Arc<dyn AuditOutbox>, Arc<dyn AuditSink>)>,
}

pub(crate) async fn open(args: &StoreArgs, key_args: &KeyArgs) -> Result<Stores> {
    match &args.store {
        StoreUrl::Memory => {
            if args.logins.is_given() {
                bail!("--processor-store and --sequencer-store are for --store postgres://…");
            }
            let store = Arc::new(MemoryStore::new(Arc::new(SystemClock), IdSource::random()));
            let ledger = Arc::new(MemoryLedger::new());
            Ok(Stores {
                tenants: store.clone(),
                queue: store.clone(),
                ledger: Some((store, ledger)),
            })
        }
        StoreUrl::Postgres(url) => {
            let keys = keys::load(&keys::path(key_args.key_file.as_deref())?)?;
            let config = args.logins.config(url.clone());
            let store = Arc::new(PostgresStore::connect(config, &keys).await?);
            Ok(Stores {
                tenants: store.clone(),
                queue: store,
                ledger: None,
            })
        }
    }
}

pub(crate) async fn migrate(args: &MigrateArgs) -> Result<ExitCode> {
    let StoreUrl::Postgres(url) = &args.store else {
        bail!("only a Postgres store is prepared; give --store postgres://…");
    };
    let (config, path) = (
        PostgresConfig::new(url.clone()),
        keys::path(args.keys.key_file.as_deref())?,
    );
    if args.retire_keys {
        let retired = trueno_store_postgres::retire_keys(&config, &keys::load(&path)?).await?;
        for id in &retired {
            out(&format!("retired the key {id}\n"))?;
        }
        if retired.is_empty() {
            out("no key to retire\n")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let report = trueno_store_postgres::migrate(&config, &keys::load_or_create(&path)?).await?;
    for name in &report.applied {
        out(&format!("applied {name}\n"))?;
    }
    out(&format!("the store is at version {}\n", report.version))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn history(args: &HistoryArgs) -> Result<ExitCode> {
    let StoreUrl::Postgres(url) = &args.store else {
        bail!("only a Postgres store has partitions; give --store postgres://…");
    };
    let keep_for = Duration::from_secs(u64::from(args.keep_days) * 24 * 3_600);
    let report =
        trueno_store_postgres::partition_history(&PostgresConfig::new(url.clone()), keep_for)
            .await?;
    for (what, partitions) in [
        ("added", &report.added),
        ("dropped", &report.dropped),
        ("kept, for what is in it,", &report.kept),
        ("in the default partition:", &report.in_default),
        ("somebody is at it; run this again soon:", &report.busy),
    ] {
        for name in partitions {
            out(&format!("{what} {name}\n"))?;
        }
    }
    let done = report.busy.is_empty();
    Ok(if done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
