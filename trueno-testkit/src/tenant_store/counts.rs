//! Counts of findings: exact where stores keep them at hand, up to a limit elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use trueno_core::id::CloudAccountId;
use trueno_core::model::{FindingDraft, FindingStatus, Severity};
use trueno_core::port::tenant_store::FindingCount;
use trueno_core::port::{COUNT_LIMIT, Count, FindingFilter};
use trueno_core::state::exception::ExceptionDecision;
use trueno_core::state::finding::{FindingStep, stands};

use super::World;
use super::exceptions::Asked;
use super::paging::every_page;
use crate::fixtures::{Tenant, finding};

fn drafts(ids: std::ops::Range<usize>) -> Vec<FindingDraft> {
    ids.map(|id| finding(&format!("vol-{id:06}"))).collect()
}

fn accounts(counts: &[FindingCount]) -> BTreeSet<Option<CloudAccountId>> {
    counts.iter().map(|count| Some(count.account)).collect()
}

/// Checks every exact count against the findings themselves.
async fn assert_counts(w: &World, tenant: &Tenant, when: &str) {
    let mut view = w.view(tenant).await;
    let all = FindingFilter::default();
    let found = every_page(1_000, async |page| view.findings(&all, &page).await).await;
    let mut wanted: BTreeMap<(CloudAccountId, String, FindingStatus), u64> = BTreeMap::new();
    for finding in &found {
        let key = (finding.account, finding.draft.check.clone(), finding.status);
        *wanted.entry(key).or_default() += 1;
    }
    let counts: Vec<FindingCount> = wanted
        .into_iter()
        .map(|((account, check, status), count)| FindingCount {
            account,
            check,
            status,
            count,
        })
        .collect();
    for account in [None, Some(w.id())].into_iter().chain(accounts(&counts)) {
        let mut answer = view.finding_counts(account).await.unwrap();
        assert!(
            answer.is_sorted_by(|a, b| (a.account, &a.check) <= (b.account, &b.check)),
            "{when}: sorted: {answer:?}"
        );
        let of = |count: &FindingCount| account.is_none_or(|account| account == count.account);
        let mut wanted: Vec<_> = counts.iter().filter(|count| of(count)).cloned().collect();
        for counts in [&mut answer, &mut wanted] {
            counts.sort_by_key(|c| (c.account, c.check.clone(), c.status));
        }
        assert_eq!(answer, wanted, "{when}: of {account:?}");
    }
    let standing = found.iter().filter(|f| stands(f.status)).count();
    let count = view.count_findings(&all.standing()).await.unwrap();
    assert_eq!(count, Count::Exactly(standing as u64), "{when}: standing");
}

/// Exact counts by account, check and status follow every change of a finding's status, whoever
/// makes it.
pub async fn counts_follow_every_change(w: World) {
    let asked = Asked::new(&w).await;
    let tenant = &asked.team.tenant;
    let account = w.account(tenant).await;
    assert_counts(&w, tenant, "one finding").await;
    let run = w.running_scan_of(tenant, account.clone()).await;
    let mut several = drafts(0..6);
    for draft in several.iter_mut().step_by(2) {
        draft.check = "ec2.volume.gp2".to_owned();
    }
    w.put_findings(&run, several.clone()).await;
    assert_counts(&w, tenant, "another account's").await;
    w.complete(&run).await;
    let run = w.running_scan_of(tenant, account.clone()).await;
    // One of them is found by another check than before.
    several[1].check = "ec2.volume.gp2".to_owned();
    w.put_findings(&run, several[..4].to_vec()).await;
    assert_counts(&w, tenant, "found again").await;
    w.resolve(&run, &["vol-000000", "vol-000005"]).await;
    assert_counts(&w, tenant, "resolved").await;
    w.put_findings(&run, several[..1].to_vec()).await;
    assert_counts(&w, tenant, "reopened").await;
    let stepped = w
        .step(&tenant.findings, &asked.finding, FindingStep::Start)
        .await;
    stepped.unwrap();
    assert_counts(&w, tenant, "stepped").await;
    let approved = asked.approved(&w).await;
    assert_counts(&w, tenant, "suppressed").await;
    w.decide(&asked.analyst, &approved, ExceptionDecision::Withdraw)
        .await
        .unwrap();
    assert_counts(&w, tenant, "withdrawn").await;
    let approved = asked.approved(&w).await;
    let lapsed = w.store.lapse_exceptions(approved.expires_at, 10).await;
    assert_eq!(lapsed.unwrap(), 1);
    assert_counts(&w, tenant, "lapsed").await;
    let mut ingest = w.store.ingest(&run.lease).await.unwrap();
    ingest.put_findings(drafts(10..20)).await.unwrap();
    drop(ingest);
    assert_counts(&w, tenant, "P2: a batch was given up").await;
}

/// Batches of several accounts that commit at the same time are counted each.
pub async fn counts_add_up_over_concurrent_batches(w: World) {
    let tenant = w.organization().await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(w.running_scan(&tenant).await);
    }
    let w = Arc::new(w);
    let writers = runs.into_iter().map(|run| {
        let w = Arc::clone(&w);
        tokio::spawn(async move {
            for batch in 0..4 {
                w.put_findings(&run, drafts(batch * 5..(batch + 2) * 5))
                    .await;
                let id = format!("vol-{:06}", batch * 5);
                w.resolve(&run, &[&id]).await;
            }
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.unwrap();
    }
    assert_counts(&w, &tenant, "three at once").await;
}

/// Where nobody keeps a count it goes up to a limit, and says so; where it is kept it is exact.
pub async fn counts_beyond_the_limit_are_exact_or_say_so(w: World) {
    const LIMIT: usize = COUNT_LIMIT as usize;
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let counted = FindingFilter::default()
        .with_account(run.account.id)
        .with_check("ec2.volume.unattached")
        .with_status(FindingStatus::New)
        .standing();
    assert!(counted.is_counted());
    let exact = |count: usize| Count::Exactly(count as u64);
    let mut put_so_far = 0;
    for (total, uncounted) in [
        (LIMIT - 1, exact(LIMIT - 1)),
        (LIMIT, Count::AtLeast(COUNT_LIMIT)),
        (LIMIT + 500, Count::AtLeast(COUNT_LIMIT)),
    ] {
        w.put_findings(&run, drafts(put_so_far..total)).await;
        put_so_far = total;
        let mut view = w.view(&tenant).await;
        for filter in [FindingFilter::default(), counted.clone()] {
            let count = view.count_findings(&filter).await.unwrap();
            assert_eq!(count, exact(total), "kept at hand: {filter:?}");
        }
        for filter in [
            FindingFilter::default().with_severity(Severity::Medium),
            FindingFilter::default().with_scan(run.scan),
            counted.clone().with_severity(Severity::Medium),
        ] {
            let count = view.count_findings(&filter).await.unwrap();
            assert_eq!(count, uncounted, "counted up: {filter:?}");
        }
        let none = FindingFilter::default().with_severity(Severity::Low);
        assert_eq!(view.count_findings(&none).await.unwrap(), exact(0));
    }
    let shown = Count::AtLeast(COUNT_LIMIT).to_string();
    assert_eq!(shown, "1,000+");
}
