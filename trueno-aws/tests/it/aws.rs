//! Answers as AWS writes them, and a scanner that is told nothing else.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use futures::StreamExt;
use jiff::Timestamp;
use trueno_aws::{AwsScanner, AwsScannerBuilder, Limits};
use trueno_core::id::{OrganizationId, derived};
use trueno_core::model::cloud_account::connection_id;
use trueno_core::model::{
    AccessMethod, AccountStatus, CloudAccount, Provider, Region, ResourceKind, TaskKey,
};
use trueno_core::port::{
    CloudScanner, PageError, ScanPage, ScanPlan, ScanSession, ScanTarget, ScanTask, TaskPlan,
};
use trueno_core::vault::{ExternalId, Key, KeyFile, derive_external_id};

use crate::stub::{Answer, Asked, Stub};

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/TruenoReadOnly";
pub(crate) const OWN_KEY: &str = "AKIAOWNKEY";
pub(crate) const OWN_SECRET: &str = "own-secret-bytes";

pub(crate) fn ok(body: impl Into<String>) -> Answer {
    Answer::Body(200, body.into())
}

/// An error as EC2 writes it.
pub(crate) fn ec2_error(status: u16, code: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\"?><Response><Errors><Error><Code>{code}</Code><Message>no</Message>\
         </Error></Errors><RequestID>r</RequestID></Response>"
    );
    Answer::Body(status, body)
}

/// An error as STS writes it.
pub(crate) fn sts_error(status: u16, code: &str) -> Answer {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender\
         </Type><Code>{code}</Code><Message>no</Message></Error><RequestId>r</RequestId>\
         </ErrorResponse>"
    );
    Answer::Body(status, body)
}

/// A page of volumes.
pub(crate) fn volumes(ids: &[&str], next: Option<&str>) -> String {
    let items: String = ids
        .iter()
        .map(|id| {
            format!(
                "<item><volumeId>{id}</volumeId><size>8</size><status>available</status>\
                 <volumeType>gp3</volumeType><createTime>2026-01-02T03:04:05.000Z</createTime>\
                 <iops>3000</iops><throughput>125</throughput><attachmentSet/><tagSet><item>\
                 <key>Name</key><value>n&amp;{id}</value></item></tagSet></item>"
            )
        })
        .collect();
    let next = next
        .map(|token| format!("<nextToken>{}</nextToken>", token.replace('&', "&amp;")))
        .unwrap_or_default();
    format!(
        "<?xml version=\"1.0\"?><DescribeVolumesResponse \
         xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r</requestId><volumeSet>\
         {items}</volumeSet>{next}</DescribeVolumesResponse>"
    )
}

/// Regions with their opt-in status.
pub(crate) fn regions(regions: &[(&str, &str)]) -> String {
    let items: String = regions
        .iter()
        .map(|(name, status)| {
            format!(
                "<item><regionName>{name}</regionName><optInStatus>{status}</optInStatus></item>"
            )
        })
        .collect();
    format!(
        "<DescribeRegionsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><regionInfo>\
         {items}</regionInfo></DescribeRegionsResponse>"
    )
}

pub(crate) fn identity(account: &str) -> String {
    format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <GetCallerIdentityResult><Arn>arn:aws:iam::{account}:user/u</Arn><UserId>U</UserId>\
         <Account>{account}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
    )
}

/// What STS hands out the `nth` time: credentials that say which time it was.
pub(crate) fn assumed(nth: usize, expiration: Timestamp) -> String {
    format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
         <Credentials><AccessKeyId>ASIAASSUMED{nth}</AccessKeyId><SecretAccessKey>assumed-secret-{nth}\
         </SecretAccessKey><SessionToken>assumed-token-{nth}</SessionToken><Expiration>{expiration}\
         </Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    )
}

