//! Bad input is refused under its name.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::client::Api;

#[tokio::test]
async fn bad_input_is_refused_by_its_name_and_changes_nothing() {
    let api = Api::scanned().await;
    let finding = api.finding();
    let before = api.get(&finding).await.body;
    for (path, about) in [
        ("/v1/findings?limit=0", "limit"),
        ("/v1/findings?limit=1001", "limit"),
        ("/v1/findings?limit=many", "limit"),
        ("/v1/findings?cursor=%00", "cursor"),
        ("/v1/findings?cursor=AAAA", "cursor"),
        ("/v1/findings?account=nonsense", "account"),
        ("/v1/findings?severity=urgent", "severity"),
        ("/v1/findings?status=gone", "status"),
        ("/v1/findings?region=Mars%20North", "region"),
        ("/v1/findings?tag=%00", "tag"),
        ("/v1/findings?tag==x", "tag"),
        ("/v1/findings?check=%00", "check"),
        ("/v1/findings?colour=red", "colour"),
        ("/v1/findings?limit=1&limit=2", "limit"),
        ("/v1/resources?kind=volume", "kind"),
        ("/v1/resources?presence=lost", "presence"),
        ("/v1/scans?account=1", "account"),
        ("/v1/exceptions?status=maybe", "status"),
        ("/v1/audit?cursor=%F0%28", "cursor"),
        ("/v1/findings?tag=%FF", "tag: is not UTF-8"),
        (
            "/v1/findings?limit=5&check=a%C3%28+b",
            "check: is not UTF-8",
        ),
        ("/v1/findings?%FF=x", "query: is not UTF-8"),
        ("/v1/scans/nonsense", "scan id: is not a UUID"),
        ("/v1/findings/nonsense", "finding id: is not a UUID"),
    ] {
        api.get(path).await.is_problem(400, about);
    }
    let comments = format!("{finding}/comments");
    let long = json!({ "text": "x".repeat(10_001) }).to_string();
    for (path, body, about) in [
        (&comments, "{", "body"),
        (&comments, "[]", "body"),
        (&comments, "{}", "text"),
        (&comments, r#"{"text":7}"#, "text"),
        (&comments, r#"{"text":"a","more":1}"#, "more"),
        (&comments, r#"{"text":" "}"#, "text"),
        (&comments, r#"{"text":"a\u0000"}"#, "text"),
        (&comments, &long, "text"),
        (
            &"/v1/exceptions".to_owned(),
            r#"{"finding":"x","reason":"r","expires_at":"2026-12-01T00:00:00Z"}"#,
            "finding",
        ),
        (
            &"/v1/exceptions".to_owned(),
            r#"{"finding":"0192f0c1-2345-7890-abcd-0123456789ab","reason":"r","expires_at":"tomorrow"}"#,
            "expires_at",
        ),
        (
            &"/v1/exceptions".to_owned(),
            r#"{"finding":"0192f0c1-2345-7890-abcd-0123456789ab","reason":"r","expires_at":"2020-01-01T00:00:00Z"}"#,
            "expires_at",
        ),
        (
            &"/v1/schedules".to_owned(),
            r#"{"name":"n","account":"0192f0c1-2345-7890-abcd-0123456789ab","cron":"every day","time_zone":"UTC"}"#,
            "cron",
        ),
        (
            &"/v1/schedules".to_owned(),
            r#"{"name":"n","account":"0192f0c1-2345-7890-abcd-0123456789ab","cron":"0 6 * * *","time_zone":"Mars/North"}"#,
            "time_zone",
        ),
        (
            &"/v1/schedules".to_owned(),
            r#"{"name":"n","account":"0192f0c1-2345-7890-abcd-0123456789ab","cron":"0 6 31 2 *","time_zone":"UTC"}"#,
            "never fires",
        ),
        (
            &"/v1/schedules".to_owned(),
            r#"{"name":"n","account":"0192f0c1-2345-7890-abcd-0123456789ab","cron":"0 6 * * *","time_zone":"UTC","missed":"all"}"#,
            "missed",
        ),
        (
            &"/v1/schedules".to_owned(),
            r#"{"name":"n","account":"0192f0c1-2345-7890-abcd-0123456789ab","cron":"0 6 * * *","time_zone":"UTC","jitter_seconds":3601}"#,
            "jitter",
        ),
    ] {
        api.json("POST", path, None, body)
            .await
            .is_problem(400, about);
    }
    let bytes = |body: Vec<u8>, kind: &str| {
        Request::post(&comments)
            .header("content-type", kind)
            .body(Body::from(body))
            .unwrap()
    };
    let invalid = bytes(b"{\"text\":\"\xff\"}".to_vec(), "application/json");
    api.send(invalid).await.is_problem(400, "body");
    let form = bytes(b"text=a".to_vec(), "application/x-www-form-urlencoded");
    api.send(form).await.is_problem(415, "Content-Type");
    let huge = json!({ "text": "x".repeat(10_000_000) }).to_string();
    let huge = bytes(huge.into_bytes(), "application/json");
    api.send(huge).await.is_problem(413, "64 KiB");
    for status in ["resolved", "suppressed", "new", "reopened", "done"] {
        let body = json!({ "status": status }).to_string();
        let answer = api.json("PATCH", &finding, Some("\"1\""), &body).await;
        answer.is_problem(400, "a scan resolves");
    }
    assert_eq!(api.get(&finding).await.body, before);
    let said = api.get(&comments).await.json();
    assert_eq!(said["items"], json!([]), "no comment was added");
}
