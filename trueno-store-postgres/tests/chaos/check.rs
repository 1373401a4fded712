//! Holds what is there to what was said of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use trueno_core::id::JobId;
use trueno_core::model::JobStatus;
use trueno_core::state::job::LOST_LEASE_LIMIT;
use uuid::Uuid;

use crate::facts::{Ended, Facts};
use crate::handler::OF_A_SCAN;
use crate::work::{Known, MAX_ATTEMPTS, PLAIN};

/// What must not be and was.
#[derive(Debug, Default)]
pub(crate) struct Broken {
    pub(crate) lost: Vec<String>,
    pub(crate) doubled: Vec<String>,
    pub(crate) caps: Vec<String>,
    pub(crate) stuck: Vec<String>,
}

impl Broken {
    pub(crate) fn counts(&self) -> [usize; 4] {
        [&self.lost, &self.doubled, &self.caps, &self.stuck].map(Vec::len)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lost,
            doubled,
            caps,
            stuck,
        } = self;
        for (name, what) in [
            ("lost", lost),
            ("doubled", doubled),
            ("caps exceeded", caps),
            ("stuck", stuck),
        ] {
            writeln!(f, "{name}: {}", what.len())?;
            for line in what.iter().take(20) {
                writeln!(f, "    {line}")?;
            }
        }
        Ok(())
    }
}

/// Judges every job that was acknowledged, and every other one that is there. `dead_tokens` are those
/// of leases that ran out while their workers were stopped.
pub(crate) fn check(
    facts: &Facts,
    acknowledged: &BTreeMap<JobId, Known>,
    dead_tokens: &BTreeSet<Uuid>,
) -> Broken {
    let mut broken = Broken::default();
    let mut followers: BTreeMap<Uuid, u64> = BTreeMap::new();
    for first in &facts.followed_by_live {
        *followers.entry(*first).or_default() += 1;
    }
    for (id, ended) in &facts.ended {
        if facts.live.contains_key(id) {
            broken.doubled.push(format!("{id} has ended and is live"));
        }
        if ended
            .token
            .is_some_and(|token| dead_tokens.contains(&token))
        {
            let what = format!("{id} was ended under a lease that had run out");
            broken.doubled.push(what);
        }
        match ended.follows {
            Some(first) => *followers.entry(first).or_default() += 1,
            None if !acknowledged.contains_key(&JobId::from_uuid(*id)) => {
                broken.doubled.push(format!("nobody enqueued {id}"));
            }
            None => {}
        }
        if ended.follows.is_some() {
            one(facts, *id, ended, None, 0, &mut broken);
        }
    }
    for (id, known) in acknowledged {
        let id = id.as_uuid();
        let followed = followers.remove(&id).unwrap_or(0);
        match facts.ended.get(&id) {
            Some(ended) => one(facts, id, ended, Some(known), followed, &mut broken),
            None if facts.live.contains_key(&id) => {}
            None => broken
                .lost
                .push(format!("{id} was acknowledged: {known:?}")),
        }
    }
    let unknown = followers.keys();
    let unknown = unknown.map(|first| format!("a job follows {first}, which nobody enqueued"));
    broken.doubled.extend(unknown);
    for (id, tokens) in &facts.effects {
        if tokens.iter().any(|token| dead_tokens.contains(token)) {
            let what = format!("an effect of {id} is of a lease that had run out");
            broken.doubled.push(what);
        }
        if !facts.ended.contains_key(id) {
            broken
                .doubled
                .push(format!("{id} has effects and not ended"));
        }
    }
    broken.caps.extend(facts.breaches.iter().cloned());
    broken.caps.extend(facts.differences.iter().cloned());
    let live = facts.live.iter();
    broken
        .stuck
        .extend(live.map(|(id, status)| format!("{id} is {status}")));
    let left = facts.leftovers.iter().filter(|(_, count)| **count != 0);
    let left = left.map(|(what, count)| format!("{what}: {count} are left"));
    broken.stuck.extend(left);
    broken
}

