//! Key files: the keys that external ids and database contexts are derived from.
//!
//! A file is text, one key a line, the newest last; blank lines and lines that begin with `#` are
//! passed over:
//!
//! ```text
//! trueno-key-v1 KEY-ID BASE64(32 random bytes)
//! ```
//!
//! Old keys stay in the file for as long as something refers to their ids.

use std::fmt;

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, ErrorKind, Result};

const LABEL: &str = "trueno-key-v1";

/// One key of 32 bytes, with its id.
pub struct Key {
    id: String,
    bytes: SecretBox<[u8; 32]>,
}

impl Key {
    /// A key of these bytes, which are wiped from the argument.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for an id that is not 1 to 32 of `a-z`, `0-9` and `-`.
    pub fn new(id: &str, mut bytes: [u8; 32]) -> Result<Self> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=32).contains(&id.len()) || !id.bytes().all(allowed) {
            return Err(config("a key id needs 1 to 32 of a-z, 0-9 and -"));
        }
        let key = Self {
            id: id.to_owned(),
            bytes: SecretBox::new(Box::new(bytes)),
        };
        bytes.zeroize();
        Ok(key)
    }

    /// A key from the operating system's random source, named by its own fingerprint.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] where the operating system gives no random bytes.
    pub fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|source| {
            Error::new(
                ErrorKind::Unavailable,
                "no random bytes from the operating system",
            )
            .with_source(source)
        })?;
        let unnamed = Self::new("new", *bytes)?;
        let fingerprint = unnamed.derive("trueno key id v1", &[]);
        Self::new(&data_encoding::HEXLOWER.encode(&fingerprint[..6]), *bytes)
    }

    /// Its id: not secret.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// HMAC-SHA256 of `label` and `message`: a value that tells nothing of the key. The label
    /// keeps uses of the same key apart, and is length-prefixed so that none runs into a message.
    #[must_use]
    pub fn derive(&self, label: &str, message: &[u8]) -> Zeroizing<[u8; 32]> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.bytes.expose_secret())
            .expect("HMAC takes keys of any length");
        mac.update(&(label.len() as u64).to_be_bytes());
        mac.update(label.as_bytes());
        mac.update(message);
        Zeroizing::new(mac.finalize().into_bytes().into())
    }

    /// The line that stands for it in a key file.
    #[must_use]
    pub fn to_line(&self) -> Zeroizing<String> {
        let bytes = Zeroizing::new(BASE64.encode(self.bytes.expose_secret()));
        Zeroizing::new(format!("{LABEL} {} {}\n", self.id, *bytes))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The keys of one installation: at least one, the newest last.
#[derive(Debug)]
pub struct KeyFile {
    keys: Vec<Key>,
}

impl KeyFile {
    /// A file with this one key.
    #[must_use]
    pub fn single(key: Key) -> Self {
        Self { keys: vec![key] }
    }

    /// Parses a file's text.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with the number of the line that is wrong, and never its content.
    pub fn parse(text: &str) -> Result<Self> {
        let mut keys: Vec<Key> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = parse_line(line).map_err(|error| {
                config(&format!(
                    "key file, line {number}: {error}; expected: {LABEL} ID BASE64"
                ))
            })?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(config(&format!(
                    "key file, line {number}: the key id is there twice"
                )));
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(config("key file: holds no key"));
        }
        Ok(Self { keys })
    }

    /// The key that new things are made with.
    #[must_use]
    pub fn newest(&self) -> &Key {
        // A key file is never empty: there is no constructor for one.
        &self.keys[self.keys.len() - 1]
    }

    /// Every key, oldest first.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }

    /// The key with this id.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where the file has none.
    pub fn key(&self, id: &str) -> Result<&Key> {
        self.keys.iter().find(|key| key.id == id).ok_or_else(|| {
            config(&format!(
                "key file: holds no key {id:?}; put the old key back"
            ))
        })
    }
}

fn parse_line(line: &str) -> Result<Key> {
    let mut words = line.split_ascii_whitespace();
    let (Some(LABEL), Some(id), Some(encoded), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(config("is malformed"));
    };
    let decoded = BASE64.decode(encoded.as_bytes()).map(Zeroizing::new);
    let bytes: [u8; 32] = decoded
        .ok()
        .and_then(|bytes| bytes.as_slice().try_into().ok())
        .ok_or_else(|| config("its key is not 32 bytes in base64"))?;
    Key::new(id, bytes)
}

fn config(message: &str) -> Error {
    Error::new(ErrorKind::Config, message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_back_what_was_written() {
        let (old, new) = (Key::generate().unwrap(), Key::generate().unwrap());
        let text = format!("# keys\n\n{}{}", *old.to_line(), *new.to_line());
        let file = KeyFile::parse(&text).unwrap();
        assert_eq!(file.newest().id(), new.id());
        assert_eq!(
            *file.key(old.id()).unwrap().derive("l", b"m"),
            *old.derive("l", b"m")
        );
    }

    #[test]
    fn a_corrupt_file_is_refused_by_line_without_its_content() {
        let good = Key::generate().unwrap();
        let line = good.to_line();
        for (text, wanted) in [
            (String::new(), "no key"),
            ("trueno-key-v1 a c2VjcmV0".to_owned(), "line 1"),
            (format!("{}{}", *line, *line), "twice"),
            (format!("{}nonsense-secret", *line), "line 2"),
            ("trueno-key-v2 a AAAA".to_owned(), "malformed"),
        ] {
            let error = KeyFile::parse(&text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
            assert!(
                !error.contains("c2VjcmV0") && !error.contains("nonsense-secret"),
                "{error}"
            );
        }
    }

    #[test]
    fn labels_keep_uses_apart_and_debug_shows_no_key() {
        let key = Key::new("k", [7; 32]).unwrap();
        assert_ne!(*key.derive("a", b"bc"), *key.derive("ab", b"c"));
        assert_eq!(format!("{key:?}"), "Key { id: \"k\", .. }");
    }
}
