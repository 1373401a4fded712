//! One row at a time, and counts.

use trueno_core::access::Action;

use super::{Life, Stage, shown_account};
use crate::noninterference::names::Thing;

impl Life {
    pub(super) async fn look_at_one(&mut self, stage: &Stage<'_>) {
        let Some(scope) = self.scope(stage, Action::Read).await else {
            return;
        };
        match self.pick(&[0, 1, 2, 3, 4, 5, 6, 7]) {
            0 => {
                self.look(stage, "organization", &scope, async |view| {
                    view.organization().await
                })
                .await;
            }
            1 => {
                let id = self.some_account();
                self.look(stage, "account", &scope, async |view| {
                    Ok(shown_account(&view.account(id).await?))
                })
                .await;
            }
            2 => {
                let id = self.one_of(&self.scans.clone(), Thing::Scan);
                self.look(stage, "scan", &scope, async |view| {
                    Ok((view.scan(id).await?, view.coverage(id).await?))
                })
                .await;
            }
            3 => {
                let id = self.one_of(&self.jobs.clone(), Thing::Job);
                self.look(stage, "job", &scope, async |view| view.job(id).await)
                    .await;
                let waiting = stage.queue.why_waiting(&scope, id).await;
                self.notes.answer("why_waiting", &waiting);
            }
            4 => {
                let id = self.some_finding();
                self.look(stage, "finding", &scope, async |view| {
                    view.finding(id).await
                })
                .await;
            }
            5 => {
                let id = self.one_of(&self.exceptions.clone(), Thing::Exception);
                self.look(stage, "exception", &scope, async |view| {
                    view.exception(id).await
                })
                .await;
            }
            6 => {
                let filter = self.finding_filter();
                self.look(stage, "count_findings", &scope, async |view| {
                    view.count_findings(&filter).await
                })
                .await;
            }
            _ => {
                let account = self.chance(0.5).then(|| self.some_account());
                self.look(stage, "finding_counts", &scope, async |view| {
                    view.finding_counts(account).await
                })
                .await;
            }
        }
    }
}
