//! What the storm goes over: a server of its own, organizations with caps, and their jobs.

use std::path::PathBuf;

use sqlx::postgres::PgConnectOptions;
use tokio::task::JoinHandle;
use trueno_core::id::IdSource;
use trueno_core::model::OrganizationLimits;
use trueno_store_postgres::{PostgresConfig, PostgresStore};
use trueno_testkit::fixtures::World;

use crate::enqueue::{Customer, Enqueuer, Pace, SCAN_EVERY, Taken};
use crate::plan::{Counts, random};
use crate::proxy::Proxy;
use crate::server::Server;
use crate::support::{ROLES, keys};
use crate::watch;

/// The SQLSTATE of a lease or session that is over.
const STALE: &str = "TR002";

/// Weight, cap, share of the jobs in a hundred, and whether some of them have a concurrency key.
const CUSTOMERS: [(u32, Option<u32>, u32, bool); 6] = [
    (1, Some(3), 3, false),
    (2, Some(8), 13, true),
    (1, None, 21, true),
    (4, None, 21, true),
    (1, None, 21, false),
    (3, None, 21, false),
];

#[derive(Debug)]
pub(crate) struct Stage {
    // Dropped in this order: what is in the server before the server.
    pub(crate) world: World,
    pub(crate) proxy: Proxy,
    pub(crate) customers: Vec<Customer>,
    /// Where workers reach the server.
    pub(crate) url: String,
    /// Where its administrator does.
    pub(crate) direct: PgConnectOptions,
    pub(crate) server: Server,
}

impl Stage {
    pub(crate) async fn set(seed: u64) -> Self {
        // Each line of the server's log begins with the SQLSTATE.
        let settings = [
            "max_connections=300",
            "shared_buffers=64MB",
            "log_line_prefix=%e ",
        ];
        let server = Server::start(&settings).await;
        let harness = server.harness(|config| config).await;
        let direct = harness.database.options();
        watch::install(&mut harness.database.admin().await).await;
        let world = World::new(harness).await;
        let mut customers = Vec::new();
        for (weight, max_running, share, has_keys) in CUSTOMERS {
            let tenant = world.organization().await;
            let mut limits = OrganizationLimits::default().with_weight(weight).unwrap();
            if let Some(jobs) = max_running {
                limits = limits.with_max_running(jobs).unwrap();
            }
            world.queue.set_limits(tenant.id, &limits).await.unwrap();
            customers.push(Customer {
                tenant,
                max_running,
                share,
                has_keys,
            });
        }
        let proxy = Proxy::start(folder(&server), seed).await;
        let name = direct.get_database().unwrap();
        let url = format!(
            "postgres://postgres@{}/{name}?sslmode=disable",
            proxy.address
        );
        Self {
            world,
            proxy,
            customers,
            url,
            direct,
            server,
        }
    }

    /// What the workers say.
    pub(crate) fn workers_log(&self) -> PathBuf {
        folder(&self.server).join("workers.log")
    }

    /// How often the server refused what a lease or session asked for that was over.
    pub(crate) fn stale(&self) -> usize {
        let refusals = self.refusals();
        refusals
            .iter()
            .filter(|line| line.starts_with(STALE))
            .count()
    }

    /// What else went wrong in the server, in its own words, whether or not anybody was there to hear
    /// them: a deadlock, a broken constraint, a transaction that was left open.
    pub(crate) fn unexpected(&self) -> Vec<String> {
        let mut refusals = self.refusals();
        refusals.retain(|line| {
            // Clients that are gone or come while it is not there, and ids of requests sent again.
            let is_expected = [STALE, "57P", "08", "TR003"];
            !is_expected.iter().any(|state| line.starts_with(state))
                && !line.contains("\"scan_pkey\"")
        });
        refusals
    }

    /// Lines of the server's log, as `SQLSTATE ERROR:  …`.
    fn refusals(&self) -> Vec<String> {
        let log = std::fs::read(folder(&self.server).join("log")).unwrap();
        let log = String::from_utf8_lossy(&log);
        let refused = log.lines().filter(|line| {
            let said = line.split_once(' ').map_or("", |(_, said)| said);
            ["ERROR:", "FATAL:", "PANIC:"]
                .iter()
                .any(|level| said.starts_with(level))
        });
        refused.map(str::to_owned).collect()
    }

    /// Begins to enqueue, through the proxy.
    pub(crate) async fn enqueue(
        &self,
        counts: &Counts,
        seed: u64,
        pace: Pace,
    ) -> JoinHandle<Taken> {
        let mut accounts = Vec::new();
        for nth in 0..(counts.jobs / SCAN_EVERY) as usize {
            let nth = nth % self.customers.len();
            let account = self.world.account(&self.customers[nth].tenant).await;
            accounts.push((nth, account.id));
        }
        let config = PostgresConfig::new(self.url.clone().into())
            .with_role_prefix(ROLES)
            .with_max_connections(3);
        let store = loop {
            match PostgresStore::connect(config.clone(), &keys()).await {
                Ok(store) => break store,
                Err(error) => assert!(error.is_retryable(), "{error:?}"),
            }
        };
        let enqueuer = Enqueuer {
            store,
            customers: self.customers.clone(),
            accounts,
            random: random(seed, 2),
            ids: IdSource::random(),
        };
        tokio::spawn(enqueuer.run(counts.jobs, pace))
    }
}

/// The server's own.
fn folder(server: &Server) -> PathBuf {
    server.data().parent().unwrap().to_owned()
}
