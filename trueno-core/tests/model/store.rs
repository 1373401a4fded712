//! The store as the model has it: its steps are those of `trueno_core::state`, by way of [`Rules`].

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use trueno_core::id::LeaseToken;
use trueno_core::model::{JobStatus, OrganizationLimits};
use trueno_core::state::job::{JobEvent, JobState};
use trueno_core::state::{InvalidTransition, Transition, cap, job, lease};
use uuid::Uuid;

/// It is always now: what lies ahead comes nearer instead.
pub(crate) const NOW: Timestamp = Timestamp::UNIX_EPOCH;
/// How long leases last.
pub(crate) const LEASE: Duration = Duration::from_secs(2);
/// The wait after an attempt that failed.
pub(crate) const BACKOFF: Duration = Duration::from_secs(1);

pub(crate) type JobNo = u8;
pub(crate) type SessionNo = u8;
/// The nth claim of its job.
pub(crate) type TokenNo = u8;

/// The rules that ship, each of which a test may replace by a wrong one.
#[derive(Clone)]
pub(crate) struct Rules {
    pub(crate) apply:
        fn(&JobState, JobEvent, Timestamp) -> Result<Transition<JobState>, InvalidTransition>,
    pub(crate) holds: fn(&JobState, LeaseToken, Timestamp, Timestamp) -> bool,
    pub(crate) extend: fn(Timestamp, Timestamp, Duration) -> Option<Timestamp>,
    pub(crate) full: fn(&OrganizationLimits, u64) -> Option<u32>,
    pub(crate) has_room: fn(u32, u64) -> bool,
    pub(crate) counts: fn(JobStatus) -> bool,
    /// Caps are asked where the job begins, and not where the claim is sent.
    pub(crate) caps_when_it_begins: bool,
    /// A lease is its session's own.
    pub(crate) fenced_by_session: bool,
    /// A claim writes its session down.
    pub(crate) claim_opens: bool,
}

impl Rules {
    pub(crate) fn shipped() -> Self {
        Self {
            apply: job::apply,
            holds: lease::holds,
            extend: lease::extend,
            full: cap::full,
            has_room: cap::has_room,
            counts: cap::counts,
            caps_when_it_begins: true,
            fenced_by_session: true,
            claim_opens: true,
        }
    }
}

/// What a worker says of its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Outcome {
    Succeeded,
    Failed,
    Returned,
    Cancelled,
}

impl Outcome {
    fn event(self, token: LeaseToken) -> JobEvent {
        match self {
            Self::Succeeded => JobEvent::Succeeded(token),
            Self::Failed => JobEvent::Failed {
                token,
                retryable: true,
                retry_after: BACKOFF,
            },
            Self::Returned => JobEvent::Returned(token),
            Self::Cancelled => JobEvent::CancelledBy(token),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) state: JobState,
    pub(crate) holder: Option<SessionNo>,
    /// How many claims there were.
    pub(crate) issued: TokenNo,
    /// The tokens under which its effects were committed.
    pub(crate) effects: Vec<TokenNo>,
    /// An effect was committed under a token that was not the last one, or after its time.
    pub(crate) late: bool,
    /// How often it ended.
    pub(crate) ends: u8,
}

/// One organization's jobs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Store {
    pub(crate) jobs: Vec<Row>,
    /// When each session runs out.
    pub(crate) sessions: BTreeMap<SessionNo, Timestamp>,
}

/// What the jobs may do at the same time: of all of them `limits`, of the first `keyed` as many as
/// `key_limit`.
#[derive(Clone, Debug)]
pub(crate) struct Caps {
    pub(crate) limits: OrganizationLimits,
    pub(crate) keyed: usize,
    pub(crate) key_limit: u32,
}

pub(crate) fn token(no: TokenNo) -> LeaseToken {
    LeaseToken::from_uuid(Uuid::from_u128(no.into()))
}

impl Store {
    pub(crate) fn running(&self, rules: &Rules) -> (u64, impl Fn(&Caps) -> u64) {
        let running: Vec<bool> = self
            .jobs
            .iter()
            .map(|row| (rules.counts)(row.state.status))
            .collect();
        let count = |of: &[bool]| of.iter().filter(|runs| **runs).count() as u64;
        let all = count(&running);
        (all, move |caps: &Caps| count(&running[..caps.keyed]))
    }

