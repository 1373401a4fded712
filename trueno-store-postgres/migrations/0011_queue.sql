-- Run as @owner@. Lanes: how the jobs of many organizations share the workers.
--
-- A lane is what waits of one organization, kind, priority and concurrency key, in the order of run_at
-- and id. What is kept of an organization's lanes has one writer at a time: a claim, which has the
-- organization's row locked. Whoever adds jobs, or ends attempts, leaves a note in the transaction that
-- does it, and waits for nobody. So caps are exact, enqueueing never waits for a worker, and what a
-- claim costs depends on neither how much waits nor how much ran. functions/across.sql has the claim.

alter table job
    add column concurrency_key text not null default '' check (octet_length(concurrency_key) <= 200),
    -- How many may run under the key; 0 without one.
    add column concurrency_limit bigint not null default 0
        check (concurrency_limit between 0 and 10000),
    add column timeout_ms bigint check (timeout_ms > 0),
    add column backoff_base_ms bigint check (backoff_base_ms >= 0),
    add column backoff_cap_ms bigint check (backoff_cap_ms >= 0),
    -- The lane's name: a hash of what the lane's jobs have in common, so that its index is short
    -- whatever the key.
    add column lane uuid generated always as ((
        lpad(to_hex(hashtextextended(kind || ' ' || priority::text || ' ' ||
            concurrency_limit::text || ' ' || concurrency_key, 0)), 16, '0') ||
        lpad(to_hex(hashtextextended(kind || ' ' || priority::text || ' ' ||
            concurrency_limit::text || ' ' || concurrency_key, 1)), 16, '0')
    )::uuid) stored,
    add check ((concurrency_key = '') = (concurrency_limit = 0)),
    -- Why attempts failed, the oldest first: [{"at": …, "error": …}]. It says what last_error did.
    add column errors jsonb not null default '[]' check (jsonb_typeof(errors) = 'array'),
    add check ((backoff_base_ms is null) = (backoff_cap_ms is null));
drop index job_order;
-- Neither lease nor status: claiming a job touches no index.
create index job_lane on job (organization_id, lane, run_at, id);

alter table job_history
    add column concurrency_key text not null default '',
    add column concurrency_limit bigint not null default 0,
    add column timeout_ms bigint,
    add column backoff_base_ms bigint,
    add column backoff_cap_ms bigint,
    add column errors jsonb not null default '[]',
    -- What its handler left.
    add column result jsonb;
-- The dead letters.
create index job_dead on job_history (organization_id, id) where status = 'dead';
grant update (status) on job_history to "@system@";
grant insert (organization_id, id, kind, payload_version, payload, dedupe_key, priority, run_at,
    max_attempts, status, created_at, errors, concurrency_key, concurrency_limit, timeout_ms,
    backoff_base_ms, backoff_cap_ms) on job to "@system@";

-- An organization's place in the queue. Made when it first needs one.
create table queue_organization (
    organization_id uuid primary key references organization (organization_id) on delete cascade,
    weight bigint not null default 1 check (weight between 1 and 1000),
    max_running bigint check (max_running >= 1),
    max_live bigint check (max_live >= 1),
    paused boolean not null default false,
    -- Jobs that wait or run, and that run. Notes tell what happened since.
    live bigint not null default 0 check (live >= 0),
    running bigint not null default 0 check (running >= 0),
    -- Jobs that it may still begin before the next one's turn.
    credit bigint not null default 0 check (credit >= 0),
    -- Whether the latest claim was its turn.
    is_served boolean not null default false
) with (fillfactor = 50);

-- Since when each organization waits to be served jobs of a kind: who waits longest is next.
create table queue_turn (
    organization_id uuid not null,
    kind text collate "C" not null,
    turn timestamptz not null,
    primary key (organization_id, kind)
) with (fillfactor = 50);
create index queue_turn_order on queue_turn (kind, turn);

create table queue_lane (
    organization_id uuid not null,
    lane uuid not null,
    kind text collate "C" not null,
    priority smallint not null,
    concurrency_key text collate "C" not null,
    concurrency_limit bigint not null,
    -- No job that waits comes before this one: a claim looks from here on, and not at what ran.
    head_at timestamptz not null,
    head_id uuid not null,
    -- Nothing can begin before; infinity for a lane that is empty, or waits for its concurrency key.
    due_at timestamptz not null,
    primary key (organization_id, lane)
) with (fillfactor = 50);
create index queue_lane_due on queue_lane (organization_id, kind, due_at);
create index queue_lane_key on queue_lane (organization_id, concurrency_key)
    where concurrency_key <> '';