/// An account with one region, eu-west-1, and nothing in it; `script` says what is different.
pub(crate) async fn stub(
    script: impl Fn(&Asked, usize) -> Option<Answer> + Send + Sync + 'static,
) -> Stub {
    Stub::start(move |asked, before| {
        script(asked, before).unwrap_or_else(|| match asked.action.as_str() {
            "GetCallerIdentity" => ok(identity(ACCOUNT)),
            "AssumeRole" => ok(assumed(before, "2999-01-01T00:00:00Z".parse().unwrap())),
            "DescribeRegions" => ok(regions(&[
                ("eu-west-1", "opt-in-not-required"),
                ("us-east-1", "opt-in-not-required"),
                ("ap-east-1", "not-opted-in"),
            ])),
            "DescribeVolumes" => ok(volumes(&[], None)),
            action => ok(format!("<{action}Response></{action}Response>")),
        })
    })
    .await
}

/// Patience that tests have.
pub(crate) fn limits() -> Limits {
    Limits::default()
        .with_attempts(3, Duration::from_millis(1), Duration::from_millis(5))
        .with_attempt_timeout(Duration::from_millis(500))
}

/// A scanner of the stub, with credentials of its own: nothing comes from the surroundings.
pub(crate) fn scanner(stub: &Stub) -> AwsScannerBuilder {
    let own = Credentials::new(OWN_KEY, OWN_SECRET, None, None, "test");
    AwsScanner::builder()
        .endpoint_url(stub.url())
        .home_region(region("us-east-1"))
        .credentials(SharedCredentialsProvider::new(own))
        .limits(limits())
}

pub(crate) fn region(name: &str) -> Region {
    name.parse().unwrap()
}

fn account(access: AccessMethod, role: Option<&str>) -> CloudAccount {
    let organization: OrganizationId = derived("test", &[]);
    let number = ACCOUNT.parse().unwrap();
    CloudAccount {
        id: connection_id(organization, Provider::Aws, &number, role),
        organization,
        provider: Provider::Aws,
        number,
        name: "test".to_owned(),
        access: Some(access),
        regions: vec![region("eu-west-1")],
        status: AccountStatus::Active,
        created_at: Timestamp::UNIX_EPOCH,
        version: 1,
    }
}

/// A connection with the process's own credentials.
pub(crate) fn ambient() -> ScanTarget {
    ScanTarget::new(account(AccessMethod::Ambient, None))
}

/// A connection through a role, its key file, and its external id.
pub(crate) fn through_role() -> (ScanTarget, Arc<KeyFile>, ExternalId) {
    let key = Key::new("k1", [7; 32]).unwrap();
    let keys = Arc::new(KeyFile::parse(&key.to_line()).unwrap());
    let mut account = account(AccessMethod::Ambient, Some("TruenoReadOnly"));
    let external_id = derive_external_id(&key, account.organization, account.id, 1);
    account.access = Some(AccessMethod::AssumeRole {
        role_arn: ROLE.parse().unwrap(),
        external_id_hash: external_id.hash(),
        key_id: "k1".to_owned(),
        generation: 1,
    });
    (ScanTarget::new(account), keys, external_id)
}

/// The task that reads volumes in a region.
pub(crate) fn volumes_in(plan: &ScanPlan, name: &str) -> ScanTask {
    let key = TaskKey {
        service: "ec2".to_owned(),
        region: region(name),
        kind: ResourceKind::known("ec2.volume"),
    };
    let task = plan
        .tasks
        .iter()
        .find(|task| task.key() == &key)
        .expect("the plan has the task");
    match task {
        TaskPlan::Read(task) => task.clone(),
        TaskPlan::Settled(..) => panic!("the task is settled"),
    }
}

/// Plans, opens, and reads the volumes of eu-west-1 to their end.
pub(crate) async fn read_volumes(
    scanner: &AwsScanner,
    target: &ScanTarget,
) -> Vec<Result<ScanPage, PageError>> {
    let plan = scanner.plan(target).await.unwrap();
    let session = scanner.open(target, &plan).await.unwrap();
    read(&*session, &volumes_in(&plan, "eu-west-1"), None).await
}

pub(crate) async fn read(
    session: &dyn ScanSession,
    task: &ScanTask,
    checkpoint: Option<&str>,
) -> Vec<Result<ScanPage, PageError>> {
    let pages = session
        .scan(task, checkpoint.map(str::to_owned))
        .await
        .unwrap();
    pages.collect().await
}

pub(crate) fn ids(page: &ScanPage) -> Vec<&str> {
    page.resources
        .iter()
        .map(|resource| resource.reference.native_id.as_str())
        .collect()
}
