//! The recorded account that comes with Trueno: made by `scripts/record-demo`.

use std::sync::Arc;

use anyhow::Result;
use trueno_aws::{AwsScanner, Recording, Transport};
use trueno_core::clock::{FixedClock, SystemClock};
use trueno_core::model::cloud_account::connection_id;
use trueno_core::model::{AccessMethod, NewCloudAccount, Provider, RoleArn};
use trueno_core::vault::{Key, KeyFile, derive_external_id};

use crate::cli::CheckArgs;
use crate::local;
use crate::local_scan::{Subject, Trust};

const RECORDING: &str = include_str!("../demo/account.jsonl");
const ROLE: &str = "arn:aws:iam::123456789012:role/TruenoReadOnly";
/// The day of the recording: what its ages are counted to.
const AS_OF: &str = "2026-11-15T00:00:00Z";

/// The recording answers whatever the external id is, so this key protects nothing: it is here so
/// that the demo takes the same path as an account that is connected.
const KEY: [u8; 32] = *b"the demo's key, which is public.";

pub(crate) fn subject(organization: &str, checks: &CheckArgs) -> Result<Subject> {
    let organization = local::organization_id(organization);
    let role: RoleArn = ROLE.parse()?;
    let number = role.account().clone();
    let id = connection_id(organization, Provider::Aws, &number, Some(role.role_name()));
    let key = Key::new("demo", KEY)?;
    let external_id = derive_external_id(&key, organization, id, local::GENERATION);
    let access = AccessMethod::AssumeRole {
        role_arn: role,
        external_id_hash: external_id.hash(),
        key_id: key.id().to_owned(),
        generation: local::GENERATION,
    };
    let account = NewCloudAccount::new(
        id,
        Provider::Aws,
        number,
        "the recorded demo account",
        access,
    )?;
    let recording = Arc::new(Recording::parse(RECORDING)?);
    let scanner = AwsScanner::builder()
        .keys(Arc::new(KeyFile::single(key)))
        .clock(Arc::new(SystemClock))
        .transport(Transport::Replay(recording))
        .build()?;
    let as_of = match checks.as_of {
        Some(time) => time,
        None => AS_OF.parse()?,
    };
    Ok(Subject {
        scanner: Arc::new(scanner),
        account,
        as_of: Arc::new(FixedClock(as_of)),
        trust: Trust::Recorded,
        scope: "all".to_owned(),
    })
}
