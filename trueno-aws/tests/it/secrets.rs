//! P5: what is secret shows nowhere.

use std::sync::{Arc, Mutex};

use trueno_core::port::CloudScanner;

use crate::aws::{self, OWN_KEY, OWN_SECRET, ec2_error, read, scanner, sts_error, through_role};
use crate::stub::Answer;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_shows_in_logs_debug_output_or_errors() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("trueno_aws=trace,trueno_core=trace")
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // For the whole process: a subscriber of one thread misses what another thread asked about first
    // (tracing remembers a callsite that nobody wanted). What the other tests log is held to the
    // same.
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let (target, keys, external_id) = through_role();
    let stub = aws::stub(|asked, _| {
        let denied = asked.action == "DescribeSnapshots";
        denied.then(|| ec2_error(403, "UnauthorizedOperation"))
    })
    .await;
    let scanner = scanner(&stub).keys(Arc::clone(&keys)).build().unwrap();
    let mut shown = format!("{scanner:?} {target:?} {keys:?}");
    let plan = scanner.plan(&target).await.unwrap();
    let session = scanner.open(&target, &plan).await.unwrap();
    shown.push_str(&format!("{plan:?} {session:?}"));
    for task in &plan.tasks {
        let trueno_core::port::TaskPlan::Read(task) = task else {
            continue;
        };
        shown.push_str(&format!("{:?}", read(&*session, task, None).await));
    }
    shown.push_str(&format!("{:?}", scanner.verify(&target).await));

    // An endpoint that repeats what it was told.
    let echoing = aws::stub(|asked, _| {
        (asked.action == "AssumeRole").then(|| {
            let echo = asked.param("ExternalId").unwrap_or_default();
            let Answer::Body(status, body) = sts_error(403, "AccessDenied") else {
                unreachable!()
            };
            Answer::Body(
                status,
                body.replace("no</Message>", &format!("not {echo}</Message>")),
            )
        })
    })
    .await;
    let echoed = aws::scanner(&echoing)
        .keys(Arc::clone(&keys))
        .build()
        .unwrap();
    shown.push_str(&format!("{:?}", echoed.plan(&target).await.unwrap_err()));

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        logged.contains("session opened") && logged.contains("page read"),
        "{logged}"
    );
    assert!(logged.contains("page not read") && shown.contains("AwsScanner"));
    let line = keys.newest().to_line();
    let key = line.split_whitespace().last().unwrap();
    let assumed = ["ASIAASSUMED", "assumed-secret", "assumed-token"];
    let own = [OWN_KEY, OWN_SECRET, external_id.expose(), key];
    for secret in assumed.into_iter().chain(own) {
        assert!(!logged.contains(secret), "{secret} in the log: {logged}");
        assert!(!shown.contains(secret), "{secret} is shown: {shown}");
    }
}
