-- Run as @owner@. Enqueueing, in the caller's transaction and in the organization that it entered:
-- not a definer function, so it can do no more than its caller.
--
-- Answers in the order of its arguments. An id that is in use, live or finished, raises TR003 and
-- nothing is enqueued. ON CONFLICT looks within one organization only: the key starts with it.
create function enqueue(
    the_ids uuid[], the_kinds text[], the_payload_versions bigint[], the_payloads jsonb[],
    the_dedupe_keys text[], the_priorities smallint[], the_run_ats timestamptz[],
    the_max_attempts bigint[]
) returns table (created boolean, job_id uuid)
language plpgsql volatile
set search_path = pg_catalog, "@schema@", pg_temp as $$
declare
    organization uuid := current_organization();
    -- One moment for the batch, so that jobs to run at once keep the order of their ids.
    moment timestamptz := clock_timestamp();
begin
    for i in 1 .. cardinality(the_ids) loop
        perform from job where job.organization_id = organization and job.id = the_ids[i]
            union all
            select from job_history h where h.organization_id = organization and h.id = the_ids[i];
        if found then
            raise exception using errcode = 'TR003', message = 'the job id is in use';
        end if;
        created := false;
        job_id := null;
        -- Goes round again where the job that had the key ended in between.
        while job_id is null loop
            insert into job (
                organization_id, id, kind, payload_version, payload, dedupe_key, priority, run_at,
                max_attempts, status, created_at
            ) values (
                organization, the_ids[i], the_kinds[i], the_payload_versions[i], the_payloads[i],
                the_dedupe_keys[i], the_priorities[i], coalesce(the_run_ats[i], moment),
                the_max_attempts[i], 'queued', moment
            ) on conflict (organization_id, kind, dedupe_key) where dedupe_key is not null do nothing
            returning job.id into job_id;
            created := job_id is not null;
            if not created then
                select job.id into job_id from job
                    where job.organization_id = organization and job.kind = the_kinds[i]
                        and job.dedupe_key = the_dedupe_keys[i];
            end if;
        end loop;
        return next;
    end loop;
end $$;

revoke all on function enqueue(
    uuid[], text[], bigint[], jsonb[], text[], smallint[], timestamptz[], bigint[]
) from public;
grant execute on function enqueue(
    uuid[], text[], bigint[], jsonb[], text[], smallint[], timestamptz[], bigint[]
) to "@app@", "@processor@";
