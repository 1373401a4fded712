//! Recordings: what is recorded replays to the same pages, without a socket and without secrets.

use std::sync::Arc;

use trueno_aws::{AwsScanner, AwsScannerBuilder, Recorder, Recording, Transport};
use trueno_core::error::ErrorKind;
use trueno_core::port::CloudScanner;

use crate::aws::{
    self, ACCOUNT, OWN_KEY, OWN_SECRET, ids, limits, ok, read_volumes, scanner, through_role,
    volumes,
};

fn player(recording: &Recording) -> AwsScannerBuilder {
    let recording = Arc::new(recording.clone());
    AwsScanner::builder()
        .transport(Transport::Replay(recording))
        .limits(limits())
}

#[tokio::test]
async fn a_recording_replays_to_the_same_pages() {
    let stub = aws::stub(
        |asked, before| match (asked.action.as_str(), asked.param("NextToken")) {
            // The first try fails; the recording keeps what came of it in the end.
            ("DescribeVolumes", None) if before == 0 => {
                Some(aws::ec2_error(503, "RequestLimitExceeded"))
            }
            ("DescribeVolumes", None) => Some(ok(volumes(&["vol-1"], Some("two")))),
            ("DescribeVolumes", _) => Some(ok(volumes(&["vol-2"], None))),
            _ => None,
        },
    )
    .await;
    let (target, keys, external_id) = through_role();
    let recorder = Recorder::new();
    let live = scanner(&stub)
        .keys(Arc::clone(&keys))
        .transport(Transport::Record(recorder.clone()))
        .build()
        .unwrap();
    assert_eq!(
        live.caller_identity().await.unwrap().number.as_str(),
        ACCOUNT
    );
    let recorded = read_volumes(&live, &target).await;
    drop(stub);

    let text = recorder.recording().to_text().unwrap();
    for secret in [
        external_id.expose(),
        OWN_KEY,
        OWN_SECRET,
        "ASIAASSUMED",
        "assumed-secret",
        "assumed-token",
    ] {
        assert!(
            !text.contains(secret),
            "{secret} is in the recording: {text}"
        );
    }
    let recording = Recording::parse(&text).unwrap();
    assert_eq!(recording, recorder.recording());

    let replay = player(&recording).keys(keys).build().unwrap();
    assert_eq!(
        replay.caller_identity().await.unwrap().number.as_str(),
        ACCOUNT
    );
    let replayed = read_volumes(&replay, &target).await;
    let resources = |pages: &[Result<trueno_core::port::ScanPage, _>]| -> Vec<_> {
        pages
            .iter()
            .flat_map(|page| page.as_ref().unwrap().resources.clone())
            .collect()
    };
    assert_eq!(resources(&replayed), resources(&recorded));
    assert_eq!(ids(replayed[1].as_ref().unwrap()), ["vol-2"]);
    assert_eq!(replayed[0].as_ref().unwrap().requests, 1);

    // Another size of page, another session name and policy: the same questions.
    let other = player(&recording).limits(limits().with_page_size(10));
    let error = other.build().unwrap().plan(&target).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Config,
        "a role still needs the key file"
    );
    let mut elsewhere = aws::ambient();
    elsewhere.account.regions = vec![aws::region("us-east-1")];
    let replay = player(&recording).build().unwrap();
    let plan = replay.plan(&elsewhere).await.unwrap();
    let session = replay.open(&elsewhere, &plan).await.unwrap();
    let task = aws::volumes_in(&plan, "us-east-1");
    let failed = aws::read(&*session, &task, None)
        .await
        .remove(0)
        .unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Unsupported);
    let message = failed.error.to_string();
    let named = "the recording holds no answer to ec2:DescribeVolumes in us-east-1";
    assert!(message.contains(named), "{message}");
    assert_eq!(failed.requests, 1, "not tried again");
}

#[tokio::test]
async fn an_empty_recording_says_what_it_lacks() {
    let replay = player(&Recording::default()).build().unwrap();
    let error = replay.caller_identity().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error
            .to_string()
            .contains("sts:GetCallerIdentity in us-east-1"),
        "{error}"
    );
}
