-- Run as @system@, after queue.sql. Schedules of every organization, as they fire. The head of across.sql
-- lists these functions.

drop function if exists fire_schedule(
    uuid, uuid, timestamptz, timestamptz, timestamptz, bigint, jsonb, uuid, uuid, uuid, text,
    bigint, jsonb, text, smallint, timestamptz, bigint, text, bigint, bigint, bigint, bigint
); -- until 13

-- Up to `the_limit` schedules that are due, after a place in their order, or from its start on
-- where that is null. The moment is that of the statement.
create or replace function due_schedules(
    after_due timestamptz, after_organization uuid, after_schedule uuid, the_limit int
) returns table (
    organization_id uuid, id uuid, account_id uuid, kind text, cron text, time_zone text, missed text,
    jitter bigint, due_at timestamptz, moment timestamptz
)
language sql stable security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
    select s.organization_id, s.id, s.account_id, s.kind, s.cron, s.time_zone, s.missed, s.jitter,
        d.due_at, statement_timestamp()
    from schedule_due d
    join schedule s on s.organization_id = d.organization_id and s.id = d.schedule_id
    where d.due_at <= statement_timestamp()
        and (d.due_at, d.organization_id, d.schedule_id)
            > (
                coalesce(after_due, '-infinity'),
                coalesce(after_organization, '00000000-0000-0000-0000-000000000000'),
                coalesce(after_schedule, '00000000-0000-0000-0000-000000000000')
            )
    order by d.due_at, d.organization_id, d.schedule_id
    limit the_limit;
$$;

-- Moves a schedule from the tick that it is due at to the next one, with scan, job and event of the tick
-- to run (none without a scan). Without a next tick it is parked, and the details say why. Answers what
-- became of it: 'enqueued', 'moved', why it was not run, or
-- what changed nothing: 'already_fired', 'busy' (somebody has a row locked that this needs) and 'early'
-- (the tick has not come by this clock).
--
-- Rows are locked in the order in which an erasure locks them, and none of them is waited for; what is
-- waited for (another job under the same dedupe key) is so for 2 s at the most.
create or replace function fire_schedule(
    the_organization uuid, the_schedule uuid, the_due_at timestamptz, the_next timestamptz,
    the_tick timestamptz, passed_over bigint, the_details jsonb, the_event uuid, the_scan uuid,
    the_job uuid, the_kind text, the_payload_version bigint, the_payload jsonb,
    the_dedupe_scope text, the_dedupe_key text,
    the_priority smallint, the_run_at timestamptz, the_max_attempts bigint, the_concurrency_key text,
    the_concurrency_limit bigint, the_timeout_ms bigint, the_backoff_base_ms bigint,
    the_backoff_cap_ms bigint
) returns text
language plpgsql volatile security definer
set lock_timeout = '2s'
set enable_seqscan = off
set search_path = pg_catalog, "@schema@", pg_temp as $$
declare
    -- What a trigger or an index may not have got wrong is read from the schedule itself.
    the schedule;
    account_status text;
    moment timestamptz := clock_timestamp();
    outcome text;
    targets jsonb;
