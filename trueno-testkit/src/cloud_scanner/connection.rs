//! The connection: what a verification says, and what nothing may tell.

use trueno_core::port::ProbeOutcome;

use super::World;
use super::world::{read, to_read};

/// A verification says what it tried; what failed comes with advice, and what passed as a whole
/// names the account that it is about.
pub async fn a_verification_says_what_it_tried(w: World) {
    let verification = w.scanner.verify(&w.target).await.unwrap();
    assert!(
        !verification.probes.is_empty(),
        "a connection is accepted for a reason"
    );
    for probe in &verification.probes {
        assert!(!probe.name.is_empty(), "a probe says what was tried");
        if probe.outcome == ProbeOutcome::Failed {
            let advice = probe.advice.as_deref().unwrap_or_default();
            assert!(!advice.is_empty(), "{}: failed without advice", probe.name);
        }
    }
    if verification.passed() {
        let number = verification.number.as_ref();
        assert_eq!(
            number,
            Some(&w.target.account.number),
            "the account is the one it says"
        );
    }
}

/// P5: no credential, token or external id shows up in Debug output, pages, checkpoints or errors.
pub async fn nothing_tells_a_credential(w: World) {
    let mut told = Vec::new();
    let plan = w.plan().await;
    let session = w.open(&plan).await;
    for task in to_read(&plan) {
        let read = read(&*session, task, None).await;
        told.push((format!("{:?}", task.key), format!("{read:?}")));
        if let Some(ended) = &read.error {
            let error = &ended.error;
            told.push((
                format!("the error of {:?}", task.key),
                format!("{error} {error:#?}"),
            ));
        }
    }
    told.push((
        "the session's Debug output".to_owned(),
        format!("{session:?} {session:#?}"),
    ));
    told.push((
        "the scanner's Debug output".to_owned(),
        format!("{:?} {:#?}", w.scanner, w.scanner),
    ));
    told.push((
        "the target's Debug output".to_owned(),
        format!("{:?}", w.target),
    ));
    told.push(("the plan's Debug output".to_owned(), format!("{plan:?}")));
    let verification = w.scanner.verify(&w.target).await.unwrap();
    told.push(("the verification".to_owned(), format!("{verification:?}")));

    let secrets = w.secrets();
    assert!(
        !secrets.is_empty(),
        "the harness names the secrets that the scanner has seen"
    );
    for secret in secrets {
        assert!(secret.len() >= 4, "a secret too short to look for");
        for (what, text) in &told {
            assert!(
                !text.contains(&secret),
                "P5: {what} tells a secret of {} bytes",
                secret.len()
            );
        }
    }
}
