//! Which servers will do.

use trueno_core::error::{Error, ErrorKind, Result};

/// The oldest minor release of each major one that keeps rows apart under forced row-level
/// security.
const MINIMUM: [(u32, u32); 4] = [(15, 20), (16, 16), (17, 12), (18, 7)];

/// Refuses a server that is too old, by its `server_version_num` (`150020` for 15.20).
pub(crate) fn check(version_num: u32) -> Result<()> {
    let (major, minor) = (version_num / 10_000, version_num % 10_000);
    let enough = match MINIMUM.iter().find(|(known, _)| *known == major) {
        Some((_, least)) => minor >= *least,
        None => major > MINIMUM[MINIMUM.len() - 1].0,
    };
    if enough {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        format!(
            "the database server is PostgreSQL {major}.{minor}; needed is 15.20, 16.16, 17.12, \
             18.7 or later, since older ones leak rows through forced row-level security"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_older_than_the_minimum_of_their_release_are_refused() {
        for accepted in [150_020, 150_021, 160_016, 170_012, 180_007, 190_000] {
            assert!(check(accepted).is_ok(), "{accepted}");
        }
        for refused in [90_624, 140_030, 150_019, 160_015, 170_011, 180_006] {
            let error = check(refused).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{refused}");
            let found = format!("{}.{}", refused / 10_000, refused % 10_000);
            let message = error.to_string();
            assert!(
                message.contains(&found) && message.contains("15.20"),
                "{message}"
            );
        }
    }
}
