//! Sessions: how an account is entered, with which rights, and for how long.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use serde_json::{Value, json};
use trueno_aws::{AwsScanner, permission_policy, trust_policy};
use trueno_core::error::ErrorKind;
use trueno_core::model::{AccessMethod, ExternalIdHash};
use trueno_core::port::CloudScanner;
use trueno_core::vault::{Key, KeyFile};
use trueno_testkit::clock::ManualClock;

use crate::aws::{
    self, ACCOUNT, OWN_KEY, OWN_SECRET, ROLE, ambient, assumed, ec2_error, identity, ok, read,
    read_volumes, scanner, sts_error, through_role, volumes, volumes_in,
};
use crate::stub::Asked;

#[tokio::test]
async fn a_role_is_assumed_with_the_derived_external_id_and_only_the_plans_rights() {
    let stub = aws::stub(|_, _| None).await;
    let (target, keys, external_id) = through_role();
    let scanner = scanner(&stub).keys(keys).build().unwrap();
    let plan = scanner.plan(&target).await.unwrap();
    let session = scanner.open(&target, &plan).await.unwrap();
    assert!(read(&*session, &volumes_in(&plan, "eu-west-1"), None).await[0].is_ok());

    let assumed = stub.asked("AssumeRole");
    assert_eq!(assumed.len(), 2, "one session to plan, one to scan");
    for asked in &assumed {
        assert_eq!(asked.param("RoleArn"), Some(ROLE));
        assert_eq!(asked.param("ExternalId"), Some(external_id.expose()));
        assert_eq!(asked.param("DurationSeconds"), Some("900"));
        assert_eq!(asked.param("SourceIdentity"), None);
        assert_eq!(
            (asked.region.as_str(), asked.access_key.as_str()),
            ("us-east-1", OWN_KEY)
        );
        let name = asked.param("RoleSessionName").unwrap();
        assert!(name.starts_with("trueno-") && name.len() <= 64, "{name}");
    }
    let policy =
        |asked: &Asked| -> Value { serde_json::from_str(asked.param("Policy").unwrap()).unwrap() };
    let statement = |actions: Value| {
        json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": actions, "Resource": "*" }
        ]})
    };
    assert_eq!(
        policy(&assumed[0]),
        statement(json!(["ec2:DescribeRegions"]))
    );
    let needed: Vec<String> = plan.operations().iter().map(ToString::to_string).collect();
    assert_eq!(policy(&assumed[1]), statement(json!(needed)));
    assert!(
        stub.asked("DescribeRegions")
            .iter()
            .all(|asked| asked.access_key == "ASIAASSUMED0")
    );
    assert!(
        stub.asked("DescribeVolumes")
            .iter()
            .all(|asked| asked.access_key == "ASIAASSUMED1")
    );
    assert!(stub.asked("GetCallerIdentity").is_empty());
}

#[tokio::test]
async fn a_session_is_renewed_before_it_ends_in_the_middle_of_a_scan() {
    let clock = ManualClock::default();
    let (sts_clock, page_clock) = (clock.clone(), clock.clone());
    let stub = aws::stub(move |asked, before| {
        use trueno_core::clock::Clock;
        match (asked.action.as_str(), asked.param("NextToken")) {
            ("AssumeRole", _) => {
                let end = sts_clock.now() + Duration::from_secs(900);
                Some(ok(assumed(before, end)))
            }
            ("DescribeVolumes", None) => Some(ok(volumes(&["vol-1"], Some("2")))),
            ("DescribeVolumes", Some("2")) => {
                page_clock.advance(Duration::from_secs(800));
                Some(ok(volumes(&["vol-2"], Some("3"))))
            }
            ("DescribeVolumes", _) => Some(ok(volumes(&["vol-3"], None))),
            _ => None,
        }
    })
    .await;
    let (target, keys, _) = through_role();
    let scanner = scanner(&stub)
        .keys(keys)
        .clock(clock.shared())
        .build()
        .unwrap();
    let pages = read_volumes(&scanner, &target).await;
    assert!(pages.iter().all(Result::is_ok), "{pages:?}");
    let used: Vec<String> = stub
        .asked("DescribeVolumes")
        .into_iter()
        .map(|asked| asked.access_key)
        .collect();
    assert_eq!(
        used,
        ["ASIAASSUMED1", "ASIAASSUMED1", "ASIAASSUMED2"],
        "renewed with 100 s left"
    );
    let (plan, renewed) = (&stub.asked("AssumeRole")[1], &stub.asked("AssumeRole")[2]);
    assert_eq!(plan.param("Policy"), renewed.param("Policy"));
}

