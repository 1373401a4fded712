//! AES-256-GCM with keys and plaintext that are wiped.

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use secrecy::{ExposeSecret, ExposeSecretMut, SecretBox, SecretSlice};
use trueno_core::error::{Error, ErrorKind, Result};
use zeroize::Zeroize;

/// Bytes of a key.
pub(super) const KEY: usize = 32;
/// Bytes of a nonce: 96 bits, drawn at random for every use of a key.
pub(super) const NONCE: usize = 12;
/// Bytes of a tag.
pub(super) const TAG: usize = 16;

/// A nonce and what was sealed under it, its tag last.
pub(super) struct Sealed {
    pub(super) nonce: [u8; NONCE],
    pub(super) bytes: Vec<u8>,
}

/// A new key from the operating system.
pub(super) fn random_key() -> Result<SecretBox<[u8; KEY]>> {
    let mut key = SecretBox::new(Box::new([0_u8; KEY]));
    random(key.expose_secret_mut())?;
    Ok(key)
}

/// Encrypts `plain` and binds it to `context`.
pub(super) fn seal(key: &[u8], context: &[u8], plain: &[u8]) -> Result<Sealed> {
    let mut nonce = [0_u8; NONCE];
    random(&mut nonce)?;
    let mut bytes = Vec::with_capacity(plain.len() + TAG);
    bytes.extend_from_slice(plain);
    let cipher = cipher(key)?;
    match cipher.encrypt_inout_detached(&nonce.into(), context, bytes.as_mut_slice().into()) {
        Ok(tag) => bytes.extend_from_slice(&tag),
        Err(source) => {
            bytes.zeroize();
            let message = "the secret is too large to be sealed";
            return Err(Error::new(ErrorKind::InvalidInput, message).with_source(source));
        }
    }
    Ok(Sealed { nonce, bytes })
}

/// Decrypts, if nothing was changed and `context` is what it was bound to.
pub(super) fn open(
    key: &[u8],
    context: &[u8],
    nonce: &[u8; NONCE],
    sealed: &[u8],
) -> Result<SecretSlice<u8>> {
    let (body, tag) = sealed.split_last_chunk::<TAG>().ok_or_else(corrupt)?;
    // Exactly as long as the plaintext: nothing is moved later, and so no copy stays behind.
    let mut plain = SecretSlice::from(body.to_vec());
    cipher(key)?
        .decrypt_inout_detached(
            &(*nonce).into(),
            context,
            plain.expose_secret_mut().into(),
            &(*tag).into(),
        )
        .map_err(|_| corrupt())?;
    Ok(plain)
}

/// One error for every doubt: which of the checks failed is nobody's business.
pub(super) fn corrupt() -> Error {
    Error::new(ErrorKind::Corrupt, "the sealed secret does not open")
}

fn cipher(key: &[u8]) -> Result<Aes256Gcm> {
    Aes256Gcm::new_from_slice(key).map_err(|_| corrupt())
}

fn random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|source| {
        Error::new(
            ErrorKind::Unavailable,
            "no random bytes from the operating system",
        )
        .with_source(source)
        .with_applied(trueno_core::error::Applied::No)
    })
}

/// The bytes of a key, for the cipher.
pub(super) fn expose(key: &SecretBox<[u8; KEY]>) -> &[u8] {
    key.expose_secret()
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        HEXLOWER
            .decode(text.as_bytes())
            .unwrap()
            .try_into()
            .unwrap()
    }

    /// Test case 16 of the GCM specification (McGrew and Viega, appendix B): AES-256 with
    /// associated data.
    #[test]
    fn it_opens_the_published_vector() {
        let key: [u8; 32] = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
        let context: [u8; 20] = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let nonce: [u8; 12] = hex("cafebabefacedbaddecaf888");
        let sealed: [u8; 76] = hex(concat!(
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa",
            "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
            "76fc6ece0f4e1768cddf8853bb2d551b",
        ));
        let plain: [u8; 60] = hex(concat!(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72",
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        ));
        let opened = open(&key, &context, &nonce, &sealed).unwrap();
        assert_eq!(opened.expose_secret(), plain);
    }

    #[test]
    fn every_use_of_a_key_has_a_nonce_of_its_own() {
        let key = random_key().unwrap();
        let (one, two) = (
            seal(expose(&key), b"", b"x").unwrap(),
            seal(expose(&key), b"", b"x").unwrap(),
        );
        assert_ne!(one.nonce, two.nonce);
        assert_ne!(one.bytes, two.bytes);
    }
}
