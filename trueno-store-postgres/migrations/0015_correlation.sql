-- Run as @owner@. What a job was enqueued on account of: one id goes from a request through its job to
-- the jobs that follow it. Null where nobody named one.

alter table job add column correlation_id uuid;
alter table job_history add column correlation_id uuid;

-- Columns of tenant data keep no statistics: 0009_isolation.
alter table job alter column correlation_id set statistics 0;
alter table job_history alter column correlation_id set statistics 0;
alter table job_history_default alter column correlation_id set statistics 0;

grant insert (correlation_id) on job to "@system@";
