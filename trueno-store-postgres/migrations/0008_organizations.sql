-- Run as @owner@. Organizations as their members manage them: members, schedules, audit events that
-- stay to be read, and what is left of an organization that was erased.

grant select on organization, member to "@app@", "@processor@";
grant insert (organization_id, user_id, role), update (role), delete on member to "@app@";

create table schedule (
    organization_id uuid not null,
    id uuid not null,
    name text not null check (char_length(name) between 1 and 200),
    account_id uuid not null,
    kind text not null check (kind in ('inventory', 'cost', 'recommendation')),
    cron text not null,
    time_zone text not null,
    status text not null check (status in ('active', 'paused')),
    created_at timestamptz not null default clock_timestamp(),
    version bigint not null default 1 check (version >= 1),
    primary key (organization_id, id),
    foreign key (organization_id, account_id) references cloud_account (organization_id, id)
);
create index schedule_by_account on schedule (organization_id, account_id);

-- An organization that was erased: its id is never used again.
create table erased_organization (
    organization_id uuid primary key,
    erased_at timestamptz not null default clock_timestamp()
);

do $$
declare
    name text;
begin
    foreach name in array array['schedule', 'erased_organization'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy tenant on %I to "@app@", "@processor@"
                using (organization_id = (select "@schema@".current_organization()))
                with check (organization_id = (select "@schema@".current_organization()))',
            name
        );
        execute format('create policy across on %I to "@system@" using (true) with check (true)', name);
    end loop;
end $$;

grant select on schedule to "@app@", "@processor@";
grant insert (organization_id, id, name, account_id, kind, cron, time_zone, status),
    update (status, version), delete on schedule to "@app@";

-- Events outlive the outbox, and their organization: whether it is there is asked when one is staged.
alter table audit_staged
    drop constraint audit_staged_organization_id_fkey,
    -- When a sink had it for good: from then on it is out of the outbox.
    add column sequenced_at timestamptz;
drop index audit_staged_order;
create index audit_outbox on audit_staged (position) where sequenced_at is null;
-- Without the position: it counts the events of all organizations.
grant select (organization_id, id, occurred_at, actor_kind, actor_id, action, targets, details)
    on audit_staged to "@app@";

-- For erasures.
grant select, delete on sighting, resource, inventory, coverage, schedule to "@system@";
grant select, insert on erased_organization to "@system@";
