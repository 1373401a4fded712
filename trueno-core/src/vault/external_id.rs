//! External ids: derived for every scan, never stored, never taken from a client.
//!
//! AWS's rules: 2 to 1,224 of `[\w+=,.@:/-]`, made by the service, one per customer connection.
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html>.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::Key;
use crate::id::{CloudAccountId, OrganizationId};
use crate::model::ExternalIdHash;

const LABEL: &str = "trueno external id v1";

/// An external id. Its text is reached through [`ExternalId::expose`] only.
pub struct ExternalId(SecretString);

impl ExternalId {
    /// The text, to send to the provider or to show its owner once.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is stored of it.
    #[must_use]
    pub fn hash(&self) -> ExternalIdHash {
        ExternalIdHash::from_bytes(Sha256::digest(self.expose().as_bytes()).into())
    }
}

impl fmt::Debug for ExternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExternalId(…)")
    }
}

/// The external id of a connection: `tru1-` and, in lower-case base32, HMAC-SHA256 over the label
/// and the fixed-width fields organization (16 bytes), connection (16) and generation (4, big-endian).
#[must_use]
pub fn derive_external_id(
    key: &Key,
    organization: OrganizationId,
    connection: CloudAccountId,
    generation: u32,
) -> ExternalId {
    let mut message = [0_u8; 36];
    message[..16].copy_from_slice(organization.as_uuid().as_bytes());
    message[16..32].copy_from_slice(connection.as_uuid().as_bytes());
    message[32..].copy_from_slice(&generation.to_be_bytes());
    let mac = key.derive(LABEL, &message);
    let text = format!(
        "tru1-{}",
        BASE32_NOPAD.encode(mac.as_slice()).to_ascii_lowercase()
    );
    ExternalId(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::derived;

    #[test]
    fn it_keeps_aws_rules_and_changes_with_every_part() {
        let key = Key::new("k", [1; 32]).unwrap();
        let other = Key::new("k", [2; 32]).unwrap();
        let (o1, o2) = (derived("t", &[b"1"]), derived("t", &[b"2"]));
        let (c1, c2) = (derived("t", &[b"3"]), derived("t", &[b"4"]));
        let base = derive_external_id(&key, o1, c1, 1);
        assert_eq!(base.expose().len(), 5 + 52);
        assert!(
            base.expose()
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        );
        assert_eq!(base.hash(), derive_external_id(&key, o1, c1, 1).hash());
        for different in [
            derive_external_id(&other, o1, c1, 1),
            derive_external_id(&key, o2, c1, 1),
            derive_external_id(&key, o1, c2, 1),
            derive_external_id(&key, o1, c1, 2),
        ] {
            assert_ne!(base.hash(), different.hash());
        }
        assert_eq!(format!("{base:?}"), "ExternalId(…)");
    }
}
