//! Pages, and what can go wrong with one.

use std::time::Duration;

use tokio::time::Instant;
use trueno_aws::facts::{Facts, VolumeFacts};
use trueno_core::error::ErrorKind;
use trueno_core::model::CoverageStatus;
use trueno_core::port::{CloudScanner, Operation, PageError, TaskPlan};

use crate::aws::{
    self, ambient, ec2_error, ids, ok, read, read_volumes, scanner, volumes, volumes_in,
};
use crate::stub::{Answer, Asked};

fn is_volumes(asked: &Asked) -> bool {
    asked.action == "DescribeVolumes"
}

/// Scans an account whose volumes are answered with this, and expects it to fail at once.
async fn failed(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> PageError {
    let stub = aws::stub(move |asked, before| is_volumes(asked).then(|| answer(before))).await;
    let scanner = scanner(&stub).build().unwrap();
    let mut pages = read_volumes(&scanner, &ambient()).await;
    assert_eq!(pages.len(), 1, "an error ends the stream");
    let failed = pages.remove(0).expect_err("the page cannot be read");
    let sent = stub.asked("DescribeVolumes").len() as u64;
    assert_eq!(failed.requests, sent, "requests are counted as sent");
    failed
}

#[tokio::test]
async fn pages_are_followed_to_the_end_and_can_be_resumed() {
    let stub = aws::stub(|asked, _| {
        is_volumes(asked).then(|| match asked.param("NextToken") {
            None => ok(volumes(&["vol-1", "vol-2"], Some("t/2=&"))),
            Some("t/2=&") => ok(volumes(&[], Some("t3"))),
            Some("t3") => ok(volumes(&["vol-3"], None)),
            Some(_) => ec2_error(400, "InvalidPaginationToken"),
        })
    })
    .await;
    let scanner = scanner(&stub).build().unwrap();
    let plan = scanner.plan(&ambient()).await.unwrap();
    let session = scanner.open(&ambient(), &plan).await.unwrap();
    let task = volumes_in(&plan, "eu-west-1");

    let pages: Vec<_> = read(&*session, &task, None)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        pages.iter().map(ids).collect::<Vec<_>>(),
        [vec!["vol-1", "vol-2"], vec![], vec!["vol-3"]]
    );
    assert!(pages.iter().all(|page| page.requests == 1));
    assert_eq!(pages[0].checkpoint.as_deref(), Some("t/2=&"));
    assert_eq!(pages[2].checkpoint, None);
    let resource = &pages[0].resources[0];
    assert_eq!(resource.name.as_deref(), Some("n&vol-1"));
    let facts = VolumeFacts::of(resource).unwrap();
    assert_eq!((facts.volume_type.as_str(), facts.size_gib), ("gp3", 8));
    assert_eq!(facts.created_at.to_string(), "2026-01-02T03:04:05Z");

    let resumed: Vec<_> = read(&*session, &task, Some("t3")).await;
    assert_eq!(resumed.len(), 1);
    assert_eq!(ids(resumed[0].as_ref().unwrap()), ["vol-3"]);
    let lost = read(&*session, &task, Some("forgotten"))
        .await
        .remove(0)
        .unwrap_err();
    assert_eq!(lost.error.kind(), ErrorKind::InvalidInput);

    let asked = stub.asked("DescribeVolumes");
    assert!(asked.iter().all(|asked| asked.region == "eu-west-1"));
    assert_eq!(asked[0].param("MaxResults"), Some("500"));
}

#[tokio::test]
async fn throttling_is_tried_again_within_the_budget() {
    let stub = aws::stub(|asked, before| {
        is_volumes(asked).then(|| match before {
            0 | 1 => ec2_error(503, "RequestLimitExceeded"),
            _ => ok(volumes(&["vol-1"], None)),
        })
    })
    .await;
    let scanner = scanner(&stub).build().unwrap();
    let pages = read_volumes(&scanner, &ambient()).await;
    let page = pages[0].as_ref().unwrap();
    assert_eq!((ids(page), page.requests), (vec!["vol-1"], 3));
}

