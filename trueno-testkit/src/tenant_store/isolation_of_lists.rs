//! P1 over what members work with: one case per method that reads it.

use trueno_core::id::FindingId;
use trueno_core::model::{Actor, Role};
use trueno_core::port::tenant_store::ExceptionFilter;
use trueno_core::port::{Count, FindingFilter, PageRequest};

use super::World;
use super::twins::{alike, foreign, twins};

/// P1: `organization`.
pub async fn isolation_organization(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    for tenant in [&one, &two] {
        let read = w.view(tenant).await.organization().await.unwrap();
        assert_eq!(read.id, tenant.id, "P1: itself");
    }
}

/// P1: `member`, also where a user is a member of both.
pub async fn isolation_member(w: World) {
    let mut f = foreign(&w).await;
    let missing = f.missing.member(w.id()).await;
    alike(f.view.member(f.owner.owner).await, missing);
    let (one, two) = twins(&w).await;
    w.change(&two.tenant.members, async |unit| {
        unit.set_member_role(two.member, 1, Role::Viewer).await
    })
    .await
    .unwrap();
    for (twin, role, version) in [(&one, Role::Approver, 1), (&two, Role::Viewer, 2)] {
        let member = w.read_member(&twin.tenant, twin.member).await;
        let found = (member.role, member.version);
        assert_eq!(found, (role, version), "P1: its own alone");
    }
}

/// P1: `members`, also where a user is a member of both.
pub async fn isolation_members(w: World) {
    let (one, two) = twins(&w).await;
    for twin in [&one, &two] {
        let mut view = w.view(&twin.tenant).await;
        let members = view.members(&PageRequest::largest()).await.unwrap().items;
        let users: Vec<_> = members.iter().map(|member| member.user).collect();
        let mut wanted = vec![twin.tenant.owner, twin.member];
        wanted.sort_unstable();
        assert_eq!(users, wanted, "P1: its own alone");
    }
}

/// P1: `count_findings`, also by another organization's account or scan.
pub async fn isolation_count_findings(w: World) {
    let mut f = foreign(&w).await;
    for filter in [
        FindingFilter::default(),
        FindingFilter::default().with_account(f.account),
        FindingFilter::default().with_scan(f.scan).standing(),
    ] {
        let count = f.view.count_findings(&filter).await.unwrap();
        assert_eq!(count, Count::Exactly(0), "P1: {filter:?}");
    }
    let (one, two) = twins(&w).await;
    for twin in [&one, &two] {
        let mut view = w.view(&twin.tenant).await;
        for filter in [
            FindingFilter::default(),
            FindingFilter::default().with_account(twin.run.account.id),
            FindingFilter::default().with_scan(twin.run.scan),
        ] {
            let count = view.count_findings(&filter).await.unwrap();
            assert_eq!(count, Count::Exactly(1), "P1: its own alone: {filter:?}");
        }
    }
}

/// P1: `finding_counts`, also of another organization's account.
pub async fn isolation_finding_counts(w: World) {
    let mut f = foreign(&w).await;
    assert_eq!(f.view.finding_counts(None).await.unwrap(), []);
    assert_eq!(f.view.finding_counts(Some(f.account)).await.unwrap(), []);
    let (one, two) = twins(&w).await;
    for twin in [&one, &two] {
        let mut view = w.view(&twin.tenant).await;
        let counts = view.finding_counts(None).await.unwrap();
        assert_eq!(counts.len(), 1);
        assert_eq!(counts[0].count, 1, "P1: its own alone");
    }
}

/// P1: `finding_history`.
pub async fn isolation_finding_history(w: World) {
    let mut f = foreign(&w).await;
    let page = PageRequest::largest();
    let nowhere = FindingId::of(w.id(), "no/such/key");
    alike(
        f.view.finding_history(f.finding, &page).await,
        f.missing.finding_history(nowhere, &page).await,
    );
    let (one, two) = twins(&w).await;
    for twin in [&one, &two] {
        let rows = w.history(&twin.tenant, twin.finding()).await;
        assert_eq!(rows.len(), 1, "P1: its own alone");
        assert_eq!(rows[0].actor, Actor::Processor { job: twin.run.job });
    }
}

