-- Run as @system@. The closed list of work across organizations. Nothing else crosses them.
--
-- Each function is SECURITY DEFINER with a pinned search path, is revoked from PUBLIC, and answers
-- ids, claims or counts only (`staged` answers events, to the sequencer alone).
--
-- | function | who |
-- |---|---|
-- | memberships, create_organization | app |
-- | claim, heartbeat, recover_expired, queue_stats | processor |
-- | staged, forget | sequencer |

create function memberships(the_user uuid)
returns table (organization_id uuid, role text)
language sql stable security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
    select m.organization_id, m.role from member m where m.user_id = the_user
    order by m.organization_id;
$$;

create function create_organization(
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
    insert into member (organization_id, user_id, role)
        values (the_organization, the_owner, 'owner');
    insert into audit_staged (
        organization_id, id, actor_kind, actor_id, action, targets, details
    ) values (
        the_organization, the_event, 'member', the_owner, the_action, the_targets, the_details
    );
    return born;
end $$;

-- Drops from a session's list the jobs that it no longer holds.
create function session_compact(the_session uuid) returns void
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
create function claim(
    the_session uuid, the_worker text, the_kinds text[], the_limit int, the_lease interval,
    the_tokens uuid[]
) returns table (
    organization_id uuid, id uuid, token uuid, kind text, payload_version bigint, payload jsonb,
    failed_attempts bigint, max_attempts bigint, lost_leases bigint, created_at timestamptz,
    expires_at timestamptz
)
language plpgsql volatile security definer
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
create function heartbeat(the_session uuid, the_lease interval)
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
create function recover_expired(
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

create function queue_stats() returns table (due bigint, scheduled bigint, running bigint)
language sql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
    select
        count(*) filter (where status <> 'running' and run_at <= clock_timestamp()),
        count(*) filter (where status <> 'running' and run_at > clock_timestamp()),
        count(*) filter (where status = 'running')
    from job;
$$;

create function staged(the_limit int) returns setof audit_staged
language sql stable security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
    select * from audit_staged order by position limit the_limit;
$$;

create function forget(the_events uuid[]) returns void
language sql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
    delete from audit_staged where id = any (the_events);
$$;

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
grant execute on function claim(uuid, text, text[], int, interval, uuid[]) to "@processor@";
grant execute on function heartbeat(uuid, interval) to "@processor@";
grant execute on function recover_expired(int, bigint, text, uuid[]) to "@processor@";
grant execute on function queue_stats() to "@processor@";
grant execute on function staged(int) to "@sequencer@";
grant execute on function forget(uuid[]) to "@sequencer@";
