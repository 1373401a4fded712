-- Run as @system@. A name for policies: what it answers is said in `functions/context.sql`, from which it is
-- made right after the migrations. Until then nobody is in any organization.

create function entered_organization() returns uuid
language plpgsql stable
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    return null;
end $$;

revoke all on function entered_organization() from public;
grant execute on function entered_organization() to "@owner@";
