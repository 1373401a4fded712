-- Run as @owner@. Row-level security on every table, forced on the owner too, and the least that
-- each role needs.

do $$
declare
    name text;
begin
    for name in select relname from pg_class
        where relnamespace = '"@schema@"'::regnamespace and relkind in ('r', 'p')
    loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
    end loop;

    -- Tenant data: the organization that was entered, for reading and writing alike. The subquery
    -- verifies the context once per statement, not once per row.
    foreach name in array array[
        'organization', 'member', 'cloud_account', 'scan', 'coverage', 'resource', 'finding',
        'job', 'job_history', 'audit_staged'
    ] loop
        execute format(
            'create policy tenant on %I to "@app@", "@processor@"
                using (organization_id = (select "@schema@".current_organization()))
                with check (organization_id = (select "@schema@".current_organization()))',
            name
        );
        -- Work across organizations: definer functions only, since nobody can log in as this role.
        execute format('create policy across on %I to "@system@" using (true) with check (true)', name);
    end loop;
end $$;

create policy across on worker_session to "@system@" using (true) with check (true);
create policy read_keys on context_key for select to "@system@" using (true);
create policy keep_keys on context_key to "@owner@" using (true) with check (true);
create policy keep_versions on schema_migration to "@owner@" using (true) with check (true);
create policy keep_versions on schema_info to "@owner@" using (true) with check (true);
create policy read_versions on schema_migration for select
    to "@app@", "@processor@", "@sequencer@" using (true);
create policy read_versions on schema_info for select
    to "@app@", "@processor@", "@sequencer@" using (true);

grant select on schema_migration, schema_info to "@app@", "@processor@", "@sequencer@";

grant select on cloud_account, scan, coverage, resource, finding, job, job_history
    to "@app@", "@processor@";

grant insert on cloud_account, scan, job, job_history to "@app@";
grant insert (organization_id, id, actor_kind, actor_id, action, targets, details)
    on audit_staged to "@app@", "@processor@";
grant update (access, role_arn, external_id_hash, external_id_key, external_id_generation,
    status, version) on cloud_account to "@app@";
grant update (status, finished_at, error, version) on scan to "@app@";
grant update (cancel_requested) on job to "@app@";
grant delete on job to "@app@";

grant update (status, started_at, finished_at, error, tasks, tasks_done, resources, version)
    on scan to "@processor@";
grant insert, update on coverage, resource, finding to "@processor@";
grant insert, update, delete on job to "@processor@";
grant insert on job_history to "@processor@";

grant select, insert, update, delete on
    organization, member, cloud_account, scan, job, job_history, audit_staged, worker_session
    to "@system@";
grant select on context_key to "@system@";

-- The server's own key: made here, readable by definer functions only, never sent anywhere.
do $$
declare
    -- 366 random bits from the server's strong source.
    secret bytea := sha256(
        uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
    );
    inner_block bytea := decode(repeat('36', 64), 'hex');
    outer_block bytea := decode(repeat('5c', 64), 'hex');
begin
    for i in 0 .. 31 loop
        inner_block := set_byte(inner_block, i, get_byte(inner_block, i) # get_byte(secret, i));
        outer_block := set_byte(outer_block, i, get_byte(outer_block, i) # get_byte(secret, i));
    end loop;
    -- Key files have no underscore in their ids: none can stand for the server's.
    insert into context_key (key_id, inner_pad, outer_pad)
        values ('_server', inner_block, outer_block);
end $$;
