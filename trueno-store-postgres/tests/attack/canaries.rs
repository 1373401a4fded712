//! What leaks, made on purpose: the suite has to say so, of exactly that.

use std::collections::BTreeSet;

use super::contexts::{Context, Seals};
use super::everything;
use super::extent::Extent;
use super::run::Tally;
use super::schema::Role;
use super::worlds::Worlds;
use crate::support::ROLES;
use crate::support::way::Way;

/// Tables of one form, each with one thing wrong; `sound` has nothing.
const TABLES: [(&str, &str); 8] = [
    ("sound", ""),
    // A key over all organizations.
    ("global_key", "alter table @ add unique (note)"),
    // No policy binds anybody.
    ("no_policy", "alter table @ disable row level security"),
    // Reading is bound and writing is not.
    ("no_check", "alter policy tenant on @ with check (true)"),
    // A statement without a context fails only where it meets a row.
    ("global_index", "create index on @ (note)"),
    // The context is looked at where a row is, and not before.
    (
        "late",
        "alter policy tenant on @ using (organization_id = (select trueno.current_organization()))",
    ),
    // What raises is not asked last.
    (
        "loud",
        "alter policy tenant on @ using ((organization_id, organization_id) = (
            select entered, entered from trueno.current_organization() entered))",
    ),
    // Estimates tell which values are common, whosever they are.
    (
        "statistics",
        "alter table @ alter organization_id set statistics 100, alter note set statistics 100",
    ),
];

/// A table `@` of tenants.
const TABLE: &str = "
    create table trueno.@ (
        organization_id uuid not null, id uuid not null, note text,
        primary key (organization_id, id)
    );
    alter table trueno.@ owner to @roles@_owner;
    alter table trueno.@ enable row level security;
    alter table trueno.@ force row level security;
    alter table trueno.@ alter organization_id set statistics 0, alter id set statistics 0,
        alter note set statistics 0;
    create policy tenant on trueno.@ to @roles@_app, @roles@_processor
        using (
            (case when organization_id = any (array[(select trueno.entered_organization())]) then true end) is not unknown
            and (organization_id, organization_id) = (
                select entered, entered from trueno.current_organization() entered
            )
        )
        with check (organization_id = (select trueno.current_organization()));
    create policy across on trueno.@ to @roles@_system using (true) with check (true);
    grant select, insert, update, delete on trueno.@ to @roles@_app, @roles@_processor;
    grant select on trueno.@ to @roles@_system;
";

/// A view with its owner's rights, and a function that forgets the context.
const REST: &str = "
    create view trueno.owned as select organization_id, id, note from trueno.sound;
    alter view trueno.owned owner to @roles@_system;
    grant select on trueno.owned to @roles@_app;
    create function trueno.forgetful(note text) returns setof uuid
    language sql stable security definer set search_path = pg_catalog, trueno, pg_temp as $$
        select s.organization_id from trueno.sound s where s.note = forgetful.note
    $$;
    alter function trueno.forgetful(text) owner to @roles@_system;
    create function trueno.mindful(note text) returns setof uuid
    language sql stable security definer set search_path = pg_catalog, trueno, pg_temp as $$
        select s.organization_id from trueno.sound s
        where s.organization_id = current_organization() and s.note = mindful.note
    $$;
    alter function trueno.mindful(text) owner to @roles@_system;
";

/// Runs the suite on all of them.
pub(crate) async fn sing(way: Way) {
    let mut more = String::new();
    for (name, wrong) in TABLES {
        let wrong = wrong.replace('@', &format!("trueno.{name}"));
        more += &TABLE.replace("@roles@", ROLES).replace('@', name);
        more += &format!("{wrong};");
    }
    more += &REST.replace("@roles@", ROLES);
    let worlds = Worlds::new(way, &more).await;
    let seals = Seals::new(&worlds).await;
    let made = |name: &str| {
        TABLES.iter().any(|(table, _)| *table == name)
            || ["owned", "forgetful()", "mindful()"].contains(&name)
    };
    let mut tally = Tally::default();
    for role in Role::ALL {
        for context in [Context::Absent, Context::Foreign] {
            let mut all = Extent::All;
            let told = everything(&worlds, &seals, role, context, &mut all, &made).await;
            tally.merge(told);
        }
    }
    assert!(tally.malformed.is_empty(), "{:?}", tally.malformed);
    let leaky: BTreeSet<&str> = tally
        .leaks
        .iter()
        .map(|leak| leak.subject.as_str())
        .collect();
    let wanted = BTreeSet::from([
        "forgetful()",
        "global_index",
        "global_key",
        "late",
        "loud",
        "no_check",
        "no_policy",
        "owned",
        "statistics",
    ]);
    assert_eq!(leaky, wanted, "{}", super::first(&tally));
}

/// What policies are made to take, and which contexts then hold beyond where they were entered.
const TAKEN: [(&str, &[Context]); 2] = [
    // Every signature but the one that is forged.
    (
        "if mac = repeat('0', 64) and",
        &[Context::Expired, Context::Replayed, Context::ReplayedRole],
    ),
    // Whatever is said.
    (
        "if false and",
        &[
            Context::Expired,
            Context::Forged,
            Context::Replayed,
            Context::ReplayedRole,
        ],
    ),
];

/// Runs the suite on one table, in every context.
pub(crate) async fn sing_of_contexts(way: Way) {
    for (taken, holding) in TAKEN {
        let change = format!(
            "do $$ begin
                execute replace(
                    pg_get_functiondef('trueno.entered_organization()'::regprocedure),
                    'if sha256(convert_to(mac', $with${taken} sha256(convert_to(mac$with$
                );
             end $$"
        );
        let worlds = Worlds::new(way, &change).await;
        let seals = Seals::new(&worlds).await;
        let one = |name: &str| name == "cloud_account";
        for role in Role::ALL {
            let mut leaky = Vec::new();
            for context in Context::ALL {
                let mut all = Extent::All;
                let tally = everything(&worlds, &seals, role, context, &mut all, &one).await;
                assert!(tally.malformed.is_empty(), "{:?}", tally.malformed);
                if !tally.leaks.is_empty() {
                    leaky.push(context);
                }
            }
            assert_eq!(leaky, holding, "{role:?}: {taken}");
        }
    }
}
