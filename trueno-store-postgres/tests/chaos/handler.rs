//! What runs the jobs, in the processes of the workers.

use std::panic::resume_unwind;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use trueno_core::clock::SharedClock;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::IdSource;
use trueno_core::model::{EventDraft, JobKind, Resource, ScanProgress};
use trueno_core::runtime::{Completion, JobContext, JobHandler};
use trueno_core::state::scan::ScanEvent;
use trueno_testkit::fixtures::resource;

use crate::work::{DONE, EFFECTS, PLAIN, SCAN, Work};

/// Batches of a scan, and the resources of each.
const BATCHES: u64 = 4;
const RESOURCES: u64 = 2;

/// The resources of a scan that succeeded.
pub(crate) const OF_A_SCAN: usize = (BATCHES * RESOURCES) as usize;

/// Does as the payload says.
#[derive(Debug)]
pub(crate) struct Handler {
    kind: JobKind,
    ids: IdSource,
    clock: SharedClock,
}

impl Handler {
    pub(crate) fn all(ids: &IdSource, clock: &SharedClock) -> Vec<std::sync::Arc<dyn JobHandler>> {
        [EFFECTS, PLAIN, SCAN]
            .map(|kind| {
                std::sync::Arc::new(Self {
                    kind,
                    ids: ids.clone(),
                    clock: clock.clone(),
                }) as _
            })
            .into()
    }

    /// A follower has a new id in each attempt: two attempts that both counted would leave two.
    fn completion(&self, context: &JobContext, work: &Work) -> Completion {
        if self.kind == PLAIN {
            return Completion::without_effects();
        }
        let lease = context.lease.reference();
        let event =
            EventDraft::new(DONE, "job", lease.job).with_detail("token", lease.token.to_string());
        let mut completion = Completion::new(event);
        if self.kind == SCAN {
            completion = completion.with_scan(ScanEvent::Completed {
                coverage_complete: true,
            });
        }
        if work.has_follower {
            let id = self.ids.next(self.clock.now());
            completion.next.push(Work::after(lease.job).job(id, PLAIN));
        }
        completion
    }
}

#[async_trait]
impl JobHandler for Handler {
    fn kind(&self) -> JobKind {
        self.kind.clone()
    }

    async fn run(&self, context: &JobContext) -> Result<Completion> {
        let claim = context.lease.claim();
        let work: Work = serde_json::from_value(claim.payload.body.clone()).map_err(|source| {
            Error::new(ErrorKind::InvalidInput, "the payload is not ours").with_source(source)
        })?;
        if claim.failed_attempts < work.fails {
            pause(context, work.time() / 4).await?;
            if work.panics {
                // One that prints nothing.
                resume_unwind(Box::new("planned"));
            }
            return Err(Error::new(ErrorKind::Unavailable, "planned"));
        }
        if self.kind == SCAN {
            for batch in 0..BATCHES {
                pause(context, work.time() / 4).await?;
                until_taken(context, batch).await?;
            }
        } else {
            pause(context, work.time()).await?;
        }
        Ok(self.completion(context, &work))
    }
}

async fn pause(context: &JobContext, time: Duration) -> Result<()> {
    let sleep = async {
        tokio::time::sleep(time).await;
        Ok(())
    };
    context.unless_stopped(sleep).await
}

/// A server that is away is no failure of the attempt.
async fn until_taken(context: &JobContext, batch: u64) -> Result<()> {
    loop {
        match context.unless_stopped(ingest(context, batch)).await {
            Err(error) if error.is_retryable() && !context.stop.is_cancelled() => {
                pause(context, Duration::from_millis(50)).await?;
            }
            other => return other,
        }
    }
}

/// One batch: what is in it names the lease that wrote it.
async fn ingest(context: &JobContext, batch: u64) -> Result<()> {
    let token = context.lease.reference().token.to_string();
    let resources = (0..RESOURCES)
        .map(|nth| Resource {
            attributes: json!({ "token": token }),
            ..resource("ec2.volume", "eu-west-1", &format!("vol-{batch}-{nth}"))
        })
        .collect();
    let mut ingest = context.store.ingest(&context.lease).await?;
    ingest.start_scan(BATCHES).await?;
    ingest.put_resources(resources).await?;
    let progress = ScanProgress {
        tasks: BATCHES,
        tasks_done: batch + 1,
        resources: (batch + 1) * RESOURCES,
    };
    ingest.set_progress(progress).await?;
    ingest.commit().await
}
