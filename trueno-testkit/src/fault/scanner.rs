//! A scanner whose sessions and pages go wrong as planned.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use trueno_core::error::{Applied, Result};
use trueno_core::model::Provider;
use trueno_core::port::{
    CloudScanner, PageError, ScanPage, ScanPlan, ScanSession, ScanStream, ScanTarget, ScanTask,
    Verification,
};

use super::plan::injected;
use super::{Fault, FaultPlan};

/// A [`CloudScanner`] whose calls, and whose pages, go wrong as planned. Otherwise it is the scanner
/// that it wraps.
///
/// A fault of `scan_stream.next` takes the place of the page, which is read first and lost where the
/// fault comes after; the task ends there.
#[derive(Clone, Debug)]
pub struct FaultyScanner {
    real: Arc<dyn CloudScanner>,
    plan: FaultPlan,
}

impl FaultyScanner {
    /// Wraps `real`.
    #[must_use]
    pub fn new(real: Arc<dyn CloudScanner>, plan: FaultPlan) -> Self {
        Self { real, plan }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl CloudScanner for FaultyScanner {
    fn provider(&self) -> Provider {
        self.real.provider()
    }

    async fn plan(&self, target: &ScanTarget) -> Result<ScanPlan> {
        self.plan
            .through("cloud_scanner.plan", self.real.plan(target))
            .await
    }

    async fn verify(&self, target: &ScanTarget) -> Result<Verification> {
        self.plan
            .through("cloud_scanner.verify", self.real.verify(target))
            .await
    }

    async fn open(&self, target: &ScanTarget, plan: &ScanPlan) -> Result<Box<dyn ScanSession>> {
        let real = self
            .plan
            .through("cloud_scanner.open", self.real.open(target, plan))
            .await?;
        Ok(Box::new(FaultySession {
            real,
            plan: self.plan.clone(),
        }))
    }
}

#[derive(Debug)]
struct FaultySession {
    real: Box<dyn ScanSession>,
    plan: FaultPlan,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ScanSession for FaultySession {
    async fn scan(&self, task: &ScanTask, checkpoint: Option<String>) -> Result<ScanStream> {
        let call = self.real.scan(task, checkpoint);
        let pages = self.plan.through("scan_session.scan", call).await?;
        let state = Some((pages, self.plan.clone()));
        Ok(futures::stream::unfold(state, async |state| {
            let (mut pages, plan) = state?;
            let item = next(&mut pages, &plan).await?;
            // Nothing follows an error: the task ends there.
            let rest = item.is_ok().then_some((pages, plan));
            Some((item, rest))
        })
        .boxed())
    }
}

async fn next(pages: &mut ScanStream, plan: &FaultPlan) -> Option<Result<ScanPage, PageError>> {
    const METHOD: &str = "scan_stream.next";
    let failed = |kind, requests| {
        Some(Err(PageError {
            requests,
            error: injected(kind, Applied::No, METHOD),
        }))
    };
    match plan.meet(METHOD) {
        None => pages.next().await,
        Some(Fault::Delay(wait)) => {
            tokio::time::sleep(wait).await;
            pages.next().await
        }
        Some(Fault::Before(kind) | Fault::Lost(kind)) => failed(kind, 0),
        Some(Fault::After(kind)) => match pages.next().await? {
            Ok(page) => failed(kind, page.requests),
            Err(error) => Some(Err(error)),
        },
    }
}
