//! What EC2 says of snapshots.

use trueno_aws::facts::{Facts, SNAPSHOT, SnapshotFacts};
use trueno_core::port::{CloudScanner, TaskPlan};

use crate::aws::{self, ACCOUNT, ambient, ok, read, scanner};

fn snapshots(descriptions: &[Option<&str>]) -> String {
    let items: String = descriptions
        .iter()
        .enumerate()
        .map(|(nth, description)| {
            let description = description
                .map(|text| format!("<description>{text}</description>"))
                .unwrap_or_default();
            format!(
                "<item><snapshotId>snap-{nth}</snapshotId><volumeId>vol-1</volumeId>\
                 <status>completed</status><startTime>2026-01-02T03:04:05.000Z</startTime>\
                 <ownerId>{ACCOUNT}</ownerId><volumeSize>8</volumeSize>{description}</item>"
            )
        })
        .collect();
    format!(
        "<DescribeSnapshotsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
         <snapshotSet>{items}</snapshotSet></DescribeSnapshotsResponse>"
    )
}

#[tokio::test]
async fn a_copy_is_told_by_the_beginning_of_its_description() {
    let cases = [
        (Some("[Copied snap-1 from us-east-1]"), true),
        (Some("[Copied snap-1 from us-east-1] before the move"), true),
        (
            Some("Copied for DestinationAmi ami-2 from SourceAmi ami-1 for SourceSnapshot snap-1."),
            true,
        ),
        (Some("Created by CreateImage(i-1) for ami-1"), false),
        (Some("not [Copied snap-1 from us-east-1]"), false),
        (Some("Copied"), false),
        (Some(""), false),
        (None, false),
    ];
    let body = snapshots(&cases.map(|(description, _)| description));
    let stub =
        aws::stub(move |asked, _| (asked.action == "DescribeSnapshots").then(|| ok(body.clone())))
            .await;
    let scanner = scanner(&stub).build().unwrap();
    let plan = scanner.plan(&ambient()).await.unwrap();
    let session = scanner.open(&ambient(), &plan).await.unwrap();
    let task = plan.tasks.iter().find_map(|task| match task {
        TaskPlan::Read(task) if task.key.kind == SNAPSHOT => Some(task),
        _ => None,
    });
    let pages = read(&*session, task.unwrap(), None).await;
    let resources = &pages[0].as_ref().unwrap().resources;
    assert_eq!(resources.len(), cases.len());
    for (resource, (description, copied)) in resources.iter().zip(cases) {
        let facts = SnapshotFacts::of(resource).unwrap();
        assert_eq!(facts.copied, copied, "{description:?}");
        assert_eq!(facts.volume_id.as_deref(), Some("vol-1"));
    }
}
