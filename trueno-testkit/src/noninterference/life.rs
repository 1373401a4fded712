//! One organization's life: what it knows, and which step it takes next.

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde::Serialize;
use trueno_core::access::{Action, Identity, OrgScope, authorize};
use trueno_core::error::Result;
use trueno_core::id::{
    CloudAccountId, ExceptionId, FindingId, JobId, OrganizationId, ScanId, ScheduleId, UserId,
};
use trueno_core::model::EventDraft;
use trueno_core::port::{Cursor, Lease, ReadView, UnitOfWork};
use uuid::Uuid;

use super::names::{Names, Side, Thing};
use super::stage::Stage;
use super::steps::Step;
use super::transcript::{Notes, Transcript};

/// How often a side takes an id that the other side may use too.
const BORROWED: f64 = 0.4;

/// How often a member's scope is one that was given before, whatever became of the member since.
const KEPT: f64 = 0.6;

/// How likely A is to act (once more) when it gets a chance.
const BUSY: f64 = 0.2;

/// One organization and all that it knows of itself.
pub(super) struct Life {
    pub(super) names: Names,
    pub(super) rng: StdRng,
    pub(super) notes: Notes,
    /// Steps taken.
    pub(super) age: usize,
    /// How many things of each kind it named.
    named: HashMap<Thing, u32>,
    pub(super) organization: OrganizationId,
    pub(super) users: Vec<UserId>,
    pub(super) accounts: Vec<CloudAccountId>,
    pub(super) scans: Vec<ScanId>,
    pub(super) jobs: Vec<JobId>,
    pub(super) findings: Vec<FindingId>,
    pub(super) exceptions: Vec<ExceptionId>,
    pub(super) schedules: Vec<ScheduleId>,
    /// The lease of the scan that it runs; one at a time, so that one event at the most is staged
    /// when it is lost.
    pub(super) lease: Option<Lease>,
    /// Leases that ended, or were lost.
    pub(super) past: Vec<Lease>,
    /// Scopes that were given.
    scopes: HashMap<(UserId, Action), OrgScope>,
    /// Where the next page of each list begins.
    pub(super) cursors: HashMap<&'static str, Cursor>,
    pub(super) is_over: bool,
}

impl Life {
    pub(super) fn new(seed: u64, side: Side) -> Self {
        let names = Names { seed, side };
        let owner = names.id(Thing::User, 0);
        // A's draws are another sequence, whether or not they are made.
        let drawn = names.id::<Uuid>(Thing::Session, u32::MAX).as_u64_pair().0;
        Self {
            names,
            rng: StdRng::seed_from_u64(drawn),
            notes: Notes::new(side == Side::B),
            age: 0,
            named: HashMap::from([(Thing::User, 1)]),
            organization: names.id(Thing::Organization, 0),
            users: vec![owner],
            accounts: Vec::new(),
            scans: Vec::new(),
            jobs: Vec::new(),
            findings: Vec::new(),
            exceptions: Vec::new(),
            schedules: Vec::new(),
            lease: None,
            past: Vec::new(),
            scopes: HashMap::new(),
            cursors: HashMap::new(),
            is_over: false,
        }
    }

    /// How many steps its life has: the first make what the others need.
    pub(super) fn length(&mut self) -> usize {
        Step::OPENING.len() + self.rng.random_range(6..=10)
    }

    /// Takes the next step.
    pub(super) async fn act(&mut self, stage: &Stage<'_>) {
        if self.is_over {
            return;
        }
        self.notes.next_step();
        let step = match Step::OPENING.get(self.age) {
            Some(step) => *step,
            None => Step::drawn(self.names.side, &mut self.rng),
        };
        self.age += 1;
        stage.pause().await;
        self.take(step, stage).await;
        stage.tell_waits(&mut self.notes).await;
    }

    pub(super) fn likes_to_act(&mut self) -> bool {
        let chance = if self.age < Step::OPENING.len() {
            0.8
        } else {
            BUSY
        };
        !self.is_over && self.rng.random_bool(chance)
    }

    /// What it was answered, while its neighbour took `acts` steps.
    pub(super) fn into_transcript(self, acts: u64) -> Transcript {
        self.notes.into_transcript(acts)
    }