begin
    select * into the from schedule s
        where s.organization_id = the_organization and s.id = the_schedule
            and s.next_run_at = the_due_at;
    if not found then
        return 'already_fired';
    end if;
    if greatest(the_due_at, the_tick) > moment then
        return 'early';
    end if;
    perform from organization o where o.organization_id = the_organization
        for key share skip locked;
    if not found then
        return 'busy';
    end if;
    select a.status into account_status from cloud_account a
        where a.organization_id = the_organization and a.id = the.account_id
        for share skip locked;
    if not found then
        return 'busy';
    end if;
    perform from schedule s
        where s.organization_id = the_organization and s.id = the_schedule
            and s.next_run_at = the_due_at
        for no key update skip locked;
    if not found then
        -- It was fired between the look above and the lock, or somebody has it.
        perform from schedule s
            where s.organization_id = the_organization and s.id = the_schedule
                and s.next_run_at = the_due_at;
        return case when found then 'busy' else 'already_fired' end;
    end if;

    update schedule s set next_run_at = the_next
        where s.organization_id = the_organization and s.id = the_schedule;

    outcome := case
        when the_scan is null then 'moved'
        -- may_scan of the cloud account's machine.
        when account_status <> 'active' then 'account_not_active'
        -- The quota as queue_quota has it, for an organization that was not entered.
        when exists (
            select from queue_organization o
            where o.organization_id = the_organization and o.max_live is not null
                and o.live + coalesce((
                    select sum(n.added - n.ended) from queue_note n
                    where n.organization_id = the_organization
                ), 0) >= o.max_live
        ) then 'quota_reached'
    end;
    if outcome is null then
        perform from job_history h where h.organization_id = the_organization and h.id = the_job
            union all
            select from job j where j.organization_id = the_organization and j.id = the_job;
        if found then
            raise exception using errcode = 'TR003', message = 'the job id is in use';
        end if;
        insert into job (
            organization_id, id, kind, payload_version, payload, dedupe_scope, dedupe_key,
            priority, run_at,
            max_attempts, status, created_at, concurrency_key, concurrency_limit, timeout_ms,
            backoff_base_ms, backoff_cap_ms
        ) values (
            the_organization, the_job, the_kind, the_payload_version, the_payload,
            the_dedupe_scope, the_dedupe_key,
            the_priority, coalesce(the_run_at, moment), the_max_attempts, 'queued', moment,
            the_concurrency_key, the_concurrency_limit, the_timeout_ms, the_backoff_base_ms,
            the_backoff_cap_ms
        ) on conflict (organization_id, dedupe_scope, dedupe_key)
            where dedupe_key is not null do nothing;
        if found then
            insert into scan (
                organization_id, id, account_id, job_id, kind, status, requested_by_kind,
                requested_by_id
            ) values (
                the_organization, the_scan, the.account_id, the_job, the.kind, 'queued', 'schedule',
                the_schedule
            );
            outcome := 'enqueued';
        else
            outcome := 'scan_live';
        end if;
    end if;

    if outcome = 'moved' and passed_over = 0 and the_next is not null then
        return outcome;
    end if;
    targets := jsonb_build_array(
        jsonb_build_object('kind', 'schedule', 'id', the_schedule),
        jsonb_build_object('kind', 'cloud_account', 'id', the.account_id)
    );
    insert into audit_staged (organization_id, id, actor_kind, actor_id, action, targets, details)
        values (
            the_organization, the_event, 'schedule', the_schedule,
            case
                when outcome = 'enqueued' then 'schedule.fired'
                when outcome = 'moved' and the_next is null then 'schedule.parked'
                else 'schedule.passed_over'
            end,
            case outcome
                when 'enqueued' then
                    targets || jsonb_build_array(jsonb_build_object('kind', 'scan', 'id', the_scan))
                else targets
            end,
            case
                when outcome = 'enqueued' then the_details
                when outcome = 'moved' and the_next is null then the_details
                when outcome = 'moved' then the_details || jsonb_build_object('reason', 'missed')
                else the_details || jsonb_build_object('reason', outcome)
            end
        );
    return outcome;
end $$;

-- The function of a trigger (triggers.sql), which only this role can use to write what it keeps.
create or replace function keep_schedule_due() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    if new.next_run_at is null then
        delete from schedule_due d
            where d.organization_id = new.organization_id and d.schedule_id = new.id;
    else
        insert into schedule_due (organization_id, schedule_id, due_at)
            values (new.organization_id, new.id, new.next_run_at)
            on conflict (organization_id, schedule_id) do update set due_at = excluded.due_at;
    end if;
    return null;
end $$;

revoke all on function
    due_schedules(timestamptz, uuid, uuid, int),
    fire_schedule(
        uuid, uuid, timestamptz, timestamptz, timestamptz, bigint, jsonb, uuid, uuid, uuid, text,
        bigint, jsonb, text, text, smallint, timestamptz, bigint, text, bigint, bigint, bigint,
        bigint
    ),
    keep_schedule_due()
    from public;
grant execute on function
    due_schedules(timestamptz, uuid, uuid, int),
    fire_schedule(
        uuid, uuid, timestamptz, timestamptz, timestamptz, bigint, jsonb, uuid, uuid, uuid, text,
        bigint, jsonb, text, text, smallint, timestamptz, bigint, text, bigint, bigint, bigint,
        bigint
    )
    to "@processor@";
grant execute on function keep_schedule_due() to "@owner@";
