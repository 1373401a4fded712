//! Cloud accounts (connections): provider, account number, how to get in, status.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::Version;
use super::organization::display_name;
use crate::error::{Error, Result};
use crate::id::{CloudAccountId, OrganizationId, derived};
use crate::text::{text_enum, without_nul};

text_enum! {
    /// A cloud provider.
    pub enum Provider as "provider" {
        /// Amazon Web Services.
        Aws = "aws",
    }
}

text_enum! {
    /// Where a connection is in its life; the machine is [`crate::state::cloud_account`].
    pub enum AccountStatus as "account status" {
        /// Connected, not verified yet.
        Pending = "pending",
        /// Verified: may be scanned.
        Active = "active",
        /// The last verification failed; not scanned until one succeeds.
        Unverified = "unverified",
        /// Paused by a member.
        Paused = "paused",
        /// Disconnected for good: the role and the external id's hash are erased.
        Disconnected = "disconnected",
    }
}

/// An account number as the provider writes it. For AWS: 12 digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountNumber(String);

impl AccountNumber {
    /// The number as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountNumber {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::invalid("account number", "needs 12 digits"))
        }
    }
}

/// A region as the provider writes it, such as `eu-west-1`; `global` for what has none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region(String);

impl Region {
    /// The region as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let well_formed = (2..=40).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-');
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::invalid("region", "needs a form like eu-west-1"))
        }
    }
}

/// The ARN of an IAM role: `arn:PARTITION:iam::ACCOUNT:role/PATH/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleArn {
    text: String,
    account: AccountNumber,
    name_at: usize,
}

impl RoleArn {
    /// The ARN as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The account that the role belongs to.
    #[must_use]
    pub fn account(&self) -> &AccountNumber {
        &self.account
    }

    /// The role's name, without its path.
    #[must_use]
    pub fn role_name(&self) -> &str {
        &self.text[self.name_at..]
    }

    /// The partition: `aws`, `aws-cn` or `aws-us-gov`.
    #[must_use]
    pub fn partition(&self) -> &str {
        self.text.split(':').nth(1).unwrap_or("aws")
    }
}

impl FromStr for RoleArn {
    type Err = Error;

    /// Source of the format: IAM identifiers,
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |problem: &str| {
            Error::invalid(
                "role ARN",
                &format!(
                    "{problem}; expected arn:aws:iam::ACCOUNT:role/NAME with a 12-digit account"
                ),
            )
        };
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, "iam", "", account, resource] = parts.as_slice() else {
            return Err(wrong("is not the ARN of an IAM role"));
        };
        if !matches!(*partition, "aws" | "aws-cn" | "aws-us-gov") {
            return Err(wrong("names an unknown partition"));
        }
        let account: AccountNumber = account
            .parse()
            .map_err(|_| wrong("its account is not 12 digits"))?;
        let path_and_name = resource
            .strip_prefix("role/")
            .ok_or_else(|| wrong("names no role"))?;
        let name = path_and_name.rsplit('/').next().unwrap_or_default();
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
            return Err(wrong(
                "its role name needs 1 to 64 letters, digits or _+=,.@-",
            ));
        }
        if path_and_name.len() > 512 + 64
            || !path_and_name
                .chars()
                .all(|c| c == '/' || ('!'..='~').contains(&c))
        {
            return Err(wrong("its path is malformed"));
        }
        Ok(Self {
            name_at: text.len() - name.len(),
            text: text.to_owned(),
            account,
        })
    }
}

macro_rules! as_text {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.as_str().to_owned()
            }
        }
    )+};
}

as_text!(AccountNumber, Region, RoleArn);

/// SHA-256 of an external id: what is stored of it. Equality takes constant time.
#[derive(Clone, Copy)]
pub struct ExternalIdHash([u8; 32]);

impl ExternalIdHash {
    /// Takes over a hash, read back from a store or just computed.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The hash, for adapters to store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for ExternalIdHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for ExternalIdHash {}

impl fmt::Debug for ExternalIdHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExternalIdHash(…)")
    }
}

/// How a scan gets into the account.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessMethod {
    /// With whatever credentials the process itself has: for one's own account.
    Ambient,
    /// By assuming a role with an external id that is derived anew for every scan (P5).
    AssumeRole {
        /// The role.
        role_arn: RoleArn,
        /// Hash of the external id that the role's trust policy must ask for.
        external_id_hash: ExternalIdHash,
        /// Which key derives the external id.
        key_id: String,
        /// Counts rotations of the external id, from 1.
        generation: u32,
    },
}

/// A connected cloud account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudAccount {
    /// Its id.
    pub id: CloudAccountId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// The provider.
    pub provider: Provider,
    /// The provider's number for it.
    pub number: AccountNumber,
    /// Its display name.
    pub name: String,
    /// How to get in; `None` once it is disconnected.
    pub access: Option<AccessMethod>,
    /// Regions to look at; empty for every region that is enabled.
    pub regions: Vec<Region>,
    /// Where it is in its life.
    pub status: AccountStatus,
    /// When it was connected.
    pub created_at: Timestamp,
    /// Counts changes of this row.
    pub version: Version,
}

