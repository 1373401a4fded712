-- Run as @owner@. Keeps the tables of 0011_lookups, and closes what tables told of other
-- organizations without giving a row away.

create trigger member_lookup_of_inserts after insert on member
    for each row execute function keep_member_lookup();
create trigger exception_due_of_inserts after insert on finding_exception
    for each row execute function keep_exception_due();
create trigger exception_due_of_updates after update of status on finding_exception
    for each row execute function keep_exception_due();
create trigger audit_outbox_of_inserts after insert on audit_staged
    for each row execute function keep_audit_outbox();

do $$
declare
    the record;
    keeps_none text;
begin
    -- The planner puts leakproof conditions of a statement before the policy's comparison: where they
    -- leave no row, nothing asked for the context, and its absence told whether there are any. What
    -- names no column is asked first, and once.
    for the in
        select polrelid::regclass as name from pg_policy
        where polname = 'tenant' and polrelid in (
            select oid from pg_class where relnamespace = '"@schema@"'::regnamespace
        )
    loop
        execute format(
            'alter policy tenant on %s
                using ((select "@schema@".current_organization()) is not null
                    and organization_id = (select "@schema@".current_organization()))',
            the.name
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
