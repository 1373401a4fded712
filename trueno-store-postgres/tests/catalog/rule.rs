//! What a rule is, and the parts of the catalog that rules are written over.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use crate::support::ROLES;

/// One rule of the schema.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it demands, for whoever broke it.
    pub(crate) says: &'static str,
    /// Answers one text column: what breaks it. Over [`PRELUDE`].
    pub(crate) sql: &'static str,
}

/// Something that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    /// The rule's name.
    pub(crate) rule: &'static str,
    /// What breaks it.
    pub(crate) object: String,
}

impl Rule {
    /// What breaks the rule, as `connection` sees the catalog.
    pub(crate) async fn broken_by(&self, connection: &mut PgConnection) -> Vec<Violation> {
        let objects = lines(connection, self.sql).await;
        objects
            .into_iter()
            .map(|object| Violation {
                rule: self.name,
                object,
            })
            .collect()
    }
}

/// Runs a query over [`PRELUDE`]; its one column, sorted.
pub(crate) async fn lines(connection: &mut PgConnection, sql: &str) -> Vec<String> {
    let sql = format!("{PRELUDE} {sql}").replace("@roles@", ROLES);
    let rows = connection.fetch_all(AssertSqlSafe(sql.as_str())).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}\n{error}"));
    let mut lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    lines.sort();
    lines
}

/// What rules are written over.
///
/// - `shared`: the closed list of tables without tenant data. A table that is not on it has to keep
///   the rules for tenant tables.
/// - `lookup`: those of them by which work across organizations finds rows of tenants, and which only
///   definer functions read.
/// - `role`: the five roles by their short names; `nobody` are those that work lies with.
/// - `relation`, `tenant`: what is in the schema; tables of tenant data, partitions included.
/// - `privilege`: every entry of every access list, PUBLIC's defaults included; not the owner's own.
pub(crate) const PRELUDE: &str = r#"
with home (oid) as (select 'trueno'::regnamespace::oid),
lookup (name) as (
    values ('member_lookup'), ('exception_due'), ('audit_outbox'), ('queue_organization'),
        ('queue_turn'), ('queue_lane'), ('queue_key'), ('queue_note'), ('schedule_due')
),
shared (name) as (
    values ('schema_migration'), ('schema_info'), ('worker_session'), ('context_key'),
        ('worker_batch'), ('queue_paused_kind')
    union all select name from lookup
),
role (name, oid) as (
    select n.name, r.oid
    from unnest(array['owner', 'system', 'app', 'processor', 'sequencer']) as n (name)
    join pg_roles r on r.rolname = '@roles@_' || n.name
),
relation as (
    select c.oid, c.relname::text as name, c.relkind as kind, c.relispartition as partition,
        c.relowner as owner, c.reloptions as options, c.relrowsecurity, c.relforcerowsecurity,
        c.relacl
    from pg_class c where c.relnamespace = (select oid from home)
),
tenant as (
    select * from relation
    where kind in ('r', 'p') and name not in (select name from shared)
),
entry (kind, object, columns, owner, grantor, grantee, privilege, grantable) as (
    select case when r.kind = 'S' then 'sequence' else 'table' end, r.name, null::text, r.owner,
        a.grantor, a.grantee, a.privilege_type, a.is_grantable
    from relation r
    cross join aclexplode(
        coalesce(r.relacl, acldefault(case when r.kind = 'S' then 's' else 'r' end::"char", r.owner))
    ) a
    where r.kind in ('r', 'p', 'v', 'm', 'f', 'S')
    union all
    select 'table', r.name, string_agg(t.attname, ', ' order by t.attname), r.owner,
        a.grantor, a.grantee, a.privilege_type, a.is_grantable
    from relation r
    join pg_attribute t on t.attrelid = r.oid and t.attacl is not null
    cross join aclexplode(t.attacl) a
    group by r.name, r.owner, a.grantor, a.grantee, a.privilege_type, a.is_grantable
    union all
    select 'function', p.oid::regprocedure::text, null, p.proowner,
        a.grantor, a.grantee, a.privilege_type, a.is_grantable
    from pg_proc p cross join aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
    where p.pronamespace = (select oid from home)
    union all
    select 'schema', n.nspname, null, n.nspowner, a.grantor, a.grantee, a.privilege_type,
        a.is_grantable
    from pg_namespace n cross join aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
    where n.oid = (select oid from home)
),
privilege as (
    select e.kind, regexp_replace(e.object, '^trueno\.', '') as object, e.columns, e.privilege,
        e.grantable,
        case when e.grantee = 0 then 'PUBLIC'
            else coalesce(r.name, e.grantee::regrole::text) end as grantee
    from entry e left join role r on r.oid = e.grantee
    where e.grantee <> e.owner
)"#;
