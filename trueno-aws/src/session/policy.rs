//! Policies: of a session, of the role to create, and of who may assume it.

use serde_json::{Value, json};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::CloudAccountId;
use trueno_core::port::Operation;
use trueno_core::vault::ExternalId;

use crate::guard::AllowList;
use crate::operation;

/// What AWS takes of an inline session policy; see
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>.
const LONGEST: usize = 2_048;

/// A session policy with exactly these operations.
///
/// # Errors
/// [`ErrorKind::Denied`] for an operation outside the read allow-list, and
/// [`ErrorKind::Unsupported`] where the policy gets too long for AWS.
pub(super) fn session_policy(operations: &[Operation]) -> Result<String> {
    let allowed = AllowList::only(operations)?;
    let actions: Vec<String> = allowed
        .iter()
        .map(|operation| operation.to_string())
        .collect();
    // IAM refuses an empty list of actions.
    let statement = if actions.is_empty() {
        json!({ "Effect": "Deny", "Action": "*", "Resource": "*" })
    } else {
        json!({ "Effect": "Allow", "Action": actions, "Resource": "*" })
    };
    let policy = document(&statement).to_string();
    if policy.len() > LONGEST {
        let message = format!(
            "the plan's session policy has {} characters, and AWS takes {LONGEST}; scan fewer kinds \
             at once",
            policy.len()
        );
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    Ok(policy)
}

/// The policy that a role for Trueno needs: what the collectors declare, and nothing else.
#[must_use]
pub fn permission_policy() -> Value {
    let actions: Vec<String> = AllowList::all()
        .iter()
        .filter(|operation| operation.service != "sts")
        .map(|operation| operation.to_string())
        .collect();
    document(&json!({
        "Sid": "TruenoReadOnly", "Effect": "Allow", "Action": actions, "Resource": "*",
    }))
}

/// The trust policy of a role for Trueno: `principal` (the ARN of whoever runs Trueno) may assume
/// it with this external id only. Shown once to the account's owner; never stored.
#[must_use]
pub fn trust_policy(principal: &str, external_id: &ExternalId) -> Value {
    document(&json!({
        "Effect": "Allow",
        "Principal": { "AWS": principal },
        "Action": operation::ASSUME_ROLE.to_string(),
        "Condition": { "StringEquals": { "sts:ExternalId": external_id.expose() } },
    }))
}

/// The name that a session has in the account's own logs: it names the connection.
pub(super) fn session_name(connection: CloudAccountId) -> String {
    format!("trueno-{}", connection.as_uuid().simple())
}

fn document(statement: &Value) -> Value {
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use trueno_core::id::derived;

    #[test]
    fn a_session_policy_allows_exactly_its_operations() {
        let wanted = [
            operation::ec2("DescribeVolumes"),
            operation::ec2("DescribeImages"),
        ];
        let policy: Value = serde_json::from_str(&session_policy(&wanted).unwrap()).unwrap();
        assert_eq!(
            policy,
            json!({ "Version": "2012-10-17", "Statement": [{
                "Effect": "Allow",
                "Action": ["ec2:DescribeImages", "ec2:DescribeVolumes"],
                "Resource": "*",
            }]})
        );
    }

    #[test]
    fn no_operations_are_no_rights_and_a_write_is_refused() {
        assert!(session_policy(&[]).unwrap().contains("\"Deny\""));
        let error = session_policy(&[operation::ec2("RunInstances")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
    }

    #[test]
    fn everything_that_can_be_planned_fits_into_one_session() {
        let all: Vec<Operation> = AllowList::all().iter().collect();
        assert!(session_policy(&all).unwrap().len() <= LONGEST);
    }

    #[test]
    fn a_role_for_trueno_may_read_and_nothing_else() {
        let policy = permission_policy().to_string();
        assert!(
            policy.contains("ec2:DescribeRegions") && !policy.contains("sts:"),
            "{policy}"
        );
        assert!(
            !policy.contains('*') || policy.matches('*').count() == 1,
            "{policy}"
        );
    }

    #[test]
    fn a_session_name_keeps_aws_rules() {
        let name = session_name(derived("t", &[b"1"]));
        assert!(
            name.starts_with("trueno-") && (2..=64).contains(&name.len()),
            "{name}"
        );
        assert!(
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
            "{name}"
        );
    }
}
