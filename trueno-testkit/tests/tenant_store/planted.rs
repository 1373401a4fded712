//! A store with one defect.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use trueno_core::access::OrgScope;
use trueno_core::error::{ErrorKind, Result};
use trueno_core::id::{AuditEventId, FindingId, OrganizationId, UserId};
use trueno_core::model::{
    AuditEvent, EventDraft, Membership, NewOrganization, Organization, Resource, ResourceRef,
};
use trueno_core::port::{
    AuditOutbox, DuePosition, DueSchedule, FinishOutcome, Finished, Fire, Fired, Ingest, Lease,
    ReadView, Scheduling, TenantStore, UnitOfWork,
};

use crate::reads::View;
use crate::writes::{Batch, Unit};

/// A way of breaking the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    None,
    AddsMembersAgain,
    AsksForNoRole,
    AssignsAnybody,
    BlamesTheProcessor,
    BlamesTheSystem,
    CountsAttemptsAsScans,
    CountsLooksAsChanges,
    CountsNothingBeyond,
    ErasesItsHistory,
    FiltersTagsByKey,
    FiresInSilence,
    FiresNothing,
    FiresTwice,
    ForgetsTheLastChange,
    ForgetsWhatTheLedgerHas,
    KeepsMembers,
    KeepsThemOpen,
    LapsesEarly,
    LapsesEverything,
    LapsesInSilence,
    LeaksCounts,
    LeaksRows,
    LeavesThemAssigned,
    ListsWhatIsFirst,
    LetsTheLastOwnerGo,
    LetsTheRequesterApprove,
    MakesGoneOnAnyLook,
    NeverReopens,
    OverlooksChanges,
    RecommendsAlone,
    RecommendsTheWorst,
    ReopensAsNew,
    ShowsAuditToAll,
    ShowsWhatIsGone,
    SkipsWhatDidNotChange,
    SuppressesNothing,
    TakesAnyCursor,
    TakesAnyVersion,
    TakesOneFilter,
    TakesTheLimitForExact,
    TrimsWhatIsTooLarge,
    UsesIdsAgain,
}

/// What the defects remember.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    /// Every scope that opened something.
    pub(crate) scopes: Vec<OrgScope>,
    pub(crate) assigned: HashMap<FindingId, UserId>,
    pub(crate) seen: HashMap<(OrganizationId, ResourceRef), Resource>,
    pub(crate) forgotten: HashSet<AuditEventId>,
    erased: HashSet<OrganizationId>,
    members: HashMap<UserId, Vec<Membership>>,
}

/// The store that is wrapped, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) real: Arc<dyn TenantStore>,
    pub(crate) defect: Defect,
    pub(crate) memo: Mutex<Memo>,
}

impl Plot {
    /// A scope that opened something before and passes `pick`.
    pub(crate) fn scope(&self, pick: impl Fn(&OrgScope) -> bool) -> Option<OrgScope> {
        self.memo.lock().scopes.iter().copied().find(|s| pick(s))
    }

    /// Scopes of members of other organizations.
    pub(crate) fn others(&self, scope: &OrgScope) -> Vec<OrgScope> {
        let mut others: Vec<OrgScope> = Vec::new();
        for other in &self.memo.lock().scopes {
            let of = other.organization();
            let known = of == scope.organization() || others.iter().any(|o| o.organization() == of);
            if other.member_id().is_some() && !known {
                others.push(*other);
            }
        }
        others
    }

    pub(crate) fn erase(&self, organization: OrganizationId) {
        self.memo.lock().erased.insert(organization);
    }

    fn remember(&self, scope: &OrgScope) {
        self.memo.lock().scopes.push(*scope);
    }
}

/// A [`TenantStore`] with a defect: otherwise it is the store that it wraps.
#[derive(Clone, Debug)]
pub(crate) struct Planted(Arc<Plot>);

