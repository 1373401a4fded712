//! Elastic network interfaces.

use async_trait::async_trait;
use aws_sdk_ec2::types::NetworkInterface;
use trueno_core::error::Result;
use trueno_core::model::{Resource, ResourceKind};
use trueno_core::port::Operation;

use super::{Collector, Described, Page, Reader, needed, text};
use crate::facts::{NETWORK_INTERFACE, NetworkInterfaceFacts};
use crate::operation::ec2;

const DESCRIBE: Operation = ec2("DescribeNetworkInterfaces");

#[derive(Debug)]
pub(super) struct NetworkInterfaces;

#[async_trait]
impl Collector for NetworkInterfaces {
    fn kind(&self) -> ResourceKind {
        NETWORK_INTERFACE
    }

    fn operations(&self) -> &'static [Operation] {
        &[DESCRIBE]
    }

    async fn page(&self, reader: &Reader, token: Option<String>) -> Result<Page> {
        let answer = reader
            .ec2
            .describe_network_interfaces()
            .include_managed_resources(true)
            .max_results(reader.page_size)
            .set_next_token(token)
            .customize()
            .interceptor(reader.count())
            .send()
            .await
            .map_err(|error| reader.failed(DESCRIBE, &error))?;
        let interfaces = answer.network_interfaces().iter();
        let resources = interfaces.map(|interface| resource(reader, interface));
        Ok(Page::new(
            resources.collect::<Result<_>>()?,
            answer.next_token,
        ))
    }
}

fn resource(reader: &Reader, interface: &NetworkInterface) -> Result<Resource> {
    let status = interface.status().map(|status| status.as_str());
    let facts = NetworkInterfaceFacts {
        status: needed(text(status), "a network interface's status")?,
        requester_managed: interface.requester_managed().unwrap_or(false),
        interface_type: text(interface.interface_type().map(|t| t.as_str())),
    };
    let id = needed(interface.network_interface_id(), "a network interface's id")?;
    reader.resource(
        id,
        Described {
            name: None,
            tags: interface.tag_set(),
            facts,
        },
    )
}
