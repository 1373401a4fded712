//! What the suite of the port cannot see of resources: which rows are written, what is kept of what
//! scans saw, and how long.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "test code fails by panicking, and says its seed"
)]

mod interleaved;
mod rows;
mod seen;
#[path = "../support/mod.rs"]
mod support;

use support::{Database, Harness, harness};
use trueno_core::model::{CoverageStatus, Resource, ResourceRecord};
use trueno_core::port::{PageRequest, ResourceFilter};
use trueno_testkit::fixtures::{self, RunningScan, Tenant, World};

const KIND: &str = "ec2.volume";
const AT: &str = "eu-west-1";

/// A store of its own, an organization, and an account with a running scan.
struct Account {
    database: Database,
    world: World,
    tenant: Tenant,
    run: RunningScan,
}

async fn account() -> Account {
    let harness: Harness = harness().await;
    let database = harness.database.borrowed();
    let world = World::new(harness).await;
    let tenant = world.organization().await;
    let run = world.running_scan(&tenant).await;
    Account {
        database,
        world,
        tenant,
        run,
    }
}

impl Account {
    /// Another scan of the account begins, whatever became of the present one.
    async fn next_scan(&mut self) {
        let account = self.run.account.clone();
        self.run = self.world.running_scan_of(&self.tenant, account).await;
    }

    /// One batch of the present scan: what it saw of the volumes, and how far that look got.
    async fn look(&self, seen: Vec<Resource>, status: CoverageStatus) {
        self.world
            .ingest(&self.run.lease, async |ingest| {
                ingest.put_resources(seen).await?;
                let read = fixtures::coverage(fixtures::task(KIND, AT), status);
                ingest.put_coverage(vec![read]).await
            })
            .await
            .unwrap();
    }

    async fn list(&self, filter: ResourceFilter) -> Vec<ResourceRecord> {
        let mut view = self.world.view(&self.tenant).await;
        let (mut found, mut page) = (Vec::new(), PageRequest::largest());
        loop {
            let some = view.resources(&filter, &page).await.unwrap();
            found.extend(some.items);
            let Some(next) = some.next else { break };
            page = PageRequest::largest().after(Some(next));
        }
        found
    }
}

fn volume(native_id: &str) -> Resource {
    fixtures::resource(KIND, AT, native_id)
}

fn volumes(ids: std::ops::Range<usize>) -> Vec<Resource> {
    ids.map(|id| volume(&format!("vol-{id:06}"))).collect()
}

fn ids(records: &[ResourceRecord]) -> Vec<&str> {
    records
        .iter()
        .map(|record| record.resource.reference.native_id.as_str())
        .collect()
}

/// What has to hold of every inventory at any time.
async fn assert_consistent(database: &Database) {
    for (what, sql) in [
        (
            "what is there is counted",
            "select count(*) from trueno.inventory i where i.present <> (
                select count(*) from trueno.resource r
                where r.inventory_id = i.id and r.gone_at is null
             )",
        ),
        (
            "each resource has a number of its own",
            "select count(*) from trueno.resource r join trueno.inventory i on i.id = r.inventory_id
             where 4096 * r.chunk + r.bit >= i.next_ordinal or exists (
                select from trueno.resource o where o.inventory_id = r.inventory_id
                    and o.chunk = r.chunk and o.bit = r.bit and o.native_id <> r.native_id
             )",
        ),
        (
            "nobody is the latest to have seen what is gone",
            "select count(*) from trueno.resource r
             join trueno.sighting s on s.inventory_id = r.inventory_id and s.chunk = r.chunk
             where r.gone_at is not null and get_bit(s.latest, r.bit) = 1",
        ),
        (
            "one scan is the latest to have seen a resource, and saw it",
            "select count(*) from trueno.sighting s
             where bit_count(s.latest & ~s.seen) > 0 or exists (
                select from trueno.sighting o
                where o.inventory_id = s.inventory_id and o.chunk = s.chunk
                    and o.scan_id <> s.scan_id and bit_count(o.latest & s.latest) > 0
             )",
        ),
    ] {
        assert_eq!(database.number(sql).await, 0, "not so: {what}");
    }
}
