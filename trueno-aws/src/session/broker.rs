//! The session broker: turns a connection into credentials that can do what a plan needs.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::model::{AccessMethod, AccountNumber, CloudAccount, ExternalIdHash, RoleArn};
use trueno_core::port::Operation;
use trueno_core::vault::{ExternalId, KeyFile, derive_external_id};

use super::credentials::Renewing;
use super::policy::{session_name, session_policy};
use crate::client::{Clients, Common};
use crate::error::{Call, from_credentials};
use crate::guard::AllowList;
use crate::operation::{ASSUME_ROLE, GET_CALLER_IDENTITY};
use crate::partition;
use crate::scanner::CallerIdentity;

/// Opens sessions with the process's own credentials.
#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) common: Arc<Common>,
    pub(crate) keys: Option<Arc<KeyFile>>,
    /// The process's own credentials.
    pub(crate) own: Arc<Renewing>,
    /// The region whose STS is asked.
    pub(crate) home: String,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

impl Broker {
    /// Credentials for the account that can do `operations`, and nothing else where the account
    /// lets us in through a role. Fetched at once, so that a closed door shows here.
    pub(crate) async fn enter(
        &self,
        account: &CloudAccount,
        operations: &[Operation],
    ) -> Result<Arc<Renewing>> {
        match &account.access {
            Some(AccessMethod::Ambient) => {
                let identity = self.identity(&self.own).await?;
                same_account(&identity.number, &account.number)?;
                Ok(Arc::clone(&self.own))
            }
            Some(AccessMethod::AssumeRole { role_arn, .. }) => {
                partition::check(role_arn, &self.home)?;
                let external_id = self.external_id(account)?;
                let role = self.role(account, role_arn, Some(external_id), operations)?;
                let clock = self.common.clock.clone();
                let credentials = Renewing::new(SharedCredentialsProvider::new(role), clock);
                credentials
                    .current()
                    .await
                    .map_err(|error| from_credentials(&error))?;
                tracing::debug!(connection = %account.id, region = self.home, "session opened");
                Ok(credentials)
            }
            Some(_) => Err(Error::new(
                ErrorKind::Unsupported,
                "this access method is not AWS's",
            )),
            None => Err(Error::new(ErrorKind::Denied, "the account is disconnected")),
        }
    }

    /// The connection's external id, derived anew and compared with the stored hash in constant
    /// time.
    pub(super) fn external_id(&self, account: &CloudAccount) -> Result<ExternalId> {
        let Some(AccessMethod::AssumeRole {
            external_id_hash,
            generation,
            ..
        }) = &account.access
        else {
            return Err(Error::new(
                ErrorKind::Config,
                "the connection has no external id",
            ));
        };
        let derived = self.derived(account, *generation)?;
        let same: bool = ExternalIdHash::eq(&derived.hash(), external_id_hash);
        if same {
            return Ok(derived);
        }
        Err(Error::new(
            ErrorKind::Config,
            "the key file is not the one that this connection was made with: the external id that \
             it derives is another; put the old key back, or connect the account anew",
        ))
    }

    /// What the connection's key derives for a generation.
    pub(super) fn derived(&self, account: &CloudAccount, generation: u32) -> Result<ExternalId> {
        let Some(AccessMethod::AssumeRole { key_id, .. }) = &account.access else {
            return Err(Error::new(
                ErrorKind::Config,
                "the connection has no external id",
            ));
        };
        let keys = self.keys.as_ref().ok_or_else(|| {
            let message = "a role can be assumed only with a key file, which derives external ids";
            Error::new(ErrorKind::Config, message)
        })?;
        Ok(derive_external_id(
            keys.key(key_id)?,
            account.organization,
            account.id,
            generation,
        ))
    }

