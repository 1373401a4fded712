//! Collectors: one per kind of resource, each of which reads one page at a time.
//!
//! A collector declares its operations once. The plan, the session policy, the guard's allow-list
//! and what coverage reports are made of that.

mod addresses;
mod images;
mod instances;
mod network_interfaces;
mod snapshots;
mod volumes;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use aws_sdk_ec2::types::Tag;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, SharedInterceptor};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::Timestamp;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::model::{AccountNumber, Region, Resource, ResourceKind, ResourceRef};
use trueno_core::port::Operation;

use crate::error::Call;
use crate::facts::Facts;

/// Reads one kind of resource in one region.
#[async_trait]
pub(crate) trait Collector: fmt::Debug + Send + Sync {
    /// What it reads.
    fn kind(&self) -> ResourceKind;

    /// Every operation that it may call, the first of which names its service.
    fn operations(&self) -> &'static [Operation];

    /// Reads the page that begins at `token`, or the first one.
    async fn page(&self, reader: &Reader, token: Option<String>) -> Result<Page>;
}

/// Every collector.
pub(crate) fn all() -> [&'static dyn Collector; 6] {
    [
        &addresses::Addresses,
        &images::Images,
        &instances::Instances,
        &network_interfaces::NetworkInterfaces,
        &snapshots::Snapshots,
        &volumes::Volumes,
    ]
}

/// The collector of a kind.
pub(crate) fn of(kind: &ResourceKind) -> Option<&'static dyn Collector> {
    all()
        .into_iter()
        .find(|collector| &collector.kind() == kind)
}

/// One page.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) resources: Vec<Resource>,
    /// Where the next one begins; `None` after the last.
    pub(crate) next: Option<String>,
}

impl Page {
    fn new(resources: Vec<Resource>, next: Option<String>) -> Self {
        Self {
            resources,
            next: next.filter(|token| !token.is_empty()),
        }
    }
}

/// What a collector reads with: a client of one region, which counts its requests.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    pub(crate) ec2: aws_sdk_ec2::Client,
    pub(crate) account: AccountNumber,
    pub(crate) region: Region,
    pub(crate) page_size: i32,
    requests: RequestCount,
}

impl Reader {
    pub(crate) fn new(
        ec2: aws_sdk_ec2::Client,
        account: AccountNumber,
        region: Region,
        page_size: i32,
    ) -> Self {
        Self {
            ec2,
            account,
            region,
            page_size,
            requests: RequestCount::default(),
        }
    }

    /// Requests sent since the last call of this, retries included.
    pub(crate) fn take_requests(&self) -> u64 {
        self.requests.0.swap(0, Ordering::Relaxed)
    }

    fn count(&self) -> SharedInterceptor {
        SharedInterceptor::new(self.requests.clone())
    }

    fn failed<E>(&self, operation: Operation, error: &SdkError<E, HttpResponse>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        Call::new(operation, self.region.as_str()).sdk_error(error)
    }

    fn resource<F: Facts>(&self, native_id: &str, item: Described<'_, F>) -> Result<Resource> {
        let tags: BTreeMap<String, String> = item
            .tags
            .iter()
            .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or("").to_owned())))
            .collect();
        Ok(Resource {
            reference: ResourceRef {
                kind: F::KIND,
                region: self.region.clone(),
                native_id: native_id.to_owned(),
            },
            name: item.name.or_else(|| tags.get("Name").cloned()),
            tags,
            attributes: item.facts.to_attributes()?,
        })
    }
}

/// What a resource is made of.
struct Described<'a, F> {
    /// Its name, where that is not its tag `Name`.
    name: Option<String>,
    tags: &'a [Tag],
    facts: F,
}

#[derive(Clone, Debug, Default)]
struct RequestCount(Arc<AtomicU64>);

impl Intercept for RequestCount {
    fn name(&self) -> &'static str {
        "TruenoRequestCount"
    }

    // Once for every attempt, right before it is sent.
    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// A value that AWS always gives.
fn needed<T>(value: Option<T>, what: &str) -> Result<T> {
    value.ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("the answer lacks {what}")))
}

fn text<T: AsRef<str>>(value: Option<T>) -> Option<String> {
    value.map(|value| value.as_ref().to_owned())
}

fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}
