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
-- | claim, heartbeat, recover_expired, queue_stats | processor |
-- | enter_lease, enter_lease_to_read, enter_lease_to_finish: the organization of a lease | processor |
-- | lapse_exceptions; fold_finding_counts: the organization that was entered | processor |
-- | staged, forget | sequencer |
-- | keep_member_lookup, keep_exception_due, keep_audit_outbox, keep_finding_counts: triggers | owner |
-- | session_compact | nobody: called by functions of this role |

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
    -- Leases first: whoever writes under one is waited for, and nobody can enter any more. Then the
    -- rows that everything new has to refer to: no job, account or member is added without the
    -- organization's, and nothing of an account without the account's.
    delete from job where organization_id = org;
    perform from organization where organization_id = org for update;
    if not found then
        return false;
    end if;
    delete from job where organization_id = org;
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
    delete from member where organization_id = org;
    insert into erased_organization (organization_id) values (org);
    delete from organization where organization_id = org;
    return true;
end $$;

-- Drops from a session's list the jobs that it no longer holds.
create or replace function session_compact(the_session uuid) returns void
language sql volatile
set search_path = pg_catalog, "@schema@", pg_temp as $$
    update worker_session s set
        held_organizations = coalesce(h.organizations, '{}'), held_jobs = coalesce(h.jobs, '{}')
    from (
        select array_agg(j.organization_id) as organizations, array_agg(j.id) as jobs
        from worker_session w
        cross join lateral unnest(w.held_organizations, w.held_jobs) as l (organization_id, id)
        join job j on j.organization_id = l.organization_id and j.id = l.id
        where w.id = the_session and j.status = 'running' and j.locked_by = w.id
    ) h
    where s.id = the_session and cardinality(s.held_jobs) <> coalesce(cardinality(h.jobs), 0);
$$;

-- Opens the session, or extends it; hands out up to `the_limit` due jobs, the nth under the nth
-- token. Organizations that wait take turns: each gets an equal share of the batch, in an order that
-- is drawn anew each time so that none is always last, until the batch is full or nothing is due.
--
-- Without statistics (0009_isolation) the planner thinks that little waits, and would collect and sort
-- all of it: in the index's order, a claim reads as far as it takes.
create or replace function claim(
    the_session uuid, the_worker text, the_kinds text[], the_limit int, the_lease interval,
    the_tokens uuid[]
) returns table (
    organization_id uuid, id uuid, token uuid, kind text, payload_version bigint, payload jsonb,
    failed_attempts bigint, max_attempts bigint, lost_leases bigint, created_at timestamptz,
    expires_at timestamptz
)
language plpgsql volatile security definer
set enable_bitmapscan = off
set search_path = pg_catalog, "@schema@", pg_temp as $$
#variable_conflict use_column
declare
    moment timestamptz := clock_timestamp();
    until timestamptz;
    waiting uuid[];
    org uuid;
    share int;
    taken int := 0;
    before int;
    the record;
    new_organizations uuid[] := '{}';
    new_jobs uuid[] := '{}';
