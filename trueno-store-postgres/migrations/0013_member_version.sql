-- Run as @owner@. Members have versions, as every other row that changes. Programs before this one change
-- roles without counting: they are refused.

alter table member
    add column version bigint not null default 1 check (version >= 1);

-- The highest version that a member had who is none any more. Who becomes one again goes on above it, so
-- that nobody's old version fits the new member.
alter table organization
    add column former_member_version bigint not null default 0 check (former_member_version >= 0);

-- Columns of tenant data keep no statistics: 0009_isolation.
alter table member alter column version set statistics 0;
alter table organization alter column former_member_version set statistics 0;

grant insert (version), update (version) on member to "@app@";
-- Also to lock the row: changes of members take turns.
grant update (former_member_version) on organization to "@app@";
