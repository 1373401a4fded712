//! What is asked, and the plans that the server says it answered with.

mod lists;
mod queue;
mod schedules;

use std::future::Future;

use trueno_core::error::Result;
use trueno_core::port::{Page, PageRequest};

use crate::data::Data;
use crate::notices::{self, Notices, Told};
use crate::plan::Plan;

/// What a case has to show on a large database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A page: read in the index's order, as far as the page goes.
    Page,
    /// What is asked for as a whole: found by index, and possibly sorted.
    Whole,
    /// What workers ask: across organizations.
    Claim,
    /// What else reads the next of all organizations.
    Across,
    /// What operators ask: as many rows as there are organizations, and nothing that they have.
    Every,
    /// What is of no organization: which kinds are paused, who holds vacuum back.
    Nobodys,
}

/// One call of the store.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// The snapshot that it goes to.
    pub(crate) file: &'static str,
    /// What was asked.
    pub(crate) name: String,
    pub(crate) expected: Expected,
    /// The plans of its statements, and for what reaches across organizations of the statements
    /// inside, in order.
    pub(crate) plans: Vec<Plan>,
}

/// Reads every list, planned in one mode.
pub(crate) async fn read(data: &Data, notices: &Notices, mode: &str) -> Vec<Case> {
    let mut recorder = Recorder::new(notices);
    let store = notices::store_with(&data.database, &settings(mode)).await;
    lists::all(&mut recorder, data, &store).await;
    store.close().await;
    recorder.cases
}

/// Does what workers and operators do, planned in one mode: what lists find is another thing after it.
pub(crate) async fn work(data: &Data, notices: &Notices, mode: &str) -> Vec<Case> {
    let mut recorder = Recorder::new(notices);
    let nested = [
        &settings(mode)[..],
        &[("auto_explain.log_nested_statements", "on")],
    ]
    .concat();
    let store = notices::store_with(&data.database, &nested).await;
    queue::all(&mut recorder, data, &store).await;
    schedules::all(&mut recorder, data, &store).await;
    store.close().await;
    recorder.cases
}

fn settings(mode: &str) -> [(&str, &str); 4] {
    [
        ("plan_cache_mode", mode),
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_min_duration", "0"),
        ("auto_explain.log_level", "notice"),
    ]
}

/// Makes cases of calls.
pub(crate) struct Recorder<'a> {
    notices: &'a Notices,
    cases: Vec<Case>,
}

impl<'a> Recorder<'a> {
    fn new(notices: &'a Notices) -> Self {
        Self {
            notices,
            cases: Vec::new(),
        }
    }

    /// One call.
    async fn record<T>(
        &mut self,
        file: &'static str,
        expected: Expected,
        name: &str,
        call: impl Future<Output = Result<T>>,
    ) -> T {
        self.notices.take();
        let answer = call.await.unwrap();
        let told = self.notices.take();
        let explained = told.iter().filter_map(|told| match told {
            Told::Notice(text) => Plan::parse(text),
            Told::Statement { .. } => None,
        });
        let mut plans: Vec<Plan> = Vec::new();
        // A function that asks the same in a loop is planned the same: said once. What reads no
        // table (the pool's settings and checks) has nothing to plan. How the server looks foreign keys
        // up is its own affair, and whether it does is a matter of who wrote the row last.
        for plan in explained {
            let of_server = plan.statement.starts_with("SELECT 1 FROM ONLY");
            // Comes when a connection goes back to the pool, which may be a moment later.
            let of_pool = plan.statement.contains(" as left_behind,");
            let reads = plan.lines != ["Result"];
            if reads && !of_server && !of_pool && !plans.contains(&plan) {
                plans.push(plan);
            }
        }
        self.cases.push(Case {
            file,
            name: name.to_owned(),
            expected,
            plans,
        });
        answer
    }

    /// Two pages of a list, where there are two.
    async fn pages<T>(
        &mut self,
        file: &'static str,
        what: &str,
        mut list: impl AsyncFnMut(PageRequest) -> Result<Page<T>>,
    ) {
        let expected = Expected::Page;
        let first = PageRequest::first(2).unwrap();
        let name = format!("{file}, {what}: first page");
        let page = self
            .record(file, expected, &name, list(first.clone()))
            .await;
        if let Some(next) = page.next {
            let name = format!("{file}, {what}: next page");
            self.record(file, expected, &name, list(first.after(Some(next))))
                .await;
        }
    }
}
