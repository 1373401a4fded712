//! The port to AWS.

mod builder;
mod plan;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::OnceCell;
use trueno_core::error::Result;
use trueno_core::model::{AccountNumber, Provider};
use trueno_core::port::{CloudScanner, ScanPlan, ScanSession, ScanTarget, TaskPlan, Verification};

use crate::ambient;
use crate::client::Clients;
use crate::guard::AllowList;
use crate::session::{AwsSession, Broker, verify};

pub use builder::{AwsScannerBuilder, Transport};

/// Reads AWS accounts, and cannot do anything else to them.
///
/// Its clients refuse every operation outside [`AllowList`] before a socket opens. Nothing is asked
/// of AWS before the first call; credentials, region and endpoints are looked up then, once.
/// Cloning shares everything.
#[derive(Clone)]
pub struct AwsScanner {
    shared: Arc<Shared>,
}

struct Shared {
    settings: AwsScannerBuilder,
    broker: OnceCell<Broker>,
}

/// Whose credentials the process has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallerIdentity {
    /// The account's number.
    pub number: AccountNumber,
    /// The user or role.
    pub arn: String,
}

impl AwsScanner {
    /// How to make one.
    #[must_use]
    pub fn builder() -> AwsScannerBuilder {
        AwsScannerBuilder::default()
    }

    /// Whose credentials the process itself has: for a connection with
    /// [`AccessMethod::Ambient`](trueno_core::model::AccessMethod::Ambient), whose account number
    /// nobody has said.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`](trueno_core::error::ErrorKind::Unauthenticated) where there
    /// are no credentials or AWS does not take them, and those of [`CloudScanner`].
    ///
    /// # Cancel-safety
    /// Can be dropped at any point.
    pub async fn caller_identity(&self) -> Result<CallerIdentity> {
        let broker = self.broker().await?;
        let identity = broker.identity(&broker.own).await;
        identity.map_err(|error| error.with_operation("aws_scanner.caller_identity"))
    }

    async fn broker(&self) -> Result<&Broker> {
        let load = || ambient::broker(&self.shared.settings);
        self.shared.broker.get_or_try_init(load).await
    }

    async fn opened(&self, target: &ScanTarget, plan: &ScanPlan) -> Result<AwsSession> {
        let broker = self.broker().await?;
        let operations = plan.operations();
        let allowed = AllowList::only(&operations)?;
        let credentials = broker.enter(&target.account, &operations).await?;
        let read = plan.tasks.iter().filter_map(|task| match task {
            TaskPlan::Read(task) => Some(task.key.clone()),
            TaskPlan::Settled(..) => None,
        });
        Ok(AwsSession {
            account: target.account.number.clone(),
            clients: Clients::new(Arc::clone(&broker.common), allowed),
            credentials,
            tasks: read.collect(),
            page_size: broker.common.limits.page_size,
        })
    }
}

impl fmt::Debug for AwsScanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsScanner")
            .field("settings", &self.shared.settings)
            .finish()
    }
}

#[async_trait]
impl CloudScanner for AwsScanner {
    fn provider(&self) -> Provider {
        Provider::Aws
    }

    async fn plan(&self, target: &ScanTarget) -> Result<ScanPlan> {
        let planned = async { plan::plan(self.broker().await?, &target.account).await };
        planned
            .await
            .map_err(|error| error.with_operation("cloud_scanner.plan"))
    }

    async fn verify(&self, target: &ScanTarget) -> Result<Verification> {
        let verified = async { verify(self.broker().await?, &target.account).await };
        verified
            .await
            .map_err(|error| error.with_operation("cloud_scanner.verify"))
    }

    async fn open(&self, target: &ScanTarget, plan: &ScanPlan) -> Result<Box<dyn ScanSession>> {
        match self.opened(target, plan).await {
            Ok(session) => Ok(Box::new(session)),
            Err(error) => Err(error.with_operation("cloud_scanner.open")),
        }
    }
}
