//! What a plan on a large database has to show, whatever its snapshot says.

use std::collections::BTreeSet;

use sqlx::Row as _;

use crate::cases::{Case, Expected};
use crate::plan::Plan;
use crate::support::Database;

/// Which organization, or schedule, is next: read in their order, as far as the limit goes. They are
/// of tables that only functions across organizations read.
const ACROSS: [&str; 3] = ["queue_note_order", "queue_turn_order", "schedule_due_order"];

/// Tables with a row for each organization, or for each thing that was just done: see [`Expected::Every`].
const EVERY: [&str; 3] = ["organization", "queue_note", "queue_organization"];

/// The large database has twenty organizations: their table is one block, however it is read.
const ONE_BLOCK: &str = "organization";

/// The tenant tables, and the indexes that begin with the organization.
pub(crate) struct Catalog {
    tables: BTreeSet<String>,
    indexes: BTreeSet<String>,
}

/// One step of a plan that reads a table.
struct Scan<'a> {
    how: &'a str,
    table: &'a str,
    index: Option<&'a str>,
    condition: Option<&'a str>,
    /// See [`is_sorted`].
    is_sorted: bool,
}

impl Catalog {
    pub(crate) async fn read(database: &Database) -> Self {
        let mut admin = database.admin().await;
        let mut names = async |sql: &'static str| -> BTreeSet<String> {
            let rows = sqlx::query(sql).fetch_all(&mut admin).await.unwrap();
            rows.iter().map(|row| row.get("name")).collect()
        };
        let tables = "select relname::text as name from pg_class c
             join pg_attribute a on a.attrelid = c.oid and attname = 'organization_id'
             where relkind in ('r', 'p') and relnamespace = 'trueno'::regnamespace";
        let indexes = "select c.relname::text as name from pg_index i
             join pg_class c on c.oid = i.indexrelid
             join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
             where c.relnamespace = 'trueno'::regnamespace and a.attname = 'organization_id'";
        let catalog = Self {
            tables: names(tables).await,
            indexes: names(indexes).await,
        };
        assert!(
            catalog.tables.contains("finding") && catalog.indexes.contains("finding_pkey"),
            "the catalog was read"
        );
        catalog
    }

    /// What speaks against a case: a tenant table that is read as a whole, or by another index than
    /// one that begins with the organization; a page for which more was sorted than it holds.
    pub(crate) fn complaints(&self, case: &Case) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut read = 0;
        for plan in &case.plans {
            let mut complain = |why: String| {
                let (statement, lines) = (&plan.statement, plan.lines.join("\n"));
                complaints.push(format!("{}: {why}\n{statement}\n{lines}\n", case.name));
            };
            for scan in scans(plan) {
                if !self.tables.contains(scan.table) {
                    continue;
                }
                read += 1;
                // By its place, which another step found by an index.
                let is_of_every = case.expected == Expected::Every && EVERY.contains(&scan.table);
                let is_one_block = case.expected == Expected::Whole && scan.table == ONE_BLOCK;
                if scan.how == "Tid Scan" || is_of_every || is_one_block {
                    continue;
                }
                let Some(index) = scan.index else {
                    complain(format!("{} of {}", scan.how, scan.table));
                    continue;
                };
                // The next of all organizations: read by functions that nobody sees into.
                let is_across = [Expected::Claim, Expected::Across].contains(&case.expected)
                    && ACROSS.contains(&index);
                if !self.indexes.contains(index) && !is_across {
                    complain(format!("{index} does not begin with organization_id"));
                }
                let narrowed = scan
                    .condition
                    .is_some_and(|c| c.contains("organization_id = "));
                if !narrowed && !is_across {
                    complain(format!("{index} is not searched by organization"));
                }
                // The organization's whole backlog, where a job is looked for.
                let of_lane = scan.condition.is_some_and(|c| c.contains("lane = "));
                if index == "job_lane" && !of_lane {
                    complain("a job is looked for among all that wait".to_owned());
                }
                if scan.is_sorted && [Expected::Page, Expected::Across].contains(&case.expected) {
                    complain(format!("what a page is cut from is sorted: {}", scan.table));
                }
                // What waits is read in the index's order, as far as the limit goes.
                if scan.is_sorted && case.expected == Expected::Claim && scan.table == "job" {
                    complain("what is claimed was sorted first".to_owned());
                }
            }
        }
        if read == 0 && case.expected != Expected::Nobodys {
            complaints.push(format!("{}: no tenant table was read", case.name));
        }
        complaints
    }
}

