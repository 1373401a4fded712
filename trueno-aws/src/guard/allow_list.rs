//! The read allow-list: what may leave the process (P4).

use std::collections::BTreeSet;
use std::sync::Arc;

use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::port::Operation;

use crate::{collect, operation};

/// A set of operations that may be sent. There is no way to make one that holds more than
/// [`AllowList::all`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowList(Arc<BTreeSet<Operation>>);

impl AllowList {
    /// Everything that Trueno's AWS clients may ever send: what the collectors declare, and what
    /// opening a session takes.
    #[must_use]
    pub fn all() -> Self {
        let collected = collect::all()
            .into_iter()
            .flat_map(|collector| collector.operations());
        Self(Arc::new(
            collected.chain(&operation::SESSION).copied().collect(),
        ))
    }

    /// Only these.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] for an operation that [`AllowList::all`] does not hold.
    pub(crate) fn only(operations: &[Operation]) -> Result<Self> {
        let all = Self::all();
        match operations
            .iter()
            .find(|operation| !all.0.contains(operation))
        {
            None => Ok(Self(Arc::new(operations.iter().copied().collect()))),
            Some(operation) => {
                let message = format!("{operation} is not on the read allow-list");
                Err(Error::new(ErrorKind::Denied, message))
            }
        }
    }

    /// Whether an operation of a service may be sent.
    #[must_use]
    pub fn allows(&self, service: &str, name: &str) -> bool {
        self.iter()
            .any(|operation| operation.service == service && operation.name == name)
    }

    /// Every operation, sorted.
    pub fn iter(&self) -> impl Iterator<Item = Operation> + '_ {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every operation that may be sent. A new line here is a decision: it needs a review.
    const GOLDEN: &[&str] = &[
        "ec2:DescribeAddresses",
        "ec2:DescribeImages",
        "ec2:DescribeInstances",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeRegions",
        "ec2:DescribeSnapshots",
        "ec2:DescribeVolumes",
        "sts:AssumeRole",
        "sts:GetCallerIdentity",
    ];

    /// Reads that leak secrets or data, or cost money by the request.
    const NEVER: &[&str] = &[
        "ce:",
        "ec2:GetConsoleOutput",
        "ec2:GetConsoleScreenshot",
        "ec2:GetPasswordData",
        "ec2:DescribeInstanceAttribute",
        "ecr:GetAuthorizationToken",
        "lambda:GetFunction",
        "secretsmanager:GetSecretValue",
        "ssm:GetParameter",
        "sts:GetFederationToken",
        "sts:GetSessionToken",
    ];

    fn names(list: &AllowList) -> Vec<String> {
        list.iter().map(|operation| operation.to_string()).collect()
    }

    fn reads_only(operation: Operation) -> bool {
        operation == operation::ASSUME_ROLE
            || ["Describe", "Get", "List"]
                .iter()
                .any(|verb| operation.name.starts_with(verb))
    }

    #[test]
    fn the_allow_list_is_what_was_reviewed() {
        assert_eq!(names(&AllowList::all()), GOLDEN);
    }

    #[test]
    fn nothing_on_the_allow_list_writes_leaks_or_costs() {
        for operation in AllowList::all().iter() {
            assert!(reads_only(operation), "{operation} is no read");
            let name = operation.to_string();
            assert!(
                !NEVER.iter().any(|never| name.starts_with(never)),
                "{operation} leaks or costs"
            );
        }
    }

    #[test]
    fn the_rule_tells_a_write_from_a_read() {
        for name in [
            "RunInstances",
            "TerminateInstances",
            "CreateTags",
            "ModifyVolume",
        ] {
            assert!(!reads_only(operation::ec2(name)), "{name}");
        }
        assert!(!reads_only(operation::sts("AssumeRoot")));
    }

    #[test]
    fn a_smaller_list_holds_nothing_that_the_whole_one_lacks() {
        let error = AllowList::only(&[operation::ec2("RunInstances")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        let one = AllowList::only(&[operation::DESCRIBE_REGIONS]).unwrap();
        assert!(one.allows("ec2", "DescribeRegions") && !one.allows("ec2", "DescribeVolumes"));
        assert!(!one.allows("EC2", "DescribeRegions") && !one.allows("ec2", "describeregions"));
    }
}
