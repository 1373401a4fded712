-- Run as @system@. The signed tenant context: who may enter an organization, and how policies learn
-- which one was entered.
--
-- The context is `key id : organization : MAC` in the setting @setting@, local to the transaction.
-- The MAC is HMAC-SHA256 over key id, invoking role, organization, backend pid and transaction
-- timestamp, so it is worth nothing in another transaction, session or role, and no host's clock
-- matters. Anybody can set the setting; only who holds a key can make it valid. Whatever is wrong
-- with it gives no row, and nearly always TR001: `enter` verifies before anything is read, and policies
-- verify again in every statement, for each table (migration 18 says how).
--
-- | function | who |
-- |---|---|
-- | enter | app |
-- | entered_organization, current_organization | app, processor; owner, whose policies name them |
-- | context_mac, context_seal, context_enter_checked | nobody: called by functions of this role |

-- Answers null for an unknown key.
create or replace function context_mac(the_key text, the_organization uuid) returns bytea
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

create or replace function context_seal(the_key text, the_organization uuid, mac bytea) returns void
-- Not sql: that would be planned anew in every transaction.
language plpgsql volatile
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    perform set_config(
        '@setting@', the_key || ':' || the_organization::text || ':' || encode(mac, 'hex'), true
    );
end $$;

-- Enters an organization with a MAC made by a holder of `the_key`.
create or replace function enter(the_key text, the_organization uuid, mac bytea) returns void
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

-- The organization that this transaction entered; null, and no error, where it entered none: what every
-- policy asks first of a row. Policies call it in every statement, so it is written to be cheap: the message
-- that the MAC covers is the one of context_mac, and hashes are compared for the same reason as in `enter`.
create or replace function entered_organization() returns uuid
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
    select * into key_row from context_key where key_id = the_key;
    -- Whatever else there is in the setting, nobody can have sealed it.
    if not found or organization not like '________-____-____-____-____________'
        or translate(organization, '0123456789abcdef', '') <> '----'
        or sealed <> the_key || ':' || organization || ':' || mac
    then
        return null;
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
        return null;
    end if;
    return the_organization;
end $$;

-- The organization that this transaction entered; an error where it entered none.
create or replace function current_organization() returns uuid
language plpgsql stable security definer parallel restricted
set search_path = pg_catalog, "@schema@", pg_temp as $$
declare
    entered uuid := entered_organization();
begin
    if entered is null then
        raise exception using errcode = 'TR001', message = case
            when coalesce(current_setting('@setting@', true), '') = '' then 'no tenant context was entered'
            else 'the tenant context is not valid'
        end;
    end if;
    return entered;
end $$;

-- Enters an organization with the server's own key: for functions that checked a lease.
create or replace function context_enter_checked(the_organization uuid) returns void
language plpgsql volatile
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    perform context_seal('_server', the_organization, context_mac('_server', the_organization));
end $$;

-- Whoever may call any function of this role is named below, or in across.sql, which comes next:
-- nothing else that was ever granted stays.
do $$
declare
    the record;
begin
    for the in
        select p.oid::regprocedure as mine,
            case when a.grantee = 0 then 'public' else a.grantee::regrole::text end as who
        from pg_proc p
        cross join aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        where p.pronamespace = '"@schema@"'::regnamespace
            and p.proowner = '"@system@"'::regrole and a.grantee <> p.proowner
    loop
        execute format('revoke all on function %s from %s', the.mine, the.who);
    end loop;
end $$;
grant execute on function enter(text, uuid, bytea) to "@app@";
grant execute on function entered_organization(), current_organization()
    to "@owner@", "@app@", "@processor@";
