//! Whatever one organization does, what another one is answered stays the same to the byte (P1).
//!
//! There are two databases for each lane: in one A is there, in the other it is not. Otherwise both
//! get the same organizations, one seed after the other. Lanes run side by side, and so do the two
//! runs of a seed. All of it straight on the server, and again through PgBouncer in transaction mode.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "test code fails by panicking and prints its figures"
)]

#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use support::way::Way;
use trueno_core::id::IdSource;
use trueno_core::port::{JobQueue, TenantStore};
use trueno_store_postgres::WakeUpMode;
use trueno_testkit::harness::StoreHarness;
use trueno_testkit::noninterference::{Difference, Figures, Neighbour, Transcript, run};
use trueno_testkit::proof;

/// Pairs of databases that share the seeds. Time passes for a whole database, so that each has one
/// run at a time.
const LANES: u32 = 2;

/// Seeds in which a canary has to be heard at least once.
const CANARY_SEEDS: u64 = 12;

/// Up to here time passes by itself.
const SHORT: Duration = Duration::from_millis(10);

/// A database for one run after the other.
struct Stage(support::Harness);

impl Stage {
    async fn new(way: Way) -> Self {
        let database = support::Database::migrated(&support::keys()).await;
        // Nobody waits for work here, and a run takes as long as a busy machine likes.
        let config = way
            .config(&database)
            .await
            .with_wake_ups(WakeUpMode::Poll)
            .with_statement_timeout(Duration::from_secs(60))
            .with_acquire_timeout(Duration::from_secs(60));
        Self(support::harness_of(database, config).await)
    }
}

#[async_trait]
impl StoreHarness for Stage {
    fn store(&self) -> Arc<dyn TenantStore> {
        self.0.store()
    }

    fn queue(&self) -> Arc<dyn JobQueue> {
        self.0.queue()
    }

    fn ids(&self) -> IdSource {
        self.0.ids()
    }

    async fn now(&self) -> Timestamp {
        self.0.now().await
    }

    async fn advance(&self, by: Duration) {
        if by <= SHORT {
            tokio::time::sleep(by).await;
        } else {
            self.0.advance(by).await;
        }
    }
}

/// The transcripts of a seed with and without A.
async fn both(stages: &[Stage; 2], seed: u64) -> (Transcript, Transcript) {
    let [with, without] = stages;
    tokio::join!(
        run(with, seed, Neighbour::Busy),
        run(without, seed, Neighbour::Absent)
    )
}

async fn stages(way: Way) -> [Stage; 2] {
    let (with, without) = tokio::join!(Stage::new(way), Stage::new(way));
    [with, without]
}

/// The clock is the database's own: moments are renamed.
async fn compare(way: Way, first: u64, nth: impl Iterator<Item = u32>) -> Figures {
    let stages = stages(way).await;
    let mut figures = Figures::default();
    for nth in nth {
        let seed = first.wrapping_add(nth.into());
        let (with, without) = both(&stages, seed).await;
        if let Some(difference) = Difference::between(with.timeless(), without.timeless()) {
            panic!("TRUENO_TEST_SEED={seed}: {difference}");
        }
        figures.add(&with);
    }
    figures
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(future)
}

/// How many interleavings a full proof tries. Through a pooler, statements go two hops and are planned
/// each time.
fn interleavings(way: Way) -> u32 {
    match way {
        Way::Straight => 5_000,
        Way::Pooled => 2_000,
    }
}

fn what_b_is_answered_is_the_same(way: Way) {
    let (first, interleavings) = (proof::seed(), proof::count(interleavings(way)));
    let figures = std::thread::scope(|scope| {
        let lane = |mine: u32| {
            let seeds = (0..interleavings).filter(move |nth| nth % LANES == mine);
            scope.spawn(move || block_on(compare(way, first, seeds)))
        };
        let lanes: Vec<_> = (0..LANES).map(lane).collect();
        let mut all = Figures::default();
        for lane in lanes {
            all.merge(lane.join().unwrap());
        }
        all
    });
    assert_eq!(figures.never_given(), Vec::<&str>::new());
    let name = way.proof("noninterference postgres");
    println!("{name}: {}", figures.to_json());
    proof::report(&name, &figures.to_json());
}

/// Runs seeds on a schema that was changed like this, in both databases. Answers the differences.
fn differences(way: Way, change: &str) -> Vec<Difference> {
    block_on(async {
        let stages = stages(way).await;
        for Stage(harness) in &stages {
            harness.database.execute(change).await;
        }
        let mut found = Vec::new();
        for seed in 0..CANARY_SEEDS {
            let (with, without) = both(&stages, seed).await;
            found.extend(Difference::between(with.timeless(), without.timeless()));
        }
        found
    })
}

/// A schema with a planted leak is found out, by the steps that touch on it.
fn planted_leaks_show(way: Way) {
    for (what, leak, told_by) in [
        (
            "a unique key without the organization",
            "create unique index leak on trueno.cloud_account (id)",
            "cloud_account.connected",
        ),
        (
            "a definer function that answers for everybody",
            "create or replace function trueno.memberships(the_user uuid)
             returns table (organization_id uuid, role text)
             language sql stable security definer
             set search_path = pg_catalog, trueno, pg_temp as $$
                select m.organization_id, m.role from member m where m.user_id = the_user
                union all
                select o.organization_id, 'viewer' from organization o where not exists (
                    select from member m
                    where m.organization_id = o.organization_id and m.user_id = the_user
                )
             $$",
            "reach.organization",
        ),
    ] {
        let found = differences(way, leak);
        println!(
            "{}: {what}: heard in {} of {CANARY_SEEDS} interleavings",
            way.proof("canary"),
            found.len()
        );
        let tells = |difference: &Difference| {
            let line = difference.with.as_deref().unwrap_or_default();
            line.contains(told_by)
        };
        assert!(
            found.iter().any(tells),
            "{what} does not show in {told_by}: {found:?}"
        );
    }
}

/// The store's statements name the organization themselves: they keep it apart also where every
/// policy lets everything through. What policies keep apart by themselves is tried without the
/// statements' filters (`tests/attack`).
fn statements_keep_organizations_apart(way: Way) {
    let open = "do $$
        declare
            name text;
        begin
            for name in select tablename from pg_policies
                where schemaname = 'trueno' and policyname = 'tenant'
            loop
                execute format(
                    'alter policy tenant on trueno.%I using (true) with check (true)', name
                );
            end loop;
        end $$";
    assert_eq!(differences(way, open), []);
}

/// Makes a test of each of them, over one way to the server.
macro_rules! over {
    ($way:expr) => {
        #[test]
        fn what_b_is_answered_does_not_depend_on_a() {
            super::what_b_is_answered_is_the_same($way);
        }

        #[test]
        fn every_planted_leak_shows() {
            super::planted_leaks_show($way);
        }

        #[test]
        fn statements_keep_organizations_apart_without_policies() {
            super::statements_keep_organizations_apart($way);
        }
    };
}

mod straight {
    over!(crate::support::way::Way::Straight);
}

mod behind_pgbouncer {
    over!(crate::support::way::Way::Pooled);
}
