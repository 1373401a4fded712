//! Cursors: what a client sends back is worth something to the list it came from alone.

use std::collections::BTreeSet;

use trueno_core::error::{ErrorKind, Result};
use trueno_core::id::FindingId;
use trueno_core::model::NewComment;
use trueno_core::port::tenant_store::ExceptionFilter;
use trueno_core::port::{Cursor, FindingFilter, Page, PageRequest, ResourceFilter, ScanFilter};
use trueno_core::state::finding::FindingStep;

use super::World;
use crate::fixtures::{Tenant, resource};

/// Every list that a view has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Accounts,
    Members,
    Scans,
    Resources,
    Findings,
    History,
    Comments,
    Recommendations,
    Exceptions,
    Schedules,
    AuditEvents,
}

const LISTS: [List; 11] = [
    List::Accounts,
    List::Members,
    List::Scans,
    List::Resources,
    List::Findings,
    List::History,
    List::Comments,
    List::Recommendations,
    List::Exceptions,
    List::Schedules,
    List::AuditEvents,
];

/// An organization that has two of everything that is listed.
struct Listed {
    tenant: Tenant,
    finding: FindingId,
}

async fn listed(w: &World) -> Listed {
    let team = w.team().await;
    let tenant = team.tenant;
    let mut finding = None;
    for _ in 0..2 {
        let run = w.running_scan(&tenant).await;
        let ids = ["vol-1", "vol-2"];
        let volumes = ids.map(|id| resource("ec2.volume", "eu-west-1", id));
        w.ingest(&run.lease, async |ingest| {
            ingest.put_resources(volumes.to_vec()).await
        })
        .await
        .unwrap();
        w.find(&run, &ids).await;
        w.schedule(&tenant, run.account.id).await;
        w.complete(&run).await;
        let found = w.new_finding(&tenant).await;
        let asks = w.new_exception(found.id).await;
        w.request(&tenant.findings, asks).await.unwrap();
        w.step(&tenant.findings, &found, FindingStep::Start)
            .await
            .unwrap();
        for text in ["one", "two"] {
            let comment = NewComment::new(w.id(), found.id, text).unwrap();
            w.change(&tenant.findings, async |unit| {
                unit.add_comment(comment).await
            })
            .await
            .unwrap();
        }
        finding = Some(found.id);
    }
    let finding = finding.unwrap();
    Listed { tenant, finding }
}

impl Listed {
    /// A page of a list: its items as text, and where the next one begins.
    async fn page(
        &self,
        w: &World,
        list: List,
        page: &PageRequest,
    ) -> Result<(Vec<String>, Option<Cursor>)> {
        fn texts<T: std::fmt::Debug>(page: Page<T>) -> (Vec<String>, Option<Cursor>) {
            let items = page.items.iter().map(|item| format!("{item:?}"));
            (items.collect(), page.next)
        }
        let mut view = w.view(&self.tenant).await;
        Ok(match list {
            List::Accounts => texts(view.accounts(page).await?),
            List::Members => texts(view.members(page).await?),
            List::Scans => texts(view.scans(&ScanFilter::default(), page).await?),
            List::Resources => texts(view.resources(&ResourceFilter::default(), page).await?),
            List::Findings => texts(view.findings(&FindingFilter::default(), page).await?),
            List::History => texts(view.finding_history(self.finding, page).await?),
            List::Comments => texts(view.comments(self.finding, page).await?),
            List::Recommendations => texts(view.recommendations(None, page).await?),
            List::Exceptions => texts(view.exceptions(&ExceptionFilter::default(), page).await?),
            List::Schedules => texts(view.schedules(page).await?),
            List::AuditEvents => texts(view.audit_events(page).await?),
        })
    }

    async fn whole(&self, w: &World, list: List) -> BTreeSet<String> {
        let page = self.page(w, list, &PageRequest::largest()).await;
        page.unwrap().0.into_iter().collect()
    }

    /// Where the second page of one item begins.
    async fn cursor(&self, w: &World, list: List) -> Cursor {
        let first = PageRequest::first(1).unwrap();
        let (items, next) = self.page(w, list, &first).await.unwrap();
        assert_eq!(items.len(), 1, "{list:?}");
        next.unwrap_or_else(|| panic!("{list:?} has two"))
    }

    /// What a list gives after `cursor`: nothing where the cursor is refused.
    async fn after(&self, w: &World, list: List, cursor: &Cursor) -> Vec<String> {
        let page = PageRequest::largest().after(Some(cursor.clone()));
        match self.page(w, list, &page).await {
            Ok((items, _)) => items,
            Err(error) => {
                let kind = error.kind();
                assert_eq!(kind, ErrorKind::InvalidInput, "{list:?}: {error:?}");
                assert!(
                    error.to_string().contains("cursor"),
                    "names the field: {error}"
                );
                Vec::new()
            }
        }
    }
}

/// A cursor of another list is refused, or leads to an empty page; and so is one that no list gave
/// out, whatever it holds.
pub async fn a_foreign_cursor_gives_nothing(w: World) {
    let listed = listed(&w).await;
    let nonsense = [
        "0",
        "\u{1f30d}",
        "AAAA",
        "' OR true --",
        "00000000",
        "accounts.",
        ".",
        "W10",
        "bnVsbA",
        "eyJhIjoxfQ",
        "WyJhY2NvdW50cyIsbnVsbF0",
        "WyJhY2NvdW50cyIsIlx1MDAwMCJd",
        "////",
        "====",
    ];
    let long = "A".repeat(4_096);
    let nonsense = nonsense.into_iter().chain([&*long]);
    let nonsense: Vec<Cursor> = nonsense.map(|text| text.parse().unwrap()).collect();
    for of in LISTS {
        let cursor = listed.cursor(&w, of).await;
        let text = cursor.to_string();
        let mut spoilt = vec![format!("{text}A"), format!("A{text}"), text.repeat(2)];
        spoilt.push(text[..text.len() - 1].to_owned());
        for list in LISTS {
            let found = listed.after(&w, list, &cursor).await;
            if list == of {
                assert!(!found.is_empty(), "{list:?}: its own");
                let all = listed.whole(&w, list).await;
                assert!(found.iter().all(|item| all.contains(item)));
                continue;
            }
            assert!(found.is_empty(), "{of:?} led into {list:?}: {found:?}");
            for spoilt in &spoilt {
                let spoilt: Cursor = spoilt.parse().unwrap();
                let found = listed.after(&w, list, &spoilt).await;
                assert!(found.is_empty(), "{spoilt} led into {list:?}: {found:?}");
            }
        }
        for cursor in &nonsense {
            let found = listed.after(&w, of, cursor).await;
            assert!(found.is_empty(), "{cursor} led into {of:?}: {found:?}");
        }
    }
}

/// P1: a cursor of another organization leads to none of its rows.
pub async fn a_cursor_of_another_organization_gives_none_of_its_rows(w: World) {
    let (one, two) = (listed(&w).await, listed(&w).await);
    for list in LISTS {
        let own = one.whole(&w, list).await;
        let cursor = two.cursor(&w, list).await;
        for item in one.after(&w, list, &cursor).await {
            assert!(own.contains(&item), "P1: {list:?}: another's {item}");
        }
    }
}
