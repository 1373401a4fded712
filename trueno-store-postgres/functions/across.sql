-- Run as @system@, after context.sql. The closed list of work across organizations. Nothing else
-- crosses them.
--
-- Each function that anybody may call is SECURITY DEFINER with a pinned search path, is revoked from
-- PUBLIC, and answers ids, claims or counts only (`staged` answers events, to the sequencer alone).
-- What they look things up by lies in tables that nobody else reads (0008_organizations).
--
-- | function | who |
-- |---|---|
-- | memberships, create_organization | app |
-- | erase_organization: the organization that was entered, and no other | app |
-- | claim, heartbeat, settle_succeeded, recover_expired, queue_stats, forget_finished (queue.sql) | processor |
-- | redrive_job, discard_job: the organization that was entered (queue.sql) | app |
-- | queue_limits, set_queue_limits, pause_organization, pause_kind (queue.sql) | processor |
-- | queue_quota, queue_waits: the organization that was entered (queue.sql) | app, processor |
-- | enter_lease, enter_lease_to_read, enter_lease_to_finish: the organization of a lease | processor |
-- | lapse_exceptions; fold_finding_counts: the organization that was entered | processor |
-- | due_schedules, fire_schedule (scheduling.sql) | processor |
-- | vacuum_horizon: sessions of the server, of no organization (horizon.sql) | processor |
-- | staged, forget | sequencer |
-- | keep_member_lookup, keep_exception_due, keep_audit_outbox, keep_finding_counts: triggers | owner |
-- | keep_schedule_due: trigger (scheduling.sql) | owner |
-- | note_added, note_gone, note_waiting_again: triggers (queue.sql) | owner |
-- | queue_fold, queue_take, queue_lock (queue.sql) | nobody: called by functions of this role |

-- Asked for every request, so its plan is kept: one for large tables, whatever they are by then.
create or replace function memberships(the_user uuid)
returns table (organization_id uuid, role text)
language plpgsql stable security definer
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
set search_path = pg_catalog, "@schema@", pg_temp as $$
#variable_conflict use_column
begin
    return query
        select m.organization_id, m.role
        from member_lookup l
        cross join lateral (
            select m.organization_id, m.role from member m
            where m.organization_id = l.organization_id and m.user_id = l.user_id
            limit 1
        ) m
        where l.user_id = the_user
        order by m.organization_id;
end $$;

-- An id that an erased organization had is in use.
create or replace function create_organization(
    the_organization uuid, the_name text, the_owner uuid,
    the_event uuid, the_action text, the_targets jsonb, the_details jsonb
) returns timestamptz
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
declare
    born timestamptz;
begin
    insert into organization (organization_id, name) values (the_organization, the_name)
        returning created_at into born;
    -- After the insert, which waited for an erasure that had not ended.
    perform from erased_organization where organization_id = the_organization;
    if found then
        raise exception using errcode = 'unique_violation', message = 'the id was used before';
    end if;
    insert into member (organization_id, user_id, role)
        values (the_organization, the_owner, 'owner');
    insert into audit_staged (
        organization_id, id, actor_kind, actor_id, action, targets, details
    ) values (
        the_organization, the_event, 'member', the_owner, the_action, the_targets, the_details
    );
    return born;
end $$;

-- Deletes everything of the organization that was entered but its audit events, and leaves a mark so
-- that its id is never used again. Answers whether it was there.
create or replace function erase_organization() returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
declare
    -- Raises unless the context is valid, for the role that calls.
    org uuid := current_organization();
