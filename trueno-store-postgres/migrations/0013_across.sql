-- Run as @system@. Work across organizations looks things up in the tables of 0011_lookups. Extends the
-- closed list of 0005_across by three triggers; what is made again keeps its callers.
--
-- | function | who |
-- |---|---|
-- | keep_member_lookup, keep_exception_due, keep_audit_outbox: triggers, of the owner's tables | owner |

create function keep_member_lookup() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    insert into member_lookup (organization_id, user_id)
        values (new.organization_id, new.user_id);
    return null;
end $$;

create function keep_exception_due() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    if tg_op = 'INSERT' then
        insert into exception_due (organization_id, exception_id, expires_at)
            values (new.organization_id, new.id, new.expires_at);
    elsif new.status not in ('requested', 'approved') then
        delete from exception_due
            where organization_id = new.organization_id and exception_id = new.id;
    end if;
    return null;
end $$;

create function keep_audit_outbox() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    insert into audit_outbox (organization_id, event_id) values (new.organization_id, new.id);
    return null;
end $$;

create or replace function memberships(the_user uuid)
returns table (organization_id uuid, role text)
language sql stable security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
    select m.organization_id, m.role
    from member_lookup l
    join member m on m.organization_id = l.organization_id and m.user_id = l.user_id
    where l.user_id = the_user
    order by m.organization_id;
$$;

-- As in 0009_across, but for where it looks for what is due.
create or replace function lapse_exceptions(the_now timestamptz, the_limit int, the_events uuid[])
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
declare
    the record;
    nth int := 0;
begin
    for the in
        select e.organization_id, e.id, e.finding_id
        from exception_due d
        join finding_exception e
            on e.organization_id = d.organization_id and e.id = d.exception_id
        join finding f on f.organization_id = e.organization_id and f.id = e.finding_id
        where d.expires_at <= the_now
        order by d.expires_at, d.exception_id
        limit the_limit
        -- Whoever changes an exception has its finding locked.
        for no key update of f skip locked
    loop
        update finding_exception e
            set status = 'lapsed', changed_at = clock_timestamp(), version = e.version + 1
            where e.organization_id = the.organization_id and e.id = the.id
                -- Decided, or gone with its finding, just before the lock.
                and e.status in ('requested', 'approved');
        continue when not found;
        nth := nth + 1;
        with reopened as (
            update finding f set status = 'reopened', version = f.version + 1
            where f.organization_id = the.organization_id and f.id = the.finding_id
                and f.status = 'suppressed'
            returning f.version
        )
        insert into finding_change (
            organization_id, finding_id, version, actor_kind, change, from_status, to_status
        ) select
            the.organization_id, the.finding_id, r.version, 'system', 'status', 'suppressed', 'reopened'
        from reopened r;
        insert into audit_staged (
            organization_id, id, actor_kind, action, targets, details
        ) values (
            the.organization_id, the_events[nth], 'system', 'exception.lapsed',
            jsonb_build_array(
                jsonb_build_object('kind', 'exception', 'id', the.id),
                jsonb_build_object('kind', 'finding', 'id', the.finding_id)
            ),
            '{}'
        );
    end loop;
    return nth;
end $$;

create or replace function staged(the_limit int) returns setof audit_staged
language sql stable security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
    select a.* from audit_outbox o
    join audit_staged a on a.organization_id = o.organization_id and a.id = o.event_id
    order by o.position limit the_limit;
$$;

create or replace function forget(the_events uuid[]) returns void
language sql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
    delete from audit_outbox where event_id = any (the_events);
$$;

-- Without statistics (0014_isolation) the planner thinks that little waits, and would collect and sort
-- all of it: in the index's order, a claim reads as far as it takes.
alter function claim(uuid, text, text[], int, interval, uuid[]) set enable_bitmapscan = off;

revoke all on function keep_member_lookup(), keep_exception_due(), keep_audit_outbox() from public;
-- To make triggers with them, which is all that a trigger's function can be used for.
grant execute on function keep_member_lookup(), keep_exception_due(), keep_audit_outbox()
    to "@owner@";
