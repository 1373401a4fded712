//! Tags as side tables of the database have them.

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// From how many bytes on a text stands as its hash.
const HASHED: usize = 64;

/// What a tag's key or value is in a side table: itself, or its SHA-256 in hex from 64 bytes on,
/// since a row of an index holds 2,704 bytes and tags may have more. A text of 64 bytes is never
/// itself there, so that none is taken for another's hash.
pub(super) fn indexed(text: &str) -> Cow<'_, str> {
    if text.len() < HASHED {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(HEXLOWER.encode(&Sha256::digest(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_taken_for_the_hash_of_another() {
        let (short, long) = ("é".repeat(31), "é".repeat(32));
        assert_eq!(indexed(&short), short);
        let hash = indexed(&long);
        assert_eq!(hash.len(), HASHED);
        assert_ne!(indexed(&hash), hash);
    }
}
