-- Run as @owner@. What work across organizations looks things up by lies in tables of its own, which
-- nobody but definer functions reads.
--
-- An index that does not begin with organization_id, on a table that members' statements read, tells
-- of other organizations: EXPLAIN ANALYZE says how many rows the policy took out of what it found.

drop index member_by_user, finding_exception_due, audit_staged_by_id, audit_outbox;

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
alter table finding_exception no force row level security;
insert into exception_due (organization_id, exception_id, expires_at)
    select organization_id, id, expires_at from finding_exception
    where status in ('requested', 'approved');
alter table finding_exception force row level security;
alter table audit_staged no force row level security;
insert into audit_outbox (organization_id, event_id)
    select organization_id, id from audit_staged where sequenced_at is null order by position;
alter table audit_staged force row level security;

alter table audit_staged drop column sequenced_at, drop column position;

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