/// A line without its indentation and arrow.
fn node(line: &str) -> &str {
    line.trim_start_matches([' ', '-', '>'])
}

/// The steps above a line, from the one next to it on; of a plan of its own, which is run beside,
/// its label is the last.
fn above(lines: &[String], at: usize) -> impl Iterator<Item = &str> {
    let column = |line: &str| line.len() - line.trim_start().len();
    // A step's text begins four columns after its arrow, and what belongs to it two after its text.
    let text = |line: &str| line.len() - node(line).len();
    let is_label = |line: &str| {
        let labels = ["InitPlan ", "SubPlan ", "CTE "];
        labels.iter().any(|label| node(line).starts_with(label))
    };
    let is_step = move |line: &str| text(line) == 0 || line.contains("->  ") || is_label(line);
    let mut below = Some(at);
    std::iter::from_fn(move || {
        let at = below.take()?;
        let wanted = column(&lines[at]).checked_sub(2)?;
        let step = (0..at)
            .rev()
            .find(|&step| text(&lines[step]) == wanted && is_step(&lines[step]))?;
        below = (!is_label(&lines[step])).then_some(step);
        Some(node(&lines[step]))
    })
}

/// Whether what a line reads is sorted as a whole before a limit cuts it. An incremental sort is
/// none: it sorts what is equal in the index's order.
fn is_sorted(lines: &[String], at: usize) -> bool {
    above(lines, at).find(|step| ["Sort", "Limit"].contains(step)) == Some("Sort")
}

