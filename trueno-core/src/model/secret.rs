//! Names of secrets; their bytes live in the vault only.

use serde::{Deserialize, Serialize};

use crate::id::SecretId;
use crate::text::text_enum;

text_enum! {
    /// What a secret is for: part of what its envelope is bound to (P6).
    pub enum SecretPurpose as "secret purpose" {
        /// Signs or authenticates notifications.
        Notification = "notification",
        /// An integration's API token.
        Integration = "integration",
        /// A provider's long-lived credential, where there is no role to assume.
        Provider = "provider",
    }
}

/// Names one version of one secret. Versions count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SecretRef {
    /// The secret.
    pub id: SecretId,
    /// Its version.
    pub version: u32,
    /// What it is for.
    pub purpose: SecretPurpose,
}