#[tokio::test]
async fn all_regions_of_a_session_share_its_credentials() {
    let stub = aws::stub(|_, _| None).await;
    let (mut target, keys, _) = through_role();
    target.account.regions.clear();
    let scanner = scanner(&stub).keys(keys).build().unwrap();
    let plan = scanner.plan(&target).await.unwrap();
    let session = scanner.open(&target, &plan).await.unwrap();
    for region in ["eu-west-1", "us-east-1"] {
        assert!(read(&*session, &volumes_in(&plan, region), None).await[0].is_ok());
    }
    assert_eq!(
        stub.asked("AssumeRole").len(),
        2,
        "one to plan, one to scan"
    );
}

#[tokio::test]
async fn credentials_that_aws_calls_expired_are_replaced_once() {
    let stub = aws::stub(|asked, before| match asked.action.as_str() {
        "DescribeVolumes" if before == 0 => Some(ec2_error(400, "RequestExpired")),
        _ => None,
    })
    .await;
    let (target, keys, _) = through_role();
    let role_scanner = scanner(&stub).keys(keys).build().unwrap();
    let pages = read_volumes(&role_scanner, &target).await;
    assert_eq!(pages[0].as_ref().unwrap().requests, 2);
    assert_eq!(stub.asked("AssumeRole").len(), 3);

    let stub = aws::stub(|asked, _| {
        (asked.action == "DescribeVolumes").then(|| ec2_error(400, "RequestExpired"))
    })
    .await;
    let failed = read_volumes(&scanner(&stub).build().unwrap(), &ambient())
        .await
        .remove(0);
    let failed = failed.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Unauthenticated);
    assert_eq!(failed.error.code(), Some("RequestExpired"));
    assert!(
        failed.error.to_string().contains("expired"),
        "{}",
        failed.error
    );
    assert_eq!(failed.requests, 2);
}

#[tokio::test]
async fn expired_missing_and_unknown_credentials_say_so() {
    let stub = aws::stub(|asked, _| {
        (asked.action == "GetCallerIdentity").then(|| sts_error(403, "ExpiredToken"))
    })
    .await;
    let error = scanner(&stub)
        .build()
        .unwrap()
        .caller_identity()
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Unauthenticated, Some("ExpiredToken"))
    );
    assert!(error.to_string().contains("expired"), "{error}");

    #[derive(Debug)]
    struct Nobody;
    impl ProvideCredentials for Nobody {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(Err(CredentialsError::not_loaded_no_source()))
        }
    }
    let before = stub.count();
    let nobody = scanner(&stub).credentials(SharedCredentialsProvider::new(Nobody));
    let error = nobody.build().unwrap().plan(&ambient()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
    assert!(error.to_string().contains("AWS_PROFILE"), "{error}");

    let past = std::time::SystemTime::UNIX_EPOCH;
    let old = Credentials::new(OWN_KEY, OWN_SECRET, None, Some(past), "test");
    let old = scanner(&stub)
        .credentials(SharedCredentialsProvider::new(old))
        .build()
        .unwrap();
    let error = old.caller_identity().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
    assert_eq!(stub.count(), before, "nothing was sent");
}

#[tokio::test]
async fn ambient_credentials_of_another_account_read_nothing() {
    let stub = aws::stub(|asked, _| {
        (asked.action == "GetCallerIdentity").then(|| ok(identity("999999999999")))
    })
    .await;
    let scanner = scanner(&stub).build().unwrap();
    let found = scanner.caller_identity().await.unwrap();
    assert_eq!(found.number.as_str(), "999999999999");
    let error = scanner.plan(&ambient()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains(ACCOUNT), "{error}");
    assert!(stub.asked("DescribeRegions").is_empty());
    let verified = scanner.verify(&ambient()).await.unwrap();
    assert!(!verified.passed());
    assert_eq!(verified.number, Some(found.number));
}

