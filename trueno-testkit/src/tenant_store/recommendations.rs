//! Recommendations: worked out from the findings that stand, so that they can say nothing else.

use std::collections::BTreeSet;

use trueno_core::check::totals;
use trueno_core::id::CloudAccountId;
use trueno_core::model::{FindingDraft, Recommendation};
use trueno_core::money::Saving;
use trueno_core::port::{FindingFilter, PageRequest};

use super::World;
use super::exceptions::Asked;
use super::paging::every_page;
use crate::fixtures::{Tenant, finding, region, saving};

/// A finding by its key, the group of its saving, its region and what it saves.
fn draft(key: &str, group: Option<&str>, at: &str, saves: Option<i64>) -> FindingDraft {
    let mut draft = finding(key);
    draft.key = format!("ec2.volume.test/123456789012/{at}/{key}");
    draft.resource.region = region(at);
    draft.conflict_group = group.map(str::to_owned);
    draft.monthly_saving = saves.map_or(Saving::Unknown, saving);
    draft
}

async fn recommended(
    w: &World,
    tenant: &Tenant,
    account: Option<CloudAccountId>,
) -> Vec<Recommendation> {
    let mut view = w.view(tenant).await;
    let page = view.recommendations(account, &PageRequest::largest()).await;
    page.unwrap().items
}

/// What each recommendation says in short: the native id, the saving and how many it excludes.
fn short(recommended: &[Recommendation]) -> Vec<(&str, Option<i64>, u64)> {
    recommended
        .iter()
        .map(|r| {
            let saves = r.monthly_saving.amount().map(|amount| amount.micros);
            (&*r.resource.native_id, saves, r.alternatives)
        })
        .collect()
}

/// P9: of each conflict group the largest known saving is recommended, unknown ones last and equal
/// ones by key, byte by byte; a finding without a group by itself.
pub async fn the_best_of_each_group_is_recommended(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let at = "eu-west-1";
    let drafts = vec![
        draft("b-small", Some("b"), at, Some(5)),
        draft("b-large", Some("b"), at, Some(7)),
        draft("b-unknown", Some("b"), at, None),
        draft("c-second", Some("c"), at, Some(7)),
        draft("c-First", Some("c"), at, Some(7)),
        draft("d-unknown", Some("d"), at, None),
        draft("d-less-than-nothing", Some("d"), at, Some(-3)),
        draft("e-unknown-2", Some("e"), at, None),
        draft("e-unknown-1", Some("e"), at, None),
        draft("nothing", None, at, Some(0)),
        draft("unknown", None, at, None),
        // A group in another region is another group: native ids are unique in their region only.
        draft("b-elsewhere", Some("b"), "us-east-1", Some(6)),
        draft("b-at-once", Some("b"), "us-east-1", Some(6)),
    ];
    w.put_findings(&run, drafts).await;
    let found = recommended(&w, &tenant, None).await;
    let wanted: BTreeSet<_> = [
        ("b-large", Some(7), 2),
        ("c-First", Some(7), 1),
        ("d-less-than-nothing", Some(-3), 1),
        ("e-unknown-1", None, 1),
        ("nothing", Some(0), 0),
        ("unknown", None, 0),
        ("b-at-once", Some(6), 1),
    ]
    .into();
    let shorts = short(&found);
    assert_eq!(shorts.iter().copied().collect::<BTreeSet<_>>(), wanted);
    assert_eq!(shorts.len(), wanted.len(), "each group once");
    for recommendation in &found {
        let finding = w.read_finding(&tenant, recommendation.finding).await;
        let said = Recommendation {
            account: finding.account,
            finding: finding.id,
            key: finding.draft.key,
            check: finding.draft.check,
            resource: finding.draft.resource,
            monthly_saving: finding.draft.monthly_saving,
            alternatives: recommendation.alternatives,
        };
        assert_eq!(*recommendation, said, "as the finding says");
    }
}

/// A group that is named as another finding's key is no group of that finding.
pub async fn a_group_is_no_key(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let at = "eu-west-1";
    let alone = draft("alone", None, at, Some(1));
    let grouped = draft("grouped", Some(&alone.key), at, Some(2));
    w.put_findings(&run, vec![alone, grouped]).await;
    let found = recommended(&w, &tenant, None).await;
    let found: BTreeSet<_> = short(&found).into_iter().collect();
    let wanted = [("alone", Some(1), 0), ("grouped", Some(2), 0)];
    assert_eq!(found, wanted.into());
}