fn scans(plan: &Plan) -> Vec<Scan<'_>> {
    let mut scans: Vec<Scan<'_>> = Vec::new();
    let mut heaps: Vec<&str> = Vec::new();
    for (at, line) in plan.lines.iter().enumerate() {
        let line = node(line);
        if let Some(condition) = line.strip_prefix("Index Cond: ") {
            if let Some(scan) = scans.last_mut() {
                scan.condition = Some(condition);
            }
            continue;
        }
        let Some((how, of)) = line.split_once(" on ") else {
            continue;
        };
        // "TABLE", "TABLE ALIAS"
        let table = of.split(' ').next().unwrap_or(of);
        let (how, index) = match how.split_once(" using ") {
            Some((how, index)) => (how, Some(index)),
            None => (how, None),
        };
        match how.trim_start_matches("Parallel ") {
            // Its index scan follows, and names the index only.
            "Bitmap Heap Scan" => heaps.push(table),
            "Bitmap Index Scan" => {
                let heap = heaps
                    .last()
                    .copied()
                    .expect("a bitmap has its table above it");
                scans.push(Scan {
                    how,
                    table: heap,
                    index: Some(table),
                    condition: None,
                    is_sorted: is_sorted(&plan.lines, at),
                });
            }
            "Seq Scan"
            | "Sample Scan"
            | "Tid Scan"
            | "Tid Range Scan"
            | "Index Scan"
            | "Index Scan Backward"
            | "Index Only Scan"
            | "Index Only Scan Backward" => {
                scans.push(Scan {
                    how,
                    table,
                    index,
                    condition: None,
                    is_sorted: is_sorted(&plan.lines, at),
                });
            }
            // "CTE Scan on", "Function Scan on", "Update on" and the like read no table.
            _ => {}
        }
    }
    scans
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said against this plan.
    fn complaints(expected: Expected, lines: &str) -> String {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let catalog = Catalog {
            tables: names(&["finding", "job"]),
            indexes: names(&["finding_pkey", "job_lane"]),
        };
        let lines: Vec<String> = lines
            .lines()
            .map(|line| match line.split_once(": ") {
                Some(_) => line.to_owned(),
                None => format!("{line}  (cost=0.1..0.2 rows=1 width=8)"),
            })
            .collect();
        let text = format!(
            "duration: 1.0 ms  plan:\nQuery Text: select\n{}",
            lines.join("\n")
        );
        let complaints = catalog.complaints(&Case {
            file: "findings",
            name: "a case".to_owned(),
            expected,
            plans: vec![Plan::parse(&text).expect("a plan")],
        });
        complaints.concat()
    }

    #[track_caller]
    fn complains(expected: Expected, lines: &str, of: &str) {
        let complaints = complaints(expected, lines);
        assert!(complaints.contains(of), "{complaints}");
    }

    #[test]
    fn an_index_scan_by_organization_passes() {
        let lines = "\
Limit
  ->  Index Scan using finding_pkey on finding
        Index Cond: (organization_id = 'x'::uuid)";
        assert_eq!(complaints(Expected::Page, lines), "");
    }

    #[test]
    fn a_scan_of_the_whole_table_fails() {
        let of = "Seq Scan of finding";
        complains(Expected::Whole, "Seq Scan on finding f", of);
    }

    #[test]
    fn an_index_without_the_organization_fails() {
        let lines = "\
Bitmap Heap Scan on finding
  ->  Bitmap Index Scan on finding_by_check";
        let of = "finding_by_check does not begin with organization_id";
        complains(Expected::Whole, lines, of);
    }

    #[test]
    fn an_index_that_is_read_as_a_whole_fails() {
        let lines = "\
Index Scan using finding_pkey on finding
  Index Cond: (account_id = $1)";
        let of = "finding_pkey is not searched by organization";
        complains(Expected::Whole, lines, of);
    }

    #[test]
    fn a_plan_that_reads_nothing_fails() {
        complains(
            Expected::Whole,
            "Function Scan on unnest",
            "no tenant table was read",
        );
    }

    const SORTED: &str = "\
Limit
  InitPlan 1 (returns $0)
    ->  Limit
          ->  Result
  ->  Sort
        Sort Key: key
        InitPlan 2 (returns $1)
          ->  Result
        ->  Result
              ->  Index Scan using finding_pkey on finding
                    Index Cond: (organization_id = $1)";

    #[test]
    fn a_sorted_page_fails() {
        let of = "what a page is cut from is sorted: finding";
        complains(Expected::Page, SORTED, of);
        assert_eq!(complaints(Expected::Whole, SORTED), "");
    }

    #[test]
    fn a_page_that_is_sorted_after_it_was_cut_passes() {
        let cut = "\
Limit
  ->  Sort
        Sort Key: nth
        ->  Limit
              ->  Index Scan using finding_pkey on finding
                    Index Cond: (organization_id = $1)";
        assert_eq!(complaints(Expected::Page, cut), "");
        let incremental = SORTED.replace("Sort\n", "Incremental Sort\n");
        assert_eq!(complaints(Expected::Page, &incremental), "");
    }

    #[test]
    fn a_claim_that_sorts_fails() {
        let lines = "\
Limit
  ->  Sort
        ->  Index Scan using job_lane on job
              Index Cond: (organization_id = $1)";
        complains(Expected::Claim, lines, "what is claimed was sorted first");
    }

    #[test]
    fn a_job_that_is_looked_for_in_every_lane_fails() {
        let of = "a job is looked for among all that wait";
        let by = |condition: &str| {
            format!("Index Scan using job_lane on job\n  Index Cond: ({condition})")
        };
        let every_lane = by("(organization_id = $1) AND (id = $2)");
        complains(Expected::Whole, &every_lane, of);
        let one = by("(organization_id = $1) AND (lane = $2) AND (id = $3)");
        assert_eq!(complaints(Expected::Whole, &one), "");
    }

    #[test]
    fn a_claim_that_reads_an_index_as_a_whole_fails() {
        let lines = "Index Scan using job_lane on job";
        let of = "job_lane is not searched by organization";
        complains(Expected::Claim, lines, of);
    }
}
