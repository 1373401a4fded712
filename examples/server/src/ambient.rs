//! The account that the AWS credential chain points to, or a role that it can assume.

use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;
use trueno_aws::AwsScanner;
use trueno_core::clock::{FixedClock, SharedClock, SystemClock};
use trueno_core::id::derived;
use trueno_core::model::cloud_account::connection_id;
use trueno_core::model::{AccessMethod, NewCloudAccount, Provider, Region};
use trueno_core::port::{CloudScanner, ScanPlan, ScanSession, ScanTarget, Verification};
use trueno_core::vault::derive_external_id;
use trueno_server::keys;
use uuid::Uuid;

use crate::cli::ScanArgs;
use crate::local;
use crate::local_scan::{Subject, Trust};

pub(crate) async fn subject(args: &ScanArgs) -> Result<Subject> {
    let mut builder = AwsScanner::builder();
    if let Some(home) = args.regions.first() {
        builder = builder.home_region(home.clone());
    }
    let organization = local::organization_id(&args.store.organization);
    let (scanner, account) = match &args.role_arn {
        None => {
            let scanner = builder.build()?;
            let caller = scanner
                .caller_identity()
                .await
                .context("cannot tell whose account this is")?;
            let id = connection_id(organization, Provider::Aws, &caller.number, None);
            let name = format!("AWS {}", caller.number);
            let access = AccessMethod::Ambient;
            (
                scanner,
                NewCloudAccount::new(id, Provider::Aws, caller.number, &name, access)?,
            )
        }
        Some(role) => {
            let keys = Arc::new(keys::load(&keys::path(args.keys.key_file.as_deref())?)?);
            let number = role.account().clone();
            let id = connection_id(organization, Provider::Aws, &number, Some(role.role_name()));
            let key = keys.newest();
            let external_id = derive_external_id(key, organization, id, local::GENERATION);
            let access = AccessMethod::AssumeRole {
                role_arn: role.clone(),
                external_id_hash: external_id.hash(),
                key_id: key.id().to_owned(),
                generation: local::GENERATION,
            };
            let name = format!("AWS {number} through {}", role.role_name());
            let account = NewCloudAccount::new(id, Provider::Aws, number, &name, access)?;
            (builder.keys(keys).build()?, account)
        }
    };
    let as_of: SharedClock = match args.checks.as_of {
        Some(time) => Arc::new(FixedClock(time)),
        None => Arc::new(SystemClock),
    };
    let scope = scope(&args.regions);
    let scanner = Arc::new(InRegions {
        scanner,
        regions: args.regions.clone(),
    });
    Ok(Subject {
        scanner,
        account,
        as_of,
        trust: Trust::Probed,
        scope,
    })
}

/// A short name for a set of regions, the same in whatever order they are given.
fn scope(regions: &[Region]) -> String {
    if regions.is_empty() {
        return "all".to_owned();
    }
    let mut names: Vec<&[u8]> = regions
        .iter()
        .map(|region| region.as_str().as_bytes())
        .collect();
    names.sort_unstable();
    names.dedup();
    let id: Uuid = derived("trueno local regions v1", &names);
    id.simple().to_string()[..8].to_owned()
}

/// Looks at the regions of this command line, whatever the connection says.
#[derive(Debug)]
struct InRegions {
    scanner: AwsScanner,
    regions: Vec<Region>,
}

#[async_trait]
impl CloudScanner for InRegions {
    fn provider(&self) -> Provider {
        self.scanner.provider()
    }

    async fn plan(&self, target: &ScanTarget) -> trueno_core::error::Result<ScanPlan> {
        let mut account = target.account.clone();
        if !self.regions.is_empty() {
            account.regions.clone_from(&self.regions);
        }
        self.scanner.plan(&ScanTarget::new(account)).await
    }

    async fn verify(&self, target: &ScanTarget) -> trueno_core::error::Result<Verification> {
        self.scanner.verify(target).await
    }

    async fn open(
        &self,
        target: &ScanTarget,
        plan: &ScanPlan,
    ) -> trueno_core::error::Result<Box<dyn ScanSession>> {
        self.scanner.open(target, plan).await
    }
}
