//! What breaks each rule once: a check that cannot fail is none.
//!
//! Every canary is made in a transaction on a migrated schema and rolled back. All rules look at it,
//! and have to name what is wrong with it and nothing else.

use std::collections::BTreeSet;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};

use super::rule::Violation;
use super::{golden, rules};
use crate::support::{Database, ROLES, keys};

/// Statements, and every violation that they are: `RULE: OBJECT`.
struct Canary(&'static str, &'static [&'static str]);

/// A tenant table `bird` that keeps every rule.
const BIRD: &str = "
    create table bird (
        organization_id uuid not null, id uuid not null, note text, nest uuid,
        status text check (status in ('new', 'old')), primary key (organization_id, id)
    );
    alter table bird owner to @roles@_owner;
    alter table bird enable row level security;
    alter table bird force row level security;
    create policy tenant on bird to @roles@_app, @roles@_processor
        using ((case when organization_id = any (array[(select trueno.entered_organization())]) then true end) is not unknown
            and (organization_id, organization_id) = (
                select entered, entered from trueno.current_organization() entered))
        with check (organization_id = (select trueno.current_organization()));
    create policy across on bird to @roles@_system using (true) with check (true);
    alter table bird alter organization_id set statistics 0, alter id set statistics 0,
        alter note set statistics 0, alter nest set statistics 0;
    create function whistle() returns int language sql
        set search_path = pg_catalog, trueno, pg_temp as 'select 1';
    alter function whistle() owner to @roles@_owner;
    revoke all on function whistle() from public;
";

const CANARIES: &[Canary] = &[
    Canary("", &[]),
    // Objects.
    Canary(
        "create materialized view m as select 1 as one; alter table m owner to @roles@_owner",
        &["kind_of_relation: m: m"],
    ),
    Canary(
        "create view v as select id from bird; alter table v owner to @roles@_owner",
        &["view_without_invoker: v"],
    ),
    Canary("create type mood as enum ('sad')", &["type: mood"]),
    Canary(
        "create operator === (function = uuid_eq, leftarg = uuid, rightarg = uuid)",
        &["other_object: operator ===(uuid,uuid)"],
    ),
    Canary(
        "create statistics pair on id, note from bird",
        &["other_object: statistics object pair"],
    ),
    Canary(
        "create rule away as on delete to bird do instead nothing",
        &["rewrite_rule: bird.away"],
    ),
    Canary(
        "create table chick (primary key (organization_id, id)) inherits (bird);
         alter table chick owner to @roles@_owner;
         alter table chick enable row level security;
         alter table chick force row level security;
         create policy tenant on chick to @roles@_app, @roles@_processor
            using ((case when organization_id = any (array[(select trueno.entered_organization())]) then true end) is not unknown
                and (organization_id, organization_id) = (
                    select entered, entered from trueno.current_organization() entered))
            with check (organization_id = (select trueno.current_organization()));
         create policy across on chick to @roles@_system using (true) with check (true);
         alter table chick alter organization_id set statistics 0, alter id set statistics 0,
            alter note set statistics 0, alter nest set statistics 0",
        &["inheritance: chick"],
    ),
    Canary(
        "alter table bird add kin regproc, alter kin set statistics 0",
        &["column_of_reg_type: bird.kin"],
    ),
    Canary(
        "create extension pgcrypto schema public",
        &["extension: pgcrypto in public"],
    ),
    Canary(
        "create table public.elsewhere (id int); grant select on public.elsewhere to @roles@_app",
        &["beyond_the_schema: table elsewhere: app"],
    ),
    Canary("create publication everything for all tables", &["publication: everything"]),
    Canary(
        "alter table bird set (autovacuum_enabled = off)",
        &["autovacuum_off: bird"],
    ),
    // Tables.
    Canary(
        "alter table bird drop constraint bird_pkey, alter organization_id drop not null",
        &["organization_column: bird", "table_without_primary_key: bird"],
    ),
    Canary(
        "alter table bird drop constraint bird_pkey, add primary key (id)",
        &["key_by_organization: bird.bird_pkey"],
    ),
    Canary(
        "alter table bird add unique (note)",
        &["key_by_organization: bird.bird_note_key"],
    ),
    Canary(
        "create unique index by_note on bird (lower(note))",
        &["index_not_leakproof: bird.by_note", "key_by_organization: bird.by_note"],
    ),
    Canary(
        "create unique index by_status on bird (organization_id, status) include (note);
         alter table bird add foreign key (nest, organization_id) references bird (id, organization_id)",
        &[
            "foreign_key_by_organization: bird.bird_nest_organization_id_fkey",
            "foreign_key_without_index: bird.bird_nest_organization_id_fkey",
        ],
    ),
    Canary(
        "alter table worker_session add organization_id uuid references organization;
         create index on worker_session (organization_id)",
        &["foreign_key_of_shared_table: worker_session.worker_session_organization_id_fkey"],
    ),
    Canary(
        "grant select on member_lookup to @roles@_sequencer",
        &["lookup_for_everybody: member_lookup: select to sequencer"],
    ),
    Canary(
        "alter table bird drop constraint bird_status_check, alter status set statistics 0",
        &["status_without_check: bird.status"],
    ),
    Canary(
        "alter table bird add check (note <> '') not valid",
        &["unvalidated_constraint: bird.bird_note_check"],
    ),
    Canary(
        "alter table bird add nth bigint generated always as identity, alter nth set statistics 0;
         grant select (nth) on bird to @roles@_app",
        &["counter_that_tells: bird.nth: app"],
    ),
    Canary(
        "alter table bird alter note set statistics 100",
        &["statistics_of_values: bird.note"],
    ),
    // Indexes.
    Canary(
        "alter table bird add tags jsonb, alter tags set statistics 0;
         create index by_tags on bird using gin (tags)",
        &["index_not_leakproof: bird.by_tags"],
    ),
    Canary(
        "create index by_note on bird (note); grant select (id) on bird to @roles@_processor",
        &["index_across_organizations: bird.by_note"],
    ),
    Canary(
        "set local allow_system_table_mods = on;
         update pg_index set indisvalid = false where indexrelid = 'bird_pkey'::regclass",
        &["invalid_index: bird_pkey"],
    ),
    Canary(
        "create index one on bird (organization_id, note);
         create index two on bird (organization_id, note)",
        &["duplicate_index: one = two"],
    ),
    Canary(
        "alter table bird add foreign key (organization_id, nest) references bird",
        &["foreign_key_without_index: bird.bird_organization_id_nest_fkey"],
    ),
    Canary(
        "alter table bird drop constraint bird_pkey, add primary key (organization_id, id, note)",
        &["text_key_collation: bird.note"],
    ),
    // Policies.
    Canary(
        "alter table bird disable row level security",
        &["row_level_security_off: bird"],
    ),
    Canary(
        "alter table bird no force row level security",
        &["row_level_security_off: bird"],
    ),
    Canary("drop policy tenant on bird", &["tenant_policies: bird"]),
    Canary("drop policy across on bird", &["tenant_policies: bird"]),
    Canary(
        "alter policy tenant on bird with check (true)",
        &["tenant_policies: bird"],
    ),
    Canary(
        "alter policy tenant on bird using (organization_id = trueno.current_organization())",
        &["tenant_policies: bird"],
    ),
    Canary(
        "alter policy tenant on bird
            using (organization_id = (select trueno.current_organization()))",
        &["tenant_policies: bird"],
    ),
    Canary(
        "alter policy tenant on bird using (
            organization_id = (select trueno.current_organization()) or note is null)",
        &["tenant_policies: bird"],
    ),
    Canary(
        "drop policy tenant on bird;
         create policy tenant on bird for select to @roles@_app, @roles@_processor
            using (organization_id = (select trueno.current_organization()))",
        &["tenant_policies: bird"],
    ),
    Canary(
        "create policy more on bird for select to @roles@_app using (status = 'new')",
        &["several_policies: bird: app", "tenant_policies: bird"],
    ),
    Canary(
        "alter policy across on bird to public",
        &["policy_for_public: bird.across", "tenant_policies: bird"],
    ),
    Canary(
        "drop policy actor_of_app on audit_staged",
        &["actor_policies: audit_staged"],
    ),
    Canary(
        "alter policy actor_of_processor on finding_change with check (true)",
        &["actor_policies: finding_change"],
    ),
    Canary(
        "create policy actor_of_app on bird as restrictive for insert to @roles@_app
            with check (true)",
        &["actor_policies: bird"],
    ),
    Canary(
        "create policy actor_of_app on bird for insert to @roles@_app with check (true)",
        &["actor_policies: bird", "several_policies: bird: app", "tenant_policies: bird"],
    ),
    Canary(
        "create policy anyone on worker_session to public using (true)",
        &["policy_for_public: worker_session.anyone"],
    ),
    Canary(
        "create policy tenant on job_history_default to @roles@_app using (true)",
        &["tenant_policies: job_history_default"],
    ),
    // Functions.
    Canary(
        "alter function whistle() security definer",
        &["definer_not_of_system: whistle()"],
    ),
    Canary("alter function whistle() reset all", &["function_search_path: whistle()"]),
    Canary(
        "alter function whistle() set search_path = trueno, pg_catalog",
        &["function_search_path: whistle()"],
    ),
    Canary(
        "create function low() returns int language internal
            set search_path = pg_catalog, trueno, pg_temp as 'pg_backend_pid';
         alter function low() owner to @roles@_owner; revoke all on function low() from public",
        &["function_language: low()"],
    ),
    Canary(
        "create procedure go() language sql
            set search_path = pg_catalog, trueno, pg_temp as 'select 1';
         alter procedure go() owner to @roles@_owner; revoke all on procedure go() from public",
        &["function_kind: go()"],
    ),
    Canary("alter function whistle() leakproof", &["function_leakproof: whistle()"]),
    Canary(
        "create function loud(what text) returns void language plpgsql security definer
            set search_path = pg_catalog, trueno, pg_temp as 'begin execute what; end';
         alter function loud(text) owner to @roles@_system;
         revoke all on function loud(text) from public",
        &["definer_with_dynamic_sql: loud(text)"],
    ),
    // Roles and grants.
    Canary("alter role @roles@_sequencer bypassrls", &["role_attributes: sequencer"]),
    Canary("alter role @roles@_system login", &["role_attributes: system"]),
    Canary(
        "grant @roles@_system to @roles@_sequencer",
        &["role_membership: sequencer in @roles@_system"],
    ),
    Canary(
        "grant pg_read_all_data to @roles@_sequencer",
        &["role_membership: sequencer in pg_read_all_data"],
    ),
    Canary(
        "alter table bird owner to @roles@_system",
        &["wrong_owner: bird", "wrong_owner: bird_pkey"],
    ),
    Canary(
        "grant select on bird to public",
        &["grant_to_outsider: table bird: select to PUBLIC"],
    ),
    Canary(
        "grant execute on function whistle() to public",
        &["grant_to_outsider: function whistle(): execute to PUBLIC"],
    ),
    Canary(
        "grant select (note) on bird to pg_monitor",
        &["grant_to_outsider: table bird: select to pg_monitor"],
    ),
    Canary(
        "grant select on bird to @roles@_app with grant option",
        &["grant_option: table bird: select to app"],
    ),
    Canary(
        "grant truncate on bird to @roles@_processor",
        &["privilege_beyond_rows: table bird: truncate to processor"],
    ),
    Canary(
        "grant usage on sequence audit_outbox_position_seq to @roles@_app",
        &["privilege_beyond_rows: sequence audit_outbox_position_seq: usage to app"],
    ),
    Canary(
        "grant select on job_history_default to @roles@_app",
        &["privilege_beyond_rows: table job_history_default: select to app"],
    ),
    Canary(
        "alter default privileges in schema trueno grant select on tables to @roles@_app",
        &["default_privilege: postgres: SELECT to @roles@_app"],
    ),
    Canary(
        "alter function whistle() owner to @roles@_system;
         grant execute on function whistle() to @roles@_app",
        &["system_reads_all_of: whistle() to app"],
    ),
];

/// What is not allowed by name, and the file that has to tell.
const UNREVIEWED: &[(&str, &str, &str)] = &[
    (
        "grant insert (note) on bird to @roles@_app",
        "grants.txt",
        "+ app | insert | table bird (note)",
    ),
    (
        "grant delete on finding to @roles@_app",
        "grants.txt",
        "+ app | delete | table finding",
    ),
    (
        "grant execute on function whistle() to @roles@_processor",
        "functions.txt",
        "+ whistle() | invoker | owner | volatile | processor",
    ),
    (
        "create policy more on worker_session for select to @roles@_app using (true)",
        "policies.txt",
        "+ worker_session.more | r | app | true | -",
    ),
    (
        "create function ring() returns trigger language plpgsql
            set search_path = pg_catalog, trueno, pg_temp as 'begin return new; end';
         create trigger bell before insert on bird for each row execute function ring()",
        "triggers.txt",
        "+ bird.bell | ring()",
    ),
];

async fn make(connection: &mut PgConnection, sql: &str) {
    let sql = format!("begin; set local search_path = trueno; {BIRD}; {sql}")
        // What the rules compare with is written as somebody sees it who has not that path.
        + "; reset search_path";
    let sql = sql.replace("@roles@", ROLES);
    let made = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.as_str())));
    made.await.unwrap_or_else(|error| panic!("{error}: {sql}"));
}

