use serde_json::json;

use super::*;
use crate::error::ErrorKind;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Report {
    rows: u32,
}

fn refused(payload: &JobPayload) -> String {
    let error = payload.parse::<Report>(2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(!error.is_retryable(), "no attempt mends it");
    error.to_string()
}

#[test]
fn a_payload_is_what_was_put_in() {
    let payload = JobPayload::new(2, &Report { rows: 7 }).unwrap();
    assert_eq!((payload.version, &payload.body), (2, &json!({"rows": 7})));
    assert_eq!(payload.parse::<Report>(2).unwrap(), Report { rows: 7 });
    let no_json = std::collections::HashMap::from([((1, 2), 3)]);
    let error = JobPayload::new(2, &no_json).unwrap_err();
    assert_eq!(error.to_string(), "job payload: is no JSON");
}

#[test]
fn a_payload_of_another_version_or_shape_says_so() {
    let payload = |version, body| JobPayload { version, body };
    assert_eq!(
        refused(&payload(3, json!({"rows": 7}))),
        "job payload: is of version 3, and this worker reads version 2"
    );
    assert_eq!(
        refused(&payload(2, json!({}))),
        "job payload: does not parse as version 2: missing field `rows`"
    );
    let long = refused(&payload(2, json!({"rows": "x".repeat(60_000)})));
    assert!(long.contains("does not parse as version 2: invalid type: string"));
    assert!(long.len() < 300, "{} bytes", long.len());
}

#[test]
fn what_is_too_large_or_too_deep_is_refused_with_its_measure() {
    let new = |body| {
        let payload = JobPayload { version: 1, body };
        NewJob::new(
            uuid::Uuid::from_u128(1).into(),
            JobKind::known("test"),
            payload,
        )
    };
    // With its two quotes.
    let of = |bytes: usize| json!("p".repeat(bytes - 2));
    assert!(new(of(JobPayload::MAX_BYTES)).is_ok());
    let error = new(of(JobPayload::MAX_BYTES + 1)).unwrap_err().to_string();
    assert!(
        error.starts_with("job payload: has 65537 bytes as JSON and may have 65536: keep"),
        "{error}"
    );
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    assert!(new(nested(JSON_DEPTH)).is_ok());
    let error = new(nested(JSON_DEPTH + 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "job payload: is nested deeper than 64 levels"
    );
}
