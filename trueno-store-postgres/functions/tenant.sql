-- Run as @owner@. Work in the organization that the caller's transaction entered. No definer functions:
-- each can do no more than its caller.
--
-- | function | who |
-- |---|---|
-- | enqueue | app, processor |
-- | end_looks | processor |
-- | with_error | app, processor, and definer functions |

drop function if exists enqueue(
    uuid[], text[], bigint[], jsonb[], text[], smallint[], timestamptz[], bigint[]
); -- until 10
drop function if exists enqueue(
    uuid[], text[], bigint[], jsonb[], text[], smallint[], timestamptz[], bigint[], text[],
    bigint[], bigint[], bigint[], bigint[], boolean
); -- until 13

-- Enqueues. Answers in the order of its arguments. An id that is in use, live or finished, raises TR003,
-- and an organization that has as many live jobs as it may, TR005, where it is held to that; nothing is
-- enqueued then. ON CONFLICT looks within one organization only: the key starts with it.
create or replace function enqueue(
    the_ids uuid[], the_kinds text[], the_payload_versions bigint[], the_payloads jsonb[],
    the_dedupe_scopes text[], the_dedupe_keys text[], the_dedupe_windows_ms bigint[],
    the_priorities smallint[], the_run_ats timestamptz[], the_max_attempts bigint[],
    the_concurrency_keys text[], the_concurrency_limits bigint[], the_timeouts_ms bigint[],
    the_backoff_bases_ms bigint[], the_backoff_caps_ms bigint[], is_limited boolean,
    the_correlations uuid[]
) returns table (created boolean, job_id uuid)
language plpgsql volatile
-- A list as long as the batch is planned alike whatever is in it, and a table that is small now as one
-- that is large.
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
set jit = off
set search_path = pg_catalog, "@schema@", pg_temp as $$
declare
    organization uuid := current_organization();
    -- One moment for the batch, so that jobs to run at once keep the order of their ids.
    moment timestamptz := clock_timestamp();
    quota record;
    inserted bigint;
    latest record;
    enqueued_after timestamptz;
