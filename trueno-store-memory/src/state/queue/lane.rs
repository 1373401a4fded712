//! One organization's jobs that are due: which of them may begin.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use trueno_core::id::JobId;
use trueno_core::model::{JobKind, OrganizationLimits, PRIORITY_POINT};
use trueno_core::state::cap;

use super::turns::Tag;
use crate::state::JobSpec;

/// Where a job stands among those of its organization: by rank (nanoseconds), then by id.
pub(super) type Place = (i128, JobId);

/// The place of a job that may begin from `run_at` on.
pub(super) fn place(spec: &JobSpec, run_at: Timestamp, job: JobId) -> Place {
    let ahead = i128::from(spec.priority) * PRIORITY_POINT.as_nanos().cast_signed();
    (run_at.as_nanosecond() - ahead, job)
}

/// What may begin of one kind, as far as concurrency keys are concerned.
#[derive(Debug, Default)]
pub(super) struct Front {
    /// Every job without a key, and the first of each bundle whose key has room: so a claim never
    /// meets a job that its key holds back.
    pub(super) places: BTreeSet<Place>,
    /// The tag under which the organization takes its turns with this kind.
    pub(super) turn: Option<Tag>,
}

/// What there is under one concurrency key.
#[derive(Debug, Default)]
struct Key {
    /// How many run.
    running: u32,
    /// Jobs that are due, by kind and by their own limit: one may begin if any of its bundle may.
    bundles: BTreeMap<(JobKind, u32), BTreeSet<Place>>,
}

impl Key {
    /// The first of each bundle that has room.
    fn heads(&self) -> impl Iterator<Item = (&JobKind, Place)> {
        let open = self
            .bundles
            .iter()
            .filter(|((_, limit), _)| cap::has_room(*limit, u64::from(self.running)));
        open.filter_map(|((kind, _), places)| Some((kind, *places.first()?)))
    }
}

/// One organization's side of the queue.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(super) limits: OrganizationLimits,
    pub(super) is_paused: bool,
    /// Where it stands in the turns.
    pub(super) tag: Tag,
    /// Jobs that wait or run.
    pub(super) live: u64,
    /// Jobs that are held.
    pub(super) running: u64,
    pub(super) fronts: BTreeMap<JobKind, Front>,
    keys: HashMap<String, Key>,
}

impl Lane {
    /// How many of its jobs may run, where no more may.
    pub(super) fn full(&self) -> Option<u32> {
        cap::full(&self.limits, self.running)
    }

    /// How many jobs run under a key.
    pub(super) fn running_under(&self, key: &str) -> u32 {
        self.keys.get(key).map_or(0, |key| key.running)
    }

    /// A job is due.
    pub(super) fn add(&mut self, spec: &JobSpec, place: Place) {
        match &spec.concurrency {
            None => insert(&mut self.fronts, &spec.kind, place),
            Some(concurrency) => self.change_key(concurrency.key(), |key| {
                let bundle = (spec.kind.clone(), concurrency.limit());
                key.bundles.entry(bundle).or_default().insert(place);
            }),
        }
    }

    /// A job is no longer due.
    pub(super) fn take(&mut self, spec: &JobSpec, place: Place) {
        match &spec.concurrency {
            None => remove(&mut self.fronts, &spec.kind, place),
            Some(concurrency) => self.change_key(concurrency.key(), |key| {
                let bundle = (spec.kind.clone(), concurrency.limit());
                if let Some(places) = key.bundles.get_mut(&bundle) {
                    places.remove(&place);
                    if places.is_empty() {
                        key.bundles.remove(&bundle);
                    }
                }
            }),
        }
    }

    /// A job is held.
    pub(super) fn begin(&mut self, spec: &JobSpec) {
        self.running += 1;
        if let Some(concurrency) = &spec.concurrency {
            self.change_key(concurrency.key(), |key| key.running += 1);
        }
    }

    /// A job is no longer held.
    pub(super) fn end(&mut self, spec: &JobSpec) {
        self.running -= 1;
        if let Some(concurrency) = &spec.concurrency {
            self.change_key(concurrency.key(), |key| key.running -= 1);
        }
    }

    /// Changes what is under a key, and who of it stands in front.
    fn change_key(&mut self, name: &str, change: impl FnOnce(&mut Key)) {
        let Self { fronts, keys, .. } = self;
        if !keys.contains_key(name) {
            keys.insert(name.to_owned(), Key::default());
        }
        let Some(key) = keys.get_mut(name) else {
            return;
        };
        for (kind, head) in key.heads() {
            remove(fronts, kind, head);
        }
        change(key);
        for (kind, head) in key.heads() {
            insert(fronts, kind, head);
        }
        if key.running == 0 && key.bundles.is_empty() {
            keys.remove(name);
        }
    }
}

fn insert(fronts: &mut BTreeMap<JobKind, Front>, kind: &JobKind, place: Place) {
    match fronts.get_mut(kind) {
        Some(front) => {
            front.places.insert(place);
        }
        None => {
            let front = fronts.entry(kind.clone()).or_default();
            front.places.insert(place);
        }
    }
}

/// Leaves an empty front where it is: whoever keeps the turns takes it away.
fn remove(fronts: &mut BTreeMap<JobKind, Front>, kind: &JobKind, place: Place) {
    if let Some(front) = fronts.get_mut(kind) {
        front.places.remove(&place);
    }
}
