//! The snapshots: one file for each list, with every size and mode.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::cases::Case;
use crate::data::Size;

#[derive(Default)]
pub(crate) struct Golden {
    files: BTreeMap<&'static str, String>,
}

impl Golden {
    /// Adds a case, planned for its values and for all values: said once where it is the same.
    pub(crate) fn add(&mut self, size: Size, custom: &Case, generic: &Case) {
        let out = self.files.entry(custom.file).or_default();
        let size = format!("{size:?}").to_lowercase();
        if custom.plans == generic.plans {
            section(out, &format!("{size}: {}", custom.name), custom);
        } else {
            section(
                out,
                &format!("{size}: {} (for its values)", custom.name),
                custom,
            );
            section(
                out,
                &format!("{size}: {} (for all values)", generic.name),
                generic,
            );
        }
    }

    /// Compares with what is there, or replaces it where `TRUENO_BLESS` is set.
    pub(crate) fn check(&self, version: i64) {
        let bless = std::env::var_os("TRUENO_BLESS").is_some();
        let folder = format!("tests/golden/plans/postgres-{version}");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        if bless {
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
        }
        let mut stale = Vec::new();
        for (name, plans) in &self.files {
            let file = folder.join(name).with_extension("txt");
            if bless {
                fs::write(&file, plans).unwrap();
                continue;
            }
            let pinned = fs::read_to_string(&file).unwrap_or_default();
            if &pinned != plans {
                stale.push(format!(
                    "{}\n{}",
                    file.display(),
                    difference(&pinned, plans)
                ));
            }
        }
        assert!(
            stale.is_empty(),
            "these plans are not as pinned. Where that is meant, run again with TRUENO_BLESS=1 and \
             read the difference:\n{}",
            stale.join("\n")
        );
        let known = fs::read_dir(&folder).unwrap().count();
        assert_eq!(
            known,
            self.files.len(),
            "{} has a file too many",
            folder.display()
        );
    }
}

fn section(out: &mut String, title: &str, case: &Case) {
    let _ = writeln!(out, "== {title}");
    for plan in &case.plans {
        let _ = writeln!(out, "-- {}\n{}", plan.statement, plan.lines.join("\n"));
    }
    out.push('\n');
}

/// The sections that differ, as they are now and as they were.
fn difference(pinned: &str, now: &str) -> String {
    let sections = |text: &str| -> BTreeMap<String, String> {
        text.split("== ")
            .filter_map(|section| section.split_once('\n'))
            .map(|(title, plans)| (title.to_owned(), plans.to_owned()))
            .collect()
    };
    let (pinned, now) = (sections(pinned), sections(now));
    let mut out = String::new();
    for (title, plans) in &now {
        match pinned.get(title) {
            Some(before) if before == plans => {}
            Some(before) => {
                let _ = writeln!(out, "== {title}\nnow:\n{plans}pinned:\n{before}");
            }
            None => {
                let _ = writeln!(out, "== {title}\nnot pinned:\n{plans}");
            }
        }
    }
    for title in pinned.keys().filter(|title| !now.contains_key(*title)) {
        let _ = writeln!(out, "== {title}\npinned, but not there any more");
    }
    out
}
