//! A scan's way into an account.

mod broker;
mod credentials;
mod policy;
mod verify;

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::model::{AccountNumber, TaskKey};
use trueno_core::port::{PageError, ScanPage, ScanSession, ScanStream, ScanTask};

use crate::client::Clients;
use crate::collect::{self, Collector, Page, Reader};
use crate::error::EXPIRED;

pub(crate) use broker::Broker;
pub(crate) use credentials::Renewing;
pub use policy::{permission_policy, trust_policy};
pub(crate) use verify::verify;

/// An open session: its clients can do what its plan needs, and its credentials go with it.
pub(crate) struct AwsSession {
    pub(crate) account: AccountNumber,
    pub(crate) clients: Clients,
    pub(crate) credentials: Arc<Renewing>,
    pub(crate) tasks: BTreeSet<TaskKey>,
    pub(crate) page_size: i32,
}

impl fmt::Debug for AwsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsSession")
            .field("account", &self.account.as_str())
            .field("tasks", &self.tasks.len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl ScanSession for AwsSession {
    async fn scan(&self, task: &ScanTask, checkpoint: Option<String>) -> Result<ScanStream> {
        if !self.tasks.contains(&task.key) {
            return Err(Error::invalid("task", "is not one of the session's plan"));
        }
        let collector = collect::of(&task.key.kind)
            .ok_or_else(|| Error::invalid("task", "reads a kind that nobody collects"))?;
        let region = task.key.region.clone();
        let ec2 = self.clients.ec2(region.as_str(), self.credentials.shared());
        let reader = Reader::new(ec2, self.account.clone(), region, self.page_size);
        let credentials = Arc::clone(&self.credentials);
        let mut seen = SeenTokens::default();
        if let Some(token) = &checkpoint {
            seen.note(token);
        }
        let pages = Pages {
            collector,
            reader,
            credentials,
            seen,
            next: Next::Page(checkpoint),
        };
        Ok(stream::unfold(pages, Pages::step).boxed())
    }
}

/// The pages of one task. Reads nothing ahead.
struct Pages {
    collector: &'static dyn Collector,
    reader: Reader,
    credentials: Arc<Renewing>,
    seen: SeenTokens,
    next: Next,
}

/// The tokens that a task's pages began at, as hashes: a token can be as long as AWS likes.
#[derive(Default)]
struct SeenTokens {
    hasher: RandomState,
    hashes: HashSet<u64>,
}

impl SeenTokens {
    /// Notes a token, and says whether it is new.
    fn note(&mut self, token: &str) -> bool {
        self.hashes.insert(self.hasher.hash_one(token))
    }
}

enum Next {
    Page(Option<String>),
    End,
}

impl Pages {
    async fn step(mut self) -> Option<(Result<ScanPage, PageError>, Self)> {
        let Next::Page(token) = std::mem::replace(&mut self.next, Next::End) else {
            return None;
        };
        let read = self.read(token).await;
        let requests = self.reader.take_requests();
        self.log(&read, requests);
        let page = match read {
            Ok(Page {
                resources,
                next: checkpoint,
            }) => {
                if let Some(token) = &checkpoint {
                    self.next = Next::Page(Some(token.clone()));
                }
                Ok(ScanPage {
                    resources,
                    requests,
                    checkpoint,
                })
            }
            Err(error) => Err(PageError {
                requests,
                error: error.with_operation("scan_session.scan"),
            }),
        };
        Some((page, self))
    }

    fn log(&self, read: &Result<Page>, requests: u64) {
        let (kind, region) = (self.collector.kind(), self.reader.region.as_str());
        match read {
            Ok(page) => {
                let (resources, last) = (page.resources.len(), page.next.is_none());
                tracing::debug!(%kind, region, requests, resources, last, "page read");
            }
            Err(error) => {
                let code = error.code().unwrap_or_default();
                tracing::warn!(%kind, region, requests, code, %error, "page not read");
            }
        }
    }

    async fn read(&mut self, token: Option<String>) -> Result<Page> {
        let page = match self.collector.page(&self.reader, token.clone()).await {
            // A clock that differs from AWS's, or a session revoked early: new credentials, once.
            Err(error) if expired(&error) && self.credentials.drop_cached().await => {
                self.collector.page(&self.reader, token.clone()).await?
            }
            answer => answer?,
        };
        // Pages that go round would be read for ever, and never cover what comes after them.
        if page.next.as_ref().is_some_and(|next| !self.seen.note(next)) {
            let message = "a page names one that was already read as the next one";
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        Ok(page)
    }
}

fn expired(error: &Error) -> bool {
    error.kind() == ErrorKind::Unauthenticated
        && error.code().is_some_and(|code| EXPIRED.contains(&code))
}