begin
    -- Leases first: whoever writes under one is waited for, and nobody can enter any more. They are
    -- locked in the order in which settling does it, so that neither waits for the other. Then the
    -- rows that everything new has to refer to: no job, account or member is added without the
    -- organization's, and nothing of an account without the account's.
    with held as materialized (
        select j.id from job j where j.organization_id = org order by j.id for update
    )
    delete from job j using held h where j.organization_id = org and j.id = h.id;
    perform from organization where organization_id = org for update;
    if not found then
        return false;
    end if;
    with held as materialized (
        select j.id from job j where j.organization_id = org order by j.id for update
    )
    delete from job j using held h where j.organization_id = org and j.id = h.id;
    perform from cloud_account where organization_id = org order by id for update;

    -- With a finding goes what hangs on it, added meanwhile or not.
    delete from finding where organization_id = org;
    delete from finding_count where organization_id = org;
    delete from sighting where organization_id = org;
    delete from resource where organization_id = org;
    delete from inventory where organization_id = org;
    delete from coverage where organization_id = org;
    delete from schedule where organization_id = org;
    delete from scan where organization_id = org;
    delete from cloud_account where organization_id = org;
    delete from job_history where organization_id = org;
    -- A claim that is at it has this row locked, and what jobs left behind came with them.
    perform from queue_organization where organization_id = org for update;
    delete from queue_note where organization_id = org;
    delete from queue_lane where organization_id = org;
    delete from queue_turn where organization_id = org;
    delete from queue_key where organization_id = org;
    delete from queue_organization where organization_id = org;
    delete from member where organization_id = org;
    insert into erased_organization (organization_id) values (org);
    delete from organization where organization_id = org;
    return true;
end $$;

-- The processor holds no key: its lease is its key. Fence and scope are one step: the job's row is
-- locked so that it cannot change hands before the transaction ends. The lock is KEY SHARE: whatever
-- ends a lease takes the row FOR UPDATE and waits, while a request to cancel does not have to.
create or replace function enter_lease(
    the_organization uuid, the_job uuid, the_token uuid, the_session uuid
) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    perform from job
        where organization_id = the_organization and id = the_job
            and status = 'running' and token = the_token and locked_by = the_session
        for key share;
    if not found then
        raise exception using errcode = 'TR002', message = 'the lease is no longer held';
    end if;
    perform from worker_session where id = the_session and expires_at > clock_timestamp();
    if not found then
        raise exception using errcode = 'TR002', message = 'the lease is no longer held';
    end if;
    perform context_enter_checked(the_organization);
end $$;

-- The same for a view: without the lock, which a read-only transaction cannot take and a reader
-- does not need.
create or replace function enter_lease_to_read(
    the_organization uuid, the_job uuid, the_token uuid, the_session uuid
) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    perform from job j join worker_session s on s.id = j.locked_by
        where j.organization_id = the_organization and j.id = the_job
            and j.status = 'running' and j.token = the_token and j.locked_by = the_session
            and s.expires_at > clock_timestamp();
    if not found then
        raise exception using errcode = 'TR002', message = 'the lease is no longer held';
    end if;
    perform context_enter_checked(the_organization);
end $$;

-- The same to end the job: locks it FOR UPDATE from the start, since two holders of a shared lock
-- that both want more wait for each other. Answers whether the same lease settled it before; only
-- if not was the organization entered.
create or replace function enter_lease_to_finish(
    the_organization uuid, the_job uuid, the_token uuid, the_session uuid
) returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
declare
    live job;
begin
    -- Only a row that the token was given for is locked: nobody else can wait for one, or tell by it.
    select * into live from job
        where organization_id = the_organization and id = the_job and token = the_token
        for update;
    if found then
        if live.status <> 'running' then
            return true;
        end if;
        perform from worker_session
            where id = the_session and id = live.locked_by and expires_at > clock_timestamp();
        if found then
            perform context_enter_checked(the_organization);
            return false;
        end if;
    else
        perform from job_history
            where organization_id = the_organization and id = the_job and token = the_token;
        if found then
            return true;
        end if;
    end if;
    -- One place to raise from: its line is part of the error, and would tell jobs from none.
    raise exception using errcode = 'TR002', message = 'the lease is no longer held';
end $$;

-- Ends up to `the_limit` exceptions whose time ran out by `the_now`, the longest over first: the steps
-- "lapsed" of the exception machine and "exception ended" of the finding machine, in SQL. The nth has
-- the nth event. A finding that somebody has locked is left for the next time.
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

