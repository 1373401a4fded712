//! Elastic IP addresses.

use async_trait::async_trait;
use aws_sdk_ec2::types::Address;
use trueno_core::error::Result;
use trueno_core::model::{Resource, ResourceKind};
use trueno_core::port::Operation;

use super::{Collector, Described, Page, Reader, needed, text};
use crate::facts::{ADDRESS, AddressFacts};
use crate::operation::ec2;

const DESCRIBE: Operation = ec2("DescribeAddresses");

#[derive(Debug)]
pub(super) struct Addresses;

#[async_trait]
impl Collector for Addresses {
    fn kind(&self) -> ResourceKind {
        ADDRESS
    }

    fn operations(&self) -> &'static [Operation] {
        &[DESCRIBE]
    }

    // EC2 answers with all of them at once, and limits how many there can be.
    async fn page(&self, reader: &Reader, _token: Option<String>) -> Result<Page> {
        let answer = reader
            .ec2
            .describe_addresses()
            .customize()
            .interceptor(reader.count())
            .send()
            .await
            .map_err(|error| reader.failed(DESCRIBE, &error))?;
        let resources = answer
            .addresses()
            .iter()
            .map(|address| resource(reader, address));
        Ok(Page::new(resources.collect::<Result<_>>()?, None))
    }
}

fn resource(reader: &Reader, address: &Address) -> Result<Resource> {
    let some = |value: Option<&str>| text(value.filter(|value| !value.is_empty()));
    let facts = AddressFacts {
        public_ip: some(address.public_ip()),
        association_id: some(address.association_id()),
        instance_id: some(address.instance_id()),
        network_interface_id: some(address.network_interface_id()),
    };
    // Addresses from before VPCs have no allocation; those are named by the address itself.
    let id = needed(
        address.allocation_id().or(address.public_ip()),
        "an address's id",
    )?;
    reader.resource(
        id,
        Described {
            name: None,
            tags: address.tags(),
            facts,
        },
    )
}
