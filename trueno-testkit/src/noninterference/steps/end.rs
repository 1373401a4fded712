//! The end of B: it reads all that it has, takes it along, and erases itself.

use serde_json::Value;
use trueno_core::access::Action;
use trueno_core::port::{FindingFilter, PageRequest};
use trueno_core::runtime::organizations::export;

use super::{Life, Stage};

impl Life {
    pub(in crate::noninterference) async fn end(&mut self, stage: &Stage<'_>) {
        self.notes.next_step();
        let owner = self.users[0];
        let Some(scope) = self.scope_of(stage, owner, Action::Export).await else {
            return self.end_without_owner(stage).await;
        };
        let mut exported = Vec::new();
        let lines = export(&*stage.store, &scope, &mut exported).await;
        self.notes.answer("export", &lines);
        for line in exported.split(|byte| *byte == b'\n') {
            if !line.is_empty() {
                let line: Value = serde_json::from_slice(line).unwrap();
                self.notes.line("exported", &line);
            }
        }
        self.every_list(stage, &scope).await;
        self.look(stage, "counts", &scope, async |view| {
            let standing = FindingFilter::default().standing();
            let counts = view.finding_counts(None).await?;
            Ok((counts, view.count_findings(&standing).await?))
        })
        .await;
        let jobs = self.jobs.clone();
        self.look(stage, "jobs", &scope, async |view| {
            let mut found = Vec::with_capacity(jobs.len());
            for job in &jobs {
                found.push(view.job(*job).await.map_err(|error| error.to_string()));
            }
            Ok(found)
        })
        .await;
        if let Some(job) = jobs.last() {
            let waiting = stage.queue.why_waiting(&scope, *job).await;
            self.notes.answer("why_waiting", &waiting);
        }
        stage.pause().await;
        self.erase(stage).await;
        self.look(stage, "left", &scope, async |view| {
            let page = PageRequest::largest();
            let left = view.accounts(&page).await?.items.len();
            Ok((left, view.audit_events(&page).await?.items))
        })
        .await;
        stage.sequence(self.organization, &mut self.notes).await;
        stage.tell_waits(&mut self.notes).await;
    }

    /// Where its first member is no owner any more.
    async fn end_without_owner(&mut self, stage: &Stage<'_>) {
        for user in self.users.clone() {
            if let Some(scope) = self.scope_of(stage, user, Action::Read).await {
                self.every_list(stage, &scope).await;
            }
        }
        stage.sequence(self.organization, &mut self.notes).await;
    }
}
