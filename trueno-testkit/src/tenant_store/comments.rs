//! What members say of findings.

use trueno_core::access::{Action, OrgScope};
use trueno_core::error::{ErrorKind, Result};
use trueno_core::id::FindingId;
use trueno_core::model::{Comment, NewComment, Role};
use trueno_core::port::PageRequest;

use super::World;
use super::paging::every_page;
use crate::suite::{near, refused};

async fn comment(w: &World, scope: &OrgScope, new: NewComment) -> Result<Comment> {
    w.change(scope, async |unit| unit.add_comment(new).await)
        .await
}

/// Comments are kept as written, oldest first, with their authors, and leave the finding as it is.
pub async fn comments_come_oldest_first(w: World) {
    let team = w.team().await;
    let tenant = &team.tenant;
    let (new, other) = (w.new_finding(tenant).await, w.new_finding(tenant).await);
    let texts = [
        "first",
        "Größe \u{1f30d}\n\ttabs and lines",
        "' OR true --",
        "first",
    ];
    let mut wanted = Vec::new();
    for (role, text) in [Role::Owner, Role::Admin, Role::Approver, Role::Analyst]
        .into_iter()
        .zip(texts)
    {
        let scope = w.scope_of(&team, role, Action::WorkFindings).await;
        let draft = NewComment::new(w.id(), new.id, text).unwrap();
        let before = w.now().await;
        let added = comment(&w, &scope, draft.clone()).await.unwrap();
        assert_eq!((added.id, added.finding), (draft.id(), new.id));
        assert_eq!((added.author, &*added.text), (team.member(role), text));
        near(
            added.created_at,
            before,
            w.now().await,
            "when it was written",
        );
        wanted.push(added);
    }
    for limit in [1, 2, 4, 1_000] {
        let mut view = w.view(tenant).await;
        let found = every_page(limit, async |page| view.comments(new.id, &page).await).await;
        assert_eq!(found, wanted, "in pages of {limit}");
    }
    let mut view = w.view(tenant).await;
    let page = PageRequest::largest();
    assert_eq!(view.comments(other.id, &page).await.unwrap().items, []);
    assert_eq!(view.finding(new.id).await.unwrap(), new, "as it was");
    assert_eq!(w.history(tenant, new.id).await.len(), 1);
}

/// A comment needs its finding and an id of its own.
pub async fn a_comment_needs_its_finding_and_an_id(w: World) {
    let tenant = w.organization().await;
    let (one, two) = (w.new_finding(&tenant).await, w.new_finding(&tenant).await);
    let draft = NewComment::new(w.id(), one.id, "first").unwrap();
    let first = comment(&w, &tenant.findings, draft).await.unwrap();
    for finding in [one.id, two.id] {
        let twin = NewComment::new(first.id, finding, "twin").unwrap();
        let answer = comment(&w, &tenant.findings, twin).await;
        refused(answer, ErrorKind::AlreadyExists, "a comment's id in use");
    }
    let nowhere = FindingId::of(one.account, "no/such/key");
    let draft = NewComment::new(w.id(), nowhere, "to nothing").unwrap();
    let answer = comment(&w, &tenant.findings, draft).await;
    refused(answer, ErrorKind::NotFound, "a finding that is not there");
    let page = PageRequest::largest();
    let mut view = w.view(&tenant).await;
    assert_eq!(view.comments(one.id, &page).await.unwrap().items, [first]);
    assert_eq!(view.comments(two.id, &page).await.unwrap().items, []);
    let answer = view.comments(nowhere, &page).await;
    refused(answer, ErrorKind::NotFound, "comments on nothing");
    let answer = view.finding_history(nowhere, &page).await;
    refused(answer, ErrorKind::NotFound, "the history of nothing");
}
