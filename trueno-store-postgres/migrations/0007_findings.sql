-- Run as @owner@. What becomes of findings: ids, assignees, tags, counts, history, comments and
-- exceptions.
--
-- Findings lie under a key that looks give (account and key) and are named by an id that is derived
-- from it. What hangs on a finding hangs on the id, and goes with it: only an erasure deletes one.

alter table finding
    add column id uuid,
    add column assignee uuid,
    -- Which findings exclude each other, as one text that orders by group, then by what it is: those
    -- without a group stand alone under their key. Neither text holds control characters.
    add column slot text collate "C"
        generated always as (coalesce(conflict_group || e'\x01', key || e'\x02')) stored,
    alter column check_id type text collate "C",
    alter column region type text collate "C";

-- Policies bind the owner too, and give it nothing: lifted for what is filled in here.
alter table finding no force row level security;

-- FindingId::of in trueno-core: SHA-256 over label and parts, each after its length, as a UUID of
-- version 8 (RFC 9562).
update finding f set id = encode(
    set_byte(
        set_byte(d.digest, 6, (get_byte(d.digest, 6) & 15) | 128),
        8, (get_byte(d.digest, 8) & 63) | 128
    ),
    'hex'
)::uuid
from (
    select organization_id, account_id, key, substring(sha256(
        int8send(octet_length(label)) || label
        || int8send(16) || uuid_send(account_id)
        || int8send(octet_length(convert_to(key, 'UTF8'))) || convert_to(key, 'UTF8')
    ) for 16) as digest
    from finding cross join (select convert_to('trueno finding v1', 'UTF8') as label) l
) d
where f.organization_id = d.organization_id and f.account_id = d.account_id and f.key = d.key;

alter table finding
    alter column id set not null,
    add unique (organization_id, id),
    add constraint finding_assignee foreign key (organization_id, assignee)
        references member (organization_id, user_id) on delete set null (assignee),
    -- A look that finds the same again then updates in place (HOT): no index names what it changes.
    set (fillfactor = 80);

-- One for each filter, with the list's order behind it.
create index finding_by_status on finding (organization_id, status, account_id, key);
create index finding_by_check on finding (organization_id, check_id, account_id, key);
create index finding_by_severity on finding (organization_id, severity, account_id, key);
create index finding_by_region on finding (organization_id, region, account_id, key);
create index finding_by_assignee on finding (organization_id, assignee);
create index finding_standing on finding (organization_id, account_id, key)
    where status not in ('resolved', 'suppressed');
-- For recommendations: of each slot the largest saving first. Without the key, which would make rows
-- too long for an index.
create index finding_slot on finding (
    organization_id, account_id, region, slot, saving_micros desc nulls last
) where status not in ('resolved', 'suppressed');

-- Tags of findings, for the filter alone: what a finding has is in its row. Keys and values of 64
-- bytes and more stand here as their SHA-256 in hex, since a row of an index holds 2,704 bytes.
create table finding_tag (
    organization_id uuid not null,
    account_id uuid not null,
    key text collate "C" not null,
    tag_key text collate "C" not null check (octet_length(tag_key) <= 64),
    tag_value text collate "C" not null check (octet_length(tag_value) <= 64),
    primary key (organization_id, account_id, key, tag_key),
    foreign key (organization_id, account_id, key)
        references finding (organization_id, account_id, key) on delete cascade
);
create index finding_by_tag on finding_tag (organization_id, tag_key, tag_value, account_id, key);
create index finding_by_tag_key on finding_tag (organization_id, tag_key, account_id, key);

insert into finding_tag (organization_id, account_id, key, tag_key, tag_value)
select f.organization_id, f.account_id, f.key,
    case when octet_length(t.key) < 64 then t.key
        else encode(sha256(convert_to(t.key, 'UTF8')), 'hex') end,
    case when octet_length(t.value) < 64 then t.value
        else encode(sha256(convert_to(t.value, 'UTF8')), 'hex') end
from finding f cross join lateral jsonb_each_text(f.tags) t;

-- How many findings there are by account, check and status, kept by triggers. A count is the sum of
-- its rows. A counter that is updated in place would make looks and members wait for each other; a row
-- that is added waits for nobody. Folding at the end of a scan keeps them few.
create table finding_count (
    organization_id uuid not null,
    account_id uuid not null,
    check_id text collate "C" not null,
    status text collate "C" not null check (status in (
        'new', 'open', 'acknowledged', 'in_progress', 'resolved', 'suppressed', 'reopened'
    )),
    id uuid not null default gen_random_uuid(),
    delta bigint not null check (delta <> 0),
    primary key (organization_id, account_id, check_id, status, id)
);
insert into finding_count (organization_id, account_id, check_id, status, delta)
    select organization_id, account_id, check_id, status, count(*) from finding
    group by organization_id, account_id, check_id, status;

alter table finding force row level security;

