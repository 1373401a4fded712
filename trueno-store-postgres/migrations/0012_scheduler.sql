-- Run as @owner@. Schedules that fire: when each is due next, and what becomes of what was missed.

alter table schedule
    add column missed text not null default 'run_once'
        check (missed in ('skip', 'run_once', 'run_all')),
    -- Seconds.
    add column jitter bigint not null default 0 check (jitter between 0 and 3600),
    -- The tick that is due next, before the jitter.
    add column next_run_at timestamptz;

-- Ticks count from here on: the first step takes the first occurrence after it. Policies bind the
-- owner too, and give it nothing: lifted for what is filled in here.
alter table schedule no force row level security;
update schedule set next_run_at = clock_timestamp() where status = 'active';
alter table schedule force row level security;
alter table schedule
    alter column missed drop default,
    alter column jitter drop default,
    add check (status = 'active' or next_run_at is null);
grant insert (missed, jitter, next_run_at), update (next_run_at) on schedule to "@app@";

-- Schedules that are followed, of every organization: for due_schedules (0008_organizations says why
-- it is a table of its own).
create table schedule_due (
    organization_id uuid not null,
    schedule_id uuid not null,
    due_at timestamptz not null,
    primary key (organization_id, schedule_id),
    foreign key (organization_id, schedule_id) references schedule (organization_id, id)
        on delete cascade
);
create index schedule_due_order on schedule_due (due_at, organization_id, schedule_id);

alter table schedule no force row level security;
insert into schedule_due (organization_id, schedule_id, due_at)
    select organization_id, id, next_run_at from schedule where next_run_at is not null;
alter table schedule force row level security;

alter table schedule_due enable row level security;
alter table schedule_due force row level security;
create policy across on schedule_due to "@system@" using (true) with check (true);
grant select, insert, update, delete on schedule_due to "@system@";

-- A schedule acts, through the definer function that fires it and nothing else.
alter table scan
    drop constraint scan_requested_by_kind_check,
    add constraint scan_requested_by_kind_check
        check (requested_by_kind in ('member', 'processor', 'schedule', 'system'));
alter table audit_staged
    drop constraint audit_staged_actor_kind_check,
    add constraint audit_staged_actor_kind_check
        check (actor_kind in ('member', 'processor', 'schedule', 'system'));
grant update (next_run_at) on schedule to "@system@";
grant insert (organization_id, id, account_id, job_id, kind, status, requested_by_kind, requested_by_id)
    on scan to "@system@";

-- As 0009_isolation does.
alter table schedule
    alter column missed set statistics 0,
    alter column jitter set statistics 0,
    alter column next_run_at set statistics 0;
alter table schedule_due
    alter column organization_id set statistics 0,
    alter column schedule_id set statistics 0,
    alter column due_at set statistics 0;
