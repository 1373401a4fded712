-- Run as @system@. The signed tenant context: who may enter an organization, and how policies learn
-- which one was entered.
--
-- The context is `key id : organization : MAC` in the setting @setting@, local to the transaction.
-- The MAC is HMAC-SHA256 over key id, invoking role, organization, backend pid and transaction
-- timestamp, so it is worth nothing in another transaction, session or role, and no host's clock
-- matters. Anybody can set the setting; only who holds a key can make it valid. Whatever is wrong
-- with it raises TR001, never another organization's rows and never none of one's own: `enter`
-- verifies before anything is read, and policies verify again in every statement that meets a row.

-- Answers null for an unknown key.
create function context_mac(the_key text, the_organization uuid) returns bytea
language plpgsql stable
set search_path = pg_catalog, "@schema@", pg_temp as $$
declare
    invoker text := coalesce(nullif(current_setting('role'), 'none'), session_user);
    message bytea;
    key_row context_key;
begin
    select * into key_row from context_key where key_id = the_key;
    if not found then
        return null;
    end if;
    -- Lengths before what varies, fixed widths for the rest: one reading only.
    message := int4send(octet_length(convert_to(the_key, 'UTF8'))) || convert_to(the_key, 'UTF8')
        || int4send(octet_length(convert_to(invoker, 'UTF8'))) || convert_to(invoker, 'UTF8')
        || uuid_send(the_organization)
        || int4send(pg_backend_pid()) || timestamptz_send(transaction_timestamp());
    return sha256(key_row.outer_pad || sha256(key_row.inner_pad || message));
end $$;

create function context_seal(the_key text, the_organization uuid, mac bytea) returns void
language sql volatile
set search_path = pg_catalog, "@schema@", pg_temp as $$
    select set_config(
        '@setting@', the_key || ':' || the_organization::text || ':' || encode(mac, 'hex'), true
    );
$$;

-- Enters an organization with a MAC made by a holder of `the_key`.
create function enter(the_key text, the_organization uuid, mac bytea) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    -- Hashes are compared, so that how long it takes tells nothing of the MAC.
    if the_key is null or the_organization is null or mac is null
        or sha256(mac) is distinct from sha256(context_mac(the_key, the_organization)) then
        raise exception using errcode = 'TR001', message = 'the tenant context is not valid';
    end if;
    perform context_seal(the_key, the_organization, mac);
end $$;

-- The organization that this transaction entered: what every policy compares with.
create function current_organization() returns uuid
language plpgsql stable security definer parallel restricted
set search_path = pg_catalog, "@schema@", pg_temp as $$
declare
    sealed text := current_setting('@setting@', true);
    part text[];
begin
    if sealed is null or sealed = '' then
        raise exception using errcode = 'TR001', message = 'no tenant context was entered';
    end if;
    if sealed !~ '^[a-z0-9_-]{1,32}:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}:[0-9a-f]{64}$' then
        raise exception using errcode = 'TR001', message = 'the tenant context is not valid';
    end if;
    part := string_to_array(sealed, ':');
    if sha256(decode(part[3], 'hex'))
        is distinct from sha256(context_mac(part[1], part[2]::uuid)) then
        raise exception using errcode = 'TR001', message = 'the tenant context is not valid';
    end if;
    return part[2]::uuid;
end $$;

-- Enters an organization with the server's own key: for the functions below, which checked a lease.
create function context_enter_checked(the_organization uuid) returns void
language plpgsql volatile
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    perform context_seal('_server', the_organization, context_mac('_server', the_organization));
end $$;

-- The processor holds no key: its lease is its key. Fence and scope are one step: the job's row is
-- locked so that it cannot change hands before the transaction ends. The lock is KEY SHARE: whatever
-- ends a lease takes the row FOR UPDATE and waits, while a request to cancel does not have to.
create function enter_lease(
    the_organization uuid, the_job uuid, the_token uuid, the_session uuid
) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    perform from job
        where organization_id = the_organization and id = the_job
            and status = 'running' and token = the_token and locked_by = the_session
        for key share;
    if not found then
        raise exception using errcode = 'TR002', message = 'the lease is no longer held';
    end if;
    perform from worker_session where id = the_session and expires_at > clock_timestamp();
    if not found then
        raise exception using errcode = 'TR002', message = 'the lease is no longer held';
    end if;
    perform context_enter_checked(the_organization);
end $$;

-- The same for a view: without the lock, which a read-only transaction cannot take and a reader
-- does not need.
create function enter_lease_to_read(
    the_organization uuid, the_job uuid, the_token uuid, the_session uuid
) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    perform from job j join worker_session s on s.id = j.locked_by
        where j.organization_id = the_organization and j.id = the_job
            and j.status = 'running' and j.token = the_token and j.locked_by = the_session
            and s.expires_at > clock_timestamp();
    if not found then
        raise exception using errcode = 'TR002', message = 'the lease is no longer held';
    end if;
    perform context_enter_checked(the_organization);
end $$;

-- The same to end the job: locks it FOR UPDATE from the start, since two holders of a shared lock
-- that both want more wait for each other. Answers whether the same lease settled it before; only
-- if not was the organization entered.
create function enter_lease_to_finish(
    the_organization uuid, the_job uuid, the_token uuid, the_session uuid
) returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
declare
    live job;
begin
    select * into live from job
        where organization_id = the_organization and id = the_job for update;
    if found then
        if live.token is distinct from the_token then
            raise exception using errcode = 'TR002', message = 'the lease is no longer held';
        end if;
        if live.status <> 'running' then
            return true;
        end if;
        perform from worker_session
            where id = the_session and id = live.locked_by and expires_at > clock_timestamp();
        if not found then
            raise exception using errcode = 'TR002', message = 'the lease is no longer held';
        end if;
        perform context_enter_checked(the_organization);
        return false;
    end if;
    perform from job_history
        where organization_id = the_organization and id = the_job and token = the_token;
    if not found then
        raise exception using errcode = 'TR002', message = 'the lease is no longer held';
    end if;
    return true;
end $$;

do $$
declare
    mine regprocedure;
begin
    for mine in select oid from pg_proc
        where pronamespace = '"@schema@"'::regnamespace and proowner = '"@system@"'::regrole
    loop
        execute format('revoke all on function %s from public', mine);
    end loop;
end $$;
grant execute on function enter(text, uuid, bytea) to "@app@";
grant execute on function current_organization() to "@owner@", "@app@", "@processor@";
grant execute on function enter_lease(uuid, uuid, uuid, uuid) to "@processor@";
grant execute on function enter_lease_to_read(uuid, uuid, uuid, uuid) to "@processor@";
grant execute on function enter_lease_to_finish(uuid, uuid, uuid, uuid) to "@processor@";
