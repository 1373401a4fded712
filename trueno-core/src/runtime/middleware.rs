//! What every job goes through on its way to its handler.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Completion, JobContext, JobHandler};
use crate::error::Result;

/// A layer around the handlers of a [`Processor`](super::Processor): metrics, a guard, one more
/// try. Layers lie around each other as those of an onion; what a layer answers is what the layer
/// around it gets from [`Next::run`].
///
/// ```
/// use async_trait::async_trait;
/// use trueno_core::error::Result;
/// use trueno_core::runtime::{Completion, JobContext, JobMiddleware, Next};
///
/// #[derive(Debug)]
/// struct Failures;
///
/// #[async_trait]
/// impl JobMiddleware for Failures {
///     async fn run(&self, context: &JobContext, next: Next<'_>) -> Result<Completion> {
///         let ended = next.run(context).await;
///         if let Err(error) = &ended {
///             tracing::info!(kind = %context.lease.claim().kind, ?error, "counted");
///         }
///         ended
///     }
/// }
/// ```
///
/// # Contract
/// - What a [`JobHandler`] may do, a layer may do, under the same rules: it runs once for each
///   attempt, it stops when [`JobContext::stop`] fires, and a panic is a failed attempt.
/// - A layer that does not call `next` answers in the handler's place.
/// - The attempt's timeout runs around all layers, and so does its tracing span.
#[async_trait]
pub trait JobMiddleware: Send + Sync + fmt::Debug {
    /// Runs one job: does what it does before, calls [`Next::run`], and does what it does after.
    async fn run(&self, context: &JobContext, next: Next<'_>) -> Result<Completion>;
}

/// The layers inside the present one, and the handler.
#[derive(Clone, Copy, Debug)]
pub struct Next<'a> {
    layers: &'a [Arc<dyn JobMiddleware>],
    handler: &'a dyn JobHandler,
}

impl<'a> Next<'a> {
    pub(super) const fn new(
        layers: &'a [Arc<dyn JobMiddleware>],
        handler: &'a dyn JobHandler,
    ) -> Self {
        Self { layers, handler }
    }

    /// Goes on with the job.
    ///
    /// # Errors
    /// Those of the handler, and of the layers inside.
    pub async fn run(self, context: &JobContext) -> Result<Completion> {
        match self.layers.split_first() {
            Some((outer, layers)) => outer.run(context, Self { layers, ..self }).await,
            None => self.handler.run(context).await,
        }
    }
}
