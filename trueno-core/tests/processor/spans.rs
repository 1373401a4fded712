//! The span of a job: what every log line of it says, and what goes on to the jobs that follow it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use trueno_core::error::{Error, ErrorKind};
use trueno_core::id::{CorrelationId, JobId};
use trueno_core::model::{JobKind, JobPayload, JobStatus, NewJob};
use trueno_core::runtime::Completion;
use uuid::Uuid;

use crate::world::{KIND, Scripted, World, quick};

const NEXT: JobKind = JobKind::known("next");
const NEXT_ID: JobId = JobId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));

/// The fields of each `job` span that was opened.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Fields>>>);

type Fields = BTreeMap<String, String>;

struct Taken(Fields);

impl Visit for Taken {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("trueno_core")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut taken = Taken(Fields::new());
        attributes.record(&mut taken);
        if attributes.metadata().name() == "job" {
            self.0.lock().unwrap().push(taken.0);
        }
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn followed_by_one(_: &trueno_core::runtime::JobContext) -> Completion {
    let payload = JobPayload {
        version: 1,
        body: json!({}),
    };
    let mut done = Completion::without_effects();
    done.next = vec![NewJob::new(NEXT_ID, NEXT, payload).unwrap()];
    done
}

#[tokio::test(start_paused = true)]
async fn a_span_names_job_organization_attempt_and_a_correlation_that_followers_inherit() {
    let spans = Spans::default();
    let _guard = tracing::subscriber::set_default(spans.clone());
    let flaky = Scripted::ending(
        |_, run| async move {
            if run == 1 {
                return Err(Error::new(ErrorKind::Unavailable, "not yet"));
            }
            Ok(())
        },
        followed_by_one,
    );
    let next = Scripted::silent(|_, _| async { Ok(()) }).of(NEXT);
    let mut world = World::prepare(quick(), vec![flaky, next]).await;
    let correlation = CorrelationId::from_uuid(Uuid::from_u128(42));
    let job = world.new_job(KIND).with_correlation_id(correlation);
    let job = world.put(job).await;
    world.run();
    world.until(job, JobStatus::Succeeded).await;
    let follower = world.until(NEXT_ID, JobStatus::Succeeded).await;
    assert_eq!(follower.correlation_id, Some(correlation));
    let alone = world.put(world.new_job(NEXT)).await;
    world.until(alone, JobStatus::Succeeded).await;
    world.shut_down().await;

    let organization = world.job(job).await.organization;
    let wanted = |job: JobId, kind: &JobKind, attempt: u32, correlation: CorrelationId| {
        Fields::from([
            ("job".to_owned(), job.to_string()),
            ("organization".to_owned(), organization.to_string()),
            ("kind".to_owned(), kind.to_string()),
            ("attempt".to_owned(), attempt.to_string()),
            ("correlation".to_owned(), correlation.to_string()),
        ])
    };
    let own = CorrelationId::from_uuid(alone.as_uuid());
    assert_eq!(
        *spans.0.lock().unwrap(),
        [
            wanted(job, &KIND, 1, correlation),
            wanted(job, &KIND, 2, correlation),
            wanted(NEXT_ID, &NEXT, 1, correlation),
            wanted(alone, &NEXT, 1, own),
        ]
    );
}
