//! Findings, where the database keeps more than a suite of the port can see: counts, checks that
//! mirror the machines, the tags' side table, and races.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "test code fails by panicking, and prints its seeds"
)]

mod checks;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;

use jiff::Timestamp;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use support::{Database, harness};
use trueno_core::access::{Action, OrgScope};
use trueno_core::error::ErrorKind;
use trueno_core::id::{FindingId, IdSource};
use trueno_core::model::{
    ChangeOfFinding, CloudAccount, EventDraft, Finding, FindingDraft, FindingStatus, Role,
};
use trueno_core::port::tenant_store::{FindingCount, TagFilter};
use trueno_core::port::{Count, ExceptionFilter, FindingFilter, PageRequest};
use trueno_core::state::exception::ExceptionDecision;
use trueno_core::state::finding::{self as machine, FindingStep};
use trueno_testkit::fixtures::{RunningScan, Team, Tenant, World, finding};

async fn world() -> (World, Database) {
    let harness = harness().await;
    let database = harness.database.borrowed();
    (World::new(harness).await, database)
}

/// A finding of one of three checks on one of eight volumes.
fn draft(nth: usize) -> FindingDraft {
    let check = format!("ec2.volume.check-{}", nth % 3);
    let mut draft = finding(&format!("vol-{}", nth / 3));
    draft.key = draft.key.replace(&draft.check, &check);
    draft.check = check;
    draft
}

const DRAFTS: usize = 24;

/// Random numbers that a seed repeats.
struct Dice(IdSource);

impl Dice {
    fn below(&self, most: usize) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "small numbers, never negative"
        )]
        let drawn = (self.0.unit() * most as f64) as usize;
        drawn
    }

    fn some_drafts(&self) -> Vec<FindingDraft> {
        let some: Vec<usize> = (0..DRAFTS).filter(|_| self.below(3) == 0).collect();
        some.into_iter().map(draft).collect()
    }
}

/// What the findings themselves say, sorted as counts are.
async fn truth(admin: &mut PgConnection, tenant: &Tenant) -> Vec<FindingCount> {
    let sql = format!(
        "select account_id, check_id, status, count(*) from trueno.finding
         where organization_id = '{}' group by account_id, check_id, status",
        tenant.id
    );
    let rows = admin.fetch_all(AssertSqlSafe(sql)).await.unwrap();
    let mut counts: Vec<FindingCount> = rows
        .iter()
        .map(|row| FindingCount {
            account: row.get::<uuid::Uuid, _>(0).into(),
            check: row.get(1),
            status: row.get::<String, _>(2).parse().unwrap(),
            count: u64::try_from(row.get::<i64, _>(3)).unwrap(),
        })
        .collect();
    counts.sort_by(|a, b| (a.account, &a.check, a.status).cmp(&(b.account, &b.check, b.status)));
    counts
}

/// One organization and its members, with what they may do.
struct Case {
    team: Team,
    analyst: OrgScope,
    approver: OrgScope,
    accounts: Vec<CloudAccount>,
}

impl Case {
    async fn new(w: &World) -> Self {
        let team = w.team().await;
        let accounts = vec![w.account(&team.tenant).await, w.account(&team.tenant).await];
        Self {
            analyst: w.scope_of(&team, Role::Analyst, Action::WorkFindings).await,
            approver: w
                .scope_of(&team, Role::Approver, Action::DecideExceptions)
                .await,
            team,
            accounts,
        }
    }

    async fn any_finding(&self, w: &World, dice: &Dice) -> Option<Finding> {
        let mut view = w.view(&self.team.tenant).await;
        let all = view
            .findings(&FindingFilter::default(), &PageRequest::largest())
            .await
            .unwrap()
            .items;
        (!all.is_empty()).then(|| all[dice.below(all.len())].clone())
    }

