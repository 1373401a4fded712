//! What an operator does about the organization's place in the queue.

use trueno_core::model::{OrganizationLimits, QueueTarget};

use super::{Life, Stage};

impl Life {
    /// Sets the organization's limits, or holds it back while jobs are claimed.
    pub(super) async fn operate(&mut self, stage: &Stage<'_>) {
        if self.chance(0.6) {
            self.set_limits(stage).await;
        } else {
            let target = QueueTarget::Organization(self.organization);
            self.notes
                .answer("pause", &stage.queue.pause(&target).await);
            stage.pause().await;
            self.work_on_jobs(stage).await;
            self.notes
                .answer("resume", &stage.queue.resume(&target).await);
        }
        stage.pause().await;
        let limits = stage.queue.limits(self.organization).await;
        self.notes.answer("limits", &limits);
        self.work_on_jobs(stage).await;
    }

    async fn set_limits(&mut self, stage: &Stage<'_>) {
        let limits = OrganizationLimits::default();
        let mut limits = limits.with_weight(self.pick(&[1, 3, 1_000])).unwrap();
        if let Some(jobs) = self.pick(&[None, Some(1), Some(2)]) {
            limits = limits.with_max_running(jobs).unwrap();
        }
        if let Some(jobs) = self.pick(&[None, None, Some(3), Some(20)]) {
            limits = limits.with_max_live(jobs).unwrap();
        }
        let set = stage.queue.set_limits(self.organization, &limits).await;
        self.notes.answer("set_limits", &set);
    }
}