/// A connection as clients and exports see it: without the external id's hash, which opens nothing
/// and is still nobody's business.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudAccountSummary {
    /// Its id.
    pub id: CloudAccountId,
    /// The provider.
    pub provider: Provider,
    /// The provider's number for it.
    pub number: AccountNumber,
    /// Its display name.
    pub name: String,
    /// The role that scans assume; `None` for ambient credentials and once it is disconnected.
    pub role_arn: Option<RoleArn>,
    /// Regions to look at; empty for every region that is enabled.
    pub regions: Vec<Region>,
    /// Where it is in its life.
    pub status: AccountStatus,
    /// When it was connected.
    pub created_at: Timestamp,
    /// Counts changes of this row.
    pub version: Version,
}

impl From<CloudAccount> for CloudAccountSummary {
    fn from(account: CloudAccount) -> Self {
        let role_arn = match account.access {
            Some(AccessMethod::AssumeRole { role_arn, .. }) => Some(role_arn),
            Some(AccessMethod::Ambient) | None => None,
        };
        Self {
            id: account.id,
            provider: account.provider,
            number: account.number,
            name: account.name,
            role_arn,
            regions: account.regions,
            status: account.status,
            created_at: account.created_at,
            version: account.version,
        }
    }
}

/// A connection about to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewCloudAccount {
    /// Its id.
    pub id: CloudAccountId,
    /// The provider.
    pub provider: Provider,
    /// The provider's number for it.
    pub number: AccountNumber,
    /// Its display name.
    pub name: String,
    /// How to get in.
    pub access: AccessMethod,
    /// Regions to look at; empty for every region that is enabled.
    pub regions: Vec<Region>,
}

impl NewCloudAccount {
    /// A connection to every enabled region of an account.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) for a name that is empty,
    /// too long or holds control characters, and for a role that belongs to another account.
    pub fn new(
        id: CloudAccountId,
        provider: Provider,
        number: AccountNumber,
        name: &str,
        access: AccessMethod,
    ) -> Result<Self> {
        let new = Self {
            id,
            provider,
            number,
            name: name.to_owned(),
            access,
            regions: Vec::new(),
        };
        new.check()?;
        Ok(new)
    }

    /// Checks the rules of the constructor once more: the fields are public, so every store asks
    /// before it takes a connection.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn check(&self) -> Result<()> {
        if let AccessMethod::AssumeRole {
            role_arn, key_id, ..
        } = &self.access
        {
            if role_arn.account() != &self.number {
                return Err(Error::invalid("role ARN", "belongs to another account"));
            }
            without_nul("external id key", key_id)?;
        }
        display_name("account name", &self.name)?;
        Ok(())
    }

    /// Looks only at these regions.
    #[must_use]
    pub fn with_regions(mut self, regions: Vec<Region>) -> Self {
        self.regions = regions;
        self
    }
}

/// The id of the connection of `organization` to a role (or, without one, to an account with
/// ambient credentials): the same every time, so that its external id is too.
#[must_use]
pub fn connection_id(
    organization: OrganizationId,
    provider: Provider,
    number: &AccountNumber,
    role_name: Option<&str>,
) -> CloudAccountId {
    derived(
        "trueno connection v1",
        &[
            organization.as_uuid().as_bytes(),
            provider.as_str().as_bytes(),
            number.as_str().as_bytes(),
            role_name.unwrap_or_default().as_bytes(),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_arn_gives_its_parts() {
        let arn: RoleArn = "arn:aws:iam::123456789012:role/audit/TruenoReadOnly"
            .parse()
            .unwrap();
        assert_eq!(arn.account().as_str(), "123456789012");
        assert_eq!(arn.role_name(), "TruenoReadOnly");
        assert_eq!(arn.partition(), "aws");
    }

    #[test]
    fn malformed_role_arns_are_refused_with_the_expected_form() {
        for text in [
            "",
            "TruenoReadOnly",
            "arn:aws:iam::123:role/X",
            "arn:aws:s3:::bucket",
            "arn:aws:iam::123456789012:user/x",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/a b",
            "arn:mars:iam::123456789012:role/x",
            "arn:aws:iam:eu-west-1:123456789012:role/x",
            "arn:aws:iam::123456789012:role/a\0b",
        ] {
            let error = text.parse::<RoleArn>().unwrap_err().to_string();
            assert!(
                error.contains("role ARN") && error.contains("expected arn:aws:iam::"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn regions_and_numbers_are_parsed_not_trusted() {
        assert!("eu-west-1".parse::<Region>().is_ok());
        for text in ["", "EU-WEST-1", "eu west", "1-eu", "eu-", "../etc", "a"] {
            assert!(text.parse::<Region>().is_err(), "{text}");
        }
        assert!("12345678901".parse::<AccountNumber>().is_err());
    }

    #[test]
    fn a_connection_keeps_its_id_and_differs_by_role() {
        let organization: OrganizationId = derived("t", &[b"o"]);
        let number: AccountNumber = "123456789012".parse().unwrap();
        let id = |role| connection_id(organization, Provider::Aws, &number, role);
        assert_eq!(id(Some("A")), id(Some("A")));
        assert_ne!(id(Some("A")), id(Some("B")));
        assert_ne!(id(Some("A")), id(None));
    }
}
