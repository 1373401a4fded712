//! What makes a connection acceptable.

use trueno_core::error::ErrorKind;
use trueno_core::port::{CloudScanner, ProbeOutcome};

use crate::aws::{self, ACCOUNT, assumed, ok, scanner, sts_error, through_role};
use crate::stub::{Answer, Stub};

/// A stub whose role asks for `wanted`, or for nothing.
async fn guarded_role(wanted: Option<String>) -> Stub {
    aws::stub(move |asked, before| {
        (asked.action == "AssumeRole").then(|| match &wanted {
            Some(wanted) if asked.param("ExternalId") != Some(wanted) => {
                sts_error(403, "AccessDenied")
            }
            _ => ok(assumed(before, "2999-01-01T00:00:00Z".parse().unwrap())),
        })
    })
    .await
}

#[tokio::test]
async fn a_connection_is_verified_with_the_right_a_wrong_and_no_external_id() {
    let (target, keys, external_id) = through_role();
    let stub = guarded_role(Some(external_id.expose().to_owned())).await;
    let verified = scanner(&stub)
        .keys(keys)
        .build()
        .unwrap()
        .verify(&target)
        .await
        .unwrap();
    assert!(verified.passed(), "{verified:?}");
    assert_eq!(verified.number.unwrap().as_str(), ACCOUNT);
    assert_eq!(verified.probes.len(), 4);
    let tried = stub.asked("AssumeRole");
    assert_eq!(tried[0].param("ExternalId"), Some(external_id.expose()));
    assert_eq!(tried[1].param("ExternalId"), None);
    let wrong = tried[2].param("ExternalId").unwrap();
    assert!(wrong.starts_with("tru1-") && wrong != external_id.expose());
}

#[tokio::test]
async fn a_role_that_lets_anybody_in_is_refused_with_advice() {
    let (target, keys, _) = through_role();
    let stub = guarded_role(None).await;
    let verified = scanner(&stub)
        .keys(keys)
        .build()
        .unwrap()
        .verify(&target)
        .await
        .unwrap();
    assert!(!verified.passed());
    let failed: Vec<_> = verified
        .probes
        .iter()
        .filter(|probe| probe.outcome == ProbeOutcome::Failed)
        .collect();
    assert_eq!(failed.len(), 2);
    assert!(
        failed
            .iter()
            .all(|p| p.advice.as_deref().unwrap().contains("sts:ExternalId"))
    );
}

#[tokio::test]
async fn a_role_that_cannot_be_asked_is_neither_accepted_nor_refused() {
    let (target, keys, external_id) = through_role();
    let wanted = external_id.expose().to_owned();
    let stub = aws::stub(move |asked, before| {
        (asked.action == "AssumeRole").then(|| match asked.param("ExternalId") {
            Some(id) if id == wanted => {
                ok(assumed(before, "2999-01-01T00:00:00Z".parse().unwrap()))
            }
            _ => Answer::Body(503, String::new()),
        })
    })
    .await;
    let error = scanner(&stub)
        .keys(keys)
        .build()
        .unwrap()
        .verify(&target)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
}
