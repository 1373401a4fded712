//! Cursors that no list gave out, taken apart as this store encodes them. That no cursor leads into
//! another list, or to another organization's rows, is in the ports' suite.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use trueno_core::error::Error;
use trueno_core::id::FindingId;
use trueno_core::model::NewComment;
use trueno_core::port::{Cursor, Page, PageRequest, UnitOfWork};
use trueno_core::state::finding::FindingStep;
use trueno_testkit::fixtures::{Tenant, World, finding_id, resource};

use super::{refuses, world};

/// Every list of a view.
const LISTS: [&str; 11] = [
    "accounts",
    "audit events",
    "comments",
    "exceptions",
    "findings",
    "history",
    "members",
    "recommendations",
    "resources",
    "scans",
    "schedules",
];

/// Two rows of each list.
struct Filled {
    world: World,
    tenant: Tenant,
    /// What has the comments and the history.
    finding: FindingId,
}

async fn filled() -> Filled {
    let world = World::new(crate::support::harness().await).await;
    let tenant = world.team().await.tenant;
    let scan = world.running_scan(&tenant).await;
    let volumes = ["vol-1", "vol-2"].map(|id| resource("ec2.volume", "eu-west-1", id));
    let mut ingest = world.store.ingest(&scan.lease).await.unwrap();
    ingest.put_resources(volumes.into()).await.unwrap();
    ingest.commit().await.unwrap();
    world.find(&scan, &["vol-1", "vol-2"]).await;
    for id in ["vol-1", "vol-2"] {
        let new = world.new_exception(finding_id(scan.account.id, id)).await;
        world.request(&tenant.findings, new).await.unwrap();
    }
    let finding = finding_id(scan.account.id, "vol-1");
    let found = world.read_finding(&tenant, finding).await;
    world
        .step(&tenant.findings, &found, FindingStep::Start)
        .await
        .unwrap();
    for text in ["one", "two"] {
        let comment = NewComment::new(world.id(), finding, text).unwrap();
        world
            .change(&tenant.findings, async |unit| {
                unit.add_comment(comment).await
            })
            .await
            .unwrap();
    }
    for _ in 0..2 {
        let account = world.account(&tenant).await;
        world.request_scan(&tenant, &account).await;
        world.schedule(&tenant, account.id).await;
    }
    Filled {
        world,
        tenant,
        finding,
    }
}

impl Filled {
    /// A page of a list after this cursor: how many rows it has, and the next one's cursor.
    async fn page(
        &self,
        list: &str,
        after: Option<Cursor>,
    ) -> Result<(usize, Option<Cursor>), Error> {
        fn told<T>(page: Page<T>) -> (usize, Option<Cursor>) {
            (page.items.len(), page.next)
        }
        let mut view = self.world.view(&self.tenant).await;
        let page = &PageRequest::first(1).unwrap().after(after);
        Ok(match list {
            "accounts" => told(view.accounts(page).await?),
            "audit events" => told(view.audit_events(page).await?),
            "comments" => told(view.comments(self.finding, page).await?),
            "exceptions" => told(view.exceptions(&Default::default(), page).await?),
            "findings" => told(view.findings(&Default::default(), page).await?),
            "history" => told(view.finding_history(self.finding, page).await?),
            "members" => told(view.members(page).await?),
            "recommendations" => told(view.recommendations(None, page).await?),
            "resources" => told(view.resources(&Default::default(), page).await?),
            "scans" => told(view.scans(&Default::default(), page).await?),
            "schedules" => told(view.schedules(page).await?),
            other => panic!("{other} is no list"),
        })
    }
}

fn encoded(payload: &[u8]) -> Cursor {
    Cursor::from_key(BASE64URL_NOPAD.encode(payload))
}

/// What somebody may send in place of `good`, a list's cursor.
fn malformed(good: &Cursor) -> Vec<Cursor> {
    let good = good.as_str();
    let payload = BASE64URL_NOPAD.decode(good.as_bytes()).unwrap();
    let mut bad: Vec<Cursor> = [
        "",
        "=",
        "not base64!",
        "\u{fffd}",
        &format!("{good}="),
        &format!(" {good}"),
        &good[..good.len() / 2],
        &good[..good.len() - 1],
        &good.repeat(2),
        &"A".repeat(1 << 20),
    ]
    .map(|text| Cursor::from_key(text.to_owned()))
    .into();
    bad.extend([
        encoded(b""),
        encoded(b"\0"),
        encoded(b"\xff\xfe\xfd"),
        encoded(&[b"\"\xc3\x28".as_slice(), &payload].concat()),
        encoded(&payload[..payload.len() - 1]),
        encoded(&[payload.as_slice(), b"]"].concat()),
        encoded(&b"[".repeat(3_000)),
    ]);
    let (list, key): (Value, Value) = serde_json::from_slice(&payload).unwrap();
    let mut wrong_shapes = vec![
        json!(null),
        json!({}),
        json!([]),
        json!([list]),
        json!([list, null]),
        json!([list, true]),
        json!([list, 1.5]),
        json!([list, "not a key"]),
        json!([list, {}]),
        json!([list, []]),
        json!([list, [key]]),
        json!([list, [key, 1, 2, 3, 4]]),
        json!([list, key, key]),
        json!([1, key]),
        json!(["nothing", key]),
    ];
    // Of the right shape, with a text that no key has.
    if let Value::Array(parts) = &key {
        let mut parts = parts.clone();
        *parts.last_mut().unwrap() = json!("a\0b");
        wrong_shapes.push(json!([list, parts]));
    }
    bad.extend(
        wrong_shapes
            .iter()
            .map(|json| encoded(json.to_string().as_bytes())),
    );
    bad
}

#[tokio::test]
async fn a_cursor_that_a_list_did_not_give_out_is_refused() {
    let filled = filled().await;
    let mut given = Vec::new();
    for list in LISTS {
        let (rows, next) = filled.page(list, None).await.unwrap();
        assert_eq!(rows, 1, "{list}");
        given.push(next.unwrap_or_else(|| panic!("{list} has two rows")));
    }
    for (list, good) in LISTS.iter().zip(&given) {
        let others = given.iter().filter(|other| *other != good).cloned();
        for bad in malformed(good).into_iter().chain(others) {
            refuses("cursor", filled.page(list, Some(bad)).await);
        }
        let (rows, _) = filled.page(list, Some(good.clone())).await.unwrap();
        assert_eq!(rows, 1, "{list} goes on");
    }
}

#[tokio::test]
async fn a_unit_of_work_refuses_a_cursor_and_writes_nothing() {
    let (w, tenant, _) = world().await;
    let bad = || PageRequest::largest().after(Some(Cursor::from_key("nonsense".to_owned())));
    for list in ["accounts", "scans"] {
        let new = w.new_account();
        let id = new.id;
        let mut unit: Box<dyn UnitOfWork> = w.begin_accounts(&tenant).await;
        unit.insert_account(new).await.unwrap();
        if list == "accounts" {
            refuses("cursor", unit.accounts(&bad()).await);
        } else {
            refuses("cursor", unit.scans(&Default::default(), &bad()).await);
        }
        let spent = unit.commit(super::event()).await.unwrap_err();
        assert!(spent.certainly_not_applied(), "{spent:?}");
        assert!(w.view(&tenant).await.account(id).await.is_err());
    }
    w.pending_account(&tenant).await;
}