-- Who changed what of a finding, ordered by the version that the change gave it. It begins here:
-- what came before was not kept, and is not made up.
create table finding_change (
    organization_id uuid not null,
    finding_id uuid not null,
    version bigint not null check (version >= 1),
    occurred_at timestamptz not null default clock_timestamp(),
    actor_kind text not null check (actor_kind in ('member', 'processor', 'system')),
    actor_id uuid,
    change text not null check (change in ('status', 'assignee')),
    from_status text check (from_status in (
        'new', 'open', 'acknowledged', 'in_progress', 'resolved', 'suppressed', 'reopened'
    )),
    to_status text check (to_status in (
        'new', 'open', 'acknowledged', 'in_progress', 'resolved', 'suppressed', 'reopened'
    )),
    from_assignee uuid,
    to_assignee uuid,
    primary key (organization_id, finding_id, version),
    foreign key (organization_id, finding_id) references finding (organization_id, id)
        on delete cascade,
    check ((actor_kind = 'system') = (actor_id is null)),
    check (num_nonnulls(from_status, to_status) = 0 or change = 'status'),
    check (num_nonnulls(from_assignee, to_assignee) = 0 or change = 'assignee'),
    check (change <> 'assignee' or from_assignee is distinct from to_assignee),
    -- What the machine allows (state::finding): from where to where.
    constraint finding_change_steps check (change <> 'status' or coalesce(case
        when from_status is null then to_status = 'new'
        when from_status = 'new'
            then to_status in ('open', 'acknowledged', 'in_progress', 'resolved', 'suppressed')
        when from_status = 'open'
            then to_status in ('acknowledged', 'in_progress', 'resolved', 'suppressed')
        when from_status = 'acknowledged'
            then to_status in ('open', 'in_progress', 'resolved', 'suppressed')
        when from_status = 'in_progress'
            then to_status in ('open', 'acknowledged', 'resolved', 'suppressed')
        when from_status = 'reopened'
            then to_status in ('acknowledged', 'in_progress', 'resolved', 'suppressed')
        when from_status = 'suppressed' then to_status in ('resolved', 'reopened')
        when from_status = 'resolved' then to_status = 'reopened'
    end, false))
);

create table finding_comment (
    organization_id uuid not null,
    id uuid not null,
    finding_id uuid not null,
    author uuid not null,
    text text not null check (char_length(text) between 1 and 10000),
    created_at timestamptz not null default clock_timestamp(),
    primary key (organization_id, id),
    foreign key (organization_id, finding_id) references finding (organization_id, id)
        on delete cascade
);
create index finding_comment_by_finding on finding_comment (organization_id, finding_id, id);

create table finding_exception (
    organization_id uuid not null,
    id uuid not null,
    finding_id uuid not null,
    reason text not null check (char_length(reason) between 1 and 2000),
    requester uuid not null,
    approver uuid,
    status text not null check (status in (
        'requested', 'approved', 'rejected', 'withdrawn', 'lapsed', 'closed'
    )),
    expires_at timestamptz not null,
    -- The statement's moment, so that both are the same in a new one.
    created_at timestamptz not null default statement_timestamp(),
    changed_at timestamptz not null default statement_timestamp(),
    version bigint not null default 1 check (version >= 1),
    primary key (organization_id, id),
    foreign key (organization_id, finding_id) references finding (organization_id, id)
        on delete cascade,
    -- P11: nobody decides about what they asked for.
    check (approver <> requester),
    check (status not in ('approved', 'rejected') or approver is not null),
    check (status <> 'requested' or approver is null)
);
create unique index finding_exception_live on finding_exception (organization_id, finding_id)
    where status in ('requested', 'approved');
create index finding_exception_by_finding on finding_exception (organization_id, finding_id, id);
create index finding_exception_by_status on finding_exception (organization_id, status, id);

do $$
declare
    name text;
begin
    -- Why they ask for the context first: 0009_isolation.
    foreach name in array array[
        'finding_tag', 'finding_count', 'finding_change', 'finding_comment', 'finding_exception'
    ] loop
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

grant select on finding_tag, finding_count, finding_change, finding_comment, finding_exception
    to "@app@", "@processor@";

-- Looks say what they found, members what they do with it.
revoke insert, update on finding from "@processor@";
grant insert (organization_id, id, account_id, key, check_id, check_version, parameters_hash,
    resource_kind, region, native_id, name, tags, severity, evidence, saving_micros, saving_currency,
    saving_source, saving_as_of, conflict_group, status, first_scan_id, last_scan_id)
    on finding to "@processor@";
grant update (check_id, check_version, parameters_hash, resource_kind, region, native_id, name, tags,
    severity, evidence, saving_micros, saving_currency, saving_source, saving_as_of, conflict_group,
    status, last_scan_id, last_seen_at, version)
    on finding to "@processor@";
grant update (status, assignee, version) on finding to "@app@";

grant insert, delete on finding_tag to "@processor@";
grant insert (organization_id, finding_id, version, actor_kind, actor_id, change, from_status,
    to_status, from_assignee, to_assignee) on finding_change to "@app@", "@processor@";
grant insert (organization_id, id, finding_id, author, text) on finding_comment to "@app@";
grant insert (organization_id, id, finding_id, reason, requester, status, expires_at)
    on finding_exception to "@app@";
grant update (status, approver, changed_at, version) on finding_exception to "@app@";
grant update (status, changed_at, version) on finding_exception to "@processor@";

-- UPDATE is for locking rows that are folded.
grant select, insert, update, delete on finding_count to "@system@";
-- For what lapses, and for erasures.
grant select, delete on finding to "@system@";
grant update (status, version) on finding to "@system@";
grant insert (organization_id, finding_id, version, actor_kind, actor_id, change, from_status,
    to_status) on finding_change to "@system@";
grant select on finding_exception to "@system@";
grant update (status, changed_at, version) on finding_exception to "@system@";
