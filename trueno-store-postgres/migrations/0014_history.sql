-- Run as @owner@. The history of jobs.

-- It would be looked up for every job that ends. A row comes here only in the transaction that deletes
-- its job, which refers to the organization; whoever erases an organization deletes its jobs first, and
-- so waits for those transactions, then the history.
alter table job_history drop constraint job_history_organization_id_fkey;

-- A claim writes each row of a page anew: with less room on it, it would have to write to the indexes too.
alter table job set (fillfactor = 45);

-- Which jobs a dedupe key tells apart: the job's kind, or nothing for all of its organization.
alter table job
    add column dedupe_scope text;
alter table job_history
    add column dedupe_scope text;
-- Policies bind the owner too: lifted to fill it in.
alter table job no force row level security;
alter table job_history no force row level security;
update job set dedupe_scope = kind where dedupe_key is not null;
update job_history set dedupe_scope = kind where dedupe_key is not null;
alter table job force row level security;
alter table job_history force row level security;
alter table job
    add check ((dedupe_key is null) = (dedupe_scope is null)),
    add check (dedupe_scope in ('', kind));
drop index job_dedupe;
create unique index job_dedupe on job (organization_id, dedupe_scope, dedupe_key)
    where dedupe_key is not null;
-- The job that was enqueued last with a key.
create index job_history_dedupe on job_history
    (organization_id, dedupe_scope, dedupe_key, created_at desc)
    where dedupe_key is not null;
-- Columns of tenant data keep no statistics: 0009_isolation.
alter table job alter column dedupe_scope set statistics 0;
alter table job_history alter column dedupe_scope set statistics 0;
alter table job_history_default alter column dedupe_scope set statistics 0;
grant insert (dedupe_scope) on job to "@system@";