async fn all(connection: &mut PgConnection) -> BTreeSet<Violation> {
    let mut all = BTreeSet::new();
    for rule in rules() {
        all.extend(rule.broken_by(connection).await);
    }
    all
}

/// Makes every canary in turn.
pub(crate) async fn sing() {
    let database = Database::migrated(&keys()).await;
    let mut admin = database.admin().await;
    let before = all(&mut admin).await;
    let mut unbroken: BTreeSet<&str> = rules().map(|rule| rule.name).collect();
    // It would take a database without the roles, which others use: they are shared.
    unbroken.remove("role_missing");
    let mut wrong = Vec::new();
    for Canary(sql, wanted) in CANARIES {
        make(&mut admin, sql).await;
        let named: Vec<String> = all(&mut admin)
            .await
            .difference(&before)
            .map(|violation| {
                unbroken.remove(violation.rule);
                let object = violation.object.replace("trueno.", "");
                format!("{}: {object}", violation.rule)
            })
            .collect();
        let wanted: Vec<String> = wanted
            .iter()
            .map(|line| line.replace("@roles@", ROLES))
            .collect();
        if named != wanted {
            wrong.push(format!(
                "{sql}\n    named: {named:?}\n    meant: {wanted:?}"
            ));
        }
        admin.execute("rollback").await.unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(unbroken, BTreeSet::new(), "rules that no canary breaks");

    for (sql, file, line) in UNREVIEWED {
        let of_file = golden::ALL.iter().find(|golden| golden.file() == *file);
        let golden = of_file.expect("a golden file");
        make(&mut admin, "").await;
        let before = golden.difference(&mut admin).await;
        admin.execute("rollback").await.unwrap();
        make(&mut admin, sql).await;
        let mut differs = golden.difference(&mut admin).await;
        admin.execute("rollback").await.unwrap();
        differs.retain(|line| !before.contains(line));
        assert!(differs.contains(&(*line).to_owned()), "{sql}: {differs:?}");
    }
}