    /// A source of credentials: the role, assumed as often as it is asked.
    pub(super) fn role(
        &self,
        account: &CloudAccount,
        role_arn: &RoleArn,
        external_id: Option<ExternalId>,
        operations: &[Operation],
    ) -> Result<AssumedRole> {
        let clients = Clients::new(Arc::clone(&self.common), AllowList::only(&[ASSUME_ROLE])?);
        Ok(AssumedRole {
            sts: clients.sts(&self.home, self.own.shared()),
            region: self.home.clone(),
            role_arn: role_arn.clone(),
            external_id,
            policy: session_policy(operations)?,
            name: session_name(account.id),
            seconds: self.common.limits.session_seconds(),
        })
    }

    /// Whose credentials these are.
    pub(crate) async fn identity(&self, credentials: &Arc<Renewing>) -> Result<CallerIdentity> {
        let allowed = AllowList::only(&[GET_CALLER_IDENTITY])?;
        let clients = Clients::new(Arc::clone(&self.common), allowed);
        let call = Call::new(GET_CALLER_IDENTITY, &self.home);
        let sts = clients.sts(&self.home, credentials.shared());
        let answer = sts
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| call.sdk_error(&error))?;
        let number = answer.account().and_then(|number| number.parse().ok());
        let (Some(number), Some(arn)) = (number, answer.arn()) else {
            return Err(call.corrupt());
        };
        Ok(CallerIdentity {
            number,
            arn: arn.to_owned(),
        })
    }
}

fn same_account(found: &AccountNumber, expected: &AccountNumber) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    let message = format!(
        "the AWS credentials belong to account {found}, and the connection is to {expected}; pick \
         the right profile"
    );
    Err(Error::new(ErrorKind::Denied, message))
}

/// A role that is assumed anew each time its credentials are asked for.
pub(super) struct AssumedRole {
    sts: aws_sdk_sts::Client,
    region: String,
    role_arn: RoleArn,
    external_id: Option<ExternalId>,
    policy: String,
    name: String,
    seconds: i32,
}

impl fmt::Debug for AssumedRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssumedRole")
            .field("role", &self.role_arn.as_str())
            .finish_non_exhaustive()
    }
}

impl AssumedRole {
    pub(super) async fn assume(&self) -> Result<Credentials> {
        let external_id = self.external_id.as_ref().map(ExternalId::expose);
        let secrets: Vec<&str> = external_id.into_iter().collect();
        let call = Call {
            secrets: &secrets,
            ..Call::new(ASSUME_ROLE, &self.region)
        };
        let answer = self
            .sts
            .assume_role()
            .role_arn(self.role_arn.as_str())
            .role_session_name(&self.name)
            .set_external_id(external_id.map(str::to_owned))
            .policy(&self.policy)
            .duration_seconds(self.seconds)
            .send()
            .await
            .map_err(|error| advised(call.sdk_error(&error)))?;
        let credentials = answer.credentials().ok_or_else(|| call.corrupt())?;
        let (key, secret) = (credentials.access_key_id(), credentials.secret_access_key());
        let token = credentials.session_token();
        // An absent element reads as an empty one.
        if key.is_empty() || secret.is_empty() || token.is_empty() {
            return Err(call.corrupt());
        }
        let expiry = SystemTime::try_from(*credentials.expiration()).map_err(|_| call.corrupt())?;
        Ok(Credentials::new(
            key,
            secret,
            Some(token.to_owned()),
            Some(expiry),
            "trueno",
        ))
    }
}

impl ProvideCredentials for AssumedRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let assumed: provider::Result = self
                .assume()
                .await
                .map_err(CredentialsError::provider_error);
            assumed
        })
    }
}

/// AWS says only that it denies: what to look at is ours to say. The role is not named: what fails of
/// this keeps the message, and a disconnected account keeps no role (P5).
fn advised(error: Error) -> Error {
    if error.kind() != ErrorKind::Denied {
        return error;
    }
    let message = format!(
        "AWS denies the connection's role ({}); does it exist, and does its trust policy name this \
         principal and the connection's external id?",
        error.code().unwrap_or_default()
    );
    let mut better = Error::new(ErrorKind::Denied, message);
    if let Some(code) = error.code() {
        better = better.with_code(code);
    }
    match error.detail() {
        Some(detail) => better.with_detail(detail),
        None => better,
    }
}