begin
    insert into worker_session as s (id, worker, expires_at)
        values (the_session, the_worker, moment + the_lease)
        -- Never shorter: what the session holds was promised for longer.
        on conflict (id) do update set
            worker = the_worker, expires_at = greatest(s.expires_at, moment + the_lease)
            where s.expires_at > moment
        returning s.expires_at into until;
    if not found then
        raise exception using errcode = 'TR002', message = 'the worker session is over';
    end if;

    -- One index probe for each organization with live jobs, however many jobs it has.
    with recursive present (organization) as (
        select min_org.o from (
            select j.organization_id as o from job j order by j.organization_id limit 1
        ) min_org
        union all
        select (
            select j.organization_id from job j where j.organization_id > p.organization
            order by j.organization_id limit 1
        ) from present p where p.organization is not null
    )
    select array_agg(p.organization order by random()) into waiting
        from present p where p.organization is not null;

    while taken < the_limit and cardinality(waiting) > 0 loop
        before := taken;
        share := greatest(1, (the_limit - taken) / cardinality(waiting));
        foreach org in array waiting loop
            exit when taken >= the_limit;
            for the in
                with due as materialized (
                    select j.id, j.priority, j.run_at from job j
                    where j.organization_id = org and j.status in ('queued', 'failed')
                        and j.run_at <= moment and j.kind = any (the_kinds)
                    order by j.priority desc, j.run_at, j.id
                    limit least(share, the_limit - taken)
                    for update skip locked
                ), numbered as (
                    select d.id, row_number() over (order by d.priority desc, d.run_at, d.id) as nth
                    from due d
                ), held as (
                    update job j set
                        status = 'running', token = the_tokens[(taken + n.nth)::int],
                        locked_by = the_session, locked_worker = the_worker
                    from numbered n where j.organization_id = org and j.id = n.id
                    returning n.nth, j.*
                )
                select h.* from held h order by h.nth
            loop
                organization_id := the.organization_id;
                id := the.id;
                token := the.token;
                kind := the.kind;
                payload_version := the.payload_version;
                payload := the.payload;
                failed_attempts := the.failed_attempts;
                max_attempts := the.max_attempts;
                lost_leases := the.lost_leases;
                created_at := the.created_at;
                expires_at := until;
                new_organizations := new_organizations || the.organization_id;
                new_jobs := new_jobs || the.id;
                return next;
            end loop;
            taken := cardinality(new_jobs);
        end loop;
        exit when taken = before;
    end loop;

    if taken > 0 then
        perform session_compact(the_session);
        -- A job that this session gave back and was handed again is on its list already: twice there,
        -- it would be recovered twice.
        update worker_session s set
            held_organizations = s.held_organizations || n.organizations,
            held_jobs = s.held_jobs || n.jobs
        from (
            select array_agg(l.organization_id) as organizations, array_agg(l.id) as jobs
            from unnest(new_organizations, new_jobs) as l (organization_id, id)
            where not exists (
                select from worker_session w
                cross join lateral unnest(w.held_organizations, w.held_jobs) as h (organization_id, id)
                where w.id = the_session
                    and h.organization_id = l.organization_id and h.id = l.id
            )
        ) n
        where s.id = the_session and n.jobs is not null;
    end if;
end $$;

-- Extends a session, and answers the leases that it still holds: one row at least, with nulls where
-- there are none.
create or replace function heartbeat(the_session uuid, the_lease interval)
returns table (
    expires_at timestamptz, organization_id uuid, id uuid, token uuid, cancel_requested boolean
)
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
#variable_conflict use_column
declare
    moment timestamptz := clock_timestamp();
begin
    update worker_session s set expires_at = greatest(s.expires_at, moment + the_lease)
        where s.id = the_session and s.expires_at > moment;
    if not found then
        raise exception using errcode = 'TR002', message = 'the worker session is over';
    end if;
    perform session_compact(the_session);
    return query
        select s.expires_at, j.organization_id, j.id, j.token, j.cancel_requested
        from worker_session s
        left join lateral (
            select j.* from unnest(s.held_organizations, s.held_jobs) as l (organization_id, id)
            join job j on j.organization_id = l.organization_id and j.id = l.id
            where j.status = 'running' and j.locked_by = s.id
        ) j on true
        where s.id = the_session
        order by j.organization_id, j.id;
end $$;

-- Takes up to `the_limit` jobs back from sessions whose time ran out: the step "lease expired" of
-- the job machine, in SQL. A job that a writer has locked is left for the next time; the writer finds
-- out at its commit. Once the job is dead or cancelled its scan, if it runs one, ends with it and an
-- event is staged.
create or replace function recover_expired(
    the_limit int, lost_lease_limit bigint, crash_looped text, the_events uuid[]
) returns table (requeued bigint, dead bigint, cancelled bigint)
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
#variable_conflict use_column
declare
    moment timestamptz := clock_timestamp();
    the record;
    next_status text;
    reason text;
    the_scan uuid;
    nth int := 0;
