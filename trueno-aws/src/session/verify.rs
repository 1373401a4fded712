//! Tries a connection, negative probes included.

use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::model::{AccessMethod, CloudAccount, RoleArn};
use trueno_core::port::{Probe, ProbeOutcome, Verification};
use trueno_core::vault::ExternalId;

use super::broker::Broker;
use super::credentials::Renewing;
use crate::error::EXPIRED;
use crate::operation::DESCRIBE_REGIONS;
use crate::partition;

const IDENTITY: &str = "the credentials belong to the account";
const ASSUME: &str = "assume with the external id is allowed";
const WITHOUT: &str = "assume without an external id is denied";
const WRONG: &str = "assume with a wrong external id is denied";

/// Generations count from 1, so that nobody's trust policy holds the external id of this one.
const NEVER: u32 = 0;

const ADVICE_NEGATIVE: &str = "add the condition StringEquals sts:ExternalId to every statement of \
                               the role's trust policy that allows sts:AssumeRole";

pub(crate) async fn verify(broker: &Broker, account: &CloudAccount) -> Result<Verification> {
    match &account.access {
        Some(AccessMethod::Ambient) => ambient(broker, account).await,
        Some(AccessMethod::AssumeRole { role_arn, .. }) => role(broker, account, role_arn).await,
        Some(_) => Err(Error::new(
            ErrorKind::Unsupported,
            "this access method is not AWS's",
        )),
        None => Err(Error::new(ErrorKind::Denied, "the account is disconnected")),
    }
}

async fn ambient(broker: &Broker, account: &CloudAccount) -> Result<Verification> {
    let identity = broker.identity(&broker.own).await?;
    let matches = identity.number == account.number;
    let advice = format!(
        "the credentials belong to account {}; pick the profile of {}",
        identity.number, account.number
    );
    let probes = vec![probe(IDENTITY, matches, &advice)];
    Ok(Verification {
        number: Some(identity.number),
        probes,
    })
}

async fn role(broker: &Broker, account: &CloudAccount, arn: &RoleArn) -> Result<Verification> {
    partition::check(arn, &broker.home)?;
    let right = broker.external_id(account)?;
    let wrong = broker.derived(account, NEVER)?;
    let mut verification = Verification {
        number: None,
        probes: Vec::new(),
    };
    match attempt(broker, account, arn, Some(right)).await? {
        Attempt::Entered(credentials) => {
            verification.probes.push(probe(ASSUME, true, ""));
            let identity = broker.identity(&credentials).await?;
            let matches = identity.number == account.number;
            let advice = format!("the role belongs to account {}", identity.number);
            verification.probes.push(probe(IDENTITY, matches, &advice));
            verification.number = Some(identity.number);
        }
        Attempt::Denied(error) => {
            verification
                .probes
                .push(probe(ASSUME, false, &error.to_string()));
        }
    }
    for (name, external_id) in [(WITHOUT, None), (WRONG, Some(wrong))] {
        let attempt = attempt(broker, account, arn, external_id).await?;
        let denied = matches!(attempt, Attempt::Denied(_));
        verification
            .probes
            .push(probe(name, denied, ADVICE_NEGATIVE));
    }
    Ok(verification)
}

enum Attempt {
    Entered(std::sync::Arc<Renewing>),
    Denied(Error),
}

/// Knocks once. Only a denial counts as one: a door that cannot be reached proves nothing.
async fn attempt(
    broker: &Broker,
    account: &CloudAccount,
    arn: &RoleArn,
    external_id: Option<ExternalId>,
) -> Result<Attempt> {
    let role = broker.role(account, arn, external_id, &[DESCRIBE_REGIONS])?;
    match role.assume().await {
        Ok(credentials) => {
            let source =
                aws_credential_types::provider::SharedCredentialsProvider::new(credentials);
            Ok(Attempt::Entered(Renewing::new(
                source,
                broker.common.clock.clone(),
            )))
        }
        Err(error) if error.kind() == ErrorKind::Denied && !is_ours(&error) => {
            Ok(Attempt::Denied(error))
        }
        Err(error) => Err(error),
    }
}

/// Whether an error is about the process's own credentials, which says nothing of the connection.
fn is_ours(error: &Error) -> bool {
    error.code().is_none_or(|code| EXPIRED.contains(&code))
}

fn probe(name: &str, passed: bool, advice: &str) -> Probe {
    Probe {
        name: name.to_owned(),
        outcome: if passed {
            ProbeOutcome::Passed
        } else {
            ProbeOutcome::Failed
        },
        advice: (!passed).then(|| advice.to_owned()),
    }
}