-- How many jobs run under a concurrency key.
create table queue_key (
    organization_id uuid not null,
    concurrency_key text collate "C" not null,
    running bigint not null check (running >= 0),
    primary key (organization_id, concurrency_key)
) with (fillfactor = 50);

-- What the next claim has to know of an organization's jobs.
create table queue_note (
    organization_id uuid not null,
    position bigint generated always as identity,
    -- Jobs that may begin: their lane, and from when on. None for ends.
    lane uuid,
    kind text collate "C",
    priority smallint,
    ready_at timestamptz,
    concurrency_key text collate "C" not null,
    concurrency_limit bigint not null,
    added bigint not null default 0,
    -- Jobs that are no longer live, and places that are free again.
    ended bigint not null default 0,
    freed bigint not null default 0,
    primary key (organization_id, position),
    check (num_nonnulls(lane, kind, priority, ready_at) in (0, 4))
);
create index queue_note_order on queue_note (position, organization_id);

-- Kinds that an operator holds back. Of no organization: only definer functions reach it.
create table queue_paused_kind (
    kind text collate "C" primary key
);

-- What a worker session was given by each claim: where to look for what it holds (the truth is in
-- the jobs). Not tenant data: only definer functions reach it.
create table worker_batch (
    session_id uuid not null references worker_session (id) on delete cascade,
    batch bigint generated always as identity,
    organization_ids uuid[] not null,
    job_ids uuid[] not null,
    primary key (session_id, batch),
    check (cardinality(organization_ids) = cardinality(job_ids))
);
-- Policies bind the owner too: lifted to keep what is held.
alter table worker_session no force row level security;
insert into worker_batch (session_id, organization_ids, job_ids)
    select id, held_organizations, held_jobs from worker_session where cardinality(held_jobs) > 0;
alter table worker_session force row level security;
alter table worker_session
    drop column held_organizations,
    drop column held_jobs,
    -- The kinds that it ever asked for.
    add column kinds text[] not null default '{}';

-- As above, to note what is there already.
alter table job no force row level security;
alter table job_history no force row level security;
update job set errors = jsonb_build_array(
        jsonb_build_object('at', clock_timestamp(), 'error', last_error)
    ) where last_error is not null;
update job_history set errors = jsonb_build_array(
        jsonb_build_object('at', finished_at, 'error', last_error)
    ) where last_error is not null;
alter table job drop column last_error;
alter table job_history drop column last_error;
alter table job_history force row level security;
insert into queue_organization (organization_id, live, running)
    select organization_id, count(*), count(*) filter (where status = 'running')
    from job group by organization_id;
insert into queue_note (
    organization_id, lane, kind, priority, ready_at, concurrency_key, concurrency_limit
)
    select organization_id, lane, kind, priority, min(run_at), concurrency_key, concurrency_limit
    from job group by organization_id, lane, kind, priority, concurrency_key, concurrency_limit;
alter table job force row level security;

do $$
declare
    the record;
    keeps_none text;
begin
    for the in
        select c.oid, c.relname as name from pg_class c
        where c.relnamespace = '"@schema@"'::regnamespace and c.relname in (
            'queue_organization', 'queue_turn', 'queue_lane', 'queue_key', 'queue_note',
            'queue_paused_kind', 'worker_batch'
        )
    loop
        execute format('alter table %I enable row level security', the.name);
        execute format('alter table %I force row level security', the.name);
        execute format(
            'create policy across on %I to "@system@" using (true) with check (true)', the.name
        );
        execute format('grant select, insert, update, delete on %I to "@system@"', the.name);
    end loop;
    -- As 0009_isolation does.
    for the in
        select c.oid, c.oid::regclass as name from pg_class c
        where c.relnamespace = '"@schema@"'::regnamespace and c.relkind in ('r', 'p') and c.relname in (
            'job', 'job_history', 'job_history_default',
            'queue_organization', 'queue_turn', 'queue_lane', 'queue_key', 'queue_note'
        )
    loop
        select string_agg(format('alter column %I set statistics 0', a.attname), ', ')
            into keeps_none
            from pg_attribute a
            where a.attrelid = the.oid and a.attnum > 0 and not a.attisdropped;
        execute format('alter table %s %s', the.name, keeps_none);
    end loop;
end $$;
