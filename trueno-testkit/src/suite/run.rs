//! Runs one case, and reports how many there are.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Duration;

/// A case that takes longer hangs: generous, because machines are slow and shared.
pub const CASE_DEADLINE: Duration = Duration::from_secs(120);

/// Runs one case on a runtime of its own: makes its world, then runs it to its end.
///
/// The macros of the suites call this; it is public for callbacks of one's own.
///
/// # Panics
/// Where the case fails, or takes longer than [`CASE_DEADLINE`].
pub fn run<W>(port: &str, case: &str, world: impl Future<Output = W>, body: impl AsyncFnOnce(W)) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name(format!("{port}::{case}"))
        .enable_all()
        .build()
        .expect("a runtime starts");
    runtime.block_on(async {
        let case_ends = async { body(world.await).await };
        if tokio::time::timeout(CASE_DEADLINE, case_ends)
            .await
            .is_err()
        {
            panic!("{port}::{case} hangs: not done after {CASE_DEADLINE:?}");
        }
    });
}

/// Prints how many cases an adapter was held to, past the capture of the test runner so that the
/// figure is in every run's output, and checks that none of `cases` was left out.
///
/// # Panics
/// Where `instantiated` is not exactly `cases`, or there are none.
pub fn report(adapter: &str, port: &str, instantiated: &[&str], cases: &[&str]) {
    let line = format!(
        "conformance: {adapter} {port}: {} cases\n",
        instantiated.len()
    );
    std::io::stdout()
        .lock()
        .write_all(line.as_bytes())
        .expect("stdout takes a line");
    assert!(!cases.is_empty(), "{port}: the suite has no cases");
    assert_eq!(
        instantiated, cases,
        "{port}: the adapter runs another list than the suite's"
    );
    let distinct: BTreeSet<_> = cases.iter().collect();
    assert_eq!(
        distinct.len(),
        cases.len(),
        "{port}: a case is listed twice"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "another list")]
    fn a_forgotten_case_is_noticed() {
        report("test", "port", &["one"], &["one", "two"]);
    }

    #[test]
    fn a_case_gets_the_world_that_was_made_for_it() {
        let mut seen = 0;
        run("port", "case", async { 41 }, async |world| seen = world + 1);
        assert_eq!(seen, 42);
    }
}