impl Planted {
    pub(crate) fn new(real: Arc<dyn TenantStore>, defect: Defect) -> Self {
        Self(Arc::new(Plot {
            real,
            defect,
            memo: Mutex::default(),
        }))
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl AuditOutbox for Planted {
    async fn staged(&self, limit: usize) -> Result<Vec<AuditEvent>> {
        let mut events = self.0.real.staged(limit).await?;
        match self.0.defect {
            Defect::LapsesInSilence => events.retain(|e| e.action != "exception.lapsed"),
            Defect::FiresInSilence => events.retain(|e| e.action != "schedule.fired"),
            Defect::ErasesItsHistory => {
                let memo = self.0.memo.lock();
                events.retain(|event| !memo.erased.contains(&event.organization));
            }
            _ => {}
        }
        Ok(events)
    }

    async fn forget(&self, events: &[AuditEventId]) -> Result<()> {
        self.0.memo.lock().forgotten.extend(events);
        self.0.real.forget(events).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Scheduling for Planted {
    async fn due_schedules(
        &self,
        after: Option<DuePosition>,
        limit: usize,
    ) -> Result<Vec<DueSchedule>> {
        let after = after.filter(|_| self.0.defect != Defect::ListsWhatIsFirst);
        self.0.real.due_schedules(after, limit).await
    }

    async fn fire(&self, fire: Fire) -> Result<Fired> {
        if self.0.defect == Defect::FiresNothing {
            return Ok(Fired::Enqueued);
        }
        match self.0.real.fire(fire).await? {
            Fired::AlreadyFired if self.0.defect == Defect::FiresTwice => Ok(Fired::Enqueued),
            fired => Ok(fired),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl TenantStore for Planted {
    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>> {
        let answer = self.0.real.memberships(user).await?;
        if self.0.defect != Defect::KeepsMembers {
            return Ok(answer);
        }
        let mut memo = self.0.memo.lock();
        let known = memo.members.entry(user).or_default();
        if !answer.is_empty() {
            *known = answer;
        }
        Ok(known.clone())
    }

    async fn create_organization(
        &self,
        new: NewOrganization,
        event: EventDraft,
    ) -> Result<Organization> {
        let (id, name) = (new.id(), new.name().to_owned());
        match self.0.real.create_organization(new, event).await {
            Err(error)
                if self.0.defect == Defect::UsesIdsAgain
                    && error.kind() == ErrorKind::AlreadyExists =>
            {
                Ok(Organization {
                    id,
                    name,
                    created_at: Timestamp::UNIX_EPOCH,
                })
            }
            answer => answer,
        }
    }

    async fn lapse_exceptions(&self, now: Timestamp, limit: usize) -> Result<u64> {
        let (now, limit) = match self.0.defect {
            Defect::LapsesEarly => (now + Duration::from_secs(3_600), limit),
            Defect::LapsesEverything => (now, usize::MAX),
            _ => (now, limit),
        };
        self.0.real.lapse_exceptions(now, limit).await
    }

    async fn read(&self, scope: &OrgScope) -> Result<Box<dyn ReadView>> {
        let real = self.0.real.read(scope).await?;
        self.0.remember(scope);
        Ok(Box::new(View {
            real,
            scope: *scope,
            plot: Arc::clone(&self.0),
        }))
    }

    async fn begin(&self, scope: &OrgScope) -> Result<Box<dyn UnitOfWork>> {
        self.0.remember(scope);
        Ok(Box::new(Unit {
            real: self.0.real.begin(scope).await?,
            scope: *scope,
            plot: Arc::clone(&self.0),
        }))
    }

    async fn ingest(&self, lease: &Lease) -> Result<Box<dyn Ingest>> {
        Ok(Box::new(Batch {
            real: self.0.real.ingest(lease).await?,
            organization: lease.reference().organization,
            plot: Arc::clone(&self.0),
        }))
    }

    async fn finish(
        &self,
        lease: &Lease,
        outcome: FinishOutcome,
        event: EventDraft,
    ) -> Result<Finished> {
        self.0.real.finish(lease, outcome, event).await
    }
}