    /// A new id. The other side may give the same one to something of its own.
    pub(super) fn fresh<I: From<Uuid>>(&mut self, thing: Thing) -> I {
        let names = match self.rng.random_bool(BORROWED) {
            true => self.theirs(),
            false => self.names,
        };
        names.id(thing, self.next(thing))
    }

    /// A new id of its own.
    pub(super) fn own<I: From<Uuid>>(&mut self, thing: Thing) -> I {
        let nth = self.next(thing);
        self.names.id(thing, nth)
    }

    fn next(&mut self, thing: Thing) -> u32 {
        let next = self.named.entry(thing).or_default();
        *next += 1;
        *next - 1
    }

    /// The names that the other side uses.
    pub(super) fn theirs(&self) -> Names {
        Names {
            side: self.names.side.other(),
            ..self.names
        }
    }

    /// One of the first ids that the other side gives to its things of this kind.
    pub(super) fn foreign<I: From<Uuid>>(&mut self, thing: Thing) -> I {
        let nth = self.rng.random_range(0..2);
        self.theirs().id(thing, nth)
    }

    /// One of `known`, or one of the other side's where there is none.
    pub(super) fn one_of<I: From<Uuid> + Copy>(&mut self, known: &[I], thing: Thing) -> I {
        match known.choose(&mut self.rng) {
            Some(id) => *id,
            None => self.foreign(thing),
        }
    }

    pub(super) fn chance(&mut self, likely: f64) -> bool {
        self.rng.random_bool(likely)
    }

    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        *of.choose(&mut self.rng).unwrap()
    }

    /// A scope for an action, mostly the owner's, taken down.
    pub(super) async fn scope(&mut self, stage: &Stage<'_>, action: Action) -> Option<OrgScope> {
        let user = if self.chance(0.7) {
            self.users[0]
        } else {
            self.pick(&self.users.clone())
        };
        self.scope_of(stage, user, action).await
    }

    /// A user's scope for an action: asked for and taken down, or one that was given before.
    pub(super) async fn scope_of(
        &mut self,
        stage: &Stage<'_>,
        user: UserId,
        action: Action,
    ) -> Option<OrgScope> {
        if let Some(given) = self.scopes.get(&(user, action)).copied()
            && self.chance(KEPT)
        {
            return Some(given);
        }
        let identity = Identity::authenticated(user);
        match authorize(&*stage.store, &identity, self.organization, action).await {
            Ok(scope) => {
                let shown = format!("{:?}", scope.authority());
                self.notes.given("authorize", &shown.into());
                self.scopes.insert((user, action), scope);
                Some(scope)
            }
            Err(error) => {
                self.notes.refusal("authorize", &error);
                None
            }
        }
    }

    /// One unit of work: whatever `write` does, and the commit. Takes down its answer and the id of
    /// its event. A may act while it is open. Answers whether it was applied.
    pub(super) async fn change<T: Serialize>(
        &mut self,
        stage: &Stage<'_>,
        what: &'static str,
        scope: &OrgScope,
        write: impl AsyncFnOnce(&mut dyn UnitOfWork) -> Result<T>,
    ) -> bool {
        stage.tick().await;
        let changed = async {
            let mut unit = stage.store.begin(scope).await?;
            stage.pause().await;
            let answer = write(&mut *unit).await?;
            stage.pause().await;
            let event = EventDraft::new(what, "organization", scope.organization());
            Ok((answer, unit.commit(event).await?))
        };
        let changed = changed.await;
        self.notes.answer(what, &changed);
        changed.is_ok()
    }

    /// One look. Takes down its answer. A may act while the view is open.
    pub(super) async fn look<T: Serialize>(
        &mut self,
        stage: &Stage<'_>,
        what: &'static str,
        scope: &OrgScope,
        read: impl AsyncFnOnce(&mut dyn ReadView) -> Result<T>,
    ) -> Option<T> {
        let looked = async {
            let mut view = stage.store.read(scope).await?;
            stage.pause().await;
            read(&mut *view).await
        };
        let looked = looked.await;
        self.notes.answer(what, &looked);
        looked.ok()
    }
}
