//! Plans: what a scan will do, before it does it.

use std::collections::BTreeSet;

use trueno_core::error::ErrorKind;
use trueno_core::model::TaskKey;
use trueno_core::port::{Operation, ScanPlan, TaskPlan};

use super::World;
use super::world::{read, task_named, to_read};

/// The scanner is one for the target's provider.
pub async fn the_scanner_is_for_its_provider(w: World) {
    assert_eq!(w.scanner.provider(), w.target.account.provider);
}

/// P8: a plan names every task once, and what the account has lies in tasks that are read.
pub async fn a_plan_names_every_task_once(w: World) {
    let plan = w.plan().await;
    let keys: Vec<&TaskKey> = plan.tasks.iter().map(TaskPlan::key).collect();
    let distinct: BTreeSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len(), "a task is planned twice");
    let planned: BTreeSet<_> = to_read(&plan)
        .iter()
        .map(|task| (&task.key.kind, &task.key.region))
        .collect();
    for at in &w.expected.resources {
        let wanted = (&at.kind, &at.region);
        assert!(planned.contains(&wanted), "P8: nothing reads {wanted:?}");
    }
    assert!(
        !w.expected.failing.is_empty(),
        "the harness has a task that fails"
    );
    for (key, _) in &w.expected.failing {
        task_named(&plan, key);
    }
    task_named(&plan, &w.expected.paged);
}

/// Least right: a plan needs the operations of its tasks and no other, and a task that is not read
/// needs none.
pub async fn a_plan_needs_the_operations_of_its_tasks(w: World) {
    let plan = w.plan().await;
    let mut wanted: BTreeSet<Operation> = BTreeSet::new();
    for task in to_read(&plan) {
        assert!(
            !task.operations.is_empty(),
            "{:?} reads without asking anything",
            task.key
        );
        let own: BTreeSet<_> = task.operations.iter().copied().collect();
        assert_eq!(
            own.len(),
            task.operations.len(),
            "{:?}: an operation twice",
            task.key
        );
        wanted.extend(own);
    }
    assert_eq!(plan.operations(), wanted.into_iter().collect::<Vec<_>>());
}

/// Planning again plans the same.
pub async fn planning_again_plans_the_same(w: World) {
    assert_eq!(w.plan().await, w.plan().await);
}

/// Least right, P4: a session that was opened for a part of a plan reads no task that needs more
/// than that part does.
pub async fn a_session_can_do_what_its_plan_needs_and_no_more(w: World) {
    let plan = w.plan().await;
    let task = task_named(&plan, &w.expected.paged);
    let part = ScanPlan {
        tasks: vec![TaskPlan::Read(task.clone())],
    };
    let session = w.open(&part).await;
    let allowed: BTreeSet<_> = part.operations().into_iter().collect();
    let outside: Vec<_> = to_read(&plan)
        .into_iter()
        .filter(|other| {
            other
                .operations
                .iter()
                .any(|needs| !allowed.contains(needs))
        })
        .collect();
    assert!(
        !outside.is_empty(),
        "the harness's plan has tasks with different operations"
    );
    for other in outside {
        let refused = match session.scan(other, None).await {
            Err(error) => error,
            Ok(mut stream) => match futures::StreamExt::next(&mut stream).await {
                Some(Err(ended)) => ended.error,
                page => panic!("P4: {:?} was read outside the plan: {page:?}", other.key),
            },
        };
        let kind = refused.kind();
        let closed = matches!(kind, ErrorKind::Denied | ErrorKind::InvalidInput);
        assert!(closed, "P4: {:?}: {refused:?}", other.key);
    }
    let own = read(&*session, task, None).await;
    assert!(own.error.is_none(), "its own task is read: {:?}", own.error);
}
