//! The key file on disk.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use trueno_core::vault::{Key, KeyFile};

use crate::output::note;
use crate::private;

/// Where the key file is: given, or under the user's configuration folder.
///
/// # Errors
/// Where none is given and the user has no home folder.
pub fn path(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let config = std::env::var_os("XDG_CONFIG_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".config")))
        .ok_or_else(|| anyhow!("no home folder for a key file; give --key-file FILE"))?;
    Ok(config.join("trueno").join("keys"))
}

/// Reads the key file, which must be there.
///
/// # Errors
/// Where it is missing, corrupt, or readable by others than its owner.
pub fn load(path: &Path) -> Result<KeyFile> {
    read(path)?.ok_or_else(|| {
        anyhow!(
            "key file {}: not there; `trueno connect` or `trueno migrate` makes one",
            path.display()
        )
    })
}

/// Reads the key file, or makes one with a new key, readable by its owner alone.
///
/// # Errors
/// Where it is corrupt, readable by others than its owner, or cannot be written.
pub fn load_or_create(path: &Path) -> Result<KeyFile> {
    if let Some(keys) = read(path)? {
        return Ok(keys);
    }
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("key file {}: its folder cannot be made", path.display()))?;
    }
    let key = Key::generate()?;
    match create(path, &key) {
        Ok(()) => {
            note(&format!(
                "made key file {}; keep it safe: external ids come from it",
                path.display()
            ));
            Ok(KeyFile::single(key))
        }
        // Another process was first: its key counts.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => load(path),
        Err(error) => {
            Err(error).with_context(|| format!("key file {}: cannot be written", path.display()))
        }
    }
}

/// Written under another name and linked into place, so that nobody ever reads half a file.
fn create(path: &Path, key: &Key) -> std::io::Result<()> {
    let partial = path.with_extension(format!("new-{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&partial)?;
    let written = file
        .write_all(key.to_line().as_bytes())
        .and_then(|()| file.sync_all());
    let linked = written.and_then(|()| std::fs::hard_link(&partial, path));
    std::fs::remove_file(&partial)?;
    linked
}

fn read(path: &Path) -> Result<Option<KeyFile>> {
    let named = || format!("key file {}", path.display());
    private::read("key file", path)?
        .map(|text| KeyFile::parse(&text).with_context(named))
        .transpose()
}