#[tokio::test]
async fn throttling_beyond_the_budget_is_reported() {
    let failed = failed(|_| ec2_error(503, "RequestLimitExceeded")).await;
    assert_eq!(failed.error.kind(), ErrorKind::Throttled);
    assert_eq!(failed.error.code(), Some("RequestLimitExceeded"));
    assert!(failed.error.is_retryable());
    assert_eq!(failed.requests, 3);
}

#[tokio::test]
async fn a_denial_is_one_and_is_not_tried_again() {
    let failed = failed(|_| ec2_error(403, "UnauthorizedOperation")).await;
    assert_eq!(failed.error.kind(), ErrorKind::Denied);
    assert_eq!(failed.error.code(), Some("UnauthorizedOperation"));
    assert_eq!(failed.requests, 1);
    assert_eq!(
        CoverageStatus::from_error(failed.error.kind()),
        CoverageStatus::Denied
    );
}

#[tokio::test]
async fn a_region_that_is_not_enabled_after_all_is_denied() {
    for (status, code) in [(401, "AuthFailure"), (403, "OptInRequired")] {
        let failed = failed(move |_| ec2_error(status, code)).await;
        assert_eq!(failed.error.code(), Some(code));
        assert_eq!(
            CoverageStatus::from_error(failed.error.kind()),
            CoverageStatus::Denied
        );
    }
}

