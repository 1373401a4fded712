-- Run as @system@. Makes the context cheaper to verify, and a lease's end silent about other jobs: two
-- functions of 0002_context made again, which keep their callers.

-- As before, at a third of the cost: policies call it in every statement. The message that the MAC
-- covers is the one of context_mac, and hashes are compared for the same reason as in `enter`.
create or replace function current_organization() returns uuid
language plpgsql stable security definer parallel restricted
set search_path = pg_catalog, "@schema@", pg_temp as $$
declare
    sealed text := current_setting('@setting@', true);
    the_key text := split_part(sealed, ':', 1);
    organization text := split_part(sealed, ':', 2);
    mac text := split_part(sealed, ':', 3);
    key_row context_key;
    invoker text;
    the_organization uuid;
begin
    if sealed is null or sealed = '' then
        raise exception using errcode = 'TR001', message = 'no tenant context was entered';
    end if;
    select * into key_row from context_key where key_id = the_key;
    -- Whatever else there is in the setting, nobody can have sealed it.
    if not found or organization not like '________-____-____-____-____________'
        or translate(organization, '0123456789abcdef', '') <> '----'
        or sealed <> the_key || ':' || organization || ':' || mac
    then
        raise exception using errcode = 'TR001', message = 'the tenant context is not valid';
    end if;
    invoker := coalesce(nullif(current_setting('role'), 'none'), session_user);
    the_organization := organization::uuid;
    if sha256(convert_to(mac, 'UTF8')) is distinct from sha256(convert_to(encode(sha256(
        key_row.outer_pad || sha256(key_row.inner_pad
            || int4send(octet_length(convert_to(the_key, 'UTF8'))) || convert_to(the_key, 'UTF8')
            || int4send(octet_length(convert_to(invoker, 'UTF8'))) || convert_to(invoker, 'UTF8')
            || uuid_send(the_organization)
            || int4send(pg_backend_pid()) || timestamptz_send(transaction_timestamp()))
    ), 'hex'), 'UTF8')) then
        raise exception using errcode = 'TR001', message = 'the tenant context is not valid';
    end if;
    return the_organization;
end $$;

create or replace function enter_lease_to_finish(
    the_organization uuid, the_job uuid, the_token uuid, the_session uuid
) returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
declare
    live job;
begin
    -- Only a row that the token was given for is locked: nobody else can wait for one, or tell by it.
    select * into live from job
        where organization_id = the_organization and id = the_job and token = the_token
        for update;
    if found then
        if live.status <> 'running' then
            return true;
        end if;
        perform from worker_session
            where id = the_session and id = live.locked_by and expires_at > clock_timestamp();
        if found then
            perform context_enter_checked(the_organization);
            return false;
        end if;
    else
        perform from job_history
            where organization_id = the_organization and id = the_job and token = the_token;
        if found then
            return true;
        end if;
    end if;
    -- One place to raise from: its line is part of the error, and would tell jobs from none.
    raise exception using errcode = 'TR002', message = 'the lease is no longer held';
end $$;
