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
    -- Why they ask for the context first: 0009_isolation.
    foreach name in array array['schedule', 'erased_organization'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy tenant on %I to "@app@", "@processor@"
                using ((select "@schema@".current_organization()) is not null
                    and organization_id = (select "@schema@".current_organization()))
                with check (organization_id = (select "@schema@".current_organization()))',
            name
        );
        execute format('create policy across on %I to "@system@" using (true) with check (true)', name);
    end loop;
end $$;

grant select on schedule to "@app@", "@processor@";
grant insert (organization_id, id, name, account_id, kind, cron, time_zone, status),
    update (status, version), delete on schedule to "@app@";

-- For erasures.
grant select, delete on sighting, resource, inventory, coverage, schedule to "@system@";
grant select, insert on erased_organization to "@system@";

-- What work across organizations looks things up by lies in tables of its own, which nobody but definer
-- functions reads; triggers keep them.
--
-- An index that does not begin with organization_id, on a table that members' statements read, tells
-- of other organizations: EXPLAIN ANALYZE says how many rows the policy took out of what it found.

drop index member_by_user, audit_staged_by_id;

create table member_lookup (
    organization_id uuid not null,
    user_id uuid not null,
    primary key (organization_id, user_id),
    foreign key (organization_id, user_id) references member (organization_id, user_id)
        on delete cascade
);
create index member_lookup_by_user on member_lookup (user_id);

-- Live exceptions, for what lapses.
create table exception_due (
    organization_id uuid not null,
    exception_id uuid not null,
    expires_at timestamptz not null,
    primary key (organization_id, exception_id),
    foreign key (organization_id, exception_id) references finding_exception (organization_id, id)
        on delete cascade
);
create index exception_due_order on exception_due (expires_at, exception_id);

-- Events that no sink has for good yet, in the order in which they were staged.
create table audit_outbox (
    organization_id uuid not null,
    event_id uuid not null,
    position bigint generated always as identity,
    primary key (organization_id, event_id),
    foreign key (organization_id, event_id) references audit_staged (organization_id, id)
        on delete cascade
);
create index audit_outbox_order on audit_outbox (position);
-- The sequencer names events by their id alone.
create index audit_outbox_by_event on audit_outbox (event_id);

-- Policies bind the owner too, and give it nothing: lifted for what is filled in here.
alter table member no force row level security;
insert into member_lookup (organization_id, user_id) select organization_id, user_id from member;
alter table member force row level security;
alter table audit_staged no force row level security;
insert into audit_outbox (organization_id, event_id)
    select organization_id, id from audit_staged order by position;
alter table audit_staged force row level security;

-- Events outlive the outbox, which has the order in which they leave, and their organization: whether
-- it is there is asked when one is staged.
alter table audit_staged
    drop column position,
    drop constraint audit_staged_organization_id_fkey;
grant select (organization_id, id, occurred_at, actor_kind, actor_id, action, targets, details)
    on audit_staged to "@app@";

do $$
declare
    name text;
begin
    foreach name in array array['member_lookup', 'exception_due', 'audit_outbox'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy across on %I to "@system@" using (true) with check (true)', name);
        execute format('grant select, insert, delete on %I to "@system@"', name);
    end loop;
end $$;
