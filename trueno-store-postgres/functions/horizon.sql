-- Run as @system@, after context.sql. Who keeps vacuum from taking away what is dead. What is here belongs
-- to the closed list of work across organizations that heads across.sql.

-- Whatever has held the horizon of this database back for longest; no row where nothing does. It names
-- sessions and what they are, never what they say: no query, no row of anybody.
--
-- The server hides from other roles what a session does and since when, and nothing else of what is told
-- here: state, since and state_since are null unless pg_read_all_stats was granted to @system@, which is
-- for an administrator to do. Vacuum itself, whose snapshots hold nothing back, and the server's own
-- processes are left out. So are other databases: what holds their horizon back holds back this one's
-- shared catalogs only, unless it writes; then snapshots that are taken here meanwhile are as old.
create or replace function vacuum_horizon() returns table (
    looked_at timestamptz, holder text, pid bigint, name text, login text, state text,
    since timestamptz, state_since timestamptz, xid bigint, transactions bigint
)
language sql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
    select clock_timestamp(), h.holder, h.pid::bigint, nullif(h.name, ''), h.login, h.state, h.since,
        h.state_since, h.xid::text::bigint, age(h.xid)::bigint
    from (
        select 'session' as holder, a.pid, a.application_name as name, a.usename::text as login, a.state,
            a.xact_start as since, a.state_change as state_since,
            case when age(a.backend_xmin) >= age(a.backend_xid) or a.backend_xid is null
                then a.backend_xmin else a.backend_xid end as xid,
            a.backend_xid
        from pg_stat_activity a
        where a.usesysid is not null and a.pid <> pg_backend_pid()
            and (a.datid is null or a.datname = current_database())
            and not exists (select from pg_stat_progress_vacuum v where v.pid = a.pid)
        union all
        select 'prepared_transaction', null, p.gid, p.owner::text, null, p.prepared, null,
            p.transaction, p.transaction
        from pg_prepared_xacts p where p.database = current_database()
        union all
        select 'replication_slot', s.active_pid, s.slot_name::text, null,
            case when s.active then 'active' else 'inactive' end, null, null,
            case when age(s.xmin) >= age(s.catalog_xmin) or s.catalog_xmin is null
                then s.xmin else s.catalog_xmin end,
            null
        from pg_replication_slots s where s.database is null or s.database = current_database()
    ) h
    where h.xid is not null
    -- Who writes makes the snapshots of others as old as itself: of those that are, it comes first.
    order by age(h.xid) desc, h.backend_xid = h.xid desc nulls last, h.since nulls last, h.pid
    limit 1;
$$;

revoke all on function vacuum_horizon() from public;
grant execute on function vacuum_horizon() to "@processor@";