/// P9: what is recommended saves together what the findings that stand save, exactly; through every
/// change of theirs.
pub async fn recommendations_add_up_to_the_totals(w: World) {
    let asked = Asked::new(&w).await;
    let tenant = &asked.team.tenant;
    let account = w.account(tenant).await;
    let check = async |when: &str| {
        let mut view = w.view(tenant).await;
        let accounts = [None, Some(account.id), Some(asked.finding.account)];
        for of in accounts {
            let mut filter = FindingFilter::default().standing();
            filter.account = of;
            let page = PageRequest::largest();
            let standing = view.findings(&filter, &page).await.unwrap().items;
            let sum = totals(standing.iter().map(|finding| &finding.draft)).unwrap();
            let found = recommended(&w, tenant, of).await;
            let known = found.iter().filter_map(|r| r.monthly_saving.amount());
            let micros: i64 = known.map(|amount| amount.micros).sum();
            assert_eq!(micros, sum.monthly_saving_micros, "P9: {when}");
            let covered = found.iter().map(|r| r.alternatives + 1).sum::<u64>();
            assert_eq!(covered, sum.findings, "{when}: every one that stands");
            assert!(found.iter().all(|r| of.is_none_or(|of| r.account == of)));
        }
    };
    check("one finding").await;
    let run = w.running_scan_of(tenant, account.clone()).await;
    let regions = ["eu-west-1", "us-east-1"];
    let mut drafts = Vec::new();
    for nth in 0..24_i64 {
        let group = ["volume/1", "volume/2", "volume/3"].get(nth as usize % 4);
        let saves = (nth % 5 != 0).then_some(nth * nth % 17 - 3);
        let at = regions[nth as usize % 2];
        drafts.push(draft(&format!("n-{nth}"), group.copied(), at, saves));
    }
    let keys: Vec<String> = drafts.iter().map(|draft| draft.key.clone()).collect();
    w.put_findings(&run, drafts).await;
    check("found").await;
    for key in keys.iter().step_by(3) {
        let keys = vec![key.clone()];
        w.ingest(&run.lease, async |ingest| {
            ingest.resolve_findings(keys).await
        })
        .await
        .unwrap();
        check("resolved").await;
    }
    let approved = asked.approved(&w).await;
    check("suppressed").await;
    let lapsed = w.store.lapse_exceptions(approved.expires_at, 10).await;
    assert_eq!(lapsed.unwrap(), 1);
    check("lapsed").await;
}

/// The next best takes the place of what no longer stands.
pub async fn the_next_best_is_recommended(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let group = Some("volume/vol-1");
    let saves = [("best", Some(9)), ("second", Some(4)), ("last", None)];
    let drafts = saves.map(|(key, saves)| draft(key, group, "eu-west-1", saves));
    w.put_findings(&run, drafts.to_vec()).await;
    for (nth, (key, saves)) in saves.into_iter().enumerate() {
        let found = recommended(&w, &tenant, None).await;
        assert_eq!(short(&found), [(key, saves, 2 - nth as u64)]);
        let keys = vec![drafts[nth].key.clone()];
        w.ingest(&run.lease, async |ingest| {
            ingest.resolve_findings(keys).await
        })
        .await
        .unwrap();
    }
    assert_eq!(recommended(&w, &tenant, None).await, [], "nothing stands");
}

/// Recommendations come by account, region and group, byte by byte, whatever the size of the pages.
pub async fn recommendations_come_byte_by_byte(w: World) {
    let tenant = w.organization().await;
    let groups = ["a", "B", "volume/vol-10", "volume/vol-1", "\u{e9}", "z"];
    let mut runs = Vec::new();
    for _ in 0..2 {
        let run = w.running_scan(&tenant).await;
        let mut drafts = Vec::new();
        for at in ["us-east-1", "eu-west-1", "eu-west-10"] {
            for group in groups {
                for saves in [1, 2] {
                    let key = format!("{group}-{saves}");
                    drafts.push(draft(&key, Some(group), at, Some(saves)));
                }
            }
        }
        w.put_findings(&run, drafts).await;
        runs.push(run.account.id);
    }
    runs.sort_unstable();
    let mut sorted = groups;
    sorted.sort_unstable();
    let mut wanted = Vec::new();
    for account in &runs {
        for at in ["eu-west-1", "eu-west-10", "us-east-1"] {
            wanted.extend(sorted.map(|group| (*account, at.to_owned(), format!("{group}-2"))));
        }
    }
    for limit in [1, 5, 36, 1_000] {
        let mut view = w.view(&tenant).await;
        let found = every_page(limit, async |page| view.recommendations(None, &page).await).await;
        let found: Vec<_> = found
            .iter()
            .map(|r| {
                let at = r.resource.region.as_str().to_owned();
                (r.account, at, r.resource.native_id.clone())
            })
            .collect();
        assert_eq!(found, wanted, "in pages of {limit}");
        let of_one = every_page(limit, async |page| {
            view.recommendations(Some(runs[1]), &page).await
        })
        .await;
        assert_eq!(of_one.len(), 18, "of one account, in pages of {limit}");
        assert!(of_one.iter().all(|r| r.account == runs[1]));
    }
}