    /// Whether caps let the job begin.
    pub(crate) fn has_room(&self, job: JobNo, caps: &Caps, rules: &Rules) -> bool {
        let (all, keyed) = self.running(rules);
        let under_key =
            usize::from(job) >= caps.keyed || (rules.has_room)(caps.key_limit, keyed(caps));
        under_key && (rules.full)(&caps.limits, all).is_none()
    }

    /// Whether the job's time has come, by the machine itself.
    pub(crate) fn is_due(&self, job: JobNo, rules: &Rules) -> bool {
        let row = &self.jobs[usize::from(job)];
        (rules.apply)(&row.state, JobEvent::Claimed(token(row.issued + 1)), NOW).is_ok()
    }

    /// A session's claim or heartbeat. False where the session is over.
    pub(crate) fn extend(&mut self, session: SessionNo, opens: bool, rules: &Rules) -> bool {
        let until = match self.sessions.get(&session) {
            Some(expires_at) => (rules.extend)(*expires_at, NOW, LEASE),
            None if opens => Some(lease::until(NOW, LEASE)),
            None => return true,
        };
        until
            .inspect(|until| {
                self.sessions.insert(session, *until);
            })
            .is_some()
    }

    /// Gives a job to a session. Answers the token.
    pub(crate) fn claim(&mut self, job: JobNo, session: SessionNo, rules: &Rules) -> TokenNo {
        let row = &mut self.jobs[usize::from(job)];
        row.issued += 1;
        row.step(JobEvent::Claimed(token(row.issued)), rules)
            .unwrap();
        row.holder = Some(session);
        row.issued
    }

    /// Ends an attempt, with its effects if it succeeded.
    pub(crate) fn settle(
        &mut self,
        job: JobNo,
        no: TokenNo,
        session: SessionNo,
        outcome: Outcome,
        rules: &Rules,
    ) {
        let expires_at = self.sessions.get(&session).copied().unwrap_or(NOW);
        let row = &mut self.jobs[usize::from(job)];
        let is_its_own = row.holder == Some(session) || !rules.fenced_by_session;
        let holds = is_its_own && (rules.holds)(&row.state, token(no), expires_at, NOW);
        // A session whose time ran out has lost its jobs, though nobody took them back yet.
        if row.state.status == JobStatus::Running && !holds {
            return;
        }
        let is_late = no != row.issued || expires_at <= NOW;
        if row.step(outcome.event(token(no)), rules).is_ok() && outcome == Outcome::Succeeded {
            row.effects.push(no);
            row.late |= is_late;
        }
    }

    /// Takes a job back from a session whose time ran out. False where there is nothing to do.
    pub(crate) fn recover(&mut self, job: JobNo, rules: &Rules) -> bool {
        let row = &mut self.jobs[usize::from(job)];
        let over = |session: &SessionNo| {
            self.sessions
                .get(session)
                .is_some_and(|at| !lease::is_live(*at, NOW))
        };
        if !row.holder.as_ref().is_some_and(over) {
            return false;
        }
        let held = row.state.token;
        held.is_some_and(|held| row.step(JobEvent::LeaseExpired(held), rules).is_ok())
    }

    pub(crate) fn cancel(&mut self, job: JobNo, rules: &Rules) -> bool {
        self.jobs[usize::from(job)]
            .step(JobEvent::CancelRequested, rules)
            .is_ok()
    }

    /// Time goes on.
    pub(crate) fn pass(&mut self, seconds: u64) {
        let nearer = |at: &mut Timestamp| *at = (*at - Duration::from_secs(seconds)).max(NOW);
        self.sessions.values_mut().for_each(nearer);
        self.jobs
            .iter_mut()
            .for_each(|row| nearer(&mut row.state.run_at));
    }

    /// Whether something lies ahead.
    pub(crate) fn awaits(&self) -> bool {
        let mut sessions = self.sessions.values();
        sessions.any(|at| *at > NOW) || self.jobs.iter().any(|row| row.state.run_at > NOW)
    }
}

impl Row {
    fn step(&mut self, event: JobEvent, rules: &Rules) -> Result<(), InvalidTransition> {
        self.state = (rules.apply)(&self.state, event, NOW)?.to;
        if self.state.status != JobStatus::Running {
            self.holder = None;
        }
        self.ends += u8::from(self.state.status.is_terminal());
        Ok(())
    }
}
