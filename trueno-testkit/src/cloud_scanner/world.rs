//! A scanner with its account, and what cases do with them.

use std::sync::Arc;

use futures::StreamExt as _;
use trueno_core::model::{ResourceRef, TaskKey};
use trueno_core::port::{
    CloudScanner, PageError, ScanPage, ScanPlan, ScanSession, ScanTarget, ScanTask, TaskPlan,
};

use crate::harness::{ExpectedScan, ScannerHarness};

/// One case's scanner and account.
pub struct World {
    /// The scanner.
    pub scanner: Arc<dyn CloudScanner>,
    /// The account.
    pub target: ScanTarget,
    /// What a scan has to give.
    pub expected: ExpectedScan,
    harness: Box<dyn ScannerHarness>,
}

impl World {
    /// The world of a fresh harness.
    pub async fn new(harness: impl ScannerHarness + 'static) -> Self {
        Self {
            scanner: harness.scanner(),
            target: harness.target(),
            expected: harness.expected(),
            harness: Box::new(harness),
        }
    }

    /// The plan of a scan.
    pub async fn plan(&self) -> ScanPlan {
        self.scanner.plan(&self.target).await.unwrap()
    }

    /// A session for a plan.
    pub async fn open(&self, plan: &ScanPlan) -> Box<dyn ScanSession> {
        self.scanner.open(&self.target, plan).await.unwrap()
    }

    /// Every secret that the scanner has seen.
    pub fn secrets(&self) -> Vec<String> {
        self.harness.secrets()
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("scanner", &self.scanner)
            .finish_non_exhaustive()
    }
}

/// The tasks of a plan that are to be read.
pub(super) fn to_read(plan: &ScanPlan) -> Vec<&ScanTask> {
    plan.tasks
        .iter()
        .filter_map(|task| match task {
            TaskPlan::Read(task) => Some(task),
            TaskPlan::Settled(..) => None,
        })
        .collect()
}

/// The task of this name, which has to be one that is read.
pub(super) fn task_named<'a>(plan: &'a ScanPlan, key: &TaskKey) -> &'a ScanTask {
    to_read(plan)
        .into_iter()
        .find(|task| task.key == *key)
        .unwrap_or_else(|| panic!("the plan reads no {key:?}"))
}

/// The resources of some pages, in order.
pub(super) fn resources(pages: &[ScanPage]) -> Vec<ResourceRef> {
    let resources = pages.iter().flat_map(|page| &page.resources);
    resources
        .map(|resource| resource.reference.clone())
        .collect()
}

/// How a task ended: its pages, and the error that ended it, if one did.
#[derive(Debug)]
pub(super) struct Read {
    /// The pages before the end.
    pub(super) pages: Vec<ScanPage>,
    /// What ended it early.
    pub(super) error: Option<PageError>,
}

/// Reads a task to the end of its stream. Nothing may follow the last page or an error.
pub(super) async fn read(
    session: &dyn ScanSession,
    task: &ScanTask,
    checkpoint: Option<String>,
) -> Read {
    let mut stream = session.scan(task, checkpoint).await.unwrap();
    let mut read = Read {
        pages: Vec::new(),
        error: None,
    };
    while let Some(item) = stream.next().await {
        let ended = read.error.is_some()
            || read
                .pages
                .last()
                .is_some_and(|page| page.checkpoint.is_none());
        assert!(
            !ended,
            "{:?}: something follows the task's end: {item:?}",
            task.key
        );
        match item {
            Ok(page) => read.pages.push(page),
            Err(error) => read.error = Some(error),
        }
    }
    read
}
