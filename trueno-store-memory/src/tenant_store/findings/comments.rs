//! What members say of findings.

use std::ops::Bound;
use std::sync::Arc;

use jiff::Timestamp;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{CommentId, FindingId, UserId};
use trueno_core::model::{Comment, NewComment};
use trueno_core::port::{Page, PageRequest};
use uuid::Uuid;

use super::changes::not_found;
use crate::state::Draft;
use crate::tenant_store::cursor::List;

impl Draft {
    pub(super) fn comment_page(&self, id: FindingId, page: &PageRequest) -> Result<Page<Comment>> {
        if !self.findings_by_id.contains(&id) {
            return Err(not_found());
        }
        List {
            name: format!("comments-{id}").into(),
            rows: &self.comments,
            start: Bound::Included((id, CommentId::from_uuid(Uuid::nil()))),
        }
        .page(
            page,
            |(finding, _)| *finding == id,
            |_, row: &Arc<Comment>| Some(Comment::clone(row)),
        )
    }

    pub(super) fn add_comment(
        &mut self,
        new: &NewComment,
        author: UserId,
        now: Timestamp,
    ) -> Result<Comment> {
        if !self.findings_by_id.contains(&new.finding()) {
            return Err(not_found());
        }
        if self.comments_by_id.contains(&new.id()) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "the comment's id is in use",
            ));
        }
        let comment = Comment {
            id: new.id(),
            finding: new.finding(),
            author,
            text: new.text().to_owned(),
            created_at: now,
        };
        self.comments_by_id.put(comment.id, comment.finding);
        self.comments
            .put((comment.finding, comment.id), comment.clone());
        Ok(comment)
    }
}
