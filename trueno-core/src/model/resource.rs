//! Resources: what a scan saw in an account.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Region;
use crate::error::{Error, Result};
use crate::id::{CloudAccountId, ScanId};

/// A kind of resource, as `service.name`, such as `ec2.volume`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceKind(std::borrow::Cow<'static, str>);

impl ResourceKind {
    /// A kind known when the program is built.
    ///
    /// # Panics
    /// At compile time, in a constant, where `text` is not `service.name`.
    #[must_use]
    pub const fn known(text: &'static str) -> Self {
        assert!(
            well_formed(text),
            "a resource kind has the form service.name"
        );
        Self(std::borrow::Cow::Borrowed(text))
    }

    /// The kind as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn well_formed(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (mut i, mut dots) = (0, 0);
    while i < bytes.len() {
        let byte = bytes[i];
        if byte == b'.' {
            if i == 0 || i + 1 == bytes.len() {
                return false;
            }
            dots += 1;
        } else if !(byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
            return false;
        }
        i += 1;
    }
    dots == 1 && bytes.len() <= 80
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ResourceKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if well_formed(text) {
            Ok(Self(text.to_owned().into()))
        } else {
            Err(Error::invalid(
                "resource kind",
                "has the form service.name in lower case",
            ))
        }
    }
}

impl TryFrom<String> for ResourceKind {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ResourceKind> for String {
    fn from(kind: ResourceKind) -> Self {
        kind.0.into_owned()
    }
}

/// Names one resource within an account. Orders by kind, then region, then native id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceRef {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its region.
    pub region: Region,
    /// The provider's own id for it.
    pub native_id: String,
}

/// A resource as a scan saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// Which one.
    #[serde(flatten)]
    pub reference: ResourceRef,
    /// Its name, where it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// What the provider says of it, in the shape that its collector documents.
    pub attributes: Value,
}

/// A resource as a store keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResourceRecord {
    /// What the latest look that saw it said.
    #[serde(flatten)]
    pub resource: Resource,
    /// The account.
    pub account: CloudAccountId,
    /// The latest scan that saw it.
    pub last_scan: ScanId,
    /// When it was seen first, by the store's clock.
    pub first_seen_at: Timestamp,
    /// When it was seen last: at the end of the task that saw it, where that was read completely.
    pub last_seen_at: Timestamp,
    /// Since when it is gone: a complete look no longer saw it. `None` while it is there.
    pub gone_at: Option<Timestamp>,
}
