//! What a page far into a list costs.

use trueno_core::port::{Cursor, FindingFilter, PageRequest, TenantStore as _};

use crate::notices::{Notices, store_with};
use crate::report::{Line, Target};
use crate::world::median;
use crate::world::{Bench, TIMED, statement_time};
use crate::{Options, note};

const ROWS: usize = 200_000;
const PAGE: usize = 100;
const NTH: usize = 1_000;
const RUNS: usize = 500;
const WARM_UP: usize = 20;

pub(crate) async fn run(options: &Options, notices: &Notices) {
    let rows = options.rows(ROWS);
    // A small run has smaller pages, so that there are a thousand of them all the same.
    let page = PAGE.min(rows / 2 / NTH);
    note!("page: loading {rows} findings of one organization");
    let bench = Bench::new().await;
    let tenant = bench.world.organization().await;
    bench.findings(&tenant, rows).await;
    bench.database.execute("vacuum analyze").await;
    bench.store.close().await;

    let store = store_with(&bench.database, &TIMED).await;
    let filter = FindingFilter::default();
    let first = PageRequest::first(page).unwrap();
    let mut view = store.read(&tenant.read).await.unwrap();
    let mut cursor: Option<Cursor> = None;
    for _ in 1..NTH {
        let request = first.clone().after(cursor);
        cursor = view.findings(&filter, &request).await.unwrap().next;
        assert!(cursor.is_some(), "there are more pages");
    }
    let requests = [first.clone().after(cursor), first];
    let mut times = [Vec::new(), Vec::new()];
    for nth in 0..RUNS * 2 {
        let side = (nth + nth / 2) % 2;
        notices.take();
        let answer = view.findings(&filter, &requests[side]).await.unwrap();
        assert_eq!(answer.items.len(), page, "the page is full");
        times[side].push(statement_time(notices));
    }
    let [far, near] = times.map(|times| median(times.into_iter().skip(WARM_UP).collect()));
    Line {
        metric: "page 1000",
        peer: "page 1, ms",
        ours: far,
        peer_value: near,
        target: Some(Target::AtMost(1.3)),
    }
    .print("store");
}
