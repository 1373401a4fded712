-- Run as @owner@, which owns every table.
--
-- Every key of tenant data starts with organization_id, so that no unique or foreign key can tell
-- one organization of another's rows. Keys that order lists collate byte by byte ("C"). Statuses are
-- text with CHECKs that mirror the state machines of trueno-core.

create table organization (
    organization_id uuid primary key,
    name text not null check (char_length(name) between 1 and 200),
    created_at timestamptz not null default clock_timestamp()
);

create table member (
    organization_id uuid not null references organization (organization_id),
    user_id uuid not null,
    role text not null check (role in ('owner', 'admin', 'approver', 'analyst', 'viewer')),
    created_at timestamptz not null default clock_timestamp(),
    primary key (organization_id, user_id)
);
-- For the membership lookup, which crosses organizations.
create index member_by_user on member (user_id);

create table cloud_account (
    organization_id uuid not null references organization (organization_id),
    id uuid not null,
    provider text not null check (provider in ('aws')),
    number text not null,
    name text not null check (char_length(name) between 1 and 200),
    access text check (access in ('ambient', 'assume_role')),
    role_arn text,
    external_id_hash bytea check (octet_length(external_id_hash) = 32),
    external_id_key text,
    external_id_generation bigint,
    regions text[] not null,
    status text not null
        check (status in ('pending', 'active', 'unverified', 'paused', 'disconnected')),
    created_at timestamptz not null default clock_timestamp(),
    version bigint not null default 1 check (version >= 1),
    primary key (organization_id, id),
    -- Disconnecting erases how to get in, and nothing else does.
    check ((status = 'disconnected') = (access is null)),
    check (
        num_nonnulls(role_arn, external_id_hash, external_id_key, external_id_generation)
            = case when access = 'assume_role' then 4 else 0 end
    )
);

create table scan (
    organization_id uuid not null,
    id uuid not null,
    account_id uuid not null,
    job_id uuid not null,
    kind text not null check (kind in ('inventory', 'cost', 'recommendation')),
    status text not null
        check (status in ('queued', 'running', 'succeeded', 'partial', 'failed', 'cancelled')),
    requested_by_kind text not null check (requested_by_kind in ('member', 'processor', 'system')),
    requested_by_id uuid,
    created_at timestamptz not null default clock_timestamp(),
    started_at timestamptz,
    finished_at timestamptz,
    error text,
    tasks bigint not null default 0 check (tasks >= 0),
    tasks_done bigint not null default 0 check (tasks_done >= 0),
    resources bigint not null default 0 check (resources >= 0),
    version bigint not null default 1 check (version >= 1),
    primary key (organization_id, id),
    -- A job runs one scan at the most.
    unique (organization_id, job_id),
    foreign key (organization_id, account_id) references cloud_account (organization_id, id),
    check ((requested_by_kind = 'system') = (requested_by_id is null)),
    check ((status in ('queued', 'running')) = (finished_at is null)),
    check (status <> 'queued' or started_at is null),
    check (status not in ('running', 'succeeded', 'partial') or started_at is not null),
    check ((status = 'failed') = (error is not null))
);
create index scan_by_account on scan (organization_id, account_id, id);

create table coverage (
    organization_id uuid not null,
    scan_id uuid not null,
    service text collate "C" not null,
    region text collate "C" not null,
    kind text collate "C" not null,
    status text not null check (status in (
        'complete', 'reading', 'not_enabled', 'denied', 'throttled', 'unreachable', 'undetermined'
    )),
    requests bigint not null check (requests >= 0),
    pages bigint not null check (pages >= 0),
    resources bigint not null check (resources >= 0),
    error_code text,
    checkpoint text,
    primary key (organization_id, scan_id, service, region, kind),
    foreign key (organization_id, scan_id) references scan (organization_id, id)
);

create table resource (
    organization_id uuid not null,
    account_id uuid not null,
    kind text collate "C" not null,
    region text collate "C" not null,
    native_id text collate "C" not null,
    name text,
    tags jsonb not null,
    attributes jsonb not null,
    -- The scan that saw it last.
    last_scan_id uuid not null,
    first_seen_at timestamptz not null default clock_timestamp(),
    last_seen_at timestamptz not null default clock_timestamp(),
    primary key (organization_id, account_id, kind, region, native_id),
    foreign key (organization_id, account_id) references cloud_account (organization_id, id)
);

