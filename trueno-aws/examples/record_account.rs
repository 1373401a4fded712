//! Records an AWS account: drives the real scanner against an endpoint and writes down what it
//! answers, without the secrets in it. The demo's account is recorded with it.
//!
//! ```text
//! cargo run -p trueno-aws --example record_account -- --endpoint http://127.0.0.1:5005 \
//!     --role-arn arn:aws:iam::123456789012:role/TruenoReadOnly \
//!     --regions us-east-1,eu-west-1,sa-east-1 --out account.jsonl
//! ```
//!
//! Without `--regions` every region of the account is planned. Made for emulators: the external id
//! comes from a throw-away key, so a role that asks for one lets nobody in.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use futures::TryStreamExt;
use trueno_aws::{AwsScanner, Recorder, Recording, Transport};
use trueno_core::clock::{Clock, SystemClock};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{OrganizationId, derived};
use trueno_core::model::cloud_account::connection_id;
use trueno_core::model::{
    AccessMethod, AccountStatus, CloudAccount, Provider, Region, ResourceKind, RoleArn,
};
use trueno_core::port::{CloudScanner, ScanTarget, TaskPlan};
use trueno_core::vault::{Key, KeyFile, derive_external_id};

const USAGE: &str = "record_account --endpoint URL --role-arn ARN [--regions R,R] --out FILE";

struct Arguments {
    endpoint: String,
    role_arn: RoleArn,
    regions: Vec<Region>,
    out: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match arguments() {
        Ok(arguments) => record(arguments).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(report) => {
            write_line(&report);
            ExitCode::SUCCESS
        }
        Err(error) => {
            write_line(&format!("error: {error}\n{error:?}"));
            ExitCode::FAILURE
        }
    }
}

fn write_line(text: &str) {
    use std::io::Write;
    // Whoever closed standard error does not want to know.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn arguments() -> Result<Arguments> {
    let mut given: BTreeMap<String, String> = BTreeMap::new();
    let mut words = std::env::args().skip(1);
    while let Some(name) = words.next() {
        let value = words.next().ok_or_else(|| Error::invalid(&name, USAGE))?;
        given.insert(name, value);
    }
    let mut take = |name: &str| {
        given
            .remove(name)
            .ok_or_else(|| Error::invalid(name, USAGE))
    };
    let (endpoint, role_arn, out) = (take("--endpoint")?, take("--role-arn")?, take("--out")?);
    let regions = take("--regions").unwrap_or_default();
    let regions = regions.split(',').filter(|region| !region.is_empty());
    let arguments = Arguments {
        endpoint,
        role_arn: role_arn.parse()?,
        regions: regions.map(str::parse).collect::<Result<_>>()?,
        out,
    };
    match given.keys().next() {
        None => Ok(arguments),
        Some(unknown) => Err(Error::invalid(unknown, USAGE)),
    }
}

async fn record(arguments: Arguments) -> Result<String> {
    let keys = Arc::new(KeyFile::parse(&Key::generate()?.to_line())?);
    let target = ScanTarget::new(account(&arguments, &keys));
    let recorder = Recorder::new();
    let own = Credentials::new("AKIAEXAMPLE", "example", None, None, "record");
    let scanner = AwsScanner::builder()
        .keys(Arc::clone(&keys))
        .credentials(SharedCredentialsProvider::new(own))
        .endpoint_url(arguments.endpoint)
        .home_region("us-east-1".parse()?)
        .transport(Transport::Record(recorder.clone()))
        .build()?;
    scanner.caller_identity().await?;
    let recorded = scan(&scanner, &target).await?;

    // What was written must replay to what was read.
    let text = recorder.recording().to_text()?;
    let recording = Arc::new(Recording::parse(&text)?);
    let replay = AwsScanner::builder()
        .keys(keys)
        .transport(Transport::Replay(Arc::clone(&recording)))
        .build()?;
    if scan(&replay, &target).await? != recorded {
        return Err(Error::new(
            ErrorKind::Corrupt,
            "the recording does not replay to what was read",
        ));
    }
    std::fs::write(&arguments.out, &text).map_err(|source| {
        let message = format!("{} cannot be written", arguments.out);
        Error::new(ErrorKind::Unavailable, message).with_source(source)
    })?;
    let mut report = format!("{} answers, {} bytes\n", recording.len(), text.len());
    for ((region, kind), count) in recorded {
        report.push_str(&format!("{region} {kind}: {count}\n"));
    }
    Ok(report)
}

/// Reads every task, and tells how many resources there are by region and kind.
async fn scan(
    scanner: &AwsScanner,
    target: &ScanTarget,
) -> Result<BTreeMap<(Region, ResourceKind), usize>> {
    let plan = scanner.plan(target).await?;
    let session = scanner.open(target, &plan).await?;
    let mut counts = BTreeMap::new();
    for task in &plan.tasks {
        let TaskPlan::Read(task) = task else { continue };
        let pages = session.scan(task, None).await?;
        let pages: Vec<_> = pages.try_collect().await.map_err(|failed| failed.error)?;
        let count = pages.iter().map(|page| page.resources.len()).sum();
        counts.insert((task.key.region.clone(), task.key.kind.clone()), count);
    }
    Ok(counts)
}

fn account(arguments: &Arguments, keys: &KeyFile) -> CloudAccount {
    let organization: OrganizationId = derived("trueno record_account", &[]);
    let role_arn = arguments.role_arn.clone();
    let number = role_arn.account().clone();
    let id = connection_id(
        organization,
        Provider::Aws,
        &number,
        Some(role_arn.role_name()),
    );
    let key = keys.newest();
    let external_id_hash = derive_external_id(key, organization, id, 1).hash();
    CloudAccount {
        id,
        organization,
        provider: Provider::Aws,
        number,
        name: "recorded".to_owned(),
        access: Some(AccessMethod::AssumeRole {
            role_arn,
            external_id_hash,
            key_id: key.id().to_owned(),
            generation: 1,
        }),
        regions: arguments.regions.clone(),
        status: AccountStatus::Active,
        created_at: SystemClock.now(),
        version: 1,
    }
}
