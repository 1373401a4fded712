//! P4, with requests that the real SDK serializes: each half of the guard alone refuses what is not
//! on the list, and no connection is ever opened.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_ec2::config::{BehaviorVersion, Region};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::net::{TcpListener, TcpStream};
use trueno_core::error::ErrorKind;

use super::*;
use crate::client::https;
use crate::error::Call;
use crate::operation;

/// Counts connections, and answers none.
struct Trap {
    address: SocketAddr,
    peers: Arc<Mutex<Vec<SocketAddr>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Trap {
    async fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peers = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&peers);
        let task = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((stream, peer)) = listener.accept().await {
                open.push(stream);
                seen.lock().unwrap().push(peer);
            }
        });
        Self {
            address,
            peers,
            task,
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections others have opened. Connections are accepted in order: once our own is,
    /// so is every earlier one.
    async fn connections(&self) -> usize {
        let own = TcpStream::connect(self.address).await.unwrap();
        let own = own.local_addr().unwrap();
        loop {
            let peers = self.peers.lock().unwrap().clone();
            if let Some(earlier) = peers.iter().position(|peer| *peer == own) {
                return earlier;
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone, Copy, Debug)]
enum Half {
    Interceptor,
    Connector,
    Neither,
}

/// An SDK client's builder that has one half of the guard, as `client.rs` would set both.
macro_rules! client {
    ($sdk:ident, $half:expr, $trap:expr) => {{
        let guard = Guard::new(AllowList::all());
        let mut builder = $sdk::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url($trap.url())
            .credentials_provider(Credentials::new("AKIATEST", "secret", None, None, "test"))
            .retry_config(aws_smithy_types::retry::RetryConfig::disabled())
            .timeout_config(
                aws_smithy_types::timeout::TimeoutConfig::builder()
                    .operation_attempt_timeout(Duration::from_millis(300))
                    .build(),
            );
        builder.set_http_client(Some(match $half {
            Half::Connector => guard.http_client(https()),
            Half::Interceptor | Half::Neither => https(),
        }));
        if matches!($half, Half::Interceptor) {
            builder.push_interceptor(guard.interceptor());
        }
        $sdk::Client::from_conf(builder.build())
    }};
}

fn refused<T, E>(operation: &str, half: Half, answer: Result<T, SdkError<E, HttpResponse>>)
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Err(error) = answer else {
        panic!("{operation} passed {half:?}")
    };
    let error = Call::new(operation::DESCRIBE_REGIONS, "us-east-1").sdk_error(&error);
    assert_eq!(
        error.kind(),
        ErrorKind::Denied,
        "{operation} at {half:?}: {error:?}"
    );
    let text = error.to_string();
    assert!(
        text.contains(&format!("{operation} is not on the read allow-list")),
        "{text}"
    );
}

macro_rules! write_operations {
    ($ec2:ident, $sts:ident) => {
        [
            $ec2!("ec2:RunInstances", run_instances),
            $ec2!("ec2:TerminateInstances", terminate_instances),
            $ec2!("ec2:StopInstances", stop_instances),
            $ec2!("ec2:DeleteVolume", delete_volume),
            $ec2!("ec2:ModifyVolume", modify_volume),
            $ec2!("ec2:DeleteSnapshot", delete_snapshot),
            $ec2!("ec2:DeregisterImage", deregister_image),
            $ec2!("ec2:ReleaseAddress", release_address),
            $ec2!("ec2:CreateTags", create_tags),
            $ec2!("ec2:CreateSnapshot", create_snapshot),
            $ec2!("ec2:ModifyInstanceAttribute", modify_instance_attribute),
            // Reads that leak.
            $ec2!("ec2:GetPasswordData", get_password_data),
            $ec2!("ec2:GetConsoleOutput", get_console_output),
            // A read that nobody declared.
            $ec2!("ec2:DescribeVpcs", describe_vpcs),
            $sts!("sts:GetFederationToken", get_federation_token),
            $sts!("sts:GetSessionToken", get_session_token),
        ]
    };
}

async fn every_write_is_refused_by(half: Half) {
    let trap = Trap::set().await;
    let (ec2, sts) = (
        client!(aws_sdk_ec2, half, trap),
        client!(aws_sdk_sts, half, trap),
    );
    macro_rules! ec2 {
        ($name:literal, $call:ident) => {{
            refused($name, half, ec2.$call().send().await);
            $name
        }};
    }
    macro_rules! sts {
        ($name:literal, $call:ident) => {{
            refused($name, half, sts.$call().name_if_needed().send().await);
            $name
        }};
    }
    let tried = write_operations!(ec2, sts);
    assert_eq!(tried.len(), 16);
    assert_eq!(trap.connections().await, 0, "a socket was opened");
}

/// `GetFederationToken` alone needs a name to be serialized.
trait NameIfNeeded {
    fn name_if_needed(self) -> Self;
}

impl NameIfNeeded
    for aws_sdk_sts::operation::get_federation_token::builders::GetFederationTokenFluentBuilder
{
    fn name_if_needed(self) -> Self {
        self.name("x")
    }
}

impl NameIfNeeded
    for aws_sdk_sts::operation::get_session_token::builders::GetSessionTokenFluentBuilder
{
    fn name_if_needed(self) -> Self {
        self
    }
}

#[tokio::test]
async fn the_interceptor_alone_refuses_before_a_socket_opens() {
    every_write_is_refused_by(Half::Interceptor).await;
}

#[tokio::test]
async fn the_connector_alone_refuses_before_a_socket_opens() {
    every_write_is_refused_by(Half::Connector).await;
}

/// The trap works: what is allowed, and what nobody guards, does reach it.
#[tokio::test]
async fn what_is_not_refused_does_open_a_socket() {
    for half in [Half::Interceptor, Half::Connector] {
        let trap = Trap::set().await;
        let ec2 = client!(aws_sdk_ec2, half, trap);
        assert!(
            ec2.describe_volumes().send().await.is_err(),
            "the trap answers nothing"
        );
        assert_eq!(trap.connections().await, 1, "{half:?}");
    }
    let trap = Trap::set().await;
    let unguarded = client!(aws_sdk_ec2, Half::Neither, trap);
    assert!(unguarded.terminate_instances().send().await.is_err());
    assert_eq!(trap.connections().await, 1);
}

/// A caller that swaps the HTTP client for one request still has the interceptor against it.
#[tokio::test]
async fn overriding_the_http_client_does_not_pass_the_interceptor() {
    let trap = Trap::set().await;
    let ec2 = client!(aws_sdk_ec2, Half::Interceptor, trap);
    let other = aws_sdk_ec2::Config::builder().http_client(https());
    let answer = ec2
        .delete_volume()
        .customize()
        .config_override(other)
        .send()
        .await;
    refused("ec2:DeleteVolume", Half::Interceptor, answer);
    assert_eq!(trap.connections().await, 0);
}

#[derive(Clone, Debug, Default)]
struct Counting(Arc<AtomicUsize>);

impl HttpConnector for Counting {
    fn call(&self, _request: HttpRequest) -> HttpConnectorFuture {
        self.0.fetch_add(1, Ordering::SeqCst);
        HttpConnectorFuture::ready(Err(ConnectorError::io("sent".into())))
    }
}

fn raw(service: &str, target: Option<&str>, body: &'static str) -> HttpRequest {
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_uri("http://h/").unwrap();
    request.set_method("POST").unwrap();
    let scope = format!("AWS4-HMAC-SHA256 Credential=A/1/us-east-1/{service}/aws4_request, S=1");
    request.headers_mut().insert("authorization", scope);
    if let Some(target) = target {
        request
            .headers_mut()
            .insert("x-amz-target", target.to_owned());
    } else {
        request
            .headers_mut()
            .insert("content-type", "application/x-www-form-urlencoded");
    }
    request
}

/// Requests of services whose SDK is not linked, as their serializers would write them.
#[tokio::test]
async fn requests_of_unknown_services_are_refused_by_the_connector() {
    let inner = Counting::default();
    let connector = connector::connector(AllowList::all(), inner.clone());
    for request in [
        raw("dynamodb", Some("DynamoDB_20120810.PutItem"), "{}"),
        raw(
            "secretsmanager",
            Some("secretsmanager.GetSecretValue"),
            "{}",
        ),
        raw("ssm", Some("AmazonSSM.GetParameter"), "{}"),
        raw("ce", Some("AWSInsightsIndexService.GetCostAndUsage"), "{}"),
        raw("iam", None, "Action=CreateUser"),
        // The right name at another service is another operation.
        raw("autoscaling", None, "Action=DescribeVolumes"),
        raw("ec2", Some("X.DescribeVolumes"), "Action=DeleteVolume"),
        raw("lambda", None, ""),
        raw("ec2", None, "Action=DescribeVolumes&Action=DeleteVolume"),
    ] {
        let error = connector.call(request).await.unwrap_err();
        assert!(error.is_user(), "not to be tried again: {error:?}");
        assert!(error.into_source().downcast_ref::<Refused>().is_some());
    }
    assert_eq!(inner.0.load(Ordering::SeqCst), 0);
    let sent = connector
        .call(raw("ec2", None, "Action=DescribeVolumes"))
        .await
        .unwrap_err();
    assert!(sent.is_io());
    assert_eq!(inner.0.load(Ordering::SeqCst), 1);
}

/// No client can be made elsewhere: everything else in the crate gets one from `client.rs`.
#[test]
fn one_file_makes_clients() {
    fn rust_files(folder: &std::path::Path, out: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                rust_files(&path, out);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                out.push(path);
            }
        }
    }
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let makes_clients = |text: &str| text.contains("from_conf(") || text.contains("Client::new(&");
    let mut makers: Vec<String> = files
        .iter()
        .filter(|path| makes_clients(&std::fs::read_to_string(path).unwrap()))
        .map(|path| {
            path.strip_prefix(&source)
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    makers.sort();
    // In both, tests make clients with one half of the guard missing.
    assert_eq!(makers, ["client.rs", "guard/tests.rs"]);
}