begin
    if is_limited then
        select * into quota from queue_quota();
        if found and quota.live + cardinality(the_ids) > quota.max_live then
            raise exception using errcode = 'TR005', message = format(
                'the organization has %s jobs waiting or running, and its quota is %s: wait for some '
                'to end, or raise max_live', quota.live, quota.max_live
            );
        end if;
    end if;
    -- One probe each: joined, each would be compared with all of the history.
    perform from unnest(the_ids) n (id)
        cross join lateral (
            select from job_history h
            where h.organization_id = organization and h.id = n.id limit 1
        ) h;
    if found then
        raise exception using errcode = 'TR003', message = 'the job id is in use';
    end if;
    if array_remove(the_dedupe_keys, null) = '{}' then
        insert into job (
            organization_id, id, kind, payload_version, payload, priority, run_at, max_attempts,
            status, created_at, concurrency_key, concurrency_limit, timeout_ms, backoff_base_ms,
            backoff_cap_ms, correlation_id
        )
            select organization, n.id, n.kind, n.payload_version, n.payload, n.priority,
                coalesce(n.run_at, moment), n.max_attempts, 'queued', moment, n.concurrency_key,
                n.concurrency_limit, n.timeout_ms, n.backoff_base_ms, n.backoff_cap_ms,
                n.correlation_id
            from unnest(
                the_ids, the_kinds, the_payload_versions, the_payloads, the_priorities, the_run_ats,
                the_max_attempts, the_concurrency_keys, the_concurrency_limits, the_timeouts_ms,
                the_backoff_bases_ms, the_backoff_caps_ms, the_correlations
            ) as n (
                id, kind, payload_version, payload, priority, run_at, max_attempts, concurrency_key,
                concurrency_limit, timeout_ms, backoff_base_ms, backoff_cap_ms, correlation_id
            )
            on conflict (organization_id, id) do nothing;
        get diagnostics inserted = row_count;
        if inserted < cardinality(the_ids) then
            raise exception using errcode = 'TR003', message = 'the job id is in use';
        end if;
        return query select true, n.id from unnest(the_ids) with ordinality n (id, nth) order by n.nth;
        return;
    end if;
    for i in 1 .. cardinality(the_ids) loop
        perform from job where job.organization_id = organization and job.id = the_ids[i];
        if found then
            raise exception using errcode = 'TR003', message = 'the job id is in use';
        end if;
        created := false;
        job_id := null;
        enqueued_after := moment - the_dedupe_windows_ms[i] * interval '1 millisecond';
        -- Goes round again where the job that had the key ended in between.
        while job_id is null loop
            insert into job (
                organization_id, id, kind, payload_version, payload, dedupe_scope, dedupe_key,
                priority, run_at, max_attempts, status, created_at, concurrency_key,
                concurrency_limit, timeout_ms, backoff_base_ms, backoff_cap_ms, correlation_id
            ) values (
                organization, the_ids[i], the_kinds[i], the_payload_versions[i], the_payloads[i],
                the_dedupe_scopes[i], the_dedupe_keys[i], the_priorities[i],
                coalesce(the_run_ats[i], moment), the_max_attempts[i], 'queued', moment,
                the_concurrency_keys[i],
                the_concurrency_limits[i], the_timeouts_ms[i], the_backoff_bases_ms[i],
                the_backoff_caps_ms[i], the_correlations[i]
            ) on conflict (organization_id, dedupe_scope, dedupe_key)
                where dedupe_key is not null do nothing
            returning job.id into job_id;
            created := job_id is not null;
            if not created then
                select job.id into job_id from job
                    where job.organization_id = organization
                        and job.dedupe_scope = the_dedupe_scopes[i]
                        and job.dedupe_key = the_dedupe_keys[i];
            end if;
        end loop;
        -- After the insert, which waited for whoever had the key: what ended meanwhile is in the history.
        if created and enqueued_after is not null then
            select h.id, h.status, h.created_at into latest from job_history h
                where h.organization_id = organization and h.dedupe_scope = the_dedupe_scopes[i]
                    and h.dedupe_key = the_dedupe_keys[i]
                order by h.created_at desc limit 1;
            if found and latest.status <> 'cancelled' and latest.created_at > enqueued_after then
                delete from job
                    where job.organization_id = organization and job.id = the_ids[i];
                created := false;
                job_id := latest.id;
            end if;
        end if;
        return next;
    end loop;
end $$;

-- Ends looks of a scan at inventories of an account. A complete one leaves behind what the scan did
-- not see, which is gone from then on, and then stands for its sightings. Any other one only drops
-- what says nothing any more. Inventories that do not exist have nothing to say.
create or replace function end_looks(
    the_account uuid, the_scan uuid, the_kinds text[], the_regions text[], are_complete boolean[]
) returns void
language plpgsql volatile
set search_path = pg_catalog, "@schema@", pg_temp as $$
declare
    organization uuid := current_organization();
    the record;
    there bigint;
    latest_of_all bigint;
    stands_for_all boolean;
