//! What a scan will do: every kind in every region, as far as the account has enabled it.

use std::collections::BTreeMap;
use std::sync::Arc;

use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::model::{CloudAccount, CoverageStatus, Region, TaskKey};
use trueno_core::port::{ScanPlan, ScanTask, TaskPlan};

use crate::client::Clients;
use crate::collect;
use crate::error::{Call, UNAUTHORIZED_OPERATION};
use crate::guard::AllowList;
use crate::operation::DESCRIBE_REGIONS;
use crate::session::Broker;

/// AWS's word for a region that exists and that the account has not enabled.
const NOT_OPTED_IN: &str = "not-opted-in";

pub(super) async fn plan(broker: &Broker, account: &CloudAccount) -> Result<ScanPlan> {
    let known = regions(broker, account).await;
    let wanted = wanted(known, &account.regions)?;
    let tasks = wanted.into_iter().flat_map(|(region, enabled)| {
        collect::all().into_iter().map(move |collector| {
            let operations = collector.operations();
            let service = operations.first().map_or("", |operation| operation.service);
            let key = TaskKey {
                service: service.to_owned(),
                region: region.clone(),
                kind: collector.kind(),
            };
            if enabled {
                TaskPlan::Read(ScanTask {
                    key,
                    operations: operations.to_vec(),
                })
            } else {
                TaskPlan::Settled(key, CoverageStatus::NotEnabled)
            }
        })
    });
    Ok(ScanPlan {
        tasks: tasks.collect(),
    })
}

/// The regions to look at, and whether each is enabled.
fn wanted(
    known: Result<BTreeMap<Region, bool>>,
    chosen: &[Region],
) -> Result<BTreeMap<Region, bool>> {
    if chosen.is_empty() {
        return known.map_err(|error| {
            if may_not_list(&error) {
                with_advice(&error)
            } else {
                error
            }
        });
    }
    let known = match known {
        Ok(known) => known,
        // Who may not list regions may still be allowed to read those that were named.
        Err(error) if may_not_list(&error) => {
            return Ok(chosen.iter().map(|region| (region.clone(), true)).collect());
        }
        Err(error) => return Err(error),
    };
    let pick = |region: &Region| match known.get(region) {
        Some(enabled) => Ok((region.clone(), *enabled)),
        None => Err(Error::invalid(
            "region",
            &format!("AWS has no region {region}"),
        )),
    };
    chosen.iter().map(pick).collect()
}

/// Whether EC2 denies the listing, and not STS the way into the account.
fn may_not_list(error: &Error) -> bool {
    error.code() == Some(UNAUTHORIZED_OPERATION)
}

fn with_advice(error: &Error) -> Error {
    let message = format!("{error}; name the regions to scan, or allow it");
    let advised = Error::new(ErrorKind::Denied, message).with_code(UNAUTHORIZED_OPERATION);
    match error.detail() {
        Some(detail) => advised.with_detail(detail),
        None => advised,
    }
}

/// Every region of the partition. The session that asks can do nothing else.
async fn regions(broker: &Broker, account: &CloudAccount) -> Result<BTreeMap<Region, bool>> {
    let credentials = broker.enter(account, &[DESCRIBE_REGIONS]).await?;
    let allowed = AllowList::only(&[DESCRIBE_REGIONS])?;
    let clients = Clients::new(Arc::clone(&broker.common), allowed);
    let call = Call::new(DESCRIBE_REGIONS, &broker.home);
    let answer = clients
        .ec2(&broker.home, credentials.shared())
        .describe_regions()
        .all_regions(true)
        .send()
        .await
        .map_err(|error| call.sdk_error(&error))?;
    let regions = answer.regions().iter().map(|region| {
        let name = region.region_name().and_then(|name| name.parse().ok());
        let name: Region = name.ok_or_else(|| call.corrupt())?;
        Ok((name, region.opt_in_status() != Some(NOT_OPTED_IN)))
    });
    let regions: BTreeMap<Region, bool> = regions.collect::<Result<_>>()?;
    // An account without a region does not exist: an empty plan would pass for a clean account.
    if regions.is_empty() {
        Err(call.corrupt())
    } else {
        Ok(regions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ACCESS_DENIED;

    fn region(name: &str) -> Region {
        name.parse().unwrap()
    }

    fn known() -> Result<BTreeMap<Region, bool>> {
        Ok([(region("eu-west-1"), true), (region("ap-east-1"), false)].into())
    }

    fn denied() -> Result<BTreeMap<Region, bool>> {
        let error = Error::new(ErrorKind::Denied, "denied");
        Err(error.with_code(UNAUTHORIZED_OPERATION).with_detail("who"))
    }

    #[test]
    fn without_a_choice_every_region_is_wanted() {
        assert_eq!(wanted(known(), &[]).unwrap(), known().unwrap());
        let error = wanted(denied(), &[]).unwrap_err();
        assert!(error.to_string().contains("name the regions"), "{error}");
        assert_eq!(error.code(), Some(UNAUTHORIZED_OPERATION));
        assert_eq!(error.detail(), Some("who"));
    }

    #[test]
    fn a_denied_role_keeps_its_own_advice() {
        let role = || {
            let error = Error::new(ErrorKind::Denied, "look at the trust policy");
            Err(error.with_code(ACCESS_DENIED))
        };
        for chosen in [vec![], vec![region("eu-west-1")]] {
            let error = wanted(role(), &chosen).unwrap_err();
            assert_eq!(error.code(), Some(ACCESS_DENIED));
            assert_eq!(error.to_string(), role().unwrap_err().to_string());
        }
    }

    #[test]
    fn a_chosen_region_must_exist_and_need_not_be_listed() {
        let one = wanted(known(), &[region("ap-east-1")]).unwrap();
        assert_eq!(one, [(region("ap-east-1"), false)].into());
        let error = wanted(known(), &[region("mars-1")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let unlisted = wanted(denied(), &[region("mars-1")]).unwrap();
        assert_eq!(unlisted, [(region("mars-1"), true)].into());
        let down = || Err(Error::new(ErrorKind::Unavailable, "down"));
        assert!(wanted(down(), &[region("eu-west-1")]).is_err());
    }
}
