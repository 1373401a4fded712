//! A scan's result for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use trueno_core::model::CoverageStatus;
use trueno_core::money::Money;
use trueno_core::runtime::scan::{FindingReport, ScanReport};

/// The result as text: coverage, then findings by what they save, then totals.
pub(crate) fn render(report: &ScanReport) -> String {
    let mut out = String::new();
    let mut rows = vec![row([
        "SERVICE",
        "REGION",
        "STATUS",
        "REQUESTS",
        "PAGES",
        "RESOURCES",
        "CODE",
    ])];
    for c in &report.coverage {
        rows.push(row([
            &c.service,
            c.region.as_str(),
            c.status.as_str(),
            &c.requests.to_string(),
            &c.pages.to_string(),
            &c.resources.to_string(),
            c.error_code.as_deref().unwrap_or(""),
        ]));
    }
    columns(&mut out, &rows, &[3, 4, 5]);
    out.push('\n');

    let mut findings: Vec<&FindingReport> = report.findings.iter().collect();
    findings.sort_by_key(|f| {
        let amount = f
            .monthly_saving
            .as_ref()
            .map_or(-1, |saving| saving.amount_micros);
        (std::cmp::Reverse(amount), f.key.clone())
    });
    let mut rows = vec![row([
        "SAVING/MONTH",
        "SEVERITY",
        "CHECK",
        "REGION",
        "RESOURCE",
        "NAME",
    ])];
    for f in findings {
        let saving = f.monthly_saving.as_ref().map_or_else(
            || "unknown".to_owned(),
            |s| {
                Money {
                    micros: s.amount_micros,
                    currency: s.currency,
                }
                .to_string()
            },
        );
        rows.push(row([
            &saving,
            f.severity.as_str(),
            &f.check,
            f.resource.region.as_str(),
            &f.resource.native_id,
            f.resource.name.as_deref().unwrap_or(""),
        ]));
    }
    columns(&mut out, &rows, &[0]);
    out.push('\n');
    out.push_str(&summary(report));
    out
}

/// What was found, check by check, and what it comes to.
pub(crate) fn overview(report: &ScanReport) -> String {
    let mut checks: BTreeMap<&str, (u64, i64, u64)> = BTreeMap::new();
    for finding in &report.findings {
        let (count, micros, unknown) = checks.entry(&finding.check).or_default();
        *count += 1;
        match &finding.monthly_saving {
            Some(saving) => *micros = micros.saturating_add(saving.amount_micros),
            None => *unknown += 1,
        }
    }
    let mut rows = vec![row(["CHECK", "FINDINGS", "SAVING/MONTH", "UNKNOWN"])];
    for (check, (count, micros, unknown)) in checks {
        let amount = Money {
            micros,
            currency: report.totals.currency,
        };
        rows.push(row([
            check,
            &count.to_string(),
            // A sum over nothing that is known is no zero.
            &if unknown == count {
                "unknown".to_owned()
            } else {
                amount.to_string()
            },
            &unknown.to_string(),
        ]));
    }
    let mut out = String::new();
    columns(&mut out, &rows, &[1, 2, 3]);
    out.push_str(
        "savings of two checks on one resource exclude each other: the total counts one\n\n",
    );
    out.push_str(&summary(report));
    out
}

/// What it comes to, in a few lines.
fn summary(report: &ScanReport) -> String {
    let mut out = String::new();
    let totals = &report.totals;
    let total = Money {
        micros: totals.monthly_saving_micros,
        currency: totals.currency,
    };
    let _ = writeln!(out, "scan {} {}", report.scan.id, report.scan.status);
    let _ = writeln!(
        out,
        "{} findings, {total} a month at list prices",
        totals.findings
    );
    if totals.unknown_prices > 0 {
        let _ = writeln!(
            out,
            "{} of them have no known price and are not counted",
            totals.unknown_prices
        );
    }
    let missing: Vec<String> = report
        .coverage
        .iter()
        .flat_map(|c| c.kinds.iter().map(move |kind| (c, kind)))
        .filter(|(_, kind)| !kind.status.is_complete())
        .map(|(c, kind)| format!("{} in {} ({})", kind.kind, c.region, kind.status))
        .collect();
    if !missing.is_empty() {
        let _ = writeln!(
            out,
            "not completely read, and not called clean: {}",
            missing.join(", ")
        );
    }
    let off = report
        .coverage
        .iter()
        .filter(|c| c.status == CoverageStatus::NotEnabled)
        .count();
    if off > 0 {
        let _ = writeln!(out, "{off} regions are not enabled for the account");
    }
    out
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    // A name comes from the account: it must not move the cursor of the terminal that shows it.
    cells
        .map(|cell| {
            cell.chars()
                .map(|c| if c.is_control() { '\u{fffd}' } else { c })
                .collect()
        })
        .into()
}

fn columns(out: &mut String, rows: &[Vec<String>], right: &[usize]) {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    for row in rows {
        let cells = row.iter().enumerate().map(|(i, cell)| {
            let width = widths[i];
            if right.contains(&i) {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        out.push_str(line.trim_end());
        out.push('\n');
    }
}