begin
    requeued := 0;
    dead := 0;
    cancelled := 0;
    for the in
        select j.organization_id, j.id, j.lost_leases + 1 as lost, j.cancel_requested, j.last_error
        from worker_session s
        cross join lateral unnest(s.held_organizations, s.held_jobs) as l (organization_id, id)
        join job j on j.organization_id = l.organization_id and j.id = l.id
        where s.expires_at <= moment and j.status = 'running' and j.locked_by = s.id
        limit the_limit
        for update of j skip locked
    loop
        nth := nth + 1;
        next_status := case
            when the.cancel_requested then 'cancelled'
            when the.lost >= lost_lease_limit then 'dead'
            else 'queued'
        end;
        if next_status = 'queued' then
            update job j set status = 'queued', lost_leases = the.lost, token = null,
                locked_by = null, locked_worker = null
                where j.organization_id = the.organization_id and j.id = the.id;
            requeued := requeued + 1;
            continue;
        end if;
        reason := case when next_status = 'dead' then crash_looped end;
        with gone as (
            delete from job j where j.organization_id = the.organization_id and j.id = the.id
            returning j.*
        )
        insert into job_history (
            organization_id, id, kind, payload_version, payload, dedupe_key, priority, run_at,
            max_attempts, failed_attempts, lost_leases, status, cancel_requested, created_at,
            last_error, token
        ) select
            organization_id, id, kind, payload_version, payload, dedupe_key, priority, run_at,
            max_attempts, failed_attempts, the.lost, next_status, cancel_requested, created_at,
            coalesce(reason, last_error), null
        from gone;
        the_scan := null;
        update scan s set
            status = case when next_status = 'dead' then 'failed' else 'cancelled' end,
            finished_at = clock_timestamp(), error = reason, version = s.version + 1
            where s.organization_id = the.organization_id and s.job_id = the.id
                and s.status in ('queued', 'running')
            returning s.id into the_scan;
        if the_scan is not null then
            insert into audit_staged (
                organization_id, id, actor_kind, action, targets, details
            ) values (
                the.organization_id, the_events[nth], 'system', 'job.' || next_status,
                jsonb_build_array(
                    jsonb_build_object('kind', 'job', 'id', the.id),
                    jsonb_build_object('kind', 'scan', 'id', the_scan)
                ),
                case when reason is null then '{}' else jsonb_build_object('reason', reason) end
            );
        end if;
        if next_status = 'dead' then
            dead := dead + 1;
        else
            cancelled := cancelled + 1;
        end if;
    end loop;

    -- Sessions that hold nothing are kept for a week, so that a late worker is still told that its
    -- session is over; ids of sessions are never used twice.
    delete from worker_session s
        where s.expires_at < moment - interval '7 days' and not exists (
            select from unnest(s.held_organizations, s.held_jobs) as l (organization_id, id)
            join job j on j.organization_id = l.organization_id and j.id = l.id
            where j.locked_by = s.id
        );
    return next;
end $$;

create or replace function queue_stats() returns table (due bigint, scheduled bigint, running bigint)
language sql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
    select
        count(*) filter (where status <> 'running' and run_at <= clock_timestamp()),
        count(*) filter (where status <> 'running' and run_at > clock_timestamp()),
        count(*) filter (where status = 'running')
    from job;
$$;

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
grant execute on function claim(uuid, text, text[], int, interval, uuid[]) to "@processor@";
grant execute on function heartbeat(uuid, interval) to "@processor@";
grant execute on function recover_expired(int, bigint, text, uuid[]) to "@processor@";
grant execute on function queue_stats() to "@processor@";
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
