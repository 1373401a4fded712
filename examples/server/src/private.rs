//! Files with secrets: read only where nobody but their owner can.

use std::io::{ErrorKind, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use trueno_http::SystemToken;
use zeroize::Zeroizing;

/// They are text of a few lines: more than this is something else.
const MAX_BYTES: u64 = 64 * 1024;

/// The text of a file, `None` where there is none. Errors call it `what`.
pub(crate) fn read(what: &str, path: &Path) -> Result<Option<Zeroizing<String>>> {
    let named = || format!("{what} {}", path.display());
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(named),
    };
    let meta = file.metadata().with_context(named)?;
    if !meta.is_file() || meta.len() > MAX_BYTES {
        bail!("{}: is not a {what}", named());
    }
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(&meta) & 0o777;
        if mode & 0o177 != 0 {
            bail!(
                "{}: its mode {mode:03o} is wider than 600; others could read the secret in it. \
                 Mend it with: chmod 600 {}",
                named(),
                path.display()
            );
        }
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text)
        .with_context(|| format!("{}: is not text", named()))?;
    Ok(Some(text))
}

/// The token in a file, for `POST /v1/system/tick`.
///
/// # Errors
/// Where it is missing, readable by others than its owner, or no token.
pub fn token(path: &Path) -> Result<SystemToken> {
    let named = || format!("token file {}", path.display());
    let text = read("token file", path)?.ok_or_else(|| anyhow!("{}: not there", named()))?;
    SystemToken::new(text.trim().to_owned().into()).with_context(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_token_is_taken_from_a_file_that_only_its_owner_reads() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let refused = |about: &str| {
            let error = format!("{:#}", token(&path).unwrap_err());
            assert!(error.contains(about), "{about:?} is not in {error:?}");
        };
        refused("not there");
        std::fs::write(&path, "0123456789abcdef0123456789abcdef\n").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        refused("chmod 600");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        token(&path).unwrap();
        std::fs::write(&path, "too short").unwrap();
        refused("32 visible ASCII");
    }
}
