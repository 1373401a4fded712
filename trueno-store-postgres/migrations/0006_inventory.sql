-- Run as @owner@. Resources that stay as they were are not written again, and those that a complete
-- look no longer saw are gone.
--
-- What a scan sees again is noted as a bit in a `sighting`, never in the resource's row. When a
-- resource was last seen, and by which scan, is the first of these that says so:
--
-- 1. the sighting whose `latest` has the resource's bit: at the most one of all scans has it;
-- 2. unless it is gone: the latest complete look at its inventory, where there was one since the row
--    was written (`inventory.looks > resource.looks`: counted, since clocks may go back);
-- 3. the row itself.
--
-- Nothing has to be tidied up when a scan fails, is cancelled or is recovered: its sightings stay
-- true. The next end of a look at the same inventory drops those that say nothing any more.

-- What an account has of one kind in one region. Who writes resources, sightings or looks of it
-- locks its row first, in the order of account, kind and region.
create table inventory (
    organization_id uuid not null,
    id uuid not null default gen_random_uuid(),
    account_id uuid not null,
    kind text collate "C" not null,
    region text collate "C" not null,
    -- What the next new resource is numbered.
    next_ordinal bigint not null default 0,
    -- How many of its resources are not gone.
    present bigint not null default 0,
    -- How many complete looks stood for all of it, and the latest one.
    looks bigint not null default 0 check (looks >= 0),
    scan_id uuid,
    looked_at timestamptz,
    primary key (organization_id, id),
    unique (organization_id, account_id, kind, region),
    foreign key (organization_id, account_id) references cloud_account (organization_id, id),
    check (present between 0 and next_ordinal),
    check (num_nonnulls(scan_id, looked_at) = case when looks = 0 then 0 else 2 end)
);

-- Made anew, with a key that is short to compare: every resource of every scan is looked up by it.
alter table resource rename to resource_before;
alter table resource_before rename constraint resource_pkey to resource_before_pkey;

create table resource (
    organization_id uuid not null,
    inventory_id uuid not null,
    -- The scan that wrote the row.
    last_scan_id uuid not null,
    first_seen_at timestamptz not null default clock_timestamp(),
    last_seen_at timestamptz not null default clock_timestamp(),
    -- Since when it is gone.
    gone_at timestamptz,
    -- `inventory.looks` when the row was written.
    looks bigint not null,
    -- Its number in the inventory, as 4096 * chunk + bit: which bit of which sightings is its own.
    chunk bigint not null check (chunk >= 0),
    bit integer not null check (bit between 0 and 4095),
    native_id text collate "C" not null,
    -- SHA-256 of name, tags and attributes as they were sent; none for rows of older programs, which
    -- are written once more when they are seen next.
    digest bytea check (octet_length(digest) = 32),
    name text,
    tags jsonb not null,
    attributes jsonb not null,
    primary key (organization_id, inventory_id, native_id),
    foreign key (organization_id, inventory_id) references inventory (organization_id, id)
);
-- Only what is gone is in it, so that writing costs nothing for what is there.
create index resource_gone on resource (organization_id, inventory_id, native_id)
    where gone_at is not null;

-- What a scan saw of 4096 resources of an inventory.
create table sighting (
    organization_id uuid not null,
    inventory_id uuid not null,
    chunk bigint not null check (chunk >= 0),
    scan_id uuid not null,
    seen_at timestamptz not null default clock_timestamp(),
    -- What it saw: what a complete look of it does not leave behind.
    seen bit(4096) not null,
    -- What it was the latest to see and is not gone.
    latest bit(4096) not null,
    primary key (organization_id, inventory_id, chunk, scan_id),
    foreign key (organization_id, inventory_id) references inventory (organization_id, id)
    -- Half of each page is for the next version of its rows: no index is touched then.
) with (fillfactor = 50);

-- The owner sees every organization's rows here, since nothing forces it yet, or no longer.
alter table resource_before no force row level security;
insert into inventory (organization_id, account_id, kind, region, next_ordinal, present)
    select organization_id, account_id, kind, region, count(*), count(*)
    from resource_before group by organization_id, account_id, kind, region;
insert into resource (
    organization_id, inventory_id, last_scan_id, first_seen_at, last_seen_at, looks, chunk, bit,
    native_id, name, tags, attributes
)
    select n.organization_id, n.inventory_id, n.last_scan_id, n.first_seen_at, n.last_seen_at, 0,
        n.ordinal / 4096, n.ordinal % 4096, n.native_id, n.name, n.tags, n.attributes
    from (
        select r.*, i.id as inventory_id, row_number() over (
            partition by i.organization_id, i.id order by r.native_id
        ) - 1 as ordinal
        from resource_before r
        join inventory i on i.organization_id = r.organization_id
            and i.account_id = r.account_id and i.kind = r.kind and i.region = r.region
    ) n;
drop table resource_before;

do $$
declare
    name text;
begin
    -- Why they ask for the context first: 0009_isolation.
    foreach name in array array['inventory', 'resource', 'sighting'] loop
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

grant select on inventory, resource, sighting to "@app@", "@processor@";
grant insert on inventory, resource, sighting to "@processor@";
grant update (next_ordinal, present, looks, scan_id, looked_at) on inventory to "@processor@";
grant update (last_scan_id, last_seen_at, gone_at, looks, digest, name, tags, attributes)
    on resource to "@processor@";
grant update (seen_at, seen, latest), delete on sighting to "@processor@";
