//! Every test that docs/failures.md names is there, and every line of its tables names one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use trueno_testkit::job_queue;

/// The programs that the page names, by how names of their tests begin.
type Programs = BTreeMap<String, PathBuf>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page() -> String {
    fs::read_to_string(root().join("docs/failures.md")).expect("the page lies in the repository")
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The cells of a table's row, headings and rules left out.
fn cells(line: &str) -> Option<Vec<&str>> {
    let row = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let cells: Vec<&str> = row.split(" | ").collect();
    (!cells[0].starts_with("---") && !["name", "what happens"].contains(&cells[0])).then_some(cells)
}

fn programs(page: &str) -> Programs {
    let rows = page.lines().filter_map(cells).filter(|row| row.len() == 2);
    rows.map(|row| {
        let (name, folder) = (quoted(row[0]).next(), quoted(row[1]).next());
        (name.unwrap().to_owned(), root().join(folder.unwrap()))
    })
    .collect()
}

/// Whether there is such a test: a function of this name in the file that the name says, which a test
/// program runs.
fn is_a_test(programs: &Programs, name: &str) -> Result<(), String> {
    let parts: Vec<&str> = name.split("::").collect();
    let [program, modules @ .., function] = parts.as_slice() else {
        return Err(format!("{name}: not the name of a test"));
    };
    let folder = programs.get(*program);
    let folder = folder.ok_or_else(|| format!("{name}: the page names no such program"))?;
    let mut file: PathBuf = modules
        .iter()
        .fold(folder.clone(), |path, part| path.join(part));
    file.set_extension("rs");
    let source = fs::read_to_string(&file).map_err(|error| format!("{name}: {error}"))?;
    if *program == "queue" {
        let case = format!("pub async fn {function}(");
        let listed = job_queue::CASES.contains(function);
        return (listed && source.contains(&case))
            .then_some(())
            .ok_or_else(|| format!("{name}: no such case"));
    }
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    let starts = [format!("fn {function}("), format!("async fn {function}(")];
    let at = lines
        .iter()
        .position(|line| starts.iter().any(|start| line.starts_with(start)))
        .ok_or_else(|| format!("{name}: no such function"))?;
    let attributes = lines[..at].iter().rev();
    let mut attributes = attributes.take_while(|line| line.starts_with("#["));
    let is_test = attributes.any(|line| *line == "#[test]" || line.starts_with("#[tokio::test"));
    is_test
        .then_some(())
        .ok_or_else(|| format!("{name}: no test, but a function"))
}

/// What is wrong with a page.
fn mistakes(page: &str) -> Vec<String> {
    let programs = programs(page);
    let mut mistakes = Vec::new();
    for row in page.lines().filter_map(cells).filter(|row| row.len() != 2) {
        let [what, _, _, held_by] = row.as_slice() else {
            mistakes.push(format!("{}: not four cells", row[0]));
            continue;
        };
        let mut names = quoted(held_by).peekable();
        if names.peek().is_none() {
            mistakes.push(format!("{what}: held by no test"));
        }
        mistakes.extend(names.filter_map(|name| is_a_test(&programs, name).err()));
    }
    mistakes
}

#[test]
fn every_line_is_held_by_tests_that_are_there() {
    let page = page();
    assert_eq!(mistakes(&page), Vec::<String>::new());
    let lines = page.lines().filter_map(cells).filter(|row| row.len() == 4);
    assert!(lines.count() > 20, "the page was read");
}

#[test]
fn a_page_that_names_what_is_not_there_is_found() {
    let page = page();
    let with = |held_by: &str| mistakes(&format!("{page}\n| what | does | mend | {held_by} |"));
    assert_eq!(
        with("`queue::waits::the_first_reason_is_told`"),
        Vec::<String>::new()
    );
    for wrong in [
        "nothing",
        "`queue::waits::the_first_reason_is_not_told`",
        "`queue::claim::the_first_reason_is_told`",
        "`processor::life::no_such_test`",
        "`processor::no_such_file::a_job_runs_once_and_its_event_is_staged`",
        "`processor::world::quick`",
        "`nobody::life::a_job_runs_once_and_its_event_is_staged`",
        "`a_job_runs_once_and_its_event_is_staged`",
    ] {
        assert_eq!(with(wrong).len(), 1, "{wrong}");
    }
    assert_eq!(
        mistakes(&format!("{page}\n| what | does | mend |")).len(),
        1
    );
}
