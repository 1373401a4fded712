//! A scan of a live moto: what is seeded is found, and nothing else.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use trueno_aws::facts::{AddressFacts, Facts, SnapshotFacts, VolumeFacts};
use trueno_aws::{AwsScanner, AwsScannerBuilder};
use trueno_core::model::Resource;
use trueno_core::port::{CloudScanner, ScanTarget, TaskPlan};

use crate::aws::{self, ACCOUNT, ambient, region, through_role};

/// A moto of one's own, ended with the test.
struct Moto {
    process: Child,
    port: u16,
}

impl Moto {
    async fn start() -> Self {
        let program = std::env::var_os("TRUENO_TEST_MOTO").expect(
            "TRUENO_TEST_MOTO is not set: it names moto_server; scripts/test installs it and sets it",
        );
        // Free a moment ago; another process may still take it first, which then shows.
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let process = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .env("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("TRUENO_TEST_MOTO names a program that starts");
        let mut moto = Self { process, port };
        for _ in 0..600 {
            assert!(
                moto.process.try_wait().unwrap().is_none(),
                "moto ended at once"
            );
            if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return moto;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("moto does not listen after a minute");
    }

    fn scanner(&self) -> AwsScannerBuilder {
        let own = aws_credential_types::Credentials::new("AKIA", "test", None, None, "test");
        AwsScanner::builder()
            .endpoint_url(format!("http://127.0.0.1:{}", self.port))
            .home_region(region("us-east-1"))
            .credentials(aws_credential_types::provider::SharedCredentialsProvider::new(own))
    }

    /// Asks for a write, as only a test may. Answers what stands in the element `tag`.
    async fn seed(&self, region: &str, form: &str, tag: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let request = format!(
            "POST / HTTP/1.1\r\nhost: ec2.{region}.amazonaws.com\r\nconnection: close\r\n\
             authorization: AWS4-HMAC-SHA256 Credential=AKIA/20260101/{region}/ec2/aws4_request, \
             SignedHeaders=host, Signature=0\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
            form.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (_, rest) = answer
            .split_once(&format!("<{tag}>"))
            .unwrap_or_else(|| panic!("no {tag} in the answer to {form}: {answer}"));
        rest.split('<').next().unwrap().to_owned()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn everything(scanner: &AwsScanner, target: &ScanTarget) -> Vec<Resource> {
    let plan = scanner.plan(target).await.unwrap();
    let session = scanner.open(target, &plan).await.unwrap();
    let mut found = Vec::new();
    for task in &plan.tasks {
        let TaskPlan::Read(task) = task else { continue };
        for page in aws::read(&*session, task, None).await {
            found.extend(page.unwrap().resources);
        }
    }
    found.sort_by(|a, b| a.reference.cmp(&b.reference));
    found
}

#[tokio::test]
async fn a_live_endpoint_is_scanned_for_exactly_what_is_there() {
    let moto = Moto::start().await;
    let named = "TagSpecification.1.ResourceType=volume&TagSpecification.1.Tag.1.Key=Name&\
                 TagSpecification.1.Tag.1.Value=data%20%26%20logs";
    let create = "Action=CreateVolume&Version=2016-11-15&Size=10&VolumeType=gp2";
    let form = format!("{create}&AvailabilityZone=eu-west-1a&{named}");
    let volume = moto.seed("eu-west-1", &form, "volumeId").await;
    let form = format!("Action=CreateSnapshot&Version=2016-11-15&VolumeId={volume}");
    let snapshot = moto.seed("eu-west-1", &form, "snapshotId").await;
    let form = "Action=AllocateAddress&Version=2016-11-15&Domain=vpc";
    let address = moto.seed("eu-west-1", form, "allocationId").await;
    let form = format!("{create}&AvailabilityZone=us-east-1a");
    let other = moto.seed("us-east-1", &form, "volumeId").await;

    let scanner = moto.scanner().build().unwrap();
    assert_eq!(
        scanner.caller_identity().await.unwrap().number.as_str(),
        ACCOUNT
    );
    let mut target = ambient();
    target.account.regions = vec![region("eu-west-1"), region("us-east-1")];
    let found = everything(&scanner, &target).await;
    let ids: Vec<(&str, &str, &str)> = found
        .iter()
        .map(|resource| {
            let reference = &resource.reference;
            (
                reference.kind.as_str(),
                reference.region.as_str(),
                reference.native_id.as_str(),
            )
        })
        .collect();
    assert_eq!(
        ids,
        [
            ("ec2.address", "eu-west-1", address.as_str()),
            ("ec2.snapshot", "eu-west-1", snapshot.as_str()),
            ("ec2.volume", "eu-west-1", volume.as_str()),
            ("ec2.volume", "us-east-1", other.as_str()),
        ]
    );
    assert_eq!(AddressFacts::of(&found[0]).unwrap().association_id, None);
    let facts = SnapshotFacts::of(&found[1]).unwrap();
    assert_eq!(
        (facts.volume_id.as_deref(), facts.volume_size_gib),
        (Some(volume.as_str()), 10)
    );
    let facts = VolumeFacts::of(&found[2]).unwrap();
    assert_eq!((facts.volume_type.as_str(), facts.size_gib), ("gp2", 10));
    assert_eq!(facts.state, "available");
    assert_eq!(found[2].name.as_deref(), Some("data & logs"));
    assert_eq!(found[3].name, None);

    let (through_role, keys, _) = through_role();
    let scanner = moto.scanner().keys(keys).build().unwrap();
    let found = everything(&scanner, &through_role).await;
    assert_eq!(found.len(), 3, "the role sees what its one region holds");
    // moto lets anybody assume any role, so no connection to it may be accepted.
    let verified = scanner.verify(&through_role).await.unwrap();
    assert!(!verified.passed(), "{verified:?}");
}
