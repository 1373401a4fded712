//! Runs checks over resources and coverage.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Check, Look, Parameters, PriceBook, Relations, Verdict};
use crate::error::{Error, Result};
use crate::model::{
    AccountNumber, Coverage, CoverageStatus, FindingDraft, Region, Resource, ResourceKind,
};

/// Which kinds were completely read, region by region.
#[derive(Clone, Debug, Default)]
pub struct CoverageMap {
    status: BTreeMap<(ResourceKind, Region), CoverageStatus>,
}

impl CoverageMap {
    /// From the coverage of a scan.
    #[must_use]
    pub fn new(coverage: &[Coverage]) -> Self {
        let status = coverage
            .iter()
            .map(|c| ((c.task.kind.clone(), c.task.region.clone()), c.status))
            .collect();
        Self { status }
    }

    /// True where every resource of the kind in the region was seen. What was never planned was
    /// not seen.
    #[must_use]
    pub fn is_complete(&self, kind: &ResourceKind, region: &Region) -> bool {
        self.status
            .get(&(kind.clone(), region.clone()))
            .is_some_and(|status| status.is_complete())
    }
}

/// What one check said of one resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Evaluation {
    /// It found something.
    Found(Box<FindingDraft>),
    /// It found nothing, and would have.
    Clear {
        /// The key that the finding would have.
        key: String,
    },
    /// It cannot tell: a finding that stands is left standing.
    Undetermined {
        /// The key that the finding would have.
        key: String,
        /// Why.
        reason: String,
    },
}

/// A set of checks with their parameters and prices.
#[derive(Clone)]
pub struct Engine {
    checks: Vec<(Arc<dyn Check>, Parameters)>,
    prices: Arc<dyn PriceBook>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.checks.iter().map(|(check, _)| check.info().id))
            .finish()
    }
}

impl Engine {
    /// The checks with their default parameters.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::error::ErrorKind::Config) for two checks with the same id.
    pub fn new(checks: Vec<Arc<dyn Check>>, prices: Arc<dyn PriceBook>) -> Result<Self> {
        let mut ids: Vec<&str> = checks.iter().map(|check| check.info().id).collect();
        ids.sort_unstable();
        if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            let message = format!("two checks have the id {}", twice[0]);
            return Err(Error::new(crate::error::ErrorKind::Config, message));
        }
        let checks = checks
            .into_iter()
            .map(|check| {
                let parameters = Parameters::defaults(check.info().parameters);
                (check, parameters)
            })
            .collect();
        Ok(Self { checks, prices })
    }

    /// Overrides a parameter, written `CHECK.PARAMETER=VALUE`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) for another form, an
    /// unknown check or parameter, or a value out of bounds.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        let malformed = || {
            let problem = format!("{assignment:?} has not the form CHECK.PARAMETER=VALUE");
            Error::invalid("parameter override", &problem)
        };
        let (path, value) = assignment.split_once('=').ok_or_else(malformed)?;
        let (id, name) = path.rsplit_once('.').ok_or_else(malformed)?;
        let Some((check, parameters)) = self
            .checks
            .iter_mut()
            .find(|(check, _)| check.info().id == id)
        else {
            let ids: Vec<&str> = self
                .checks
                .iter()
                .map(|(check, _)| check.info().id)
                .collect();
            let problem = format!("no check {id:?}; there are {}", ids.join(", "));
            return Err(Error::invalid("parameter override", &problem));
        };
        parameters.set(id, check.info().parameters, name, value)
    }

    /// The checks.
    pub fn checks(&self) -> impl Iterator<Item = &Arc<dyn Check>> {
        self.checks.iter().map(|(check, _)| check)
    }

    /// First pass: notes what the checks will need to know of `resource`.
    pub fn relate(&self, resource: &Resource, relations: &mut Relations) {
        for (check, _) in &self.checks {
            if check.info().related.contains(&resource.reference.kind) {
                check.relate(resource, relations);
            }
        }
    }

    /// Second pass: every check's look at `resource`, as of `now`.
    #[must_use]
    pub fn evaluate(
        &self,
        account: &AccountNumber,
        resource: &Resource,
        relations: &Relations,
        coverage: &CoverageMap,
        now: Timestamp,
    ) -> Vec<Evaluation> {
        let reference = &resource.reference;
        self.checks
            .iter()
            .filter(|(check, _)| check.info().subject == reference.kind)
            .map(|(check, parameters)| {
                let info = check.info();
                let key = finding_key(info.id, account, &reference.region, &reference.native_id);
                let missing = info
                    .related
                    .iter()
                    .find(|kind| !coverage.is_complete(kind, &reference.region));
                if let Some(kind) = missing {
                    let reason = format!("{kind} in {} was not completely read", reference.region);
                    return Evaluation::Undetermined { key, reason };
                }
                let look = Look {
                    relations,
                    parameters,
                    prices: self.prices.as_ref(),
                    now,
                };
                match check.evaluate(resource, &look) {
                    Verdict::Pass | Verdict::NotApplicable => Evaluation::Clear { key },
                    Verdict::Undetermined(reason) => Evaluation::Undetermined { key, reason },
                    Verdict::Finding {
                        evidence,
                        monthly_saving,
                        conflict_group,
                    } => Evaluation::Found(Box::new(FindingDraft {
                        key,
                        check: info.id.to_owned(),
                        check_version: info.version,
                        parameters_hash: parameters.hash(),
                        resource: reference.clone(),
                        name: resource.name.clone(),
                        tags: resource.tags.clone(),
                        severity: info.severity,
                        evidence,
                        monthly_saving,
                        conflict_group,
                    })),
                }
            })
            .collect()
    }

    /// True where `coverage` is a complete look for a finding's check and region: only then does
    /// its absence resolve it. A check that no longer exists resolves nothing.
    #[must_use]
    pub fn looked_completely(&self, finding: &FindingDraft, coverage: &CoverageMap) -> bool {
        let region = &finding.resource.region;
        self.checks
            .iter()
            .find(|(check, _)| check.info().id == finding.check)
            .is_some_and(|(check, _)| {
                let info = check.info();
                std::iter::once(&info.subject)
                    .chain(info.related)
                    .all(|kind| coverage.is_complete(kind, region))
            })
    }
}

/// The key of a finding: stable across scans.
fn finding_key(check: &str, account: &AccountNumber, region: &Region, native_id: &str) -> String {
    format!("{check}/{account}/{region}/{native_id}")
}
