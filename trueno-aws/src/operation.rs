//! The names of AWS operations, each written once: collectors declare them, and the policy, the
//! allow-list and coverage come from what is declared.

use trueno_core::port::Operation;

/// Lists the account's regions and whether each is enabled.
pub(crate) const DESCRIBE_REGIONS: Operation = ec2("DescribeRegions");
/// Enters an account.
pub(crate) const ASSUME_ROLE: Operation = sts("AssumeRole");
/// Tells whose credentials these are; no policy can deny it.
pub(crate) const GET_CALLER_IDENTITY: Operation = sts("GetCallerIdentity");

/// What a session needs besides its plan.
pub(crate) const SESSION: [Operation; 3] = [ASSUME_ROLE, DESCRIBE_REGIONS, GET_CALLER_IDENTITY];

/// An operation of EC2.
pub(crate) const fn ec2(name: &'static str) -> Operation {
    Operation {
        service: "ec2",
        name,
    }
}

/// An operation of STS.
pub(crate) const fn sts(name: &'static str) -> Operation {
    Operation {
        service: "sts",
        name,
    }
}