#[tokio::test]
async fn a_region_that_hangs_ends_with_its_attempts() {
    let begun = Instant::now();
    let failed = failed(|_| Answer::Hang).await;
    assert_eq!(failed.error.kind(), ErrorKind::Timeout);
    assert_eq!(failed.requests, 3);
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_unreachable() {
    let failed = failed(|_| Answer::BreakOff).await;
    assert_eq!(
        failed.error.kind(),
        ErrorKind::Unavailable,
        "{:?}",
        failed.error
    );
}

#[tokio::test]
async fn a_page_that_cannot_be_parsed_is_corrupt_and_never_a_shorter_one() {
    let whole = volumes(&["vol-1", "vol-2"], None);
    let cut = whole.find("vol-2").unwrap();
    let half = whole[..cut].to_owned();
    let no_end = whole.replace("</DescribeVolumesResponse>", "");
    let bad_size = whole.replace("<size>8</size>", "<size>eight</size>");
    let no_id = whole.replace("<volumeId>vol-2</volumeId>", "");
    let portal = "<html><body>please log in</body></html>".to_owned();
    for body in [
        half,
        no_end,
        bad_size,
        no_id,
        portal,
        String::new(),
        "garbage".to_owned(),
    ] {
        let shown = body.clone();
        let failed = failed(move |_| ok(body.clone())).await;
        assert_eq!(
            failed.error.kind(),
            ErrorKind::Corrupt,
            "{shown}: {:?}",
            failed.error
        );
        assert_eq!(
            CoverageStatus::from_error(failed.error.kind()),
            CoverageStatus::Undetermined
        );
    }
}

#[tokio::test]
async fn a_page_that_names_itself_as_the_next_does_not_go_round_for_ever() {
    let stub =
        aws::stub(|asked, _| is_volumes(asked).then(|| ok(volumes(&["vol-1"], Some("t"))))).await;
    let scanner = scanner(&stub).build().unwrap();
    let pages = read_volumes(&scanner, &ambient()).await;
    assert_eq!(pages.len(), 2);
    assert_eq!(
        pages[1].as_ref().unwrap_err().error.kind(),
        ErrorKind::Corrupt
    );
}

#[tokio::test]
async fn pages_that_lead_back_to_an_earlier_one_do_not_go_round_for_ever() {
    let stub = aws::stub(|asked, _| {
        is_volumes(asked).then(|| match asked.param("NextToken") {
            Some("a") => ok(volumes(&["vol-2"], Some("b"))),
            _ => ok(volumes(&["vol-1"], Some("a"))),
        })
    })
    .await;
    let scanner = scanner(&stub).build().unwrap();
    let plan = scanner.plan(&ambient()).await.unwrap();
    let session = scanner.open(&ambient(), &plan).await.unwrap();
    let task = volumes_in(&plan, "eu-west-1");
    // From the start: first page, a, b, and b names a. Resumed at a: a, b, and b names a.
    for (checkpoint, sound) in [(None, 2), (Some("a"), 1)] {
        let before = stub.count();
        let pages = read(&*session, &task, checkpoint).await;
        assert_eq!(pages.len(), sound + 1, "{checkpoint:?}");
        assert_eq!(stub.count() - before, sound + 1, "{checkpoint:?}");
        assert!(pages[..sound].iter().all(Result::is_ok), "{pages:?}");
        let failed = pages[sound].as_ref().unwrap_err();
        assert_eq!(failed.error.kind(), ErrorKind::Corrupt);
        assert!(failed.error.to_string().contains("already read"));
    }
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_unavailable() {
    let stub = aws::stub(|_, _| None).await;
    let scanner = scanner(&stub).build().unwrap();
    let plan = scanner.plan(&ambient()).await.unwrap();
    let session = scanner.open(&ambient(), &plan).await.unwrap();
    drop(stub);
    let failed = read(&*session, &volumes_in(&plan, "eu-west-1"), None)
        .await
        .remove(0)
        .unwrap_err();
    assert_eq!(
        failed.error.kind(),
        ErrorKind::Unavailable,
        "{:?}",
        failed.error
    );
    assert!(
        failed
            .error
            .to_string()
            .contains("ec2:DescribeVolumes in eu-west-1")
    );
    let error = scanner.plan(&ambient()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_plan_names_every_kind_in_every_region_and_settles_what_is_not_enabled() {
    let stub = aws::stub(|_, _| None).await;
    let scanner = scanner(&stub).build().unwrap();
    let mut target = ambient();
    target.account.regions.clear();
    let plan = scanner.plan(&target).await.unwrap();
    assert_eq!(plan.tasks.len(), 3 * 6);
    let settled: Vec<_> = plan
        .tasks
        .iter()
        .filter_map(|task| match task {
            TaskPlan::Settled(key, status) => Some((key.region.as_str(), *status)),
            TaskPlan::Read(_) => None,
        })
        .collect();
    assert_eq!(settled, [("ap-east-1", CoverageStatus::NotEnabled); 6]);
    assert_eq!(
        stub.asked("DescribeRegions")[0].param("AllRegions"),
        Some("true")
    );
    assert_eq!(plan.operations().len(), 6);

    target.account.regions = vec![aws::region("mars-north-1")];
    let error = scanner.plan(&target).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("mars-north-1"), "{error}");
}

#[tokio::test]
async fn a_session_does_what_its_plan_says_and_nothing_else() {
    let stub = aws::stub(|_, _| None).await;
    let scanner = scanner(&stub).build().unwrap();
    let mut plan = scanner.plan(&ambient()).await.unwrap();
    let images = plan
        .tasks
        .iter()
        .position(|task| task.key().kind.as_str() == "ec2.image");
    let TaskPlan::Read(images) = plan.tasks.remove(images.unwrap()) else {
        panic!("settled")
    };
    let session = scanner.open(&ambient(), &plan).await.unwrap();
    let error = session
        .scan(&images, None)
        .await
        .err()
        .expect("not in the plan");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(stub.asked("DescribeImages").is_empty());

    let TaskPlan::Read(task) = &mut plan.tasks[0] else {
        panic!("settled")
    };
    task.operations.push(Operation {
        service: "ec2",
        name: "TerminateInstances",
    });
    let before = stub.count();
    let error = scanner
        .open(&ambient(), &plan)
        .await
        .expect_err("a write in the plan");
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(stub.count(), before, "nothing was sent");
}
