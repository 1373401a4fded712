//! Fairness: while organizations wait, they begin jobs in proportion to their weights.

use std::sync::{Arc, Mutex};

use trueno_core::model::OrganizationLimits;

use super::World;
use crate::fixtures::Tenant;

/// What is fair enough: 1 is equal to the last job, 1/n is all to one of n.
const FAIR: f64 = 0.95;

/// Jain's index of shares.
/// Source: Jain, Chiu, Hawe, "A Quantitative Measure of Fairness", DEC-TR-301, 1984.
fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (shares.len() as f64 * squares)
}

#[cfg(test)]
#[test]
fn the_index_is_one_for_equal_shares_and_one_nth_for_all_to_one() {
    assert!((jain(&[3.0; 5]) - 1.0).abs() < 1e-9);
    assert!((jain(&[7.0, 0.0, 0.0, 0.0]) - 0.25).abs() < 1e-9);
    assert!(jain(&[4.0, 4.0, 4.0, 1.0]) < FAIR);
}

async fn enqueue(w: &World, tenant: &Tenant, jobs: usize, priority: i16) {
    let job = || w.job().with_priority(priority).unwrap();
    let jobs = (0..jobs).map(|_| job()).collect();
    w.queue.enqueue(&tenant.scan, jobs).await.unwrap();
}

async fn weigh(w: &World, tenant: &Tenant, weight: u32) {
    let limits = OrganizationLimits::default().with_weight(weight).unwrap();
    w.queue.set_limits(tenant.id, &limits).await.unwrap();
}

/// How many jobs of each began in claims of `size`, until `total` did; `refill` keeps them waiting.
async fn begun(
    w: &World,
    tenants: &[&Tenant],
    size: usize,
    total: usize,
    refill: impl AsyncFn(usize, usize),
) -> Vec<usize> {
    let request = w.claim_request(size);
    let mut begun = vec![0; tenants.len()];
    while begun.iter().sum::<usize>() < total {
        let claims = w.queue.claim(&request).await.unwrap();
        assert!(!claims.is_empty(), "all of them wait, and nothing begins");
        let mut now = vec![0; tenants.len()];
        for claim in claims {
            let of = |tenant: &&Tenant| tenant.id == claim.lease.organization;
            now[tenants.iter().position(of).unwrap()] += 1;
        }
        for (nth, jobs) in now.into_iter().enumerate() {
            begun[nth] += jobs;
            if jobs > 0 {
                refill(nth, jobs).await;
            }
        }
    }
    begun
}

/// Equal weights, equal shares: also beside somebody with a thousand times as much waiting, all of it
/// urgent, and however many jobs a claim asks for.
pub async fn organizations_share_equally_whatever_they_have_waiting(w: World) {
    const WAITING: usize = 4;
    const SKEW: usize = 1_000;
    let heavy = w.organization().await;
    for _ in 0..WAITING {
        enqueue(&w, &heavy, SKEW, 100).await;
    }
    let mut light = Vec::new();
    for _ in 0..4 {
        let tenant = w.organization().await;
        enqueue(&w, &tenant, WAITING, 0).await;
        light.push(tenant);
    }
    let tenants: Vec<&Tenant> = std::iter::once(&heavy).chain(&light).collect();
    for size in [1, 2, 3, 7, 16] {
        let begun = begun(&w, &tenants, size, 100, async |nth, jobs| {
            if nth > 0 {
                enqueue(&w, tenants[nth], jobs, 0).await;
            }
        })
        .await;
        let shares: Vec<f64> = begun.iter().map(|jobs| *jobs as f64).collect();
        let index = jain(&shares);
        assert!(
            index >= FAIR,
            "claims of {size}: {begun:?}, a Jain index of {index:.3}"
        );
    }
}

