//! Partitions: AWS's separate worlds. Credentials of one are worth nothing in another.

use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::model::RoleArn;

/// Where STS is asked when nobody says where.
pub(crate) const DEFAULT_REGION: &str = "us-east-1";

/// The partition of a region; see
/// <https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html>.
fn of(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

/// Refuses a role that the home region's STS cannot know.
pub(crate) fn check(role: &RoleArn, home: &str) -> Result<()> {
    if role.partition() == of(home) {
        return Ok(());
    }
    let message = format!(
        "the role is in the partition {}, and the home region {home} is in {}; set the region to \
         one of the role's partition",
        role.partition(),
        of(home)
    );
    Err(Error::new(ErrorKind::Config, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_of_another_partition_is_refused_before_anybody_is_asked() {
        let role = |arn: &str| arn.parse::<RoleArn>().unwrap();
        assert!(check(&role("arn:aws:iam::123456789012:role/x"), "eu-west-1").is_ok());
        assert!(check(&role("arn:aws-cn:iam::123456789012:role/x"), "cn-north-1").is_ok());
        assert!(
            check(
                &role("arn:aws-us-gov:iam::123456789012:role/x"),
                "us-gov-west-1"
            )
            .is_ok()
        );
        let error = check(&role("arn:aws-cn:iam::123456789012:role/x"), "us-east-1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
    }
}