create table finding (
    organization_id uuid not null,
    account_id uuid not null,
    key text collate "C" not null,
    check_id text not null,
    check_version bigint not null,
    parameters_hash text not null,
    resource_kind text not null,
    region text not null,
    native_id text not null,
    name text,
    tags jsonb not null,
    severity text not null check (severity in ('informational', 'low', 'medium', 'high')),
    evidence jsonb not null,
    -- All four, or none where the saving is not known: an unknown price is never 0.
    saving_micros bigint,
    saving_currency text check (saving_currency in ('USD')),
    saving_source text,
    saving_as_of text,
    conflict_group text,
    status text not null check (status in (
        'new', 'open', 'acknowledged', 'in_progress', 'resolved', 'suppressed', 'reopened'
    )),
    first_scan_id uuid not null,
    last_scan_id uuid not null,
    first_seen_at timestamptz not null default clock_timestamp(),
    last_seen_at timestamptz not null default clock_timestamp(),
    version bigint not null default 1 check (version >= 1),
    primary key (organization_id, account_id, key),
    foreign key (organization_id, account_id) references cloud_account (organization_id, id),
    check (num_nonnulls(saving_micros, saving_currency, saving_source, saving_as_of) in (0, 4))
);

-- Live jobs only; finished ones lie in job_history, so that a claim costs the same however long the
-- history is. No index names a lease column or the status: a claim is then an update in place (HOT).
create table job (
    organization_id uuid not null references organization (organization_id),
    id uuid not null,
    kind text not null check (char_length(kind) between 1 and 64),
    payload_version bigint not null,
    payload jsonb not null,
    dedupe_key text check (octet_length(dedupe_key) between 1 and 200),
    priority smallint not null,
    run_at timestamptz not null,
    max_attempts bigint not null check (max_attempts between 1 and 100),
    failed_attempts bigint not null default 0 check (failed_attempts >= 0),
    lost_leases bigint not null default 0 check (lost_leases >= 0),
    status text not null check (status in ('queued', 'running', 'failed')),
    cancel_requested boolean not null default false,
    created_at timestamptz not null,
    last_error text,
    -- The present lease, or the token that settled the last one.
    token uuid,
    locked_by uuid,
    locked_worker text,
    primary key (organization_id, id),
    check ((status = 'running') = (locked_by is not null)),
    check (status <> 'running' or token is not null),
    check (status = 'running' or not cancel_requested)
) with (fillfactor = 70);
create unique index job_dedupe on job (organization_id, kind, dedupe_key)
    where dedupe_key is not null;
create index job_order on job (organization_id, priority desc, run_at, id);

create table job_history (
    organization_id uuid not null references organization (organization_id),
    id uuid not null,
    kind text not null,
    payload_version bigint not null,
    payload jsonb not null,
    dedupe_key text,
    priority smallint not null,
    run_at timestamptz not null,
    max_attempts bigint not null,
    failed_attempts bigint not null,
    lost_leases bigint not null,
    status text not null check (status in ('succeeded', 'dead', 'cancelled')),
    cancel_requested boolean not null,
    created_at timestamptz not null,
    last_error text,
    -- The lease that ended it; none where it never ran or its holder vanished.
    token uuid,
    finished_at timestamptz not null default clock_timestamp(),
    primary key (organization_id, id)
) partition by range (id);
-- Job ids are time-ordered, so a range of ids is a range of time. Retention adds ranges beside it.
create table job_history_default partition of job_history default;

-- One row per worker session: its expiry, and where to look for the jobs that it holds (the truth
-- is in the jobs). Not tenant data: only definer functions reach it.
create table worker_session (
    id uuid primary key,
    worker text not null,
    opened_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    held_organizations uuid[] not null default '{}',
    held_jobs uuid[] not null default '{}',
    check (cardinality(held_organizations) = cardinality(held_jobs))
) with (fillfactor = 70);

create table audit_staged (
    organization_id uuid not null references organization (organization_id),
    id uuid not null,
    position bigint generated always as identity,
    occurred_at timestamptz not null default clock_timestamp(),
    actor_kind text not null check (actor_kind in ('member', 'processor', 'system')),
    actor_id uuid,
    action text not null,
    targets jsonb not null,
    details jsonb not null,
    primary key (organization_id, id),
    check ((actor_kind = 'system') = (actor_id is null))
);
create index audit_staged_order on audit_staged (position);
-- For the sequencer, which names events by their id alone.
create index audit_staged_by_id on audit_staged (id);

-- HMAC key blocks (RFC 2104: the key, padded to 64 bytes, xor 0x36 and 0x5c).
create table context_key (
    key_id text primary key,
    inner_pad bytea not null check (octet_length(inner_pad) = 64),
    outer_pad bytea not null check (octet_length(outer_pad) = 64),
    created_at timestamptz not null default clock_timestamp()
);