    /// Something that a member does; what the machines refuse is refused.
    async fn member(&self, w: &World, dice: &Dice) {
        let Some(finding) = self.any_finding(w, dice).await else {
            return;
        };
        let allowed = [ErrorKind::InvalidTransition, ErrorKind::AlreadyExists];
        let step = [
            FindingStep::Acknowledge,
            FindingStep::Start,
            FindingStep::PutBack,
        ];
        let answer = match dice.below(4) {
            0 | 1 => w
                .step(&self.analyst, &finding, step[dice.below(3)])
                .await
                .map(drop),
            2 => {
                let new = w.new_exception(finding.id).await;
                w.request(&self.analyst, new).await.map(drop)
            }
            _ => {
                let mut view = w.view(&self.team.tenant).await;
                let filter = ExceptionFilter::default();
                let all = view.exceptions(&filter, &PageRequest::largest()).await;
                drop(view);
                let all = all.unwrap().items;
                if all.is_empty() {
                    return;
                }
                let decision = [
                    ExceptionDecision::Approve,
                    ExceptionDecision::Reject,
                    ExceptionDecision::Withdraw,
                ][dice.below(3)];
                let exception = &all[dice.below(all.len())];
                w.decide(&self.approver, exception, decision)
                    .await
                    .map(drop)
            }
        };
        if let Err(error) = answer {
            assert!(allowed.contains(&error.kind()), "{error:?}");
        }
    }
}

