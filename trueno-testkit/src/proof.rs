//! How much a proof tries, from which seed, and where its figures go.
//!
//! A proof that draws at random tries [`count`] times and takes everything that it draws from
//! [`seed`]; [`report`] keeps its figures. The environment says the rest:
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `TRUENO_PROOF` | `full`: the full counts | a tenth of them |
//! | `TRUENO_TEST_SEED` | the seed, a decimal `u64` | a fixed one |
//! | `TRUENO_PROOF_REPORT` | the file that figures are appended to, one JSON object per line | none |

use std::io::Write as _;
use std::path::Path;

use serde_json::{Map, Value};

/// The seed where the environment names none.
const SEED: u64 = 0x7472_7565_6e6f;

/// How often to try: `full` times under `TRUENO_PROOF=full`, otherwise a tenth of it, at least once.
#[must_use]
pub fn count(full: u32) -> u32 {
    share(full, proof().as_deref())
}

fn share(full: u32, proof: Option<&str>) -> u32 {
    match proof {
        Some("full") => full,
        _ => (full / 10).max(1),
    }
}

/// Whether the full counts are asked for.
#[must_use]
pub fn is_full() -> bool {
    proof().as_deref() == Some("full")
}

fn proof() -> Option<String> {
    std::env::var("TRUENO_PROOF").ok()
}

/// The seed of `TRUENO_TEST_SEED`, or a fixed one; printed, so that a failure can be had again.
///
/// # Panics
/// Where the variable is set to something else than a decimal `u64`: another seed than the one that
/// was asked for would prove something else.
#[must_use]
#[allow(
    clippy::print_stdout,
    reason = "a failing test shows what it printed, the seed with it"
)]
pub fn seed() -> u64 {
    let seed = parse(std::env::var("TRUENO_TEST_SEED").ok().as_deref());
    println!("seed: TRUENO_TEST_SEED={seed}");
    seed
}

fn parse(seed: Option<&str>) -> u64 {
    let Some(seed) = seed else { return SEED };
    seed.parse()
        .unwrap_or_else(|_| panic!("TRUENO_TEST_SEED is not a decimal u64: {seed}"))
}

/// Appends the figures of `proof` to the file of `TRUENO_PROOF_REPORT`, as one line:
/// `{"proof": …}` with the members of `figures`. Nothing where the variable is not set. Safe from
/// several processes at once.
///
/// # Panics
/// Where `figures` is no JSON object or the file cannot be written to: a report that silently lacks
/// a line is none.
pub fn report(proof: &str, figures: &Value) {
    if let Some(path) = std::env::var_os("TRUENO_PROOF_REPORT") {
        append(Path::new(&path), proof, figures);
    }
}

fn append(path: &Path, proof: &str, figures: &Value) {
    let Value::Object(figures) = figures else {
        panic!("the figures of {proof} are not an object: {figures}");
    };
    let mut line = Map::from_iter([("proof".to_owned(), proof.into())]);
    line.extend(figures.clone());
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // One write in append mode: lines of several processes do not mix.
    let line = format!("{}\n", Value::Object(line));
    file.write_all(line.as_bytes())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_full_proof_tries_all_and_any_other_a_tenth_but_at_least_once() {
        assert_eq!(share(5_000, Some("full")), 5_000);
        assert_eq!(share(5_000, None), 500);
        assert_eq!(share(5_000, Some("quick")), 500);
        assert_eq!(share(3, None), 1);
    }

    #[test]
    fn the_seed_is_the_one_that_was_asked_for() {
        assert_eq!(parse(None), SEED);
        assert_eq!(parse(Some("18446744073709551615")), u64::MAX);
        assert!(std::panic::catch_unwind(|| parse(Some("0x10"))).is_err());
    }

    #[test]
    fn a_report_grows_by_one_object_per_line() {
        let name = format!("trueno-proof-{}.jsonl", std::process::id());
        let path = std::env::temp_dir().join(name);
        append(&path, "attack", &json!({ "cases": 2 }));
        append(&path, "catalog", &json!({ "rules": 3 }));
        let written = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let lines: Vec<Value> = written
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(
            lines,
            [
                json!({ "proof": "attack", "cases": 2 }),
                json!({ "proof": "catalog", "rules": 3 }),
            ]
        );
    }
}