/// Equal shares also where several workers claim at the same time, and one organization has what all of
/// them could take.
pub async fn claims_at_the_same_time_share_equally(w: World) {
    const EACH: usize = 50;
    const WORKERS: usize = 8;
    let heavy = w.organization().await;
    enqueue(&w, &heavy, 1_000, 0).await;
    let mut tenants = vec![heavy];
    for _ in 0..10 {
        let tenant = w.organization().await;
        enqueue(&w, &tenant, EACH, 0).await;
        tenants.push(tenant);
    }
    let counted = EACH * tenants.len();
    let w = Arc::new(w);
    let begun = Arc::new(Mutex::new(Vec::new()));
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let (w, begun) = (w.clone(), begun.clone());
            tokio::spawn(async move {
                let request = w.claim_request(20);
                while begun.lock().unwrap().len() < counted {
                    let claims = w.queue.claim(&request).await.unwrap();
                    let organizations = claims.iter().map(|claim| claim.lease.organization);
                    begun.lock().unwrap().extend(organizations);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let begun = begun.lock().unwrap();
    let share = |tenant: &Tenant| {
        let of = begun[..counted].iter().filter(|begun| **begun == tenant.id);
        of.count() as f64
    };
    let shares: Vec<f64> = tenants.iter().map(share).collect();
    let index = jain(&shares);
    assert!(index >= FAIR, "{index} for {shares:?}");
}

/// Weights say how much of the workers each gets; a change of weight holds from the next claim on.
pub async fn organizations_share_by_weight(w: World) {
    let (one, two, five) = (
        w.organization().await,
        w.organization().await,
        w.organization().await,
    );
    for tenant in [&one, &two, &five] {
        enqueue(&w, tenant, 1_000, 0).await;
    }
    let tenants = [&one, &two, &five];
    for weights in [[1, 2, 5], [5, 2, 1]] {
        for (tenant, weight) in tenants.iter().zip(weights) {
            weigh(&w, tenant, weight).await;
        }
        for size in [1, 4, 24] {
            let begun = begun(&w, &tenants, size, 240, async |_, _| {}).await;
            let shares: Vec<f64> = begun
                .iter()
                .zip(weights)
                .map(|(jobs, weight)| *jobs as f64 / f64::from(weight))
                .collect();
            let index = jain(&shares);
            assert!(
                index >= FAIR,
                "weights {weights:?}, claims of {size}: {begun:?}, a Jain index of {index:.3}"
            );
        }
    }
}

/// Who comes late gets an equal share from then on: turns that nobody took are not saved up, and
/// nobody has to wait for the others to be served as much.
pub async fn who_comes_late_gets_an_equal_share(w: World) {
    let (first, late) = (w.organization().await, w.organization().await);
    enqueue(&w, &first, 300, 0).await;
    // It was served once, long ago.
    enqueue(&w, &late, 1, 0).await;
    let tenants = [&first, &late];
    begun(&w, &tenants, 5, 101, async |_, _| {}).await;
    enqueue(&w, &late, 100, 0).await;
    for size in [1, 4] {
        let begun = begun(&w, &tenants, size, 40, async |_, _| {}).await;
        let shares: Vec<f64> = begun.iter().map(|jobs| *jobs as f64).collect();
        let index = jain(&shares);
        assert!(
            index >= FAIR,
            "claims of {size}: {begun:?}, a Jain index of {index:.3}"
        );
    }
}

/// Turns that an organization cannot take are the others': held back by its cap, it takes up no
/// room in a batch.
pub async fn what_one_cannot_take_is_the_others(w: World) {
    let (capped, paused, free) = (
        w.organization().await,
        w.organization().await,
        w.organization().await,
    );
    for tenant in [&capped, &paused, &free] {
        enqueue(&w, tenant, 20, 0).await;
    }
    let limits = OrganizationLimits::default().with_weight(1_000).unwrap();
    let limits = limits.with_max_running(2).unwrap();
    w.queue.set_limits(capped.id, &limits).await.unwrap();
    let target = trueno_core::model::QueueTarget::Organization(paused.id);
    w.queue.pause(&target).await.unwrap();
    let leases = w.drain(5).await;
    let of = |tenant: &Tenant| {
        let its = leases
            .iter()
            .filter(|lease| lease.organization == tenant.id);
        its.count()
    };
    assert_eq!((of(&capped), of(&paused), of(&free)), (2, 0, 20));
}