async fn look(w: &World, run: &RunningScan, dice: &Dice) {
    w.put_findings(run, dice.some_drafts()).await;
    let gone = dice.some_drafts().into_iter().map(|draft| draft.key);
    let keys = gone.collect();
    w.ingest(&run.lease, async |ingest| {
        ingest.resolve_findings(keys).await
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn the_kept_counts_are_the_truth_after_any_steps_and_after_folding() {
    for seed in [3, 5, 8] {
        println!("seed {seed}");
        let (w, database) = world().await;
        let mut admin = database.admin().await;
        let dice = Dice(IdSource::seeded(seed));
        let cases = [Case::new(&w).await, Case::new(&w).await];
        let mut runs: Vec<(usize, RunningScan)> = Vec::new();
        let mut folded = 0;
        for _ in 0..60 {
            let nth = dice.below(2);
            let case = &cases[nth];
            match dice.below(8) {
                0 => {
                    let account = case.accounts[dice.below(2)].clone();
                    runs.push((nth, w.running_scan_of(&case.team.tenant, account).await));
                }
                1 | 2 if !runs.is_empty() => {
                    look(&w, &runs[dice.below(runs.len())].1, &dice).await;
                }
                3 if !runs.is_empty() => {
                    let (_, run) = runs.swap_remove(dice.below(runs.len()));
                    w.complete(&run).await;
                    let account = run.account.id;
                    let sql = format!(
                        "select count(*) - count(distinct (check_id, status))
                         from trueno.finding_count where account_id = '{account}'"
                    );
                    assert_eq!(database.number(&sql).await, 0, "one row for each is left");
                    folded += 1;
                }
                4 => {
                    let late = Timestamp::MAX;
                    w.store.lapse_exceptions(late, dice.below(3)).await.unwrap();
                }
                _ => case.member(&w, &dice).await,
            }
            for case in &cases {
                let tenant = &case.team.tenant;
                let wanted = truth(&mut admin, tenant).await;
                let counts = w.view(tenant).await.finding_counts(None).await.unwrap();
                assert_eq!(counts, wanted, "seed {seed}");
            }
        }
        assert!(folded > 0, "seed {seed} ends a scan");

        let tenant = &cases[0].team.tenant;
        let wanted = truth(&mut admin, tenant).await;
        let mut view = w.view(tenant).await;
        for status in FindingStatus::ALL {
            let (account, check) = (cases[0].accounts[0].id, "ec2.volume.check-1");
            let filter = FindingFilter::default()
                .with_account(account)
                .with_check(check)
                .with_status(*status);
            let those = wanted.iter().filter(|count| {
                count.account == account && count.check == check && count.status == *status
            });
            let count = Count::Exactly(those.map(|count| count.count).sum());
            assert_eq!(
                view.count_findings(&filter).await.unwrap(),
                count,
                "{status}"
            );
        }
        let standing = wanted.iter().filter(|count| machine::stands(count.status));
        let standing = Count::Exactly(standing.map(|count| count.count).sum());
        let filter = FindingFilter::default().standing();
        assert_eq!(view.count_findings(&filter).await.unwrap(), standing);
    }
}

#[tokio::test]
async fn findings_that_two_scans_add_at_once_are_added_once_and_found_twice() {
    let (w, _database) = world().await;
    let w = Arc::new(w);
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let one = w.running_scan_of(&tenant, account.clone()).await;
    let two = w.running_scan_of(&tenant, account.clone()).await;
    let mut first = w.store.ingest(&one.lease).await.unwrap();
    first.put_findings(vec![draft(1), draft(2)]).await.unwrap();
    let second = tokio::spawn({
        let w = w.clone();
        async move {
            let drafts = vec![draft(0), draft(1), draft(2), draft(3)];
            w.put_findings(&two, drafts).await;
            two
        }
    });
    // Long enough for the second to meet the first's rows; if it is not there yet, it finds them.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    first.commit().await.unwrap();
    let two = second.await.unwrap();
    for nth in 0..4 {
        let id = FindingId::of(account.id, &draft(nth).key);
        let finding = w.read_finding(&tenant, id).await;
        let (status, version) = if [1, 2].contains(&nth) {
            (FindingStatus::Open, 2)
        } else {
            (FindingStatus::New, 1)
        };
        assert_eq!(
            (finding.status, finding.version),
            (status, version),
            "{nth}"
        );
        assert_eq!(finding.last_scan, two.scan);
        let history = w.history(&tenant, id).await;
        assert_eq!(history.len() as u64, version, "{nth}: {history:?}");
        let from = (version == 2).then_some(FindingStatus::New);
        let wanted = ChangeOfFinding::Status { from, to: status };
        assert_eq!(history.last().unwrap().what, wanted);
    }
}

#[tokio::test]
async fn a_look_that_waited_for_a_member_goes_on_from_what_the_member_did() {
    let (w, _database) = world().await;
    let w = Arc::new(w);
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let run = w.running_scan_of(&tenant, account.clone()).await;
    w.put_findings(&run, vec![draft(0), draft(1)]).await;
    let later = w.running_scan_of(&tenant, account.clone()).await;
    let ids = [0, 1].map(|nth| FindingId::of(account.id, &draft(nth).key));
    let mut unit = w.store.begin(&tenant.findings).await.unwrap();
    for id in ids {
        unit.step_finding(id, 1, FindingStep::Start).await.unwrap();
    }
    let looking = tokio::spawn({
        let w = w.clone();
        async move {
            w.put_findings(&later, vec![draft(1)]).await;
            let mut ingest = w.store.ingest(&later.lease).await?;
            ingest.resolve_findings(vec![draft(0).key]).await?;
            ingest.commit().await
        }
    });
    // Long enough for the look to meet the rows; if it is not there yet, it finds them changed.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let event = EventDraft::new("finding.status_changed", "finding", ids[0]);
    unit.commit(event).await.unwrap();
    looking.await.unwrap().unwrap();
    // The look resolved the one, and found the other as it was.
    for (id, wanted) in ids
        .into_iter()
        .zip([(FindingStatus::Resolved, 3), (FindingStatus::InProgress, 2)])
    {
        let finding = w.read_finding(&tenant, id).await;
        assert_eq!((finding.status, finding.version), wanted);
    }
    let last = w.history(&tenant, ids[0]).await.pop().unwrap();
    let wanted = ChangeOfFinding::Status {
        from: Some(FindingStatus::InProgress),
        to: FindingStatus::Resolved,
    };
    assert_eq!((last.version, last.what), (3, wanted));
}

#[tokio::test]
async fn two_processors_lapse_each_exception_once_and_wait_for_nobody() {
    let (w, _database) = world().await;
    let w = Arc::new(w);
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let run = w.running_scan_of(&tenant, account.clone()).await;
    w.put_findings(&run, (0..DRAFTS).map(draft).collect()).await;
    for nth in 0..DRAFTS {
        let id = FindingId::of(account.id, &draft(nth).key);
        let new = w.new_exception(id).await;
        w.request(&tenant.findings, new).await.unwrap();
    }
    w.forget_staged().await;
    // Somebody works on one of them meanwhile.
    let busy = FindingId::of(account.id, &draft(0).key);
    let mut unit = w.store.begin(&tenant.findings).await.unwrap();
    unit.step_finding(busy, 1, FindingStep::Start)
        .await
        .unwrap();
    let lapsing: Vec<_> = (0..2)
        .map(|_| {
            let w = w.clone();
            tokio::spawn(async move { w.store.lapse_exceptions(Timestamp::MAX, 100).await })
        })
        .collect();
    let mut lapsed = 0;
    for task in lapsing {
        lapsed += task.await.unwrap().unwrap();
    }
    assert_eq!(
        lapsed,
        DRAFTS as u64 - 1,
        "all but the one that is worked on"
    );
    unit.rollback().await.unwrap();
    assert_eq!(
        w.store.lapse_exceptions(Timestamp::MAX, 100).await.unwrap(),
        1
    );
    assert_eq!(
        w.store.lapse_exceptions(Timestamp::MAX, 100).await.unwrap(),
        0
    );
    let actions = w.actions_of(&tenant).await;
    assert_eq!(actions, vec!["exception.lapsed"; DRAFTS], "an event each");
}

#[tokio::test]
async fn tags_of_any_length_are_found_and_follow_the_latest_look() {
    let (w, database) = world().await;
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    // At the limits, and as hard to compress as text gets.
    let wide = |seed: u32, most: u32| -> String {
        (0..most)
            .map(|i| char::from_u32(0x1_0000 + (i * 7_919 + seed * 104_729) % 0xf_0000).unwrap())
            .collect()
    };
    let (key, value) = (wide(1, 256), wide(2, 1_024));
    let mut tagged = draft(0);
    tagged.key = wide(3, 512);
    tagged.tags = [
        (key.clone(), value.clone()),
        ("k".to_owned(), String::new()),
    ]
    .into();
    w.put_findings(&run, vec![tagged.clone(), draft(1)]).await;
    let found = async |key: &str, value: Option<&str>| {
        let filter = FindingFilter::default().with_tag(TagFilter {
            key: key.to_owned(),
            value: value.map(str::to_owned),
        });
        let mut view = w.view(&tenant).await;
        let page = view.findings(&filter, &PageRequest::largest()).await;
        page.unwrap().items.len()
    };
    assert_eq!(found(&key, None).await, 1);
    assert_eq!(found(&key, Some(&value)).await, 1);
    assert_eq!(found(&key, Some(&value[..value.len() - 4])).await, 0);
    assert_eq!(found("k", Some("")).await, 1);
    assert_eq!(found("Owner", None).await, 1, "the other one");
    tagged.tags = [("k".to_owned(), "new".to_owned())].into();
    w.put_findings(&run, vec![tagged]).await;
    assert_eq!(found(&key, None).await, 0);
    assert_eq!(found("k", Some("")).await, 0);
    assert_eq!(found("k", Some("new")).await, 1);

    // The same tags again are not written again: no row of theirs is of a later transaction.
    let latest = "select max(xmin::text::bigint) from trueno.finding_tag";
    let before = database.number(latest).await;
    w.put_findings(&run, vec![draft(1)]).await;
    assert_eq!(database.number(latest).await, before);
}