-- Makes one row of what was written down for each check and status of an account of the organization
-- that was entered. Rows that another transaction folds are left to it.
create or replace function fold_finding_counts(the_account uuid) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
declare
    org uuid := current_organization();
begin
    with several as (
        select c.check_id, c.status, c.id from finding_count c
        where c.organization_id = org and c.account_id = the_account and exists (
            select from finding_count o
            where o.organization_id = org and o.account_id = the_account
                and o.check_id = c.check_id and o.status = c.status and o.id <> c.id
        )
        for update of c skip locked
    ), gone as (
        delete from finding_count c using several s
        where c.organization_id = org and c.account_id = the_account
            and c.check_id = s.check_id and c.status = s.status and c.id = s.id
        returning c.check_id, c.status, c.delta
    )
    insert into finding_count (organization_id, account_id, check_id, status, delta)
        select org, the_account, g.check_id, g.status, sum(g.delta) from gone g
        group by g.check_id, g.status having sum(g.delta) <> 0;
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

-- Functions of triggers (triggers.sql). Only this role writes what they keep, so that neither app nor
-- processor can make any of it up.

create or replace function keep_member_lookup() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    insert into member_lookup (organization_id, user_id)
        values (new.organization_id, new.user_id);
    return null;
end $$;

create or replace function keep_exception_due() returns trigger
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

create or replace function keep_audit_outbox() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    insert into audit_outbox (organization_id, event_id) values (new.organization_id, new.id);
    return null;
end $$;

-- Writes down how a statement changed the counts of findings: only ever adds rows, so that nobody
-- waits for anybody.
create or replace function keep_finding_counts() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    if tg_op = 'INSERT' then
        insert into finding_count (organization_id, account_id, check_id, status, delta)
            select n.organization_id, n.account_id, n.check_id, n.status, count(*)
            from new_rows n
            group by n.organization_id, n.account_id, n.check_id, n.status;
    elsif tg_op = 'DELETE' then
        insert into finding_count (organization_id, account_id, check_id, status, delta)
            select o.organization_id, o.account_id, o.check_id, o.status, -count(*)
            from old_rows o
            group by o.organization_id, o.account_id, o.check_id, o.status;
    else
        insert into finding_count (organization_id, account_id, check_id, status, delta)
            select d.organization_id, d.account_id, d.check_id, d.status, sum(d.delta)
            from (
                select n.organization_id, n.account_id, n.check_id, n.status, 1 as delta
                from new_rows n
                union all
                select o.organization_id, o.account_id, o.check_id, o.status, -1
                from old_rows o
            ) d
            group by d.organization_id, d.account_id, d.check_id, d.status
            having sum(d.delta) <> 0;
    end if;
    return null;
end $$;

do $$
declare
    mine regprocedure;
begin
    for mine in select oid from pg_proc
        where pronamespace = '"@schema@"'::regnamespace and proowner = '"@system@"'::regrole
    loop
        execute format('revoke all on function %s from public', mine);
    end loop;
end $$;
grant execute on function memberships(uuid) to "@app@";
grant execute on function create_organization(uuid, text, uuid, uuid, text, jsonb, jsonb) to "@app@";
grant execute on function erase_organization() to "@app@";
grant execute on function enter_lease(uuid, uuid, uuid, uuid) to "@processor@";
grant execute on function enter_lease_to_read(uuid, uuid, uuid, uuid) to "@processor@";
grant execute on function enter_lease_to_finish(uuid, uuid, uuid, uuid) to "@processor@";
grant execute on function lapse_exceptions(timestamptz, int, uuid[]) to "@processor@";
grant execute on function fold_finding_counts(uuid) to "@processor@";
grant execute on function staged(int) to "@sequencer@";
grant execute on function forget(uuid[]) to "@sequencer@";
-- To make triggers with them, which is all that a trigger's function can be used for.
grant execute on function
    keep_member_lookup(), keep_exception_due(), keep_audit_outbox(), keep_finding_counts()
    to "@owner@";