begin
    -- One by one, so that the rows of each are found by the key whatever the statistics say.
    for the in
        select i.id, i.present, i.looks, i.scan_id, i.looked_at, e.is_complete
        from unnest(the_kinds, the_regions, are_complete) as e (kind, region, is_complete)
        join inventory i on i.organization_id = organization and i.account_id = the_account
            and i.kind = e.kind and i.region = e.region
        order by i.kind, i.region
        for no key update of i
    loop
        stands_for_all := false;
        if the.is_complete then
            there := the.present;
            select coalesce(sum(bit_count(s.latest)), 0) into latest_of_all from sighting s
                where s.organization_id = organization and s.inventory_id = the.id
                    and s.scan_id = the_scan;
            -- Most looks leave nothing behind, which counting tells.
            if latest_of_all < there then
                with gone as (
                    update resource r set
                        gone_at = clock_timestamp(),
                        -- A row that is gone speaks for itself.
                        (last_scan_id, last_seen_at) = (
                            select
                                case
                                    when s.scan_id is not null then s.scan_id
                                    when the.looks > r.looks then the.scan_id
                                    else r.last_scan_id
                                end,
                                case
                                    when s.scan_id is not null then s.seen_at
                                    when the.looks > r.looks then the.looked_at
                                    else r.last_seen_at
                                end
                            from (select) one
                            left join sighting s on s.organization_id = organization
                                and s.inventory_id = the.id and s.chunk = r.chunk
                                and get_bit(s.latest, r.bit) = 1
                        )
                    where r.organization_id = organization and r.inventory_id = the.id
                        and r.gone_at is null
                        and not exists (
                            select from sighting s
                            where s.organization_id = organization and s.inventory_id = the.id
                                and s.chunk = r.chunk and s.scan_id = the_scan
                                and get_bit(s.seen, r.bit) = 1
                        )
                        -- What an earlier complete look of the same scan saw, it saw.
                        and not (the.looks > r.looks and the.scan_id = the_scan)
                    returning r.chunk, r.bit
                ), forgotten as (
                    update sighting s set latest = s.latest & ~g.bits
                    from (
                        select gone.chunk,
                            bit_or(set_bit(repeat('0', 4096)::bit(4096), gone.bit, 1)) as bits
                        from gone group by gone.chunk
                    ) g
                    where s.organization_id = organization and s.inventory_id = the.id
                        and s.chunk = g.chunk and bit_count(s.latest & g.bits) > 0
                )
                select the.present - count(*) into there from gone;
            end if;
            -- Where other scans saw some of it later, sightings go on to say who saw what.
            stands_for_all := latest_of_all = there;
            update inventory i set
                present = there,
                looks = i.looks + case when stands_for_all then 1 else 0 end,
                scan_id = case when stands_for_all then the_scan else i.scan_id end,
                looked_at = case when stands_for_all then clock_timestamp() else i.looked_at end
                where i.organization_id = organization and i.id = the.id;
        end if;
        delete from sighting s
            where s.organization_id = organization and s.inventory_id = the.id
                and case
                    when s.scan_id = the_scan then stands_for_all
                    else bit_count(s.latest) = 0 and not exists (
                        select from scan c
                        where c.organization_id = organization and c.id = s.scan_id
                            and c.status in ('queued', 'running')
                    )
                end;
    end loop;
end $$;

-- Errors of a job with one more, of now; beyond `most` the oldest goes.
create or replace function with_error(the_errors jsonb, the_error text, most int) returns jsonb
language sql volatile
set search_path = pg_catalog, "@schema@", pg_temp as $$
    select case when jsonb_array_length(the_errors) >= most then the_errors - 0 else the_errors end
        || jsonb_build_array(jsonb_build_object('at', clock_timestamp(), 'error', the_error));
$$;

revoke all on function
    enqueue(
        uuid[], text[], bigint[], jsonb[], text[], text[], bigint[], smallint[], timestamptz[],
        bigint[], text[], bigint[], bigint[], bigint[], bigint[], boolean, uuid[]
    ),
    end_looks(uuid, uuid, text[], text[], boolean[]), with_error(jsonb, text, int)
    from public, "@system@", "@app@", "@processor@", "@sequencer@";
grant execute on function
    enqueue(
        uuid[], text[], bigint[], jsonb[], text[], text[], bigint[], smallint[], timestamptz[],
        bigint[], text[], bigint[], bigint[], bigint[], bigint[], boolean, uuid[]
    )
    to "@app@", "@processor@";
grant execute on function end_looks(uuid, uuid, text[], text[], boolean[]) to "@processor@";
grant execute on function with_error(jsonb, text, int) to "@app@", "@processor@", "@system@";
