//! What a step of a life is, and how likely each is.

mod end;
mod exceptions;
mod findings;
mod jobs;
mod lists;
mod looks;
mod operate;
mod organization;
mod reach;
mod scans;
mod schedules;
mod work;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};
use trueno_core::model::{AccessMethod, CloudAccount, Version};

use super::life::Life;
use super::names::Side;
use super::stage::Stage;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The organization is made, with members.
    Found,
    /// An account is connected and verified.
    Connect,
    /// An account takes a step.
    MoveAccount,
    /// A member is made, changed or removed.
    Member,
    /// A scan is requested.
    RequestScan,
    /// A scan's job is claimed, or the one at hand worked on.
    Work,
    /// The lease at hand is lost.
    LoseLease,
    /// Jobs without a scan are enqueued, claimed and settled.
    Jobs,
    /// A job is cancelled.
    Cancel,
    /// The organization gets other limits in the queue, or is held back for a while.
    Operate,
    /// Something is done with a finding.
    WorkFinding,
    /// An exception is asked for or decided.
    Exception,
    /// Exceptions lapse.
    Lapse,
    /// A schedule is made, changed or removed.
    Schedule,
    /// Schedules fire.
    Fire,
    /// The outbox is emptied.
    Sequence,
    /// A page of a list.
    List,
    /// One row, or counts.
    Look,
    /// What the other side has is reached for.
    Reach,
    /// The organization is erased.
    Erase,
}

/// How likely each step is, of a thousand or so.
const WEIGHTS: [(Step, u32); 19] = [
    (Step::Connect, 50),
    (Step::MoveAccount, 50),
    (Step::Member, 60),
    (Step::RequestScan, 80),
    (Step::Work, 190),
    (Step::LoseLease, 50),
    (Step::Jobs, 50),
    (Step::Cancel, 40),
    (Step::Operate, 40),
    (Step::WorkFinding, 90),
    (Step::Exception, 90),
    (Step::Lapse, 40),
    (Step::Schedule, 70),
    (Step::Fire, 40),
    (Step::Sequence, 20),
    (Step::List, 120),
    (Step::Look, 60),
    (Step::Reach, 110),
    (Step::Erase, 20),
];

impl Step {
    /// How a life begins.
    pub(super) const OPENING: [Self; 4] =
        [Self::Found, Self::Connect, Self::RequestScan, Self::Work];

    pub(super) fn drawn(side: Side, rng: &mut StdRng) -> Self {
        let (step, _) = WEIGHTS.choose_weighted(rng, |(_, weight)| *weight).unwrap();
        match (side, step) {
            // B needs its end.
            (Side::B, Self::Erase) => Self::List,
            // What reaches every organization is done by B's script, in both runs.
            (Side::A, Self::Fire) => Self::Schedule,
            (Side::A, Self::LoseLease | Self::Lapse | Self::Sequence) => Self::Work,
            (_, step) => *step,
        }
    }
}

impl Life {
    pub(super) async fn take(&mut self, step: Step, stage: &Stage<'_>) {
        match step {
            Step::Found => self.found(stage).await,
            Step::Connect => self.connect(stage).await,
            Step::MoveAccount => self.move_account(stage).await,
            Step::Member => self.change_member(stage).await,
            Step::RequestScan => self.request_scan(stage).await,
            Step::Work => self.work(stage).await,
            Step::LoseLease => self.lose_lease(stage).await,
            Step::Jobs => self.run_jobs(stage).await,
            Step::Cancel => self.cancel(stage).await,
            Step::Operate => self.operate(stage).await,
            Step::WorkFinding => self.work_finding(stage).await,
            Step::Exception => self.except(stage).await,
            Step::Lapse => self.lapse(stage).await,
            Step::Schedule => self.change_schedule(stage).await,
            Step::Fire => self.fire(stage).await,
            Step::Sequence => stage.sequence(self.organization, &mut self.notes).await,
            Step::List => self.list(stage).await,
            Step::Look => self.look_at_one(stage).await,
            Step::Reach => self.reach(stage).await,
            Step::Erase => self.erase(stage).await,
        }
    }

    /// The version to name for a row that has `version`: mostly that one.
    fn version(&mut self, version: Version) -> Version {
        if self.chance(0.85) {
            version
        } else {
            version + 1
        }
    }

    /// Text that says whose it is.
    fn text(&mut self, what: &str) -> String {
        let nth: u8 = self.pick(&[0, 1, 2, 3]);
        format!("{what} {nth} of {} \u{1f30d}", self.names.side.label())
    }
}

/// All that a store answers of an account, the hash included that no client sees.
fn shown_account(account: &CloudAccount) -> Value {
    let access = match &account.access {
        Some(AccessMethod::AssumeRole {
            role_arn,
            external_id_hash,
            key_id,
            generation,
        }) => json!([role_arn, external_id_hash.as_bytes(), key_id, generation]),
        other => json!(format!("{other:?}")),
    };
    json!({
        "id": account.id,
        "organization": account.organization,
        "provider": account.provider,
        "number": account.number,
        "name": account.name,
        "access": access,
        "regions": account.regions,
        "status": account.status,
        "created_at": account.created_at,
        "version": account.version,
    })
}
