-- Run as @owner@. Closes what tables told of other organizations without giving a row away, and what
-- roles could do beyond their part.

do $$
declare
    name text;
    the record;
    keeps_none text;
begin
    -- The planner puts leakproof conditions of a statement before the policy's comparison: where they
    -- leave no row, nothing asked for the context, and its absence told whether there are any. What
    -- names no column is asked first, and once. Policies that were made since 0006 do so from the start.
    foreach name in array array[
        'organization', 'member', 'cloud_account', 'scan', 'coverage', 'finding', 'job',
        'job_history', 'audit_staged'
    ] loop
        execute format(
            'alter policy tenant on %I
                using ((select "@schema@".current_organization()) is not null
                    and organization_id = (select "@schema@".current_organization()))',
            name
        );
    end loop;

    -- Statistics are common to all organizations, and EXPLAIN's estimates tell them: columns of tenant
    -- data keep none. Estimates then depend on the size of a table alone.
    for the in
        select c.oid, c.oid::regclass as name from pg_class c
        where c.relnamespace = '"@schema@"'::regnamespace and c.relkind in ('r', 'p')
            and c.relname not in ('schema_migration', 'schema_info', 'worker_session', 'context_key')
    loop
        select string_agg(format('alter column %I set statistics 0', a.attname), ', ')
            into keeps_none
            from pg_attribute a
            where a.attrelid = the.oid and a.attnum > 0 and not a.attisdropped;
        execute format('alter table %s %s', the.name, keeps_none);
    end loop;
end $$;

-- Who acted is not the application's to choose: members act through the app, jobs through the processor,
-- and the system through definer functions alone.
do $$
declare
    name text;
begin
    foreach name in array array['audit_staged', 'finding_change'] loop
        execute format(
            'create policy actor_of_app on %I as restrictive for insert to "@app@"
                with check (actor_kind = ''member'')', name
        );
        execute format(
            'create policy actor_of_processor on %I as restrictive for insert to "@processor@"
                with check (actor_kind = ''processor'')', name
        );
    end loop;
end $$;

-- Events are only ever added, and definer functions have what they use.
revoke update, delete on audit_staged from "@system@";
revoke insert on cloud_account, scan, job from "@system@";
revoke update on job_history, member from "@system@";