/// Judges one job that ended; a follower where nothing is known of it.
fn one(
    facts: &Facts,
    id: Uuid,
    ended: &Ended,
    known: Option<&Known>,
    followed: u64,
    broken: &mut Broken,
) {
    let succeeded = ended.status == JobStatus::Succeeded;
    let claims = facts.claims.get(&id).map_or(&[][..], Vec::as_slice);
    let fails = known.map_or(0, |known| i64::from(known.work.fails));
    let may_die = fails >= i64::from(MAX_ATTEMPTS);
    let crash_looped =
        ended.status == JobStatus::Dead && ended.lost_leases >= i64::from(LOST_LEASE_LIMIT);

    // A crash loop ends a job in nobody's name.
    let ended_by = if crash_looped {
        None
    } else {
        claims.last().copied()
    };
    if ended.token != ended_by {
        let what = format!(
            "{id} was ended by {:?} and claimed by {claims:?}",
            ended.token
        );
        broken.doubled.push(what);
    }
    let as_planned = ended.failed_attempts == fails && succeeded != may_die;
    if !crash_looped && !as_planned {
        broken
            .lost
            .push(format!("{fails} attempts fail of {id}: {ended:?}"));
    }
    let told = facts.failures.get(&id).copied().unwrap_or(0);
    if told != ended.failed_attempts {
        let list = if told > ended.failed_attempts {
            &mut broken.doubled
        } else {
            &mut broken.lost
        };
        list.push(format!(
            "{told} events of failed attempts of {id}: {ended:?}"
        ));
    }

    let Some(known) = known else {
        return;
    };
    if known.organization.as_uuid() != ended.organization {
        broken
            .lost
            .push(format!("{id} is another organization's: {ended:?}"));
    }
    let effects = facts.effects.get(&id).map_or(&[][..], Vec::as_slice);
    let wanted = usize::from(succeeded && known.kind != PLAIN);
    let of_another = effects.iter().any(|token| Some(*token) != ended.token);
    if effects.len() > wanted || of_another {
        broken
            .doubled
            .push(format!("effects of {id}, {ended:?}: {effects:?}"));
    } else if effects.len() < wanted {
        broken
            .lost
            .push(format!("{id} succeeded without its effect: {ended:?}"));
    }
    let wanted = u64::from(succeeded && known.work.has_follower);
    if followed > wanted {
        broken
            .doubled
            .push(format!("{followed} jobs follow {id}: {ended:?}"));
    } else if followed < wanted {
        broken.lost.push(format!("no job follows {id}: {ended:?}"));
    }
    if let Some(scan) = known.scan {
        of_scan(facts, id, ended, scan.as_uuid(), broken);
    }
}

/// A scan ended with its job, and what it read was written under the lease that ended it.
fn of_scan(facts: &Facts, job: Uuid, ended: &Ended, scan: Uuid, broken: &mut Broken) {
    let succeeded = ended.status == JobStatus::Succeeded;
    let status = facts.scans.get(&job).map(String::as_str);
    if status != Some(if succeeded { "succeeded" } else { "failed" }) {
        broken
            .lost
            .push(format!("scan {scan} is {status:?}: {ended:?}"));
    }
    match facts.requests.get(&scan).copied().unwrap_or(0) {
        1 => {}
        0 => broken
            .lost
            .push(format!("no event says that {scan} was requested")),
        count => broken
            .doubled
            .push(format!("{count} events say that {scan} was requested")),
    }
    let resources = facts.resources.get(&job).map_or(&[][..], Vec::as_slice);
    if succeeded && resources.len() < OF_A_SCAN {
        broken
            .lost
            .push(format!("resources of scan {scan}: {resources:?}"));
    }
    if succeeded && resources.iter().any(|token| Some(*token) != ended.token) {
        let what = format!("resources of scan {scan}, {ended:?}: {resources:?}");
        broken.doubled.push(what);
    }
}