/// P1: `comments`.
pub async fn isolation_comments(w: World) {
    let mut f = foreign(&w).await;
    let page = PageRequest::largest();
    let nowhere = FindingId::of(w.id(), "no/such/key");
    alike(
        f.view.comments(f.finding, &page).await,
        f.missing.comments(nowhere, &page).await,
    );
    let (one, two) = twins(&w).await;
    for (twin, name) in [(&one, "first"), (&two, "second")] {
        let mut view = w.view(&twin.tenant).await;
        let comments = view.comments(twin.finding(), &page).await.unwrap().items;
        assert_eq!(comments.len(), 1, "P1: its own alone");
        let comment = &comments[0];
        assert_eq!(
            (comment.id, comment.author, &*comment.text),
            (twin.comment, twin.tenant.owner, name)
        );
    }
}

/// P1: `recommendations`, also of another organization's account.
pub async fn isolation_recommendations(w: World) {
    let mut f = foreign(&w).await;
    let page = PageRequest::largest();
    for account in [None, Some(f.account)] {
        let found = f.view.recommendations(account, &page).await.unwrap();
        assert_eq!(found.items, [], "P1: {account:?}");
    }
    let (one, two) = twins(&w).await;
    for twin in [&one, &two] {
        let mut view = w.view(&twin.tenant).await;
        let found = view.recommendations(None, &page).await.unwrap().items;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].alternatives, 0, "P1: its own alone");
    }
}

/// P1: `exception`.
pub async fn isolation_exception(w: World) {
    let mut f = foreign(&w).await;
    alike(
        f.view.exception(f.exception.id).await,
        f.missing.exception(w.id()).await,
    );
    let (one, two) = twins(&w).await;
    for twin in [&one, &two] {
        let mut view = w.view(&twin.tenant).await;
        let read = view.exception(twin.exception.id).await.unwrap();
        assert_eq!(read.requester, twin.tenant.owner, "P1: its own");
    }
}

/// P1: `exceptions`, also from another organization's finding.
pub async fn isolation_exceptions(w: World) {
    let mut f = foreign(&w).await;
    let page = PageRequest::largest();
    for filter in [
        ExceptionFilter::default(),
        ExceptionFilter::default().with_finding(f.finding),
        ExceptionFilter::default().with_status(f.exception.status),
    ] {
        let found = f.view.exceptions(&filter, &page).await.unwrap().items;
        assert_eq!(found, [], "P1: {filter:?}");
    }
    let (one, two) = twins(&w).await;
    for twin in [&one, &two] {
        let mut view = w.view(&twin.tenant).await;
        let filter = ExceptionFilter::default().with_finding(twin.finding());
        let found = view.exceptions(&filter, &page).await.unwrap().items;
        assert_eq!(found, std::slice::from_ref(&twin.exception), "P1: its own");
    }
}

/// P1: `schedule`.
pub async fn isolation_schedule(w: World) {
    let mut f = foreign(&w).await;
    alike(
        f.view.schedule(f.schedule.id).await,
        f.missing.schedule(w.id()).await,
    );
}

/// P1: `schedules`.
pub async fn isolation_schedules(w: World) {
    let mut f = foreign(&w).await;
    let page = PageRequest::largest();
    assert_eq!(f.view.schedules(&page).await.unwrap().items, []);
    let (one, two) = twins(&w).await;
    for twin in [&one, &two] {
        let mut view = w.view(&twin.tenant).await;
        let found = view.schedules(&page).await.unwrap().items;
        assert_eq!(found, std::slice::from_ref(&twin.schedule), "P1: its own");
    }
}

/// P1: `audit_events`.
pub async fn isolation_audit_events(w: World) {
    let (one, two) = twins(&w).await;
    for twin in [&one, &two] {
        let mut view = w.view(&twin.tenant).await;
        let page = PageRequest::largest();
        let events = view.audit_events(&page).await.unwrap().items;
        let staged = w.staged_of(&twin.tenant).await;
        assert_eq!(events.len(), staged.len(), "P1: its own, and all of them");
        for event in events {
            assert_eq!(event.organization, twin.tenant.id, "P1: its own alone");
        }
    }
}