#[tokio::test]
async fn a_key_file_that_does_not_fit_the_connection_sends_nothing() {
    let stub = aws::stub(|_, _| None).await;
    let (target, keys, _) = through_role();
    let other = Key::new("k1", [8; 32]).unwrap();
    let other = Arc::new(KeyFile::parse(&other.to_line()).unwrap());
    let unnamed = Key::new("k2", [7; 32]).unwrap();
    let unnamed = Arc::new(KeyFile::parse(&unnamed.to_line()).unwrap());
    for keys in [Some(other), Some(unnamed), None] {
        let mut builder = scanner(&stub);
        if let Some(keys) = keys {
            builder = builder.keys(keys);
        }
        let error = builder.build().unwrap().plan(&target).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        assert!(error.to_string().contains("key"), "{error}");
    }
    let mut tampered = target.clone();
    if let Some(AccessMethod::AssumeRole {
        external_id_hash, ..
    }) = &mut tampered.account.access
    {
        *external_id_hash = ExternalIdHash::from_bytes([0; 32]);
    }
    let mut disconnected = target;
    disconnected.account.access = None;
    let scanner = scanner(&stub).keys(keys).build().unwrap();
    assert_eq!(
        scanner.plan(&tampered).await.unwrap_err().kind(),
        ErrorKind::Config
    );
    assert_eq!(
        scanner.plan(&disconnected).await.unwrap_err().kind(),
        ErrorKind::Denied
    );
    assert_eq!(stub.count(), 0, "nothing was sent");
}

#[tokio::test]
async fn a_role_that_denies_us_says_what_to_look_at() {
    let stub = aws::stub(|asked, _| {
        (asked.action == "AssumeRole").then(|| sts_error(403, "AccessDenied"))
    })
    .await;
    let (target, keys, external_id) = through_role();
    let scanner = scanner(&stub).keys(keys).build().unwrap();
    let mut everywhere = target.clone();
    everywhere.account.regions.clear();
    for target in [target, everywhere] {
        let error = scanner.plan(&target).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Denied, Some("AccessDenied"))
        );
        assert!(error.to_string().contains("trust policy"), "{error}");
        // Naming regions opens no door that the role keeps shut.
        assert!(!error.to_string().contains("name the regions"), "{error}");
        assert!(!format!("{error:?}").contains(external_id.expose()));
    }
}

#[tokio::test]
async fn who_may_not_list_regions_is_told_to_name_them() {
    let stub = aws::stub(|asked, _| {
        (asked.action == "DescribeRegions").then(|| ec2_error(403, "UnauthorizedOperation"))
    })
    .await;
    let (mut target, keys, _) = through_role();
    let scanner = scanner(&stub).keys(keys).build().unwrap();
    assert!(scanner.plan(&target).await.is_ok(), "its region is named");
    target.account.regions.clear();
    let error = scanner.plan(&target).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Denied, Some("UnauthorizedOperation"))
    );
    assert!(error.to_string().contains("name the regions"), "{error}");
}

#[tokio::test]
async fn an_answer_without_credentials_is_none() {
    let stub = aws::stub(|asked, _| {
        (asked.action == "AssumeRole").then(|| {
            let end = "2999-01-01T00:00:00Z".parse().unwrap();
            ok(assumed(0, end).replace("<SessionToken>assumed-token-0</SessionToken>", ""))
        })
    })
    .await;
    let (target, keys, _) = through_role();
    let error = scanner(&stub)
        .keys(keys)
        .build()
        .unwrap()
        .plan(&target)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        !format!("{error:?}").contains("assumed-secret"),
        "{error:?}"
    );
}

#[test]
fn the_policies_to_show_an_owner_name_what_is_needed() {
    let (_, _, external_id) = through_role();
    let trust = trust_policy("arn:aws:iam::210987654321:role/Trueno", &external_id);
    let statement = &trust["Statement"][0];
    assert_eq!(statement["Action"], "sts:AssumeRole");
    assert_eq!(
        statement["Principal"]["AWS"],
        "arn:aws:iam::210987654321:role/Trueno"
    );
    let condition = &statement["Condition"]["StringEquals"]["sts:ExternalId"];
    assert_eq!(condition, external_id.expose());
    let actions = permission_policy()["Statement"][0]["Action"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(actions, 7);
}

#[test]
fn an_impossible_setting_is_refused_before_anything_is_asked() {
    let error = AwsScanner::builder()
        .endpoint_url("localhost:5000")
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let limits = trueno_aws::Limits::default().with_session_duration(Duration::from_secs(60));
    assert!(AwsScanner::builder().limits(limits).build().is_err());
}
