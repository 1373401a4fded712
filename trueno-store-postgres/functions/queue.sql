-- Run as @system@, after across.sql. The queue: 0011_queue says how it is kept. What is here belongs to
-- the closed list of work across organizations that heads across.sql.

drop function if exists claim(uuid, text, text[], int, interval, uuid[]); -- until 13: another answer
drop function if exists queue_take(uuid, text, text[], int, uuid[], uuid[], timestamptz); -- until 13: another answer
drop function if exists session_compact(uuid); -- until 10
drop function if exists queue_stats(); -- until 10: another answer
drop function if exists recover_expired(int, bigint, text, uuid[]); -- until 10

-- Brings what is kept of organizations' lanes up to date with up to `most` notes, the oldest first. An
-- organization that another claim has locked is left to a later one, unless all are; those that were
-- brought up to date stay locked. Answers whether there are any, and whether any were left.
create or replace function queue_fold(most int, out has_locks boolean, out has_left boolean)
language plpgsql volatile
set search_path = pg_catalog, "@schema@", pg_temp as $$
declare
    noted uuid[];
    locked uuid[];
    standing uuid;
    freed uuid[];
    key_organizations uuid[];
    keys text[];
begin
    has_locks := false;
    has_left := false;
    select array_agg(distinct n.organization_id) into noted
        from (select organization_id from queue_note order by position limit most) n;
    if noted is null then
        return;
    end if;
    insert into queue_organization (organization_id)
        select o.organization_id
        from (
            select n.organization_id from unnest(noted) n (organization_id)
            where not exists (
                select from queue_organization q
                where q.organization_id = n.organization_id offset 0
            )
            -- In order, since two that insert the same wait for each other.
            order by n.organization_id
        ) n
        cross join lateral (
            select o.organization_id from organization o
            where o.organization_id = n.organization_id
            -- One that is being erased is left alone.
            for key share skip locked
        ) o
        on conflict (organization_id) do nothing;
    select array_agg(o.organization_id) into locked from (
        select o.organization_id from queue_organization o
        where o.organization_id = any (noted) for update skip locked
    ) o;
    if locked is null then
        -- Other claims are at all of them. They are short: one is waited for, so that a claim does not
        -- come back with nothing while there is something. Only who holds no lock waits, so that no two
        -- wait for each other. An organization that is being erased is passed over: that lasts for as
        -- long as a member's transaction does.
        select o.organization_id into standing from organization o
            where o.organization_id = any (noted) limit 1 for key share skip locked;
        select array_agg(o.organization_id) into locked from (
            select o.organization_id from queue_organization o
            where o.organization_id = standing for update
        ) o;
    end if;
    has_left := cardinality(noted) > coalesce(cardinality(locked), 0);
    if locked is null then
        return;
    end if;
    has_locks := true;
    with gone as materialized (
        delete from queue_note n using (
            select n.place
            from unnest(locked) l (organization_id)
            cross join lateral (
                -- Nobody changes a note, and nobody else takes those of what is locked here.
                select n.ctid as place from queue_note n
                where n.organization_id = l.organization_id order by n.position limit most
            ) n
        ) d
        where n.ctid = d.place
        returning n.*
    ), lanes as (
        insert into queue_lane as l (
            organization_id, lane, kind, priority, concurrency_key, concurrency_limit,
            head_at, head_id, due_at
        )
        -- Of jobs whose lanes have one name though they differ, which takes a collision of hashes, one
        -- gives the lane its properties: their organization's problem, and nobody else's.
        select g.organization_id, g.lane, min(g.kind), min(g.priority), min(g.concurrency_key),
            min(g.concurrency_limit), min(g.ready_at), '00000000-0000-0000-0000-000000000000',
            min(g.ready_at)
        from gone g where g.lane is not null
        group by g.organization_id, g.lane
        on conflict (organization_id, lane) do update set
            head_id = case when excluded.head_at <= l.head_at then excluded.head_id else l.head_id end,
            head_at = least(l.head_at, excluded.head_at),
            due_at = least(l.due_at, excluded.due_at)
    ), turns as (
        insert into queue_turn as t (organization_id, kind, turn)
        -- Not before now: who names a moment long past is not served before everybody else. Of those
        -- that are noted here, who came first is first.
        select g.organization_id, g.kind, greatest(g.ready_at, clock_timestamp())
        from (
            select g.organization_id, g.kind, min(g.ready_at) as ready_at
            from gone g where g.lane is not null
            group by g.organization_id, g.kind
            order by min(g.position)
        ) g
        on conflict (organization_id, kind) do update set turn = least(t.turn, excluded.turn)
    ), counted as (
        update queue_organization o set
            live = o.live + g.added - g.ended, running = o.running - g.freed
        from (
            select g.organization_id, sum(g.added) as added, sum(g.ended) as ended,
                sum(g.freed) as freed
            from gone g group by g.organization_id
        ) g
        -- Found by one probe each, and then by its place, here and below: joined, each would be
        -- compared with each. Nobody moves what is kept of an organization that is locked since an
        -- earlier statement.
        cross join lateral (
            select o.ctid as place from queue_organization o
            where o.organization_id = g.organization_id offset 0
        ) p
        where o.ctid = p.place
        returning o.organization_id,
            o.running < o.max_running and o.running + g.freed >= o.max_running as has_room_again
    ), keyed as (
        update queue_key k set running = k.running - g.freed
        from (
            select g.organization_id, g.concurrency_key, sum(g.freed) as freed
            from gone g where g.concurrency_key <> '' and g.freed > 0
            group by g.organization_id, g.concurrency_key
        ) g
        cross join lateral (
            select k.ctid as place from queue_key k
            where k.organization_id = g.organization_id
                and k.concurrency_key = g.concurrency_key offset 0
        ) p
        where k.ctid = p.place
        returning k.organization_id, k.concurrency_key
    )
    select (select array_agg(c.organization_id) from counted c where c.has_room_again),
        (select array_agg(k.organization_id order by k.organization_id, k.concurrency_key) from keyed k),
        (select array_agg(k.concurrency_key order by k.organization_id, k.concurrency_key) from keyed k)
        into freed, key_organizations, keys;
    -- Where a place is free again, what waited for one is looked at again, and nothing else.
    if keys is not null then
        with woken as (
            update queue_lane l set due_at = l.head_at
                from unnest(key_organizations, keys) f (organization_id, concurrency_key)
                cross join lateral (
                    select k.running from queue_key k
                    where k.organization_id = f.organization_id
                        and k.concurrency_key = f.concurrency_key offset 0
                ) k
                cross join lateral (
                    select l.ctid as place from queue_lane l
                    where l.organization_id = f.organization_id
                        and l.concurrency_key = f.concurrency_key and l.concurrency_key <> ''
                        and l.due_at > l.head_at and k.running < l.concurrency_limit offset 0
                ) p
                where l.ctid = p.place
                returning l.organization_id
        )
        select freed || array_agg(distinct w.organization_id) into freed from woken w;
        delete from queue_key k
            using unnest(key_organizations, keys) f (organization_id, concurrency_key)
            cross join lateral (
                select k.ctid as place from queue_key k
                where k.organization_id = f.organization_id
                    and k.concurrency_key = f.concurrency_key and k.running = 0 offset 0
            ) p
            where k.ctid = p.place;
    end if;
    if freed is not null then
        update queue_turn t set turn = clock_timestamp()
            where t.organization_id = any (freed) and t.turn > clock_timestamp();
    end if;
end $$;

-- Hands out up to `the_limit` due jobs of organizations that are locked here, the nth under the nth
-- token. Those served longest ago come first; each may begin its weight's share of the batch, among all
-- that wait: those that another claim has locked are served as well.
create or replace function queue_take(
    the_session uuid, the_worker text, the_kinds text[], the_limit int, the_tokens uuid[],
    the_organizations uuid[], the_waiting uuid[], until timestamptz
) returns table (
    organization_id uuid, id uuid, token uuid, kind text, payload_version bigint, payload jsonb,
    failed_attempts bigint, max_attempts bigint, lost_leases bigint, created_at timestamptz,
    timeout_ms bigint, backoff_base_ms bigint, backoff_cap_ms bigint, run_at timestamptz,
    correlation_id uuid, expires_at timestamptz
)
language plpgsql volatile
set search_path = pg_catalog, "@schema@", pg_temp as $$
#variable_conflict use_column
declare
    moment timestamptz := clock_timestamp();
    share bigint;
    -- Where the jobs lie that are handed out, in order.
    places tid[];
    updated bigint;
begin
    select greatest(1, ceil(the_limit::numeric / greatest(1, sum(o.weight))))::bigint into share
        from queue_organization o
        where o.organization_id = any (the_waiting) and not o.paused
            and (o.max_running is null or o.running < o.max_running);

    with served as materialized (
        select o.*, least(o.budget, o.max_running - o.running, the_limit) as room
        from (
            select o.ctid as place, o.organization_id, n.nth, o.weight, o.max_running, o.running,
                case when o.credit > 0 then o.credit else o.weight * share end as budget
            from unnest(the_organizations) with ordinality as n (organization_id, nth)
            -- One probe each, whatever the planner thinks that there is: so too below.
            cross join lateral (
                select o.ctid, o.* from queue_organization o
                where o.organization_id = n.organization_id offset 0
            ) o
            where not o.paused and (o.max_running is null or o.running < o.max_running)
        ) o
    ), lane as materialized (
        -- The jobs that come first lie in as many lanes at the most, of those whose heads come first;
        -- more are looked at, since those of a key that is full have none to give.
        select l.*, o.nth as organization_nth, o.weight, o.room as organization_room,
            coalesce(k.running, 0) as key_running,
            least(
                o.room,
                case when l.concurrency_limit > 0
                    then l.concurrency_limit - coalesce(k.running, 0) else o.room end
            ) as room
        from served o
        cross join lateral (
            select l.ctid as place, l.* from queue_lane l
            where l.organization_id = o.organization_id and l.kind = any (the_kinds)
                and l.due_at <= moment
            order by l.head_at - l.priority * interval '1 minute'
            limit greatest(o.room, 16)
        ) l
        left join lateral (
            select k.running from queue_key k
            where k.organization_id = l.organization_id
                and k.concurrency_key = l.concurrency_key offset 0
        ) k on l.concurrency_key <> ''
    ), found as materialized (
        -- One more than there is room for: where the lane's next head is.
        select l.organization_id, l.lane, l.concurrency_key, l.concurrency_limit, l.key_running,
            l.organization_nth, l.weight, l.organization_room,
            j.id, j.run_at, j.run_at - l.priority * interval '1 minute' as rank,
            j.nth <= l.room as has_room
        from lane l
        cross join lateral (
            select j.*, row_number() over (order by j.run_at, j.id) as nth from (
                select j.id, j.run_at from job j
                where j.organization_id = l.organization_id and j.lane = l.lane
                    and (j.run_at, j.id) >= (l.head_at, l.head_id) and j.run_at <= moment
                    and j.status in ('queued', 'failed')
                order by j.run_at, j.id
                limit l.room + 1
            ) j
        ) j
        where l.room > 0
    ), allowed as materialized (
        select f.organization_id, f.id, f.concurrency_key, f.rank, f.organization_nth, f.weight,
            f.organization_room
        from found f where f.has_room and f.concurrency_limit = 0
        union all
        select f.organization_id, f.id, f.concurrency_key, f.rank, f.organization_nth, f.weight,
            f.organization_room
        from (
            select f.*, row_number() over (
                partition by f.organization_id, f.concurrency_key order by f.rank, f.id
            ) + f.key_running <= f.concurrency_limit as key_has_room
            from found f where f.has_room and f.concurrency_limit > 0
        ) f
        where f.key_has_room
    ), chosen as materialized (
        select c.*, row_number() over (order by c.organization_nth, c.organization_place) as nth
        from (
            select a.organization_id, a.id, a.concurrency_key, a.organization_nth,
                a.organization_place
            from (
                select a.*, row_number() over (
                    partition by a.organization_id order by a.rank, a.id
                ) as organization_place
                from allowed a
            ) a
            where a.organization_place <= a.organization_room
            -- Round by round, an organization's weight in each.
            order by (a.organization_place - 1) / a.weight, a.organization_nth, a.organization_place
            limit the_limit
        ) c
    ), locked as materialized (
        -- Looked up one by one, so that no plan of a small table reads all of it once it is large.
        select c.*, j.place from chosen c
        cross join lateral (
            select j.ctid as place from job j
            where j.organization_id = c.organization_id and j.id = c.id
                and j.status in ('queued', 'failed')
            for update skip locked
        ) j
    ), next_head as materialized (
        -- Where nothing that was found is left, the next one lies in the future, if there is any.
        select e.organization_id, e.place,
            case when e.room <= 0 then e.head_at
                when e.left_id is not null then e.left_at
                else coalesce(n.run_at, 'infinity') end as head_at,
            case when e.room <= 0 then e.head_id
                else coalesce(e.left_id, n.id, '00000000-0000-0000-0000-000000000000')
            end as head_id,
            case when e.room <= 0 then 'infinity'
                when e.left_id is not null then e.left_at
                else coalesce(n.run_at, 'infinity') end as due_at,
            e.room > 0 and e.left_id is null and n.id is null as is_empty,
            e.concurrency_key
        from (
            -- Not joins, which without statistics would compare each with each.
            select u.organization_id, u.lane,
                (array_agg(u.place) filter (where u.place is not null))[1] as place,
                max(u.room) as room, max(u.head_at) as head_at,
                (array_agg(u.head_id) filter (where u.head_id is not null))[1] as head_id,
                (array_agg(u.left_at order by u.left_at, u.left_id)
                    filter (where u.left_id is not null))[1] as left_at,
                (array_agg(u.left_id order by u.left_at, u.left_id)
                    filter (where u.left_id is not null))[1] as left_id,
                max(u.concurrency_key) as concurrency_key
            from (
                select l.organization_id, l.lane, l.place, l.room, l.head_at, l.head_id,
                    null::timestamptz as left_at, null::uuid as left_id, l.concurrency_key
                from lane l
                union all
                select f.organization_id, f.lane, null, null, null, null, f.run_at, f.id, null
                from found f where (f.organization_id, f.id) not in (
                    select t.organization_id, t.id from locked t
                )
            ) u
            group by u.organization_id, u.lane
        ) e
        left join lateral (
            select j.run_at, j.id from job j
            where e.room > 0 and e.left_id is null
                and j.organization_id = e.organization_id and j.lane = e.lane
                and j.run_at > moment and j.status in ('queued', 'failed')
            order by j.run_at, j.id limit 1
        ) n on true
    ), heads as (
        update queue_lane l set
            head_at = e.head_at, head_id = e.head_id, due_at = e.due_at
        from next_head e
        where l.ctid = e.place and (e.concurrency_key = '' or not e.is_empty)
            and (l.head_at, l.head_id, l.due_at) is distinct from (e.head_at, e.head_id, e.due_at)
    ), emptied as (
        -- There may be a key for each of many things: a note brings its lane back.
        delete from queue_lane l using next_head e
        where l.ctid = e.place and e.concurrency_key <> '' and e.is_empty
    ), keys as (
        insert into queue_key as k (organization_id, concurrency_key, running)
        select t.organization_id, t.concurrency_key, count(*) from locked t
        where t.concurrency_key <> '' group by t.organization_id, t.concurrency_key
        on conflict (organization_id, concurrency_key) do update
            set running = k.running + excluded.running
    ), counts as (
        update queue_organization o set
            running = o.running + s.taken,
            -- A credit is for what waits.
            credit = case
                when not s.may_have_more then 0
                when s.taken > 0 then greatest(0, s.budget - s.taken)
                when s.is_left then o.credit
                else 0
            end,
            -- Whom the batch had no room for keeps its turn; who could begin none has had it.
            is_served = case when s.taken > 0 then s.taken >= s.budget else not s.is_left end
        from (
            select (array_agg(u.place) filter (where u.place is not null))[1] as place,
                max(u.budget) as budget, sum(u.taken) as taken,
                -- As many lanes as are looked at: there may be others.
                bool_or(u.is_due) or sum(u.lanes) >= greatest(max(u.room), 16) as may_have_more,
                exists (
                    select from allowed a where a.organization_id = u.organization_id
                ) and not exists (
                    select from chosen c where c.organization_id = u.organization_id
                ) as is_left
            from (
                select s.organization_id, s.place, s.budget, s.room, 0 as taken, 0 as lanes,
                    false as is_due
                from served s
                union all
                select t.organization_id, null, null, null, 1, 0, false from locked t
                union all
                select e.organization_id, null, null, null, 0, 1, e.due_at <= moment
                from next_head e
            ) u
            group by u.organization_id
        ) s
        where o.ctid = s.place
    ), batch as (
        insert into worker_batch (session_id, organization_ids, job_ids)
        select the_session, array_agg(t.organization_id), array_agg(t.id) from locked t
        having count(*) > 0
    )
    select array_agg(t.place order by t.nth) into places from locked t;
    -- In a statement of its own, which sees what was locked as it is now: by its place, and in order.
    return query
        update job j set
            status = 'running', token = the_tokens[t.nth::int],
            locked_by = the_session, locked_worker = the_worker
        from unnest(places) with ordinality as t (place, nth)
        where j.ctid = t.place
        returning j.organization_id, j.id, j.token, j.kind, j.payload_version, j.payload,
            j.failed_attempts, j.max_attempts, j.lost_leases, j.created_at,
            j.timeout_ms, j.backoff_base_ms, j.backoff_cap_ms, j.run_at, j.correlation_id, until;
    get diagnostics updated = row_count;
    if updated <> coalesce(cardinality(places), 0) then
        raise exception 'a claim counted % jobs, and took %', cardinality(places), updated;
    end if;

    -- Who has more that is due, and has had its share, goes to the back; who has none waits until it
    -- has, and who may begin none, until a place is free (queue_fold) or it may again
    -- (pause_organization, set_queue_limits).
    with turn as (
        select t.ctid as place, t.organization_id, t.turn as turn_before,
            case
                when o.paused or o.running >= o.max_running then 'infinity'
                when d.due_at <= moment then
                    -- Who was first in this batch is first again.
                    case when o.is_served then moment + interval '1 microsecond'
                        * array_position(the_organizations, t.organization_id) else t.turn end
                else d.due_at
            end as turn,
            coalesce(d.due_at <= moment, false) as has_more
        from queue_turn t
        join queue_organization o on o.organization_id = t.organization_id
        cross join lateral (
            select coalesce(min(d.due_at), 'infinity') as due_at from (
                select l.due_at from queue_lane l
                where l.organization_id = t.organization_id and l.kind = t.kind
                order by l.due_at limit 1
            ) d
        ) d
        where t.organization_id = any (the_organizations) and t.kind = any (the_kinds)
    ), moved as (
        update queue_turn t set turn = n.turn from turn n
        where t.ctid = n.place and n.turn <> n.turn_before
    )
    -- Where it could not be told above.
    update queue_organization o set credit = 0
        where o.credit > 0 and o.organization_id = any (array(
            select n.organization_id from turn n group by n.organization_id having not bool_or(n.has_more)
        ));
end $$;

-- Opens the session, or extends it; hands out up to `the_limit` due jobs, the nth under the nth token.
-- Where it hands out none, and could not look at some because other claims had them locked, it answers
-- a row of nulls: it is worth to ask again.
create or replace function claim(
    the_session uuid, the_worker text, the_kinds text[], the_limit int, the_lease interval,
    the_tokens uuid[]
) returns table (
    organization_id uuid, id uuid, token uuid, kind text, payload_version bigint, payload jsonb,
    failed_attempts bigint, max_attempts bigint, lost_leases bigint, created_at timestamptz,
    timeout_ms bigint, backoff_base_ms bigint, backoff_cap_ms bigint, run_at timestamptz,
    correlation_id uuid, expires_at timestamptz
)
language plpgsql volatile security definer
-- For queue_fold and queue_take too, which nobody else calls. Without statistics (0009_isolation) the
-- planner thinks that little waits, and would collect and sort all of it; small tables it takes for ones
-- that stay small, and would read them whole. In the index's order a claim reads as far as it takes. What is
-- left to plan does not depend on values, and planning anew takes as long as running.
set enable_bitmapscan = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_material = off
set enable_memoize = off
set plan_cache_mode = force_generic_plan
set jit = off
set search_path = pg_catalog, "@schema@", pg_temp as $$
#variable_conflict use_column
declare
    moment timestamptz := clock_timestamp();
    until timestamptz;
    open_kinds text[];
    -- Few organizations with several jobs each cost less than many with one; turns see to it that all
    -- are served.
    breadth int := least(the_limit, greatest(16, (the_limit + 7) / 8));
    has_locks boolean;
    has_left boolean;
    waiting uuid[];
    mine uuid[];
    tried uuid[] := '{}';
    standing uuid;
    taken int := 0;
    more int;
    rounds int := 0;
    in_vain int := 0;
begin
    insert into worker_session as s (id, worker, expires_at, kinds)
        values (the_session, the_worker, moment + the_lease, the_kinds)
        -- Never shorter: what the session holds was promised for longer.
        on conflict (id) do update set
            worker = the_worker,
            -- All that it ever asked for: a claim names the kinds that it has room for.
            kinds = case when s.kinds @> the_kinds then s.kinds else s.kinds || the_kinds end,
            expires_at = greatest(s.expires_at, moment + the_lease)
            where s.expires_at > moment
        returning s.expires_at into until;
    if not found then
        raise exception using errcode = 'TR002', message = 'the worker session is over';
    end if;
    select coalesce(array_agg(k.kind), '{}') into open_kinds from unnest(the_kinds) k (kind)
        where not exists (select from queue_paused_kind p where p.kind = k.kind);

    select f.has_locks, f.has_left into has_locks, has_left from queue_fold(1000) f;

    -- Again for as long as somebody waits and there is room: whose turn it was may have had nothing, or
    -- less than its share. Nobody is looked at for ever: a turn moves on, whatever came of it.
    while taken < the_limit and rounds < 100 loop
        rounds := rounds + 1;
        select array_agg(w.organization_id order by w.turn, w.organization_id) into waiting from (
            select w.organization_id, min(w.turn) as turn
            from unnest(open_kinds) k (kind)
            cross join lateral (
                select t.organization_id, t.turn from queue_turn t
                where t.kind = k.kind and t.turn <= clock_timestamp()
                order by t.turn limit breadth
            ) w
            group by w.organization_id order by min(w.turn), w.organization_id limit breadth
        ) w;
        exit when waiting is null;
        select array_agg(o.organization_id order by array_position(waiting, o.organization_id))
            into mine
            from (
                select o.organization_id from queue_organization o
                where o.organization_id = any (waiting) for update skip locked
            ) o;
        if mine is null and not has_locks then
            -- As in queue_fold.
            select o.organization_id into standing from organization o
                where o.organization_id = any (waiting)
                order by array_position(waiting, o.organization_id) limit 1
                for key share skip locked;
            select array_agg(o.organization_id) into mine from (
                select o.organization_id from queue_organization o
                where o.organization_id = standing for update
            ) o;
        end if;
        has_left := has_left or cardinality(waiting) > coalesce(cardinality(mine), 0);
        exit when mine is null;
        has_locks := true;
        -- Who had its share gets no more of this batch while others wait whom another claim has locked.
        exit when taken > 0 and mine <@ tried and cardinality(waiting) > cardinality(mine);
        return query select * from queue_take(
            the_session, the_worker, open_kinds, the_limit - taken, the_tokens[taken + 1:], mine,
            waiting, until
        );
        get diagnostics more = row_count;
        taken := taken + more;
        -- What is left of the batch is not worth another round.
        exit when more > 0 and taken >= the_limit / 2;
        -- Lanes of full keys are out of the way from now on, and others come after them; what cannot be
        -- taken now (a member's transaction has it locked, for one) is not asked for for long.
        if more = 0 and mine <@ tried then
            in_vain := in_vain + 1;
            exit when in_vain >= 8;
        end if;
        tried := tried || mine;
    end loop;
    if taken = 0 and has_left then
        return query select null::uuid, null::uuid, null::uuid, null, null::bigint, null::jsonb,
            null::bigint, null::bigint, null::bigint, null::timestamptz, null::bigint, null::bigint,
            null::bigint, null::timestamptz, null::uuid, until;
    end if;
end $$;

-- Extends a session, and answers the leases that it still holds: one row at least, with nulls where
-- there are none.
create or replace function heartbeat(the_session uuid, the_lease interval)
returns table (
    expires_at timestamptz, organization_id uuid, id uuid, token uuid, cancel_requested boolean
)
language plpgsql volatile security definer
-- As above: what a session holds is looked up one by one, whatever the tables are when it is planned.
set enable_bitmapscan = off
set enable_seqscan = off
set enable_hashagg = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_material = off
set enable_memoize = off
set plan_cache_mode = force_generic_plan
set jit = off
set search_path = pg_catalog, "@schema@", pg_temp as $$
#variable_conflict use_column
declare
    moment timestamptz := clock_timestamp();
begin
    update worker_session s set expires_at = greatest(s.expires_at, moment + the_lease)
        where s.id = the_session and s.expires_at > moment;
    if not found then
        raise exception using errcode = 'TR002', message = 'the worker session is over';
    end if;
    -- Batches of which nothing is held any more.
    delete from worker_batch b
        where b.session_id = the_session and not exists (
            select from unnest(b.organization_ids, b.job_ids) as l (organization_id, id)
            cross join lateral (
                select from job j
                where j.organization_id = l.organization_id and j.id = l.id
                    and j.status = 'running' and j.locked_by = the_session
                limit 1
            ) j
            offset 0
        );
    return query
        select s.expires_at, h.organization_id, h.id, h.token, h.cancel_requested
        from worker_session s
        left join (
            -- A job that was given back and handed out again is in two batches.
            select distinct j.organization_id, j.id, j.token, j.cancel_requested
            from worker_batch b
            cross join lateral unnest(b.organization_ids, b.job_ids) as l (organization_id, id)
            cross join lateral (
                select j.* from job j
                where j.organization_id = l.organization_id and j.id = l.id
                    and j.status = 'running' and j.locked_by = the_session
                limit 1
            ) j
            where b.session_id = the_session
        ) h on true
        where s.id = the_session
        order by h.organization_id, h.id;
end $$;

-- Settles jobs that succeeded, have no effects in the store and are held by this session. Answers in
-- the order of its arguments: settled, already_settled (by the same token) or stale. A job that runs
-- a scan raises TR004, and nothing is settled.
create or replace function settle_succeeded(
    the_session uuid, the_organizations uuid[], the_jobs uuid[], the_tokens uuid[]
) returns table (outcome text)
language plpgsql volatile security definer
set enable_bitmapscan = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_material = off
set enable_memoize = off
set plan_cache_mode = force_generic_plan
set jit = off
set search_path = pg_catalog, "@schema@", pg_temp as $$
#variable_conflict use_column
declare
    places tid[];
    settled bigint[];
    kept bigint;
begin
    perform from unnest(the_organizations, the_jobs, the_tokens) as s (organization_id, id, token)
        cross join lateral (
            select from scan
            where scan.organization_id = s.organization_id and scan.job_id = s.id limit 1
        ) scan
        cross join lateral (
            select from job j
            where j.organization_id = s.organization_id and j.id = s.id
                and j.status = 'running' and j.token = s.token and j.locked_by = the_session
            limit 1
        ) j;
    if found then
        raise exception using errcode = 'TR004', message = 'a job of the batch runs a scan';
    end if;
    select array_agg(h.place), array_agg(h.nth) into places, settled from (
        -- A lease that is named twice is settled once, by the first.
        select j.place, min(a.nth) as nth
        from (
            -- One order for everybody, so that no two wait for each other.
            select * from unnest(the_organizations, the_jobs, the_tokens) with ordinality
                as a (organization_id, id, token, nth)
            order by a.organization_id, a.id
        ) a
        cross join lateral (
            select j.ctid as place from job j
            where j.organization_id = a.organization_id and j.id = a.id
                and j.status = 'running' and j.token = a.token and j.locked_by = the_session
                and exists (
                    select from worker_session w
                    where w.id = the_session and w.expires_at > clock_timestamp()
                )
            for update of j
        ) j
        group by j.place
    ) h;
    -- In a statement of its own, which sees what was locked as it is now.
    with gone as (
        delete from job j where j.ctid = any (places) returning j.*
    )
    insert into job_history (
        organization_id, id, kind, payload_version, payload, dedupe_scope, dedupe_key,
        priority, run_at, max_attempts, failed_attempts, lost_leases, status, cancel_requested,
        created_at, errors, token, concurrency_key, concurrency_limit, timeout_ms, backoff_base_ms,
        backoff_cap_ms, correlation_id
    ) select
        g.organization_id, g.id, g.kind, g.payload_version, g.payload, g.dedupe_scope,
        g.dedupe_key, g.priority, g.run_at, g.max_attempts, g.failed_attempts, g.lost_leases,
        'succeeded', g.cancel_requested, g.created_at, g.errors, g.token, g.concurrency_key,
        g.concurrency_limit, g.timeout_ms, g.backoff_base_ms, g.backoff_cap_ms,
        g.correlation_id
    from gone g;
    get diagnostics kept = row_count;
    if kept <> coalesce(cardinality(places), 0) then
        raise exception 'of % jobs that were settled, % came into the history',
            cardinality(places), kept;
    end if;
    if cardinality(settled) = cardinality(the_jobs) then
        return query select 'settled' from generate_series(1, cardinality(the_jobs));
        return;
    end if;
    -- In a statement of its own, which sees what ended while the one above waited for it: the same
    -- request, sent twice, for one.
    return query
    select case
        when a.nth = any (settled) then 'settled'
        when exists (
            select from job_history y
            where y.organization_id = a.organization_id and y.id = a.id and y.token = a.token
        ) or exists (
            select from job j
            where j.organization_id = a.organization_id and j.id = a.id and j.token = a.token
                and j.status <> 'running'
        ) then 'already_settled'
        else 'stale'
    end
    from unnest(the_organizations, the_jobs, the_tokens) with ordinality
        as a (organization_id, id, token, nth)
    order by a.nth;
end $$;

-- Takes up to `the_limit` jobs back from sessions whose time ran out: the step "lease expired" of
-- the job machine, in SQL. A job that a writer has locked is left for the next time; the writer finds
-- out at its commit. Once the job is dead or cancelled its scan, if it runs one, ends with it and an
-- event is staged.
create or replace function recover_expired(
    the_limit int, lost_lease_limit bigint, crash_looped text, most_errors int, the_events uuid[]
) returns table (requeued bigint, dead bigint, cancelled bigint)
language plpgsql volatile security definer
-- As above: what a session holds is looked up one by one, whatever the tables are when it is planned.
set enable_bitmapscan = off
set enable_seqscan = off
set enable_hashagg = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_material = off
set enable_memoize = off
set plan_cache_mode = force_generic_plan
set jit = off
set search_path = pg_catalog, "@schema@", pg_temp as $$
#variable_conflict use_column
declare
    moment timestamptz := clock_timestamp();
    the record;
    next_status text;
    reason text;
    the_scan uuid;
    nth int := 0;
begin
    requeued := 0;
    dead := 0;
    cancelled := 0;
    for the in
        select j.organization_id, j.id, j.lost_leases + 1 as lost, j.cancel_requested
        from (
            -- A job that was given back and handed out again is in two batches.
            select distinct b.session_id, l.organization_id, l.id
            from worker_batch b
            cross join lateral (
                select from worker_session s
                where s.id = b.session_id and s.expires_at <= moment offset 0
            ) s
            cross join lateral unnest(b.organization_ids, b.job_ids) as l (organization_id, id)
        ) l
        cross join lateral (
            select j.* from job j
            where j.organization_id = l.organization_id and j.id = l.id
                and j.status = 'running' and j.locked_by = l.session_id
            limit 1 for update skip locked
        ) j
        limit the_limit
    loop
        nth := nth + 1;
        next_status := case
            when the.cancel_requested then 'cancelled'
            when the.lost >= lost_lease_limit then 'dead'
            else 'queued'
        end;
        if next_status = 'queued' then
            update job j set status = 'queued', lost_leases = the.lost, token = null,
                locked_by = null, locked_worker = null
                where j.organization_id = the.organization_id and j.id = the.id;
            requeued := requeued + 1;
            continue;
        end if;
        reason := case when next_status = 'dead' then crash_looped end;
        with gone as (
            delete from job j where j.organization_id = the.organization_id and j.id = the.id
            returning j.*
        )
        insert into job_history (
            organization_id, id, kind, payload_version, payload, dedupe_scope, dedupe_key,
            priority, run_at, max_attempts, failed_attempts, lost_leases, status, cancel_requested,
            created_at, errors, token, concurrency_key, concurrency_limit, timeout_ms, backoff_base_ms,
            backoff_cap_ms, correlation_id
        ) select
            organization_id, id, kind, payload_version, payload, dedupe_scope, dedupe_key,
            priority, run_at, max_attempts, failed_attempts, the.lost, next_status, cancel_requested,
            created_at,
            case when reason is null then errors else with_error(errors, reason, most_errors) end,
            null, concurrency_key, concurrency_limit, timeout_ms,
            backoff_base_ms, backoff_cap_ms, correlation_id
        from gone;
        the_scan := null;
        update scan s set
            status = case when next_status = 'dead' then 'failed' else 'cancelled' end,
            finished_at = clock_timestamp(), error = reason, version = s.version + 1
            where s.organization_id = the.organization_id and s.job_id = the.id
                and s.status in ('queued', 'running')
            returning s.id into the_scan;
        if the_scan is not null then
            insert into audit_staged (
                organization_id, id, actor_kind, action, targets, details
            ) values (
                the.organization_id, the_events[nth], 'system', 'job.' || next_status,
                jsonb_build_array(
                    jsonb_build_object('kind', 'job', 'id', the.id),
                    jsonb_build_object('kind', 'scan', 'id', the_scan)
                ),
                case when reason is null then '{}' else jsonb_build_object('reason', reason) end
            );
        end if;
        if next_status = 'dead' then
            dead := dead + 1;
        else
            cancelled := cancelled + 1;
        end if;
    end loop;

    delete from worker_batch b
        where exists (
            select from worker_session s
            where s.id = b.session_id and s.expires_at <= moment offset 0
        ) and not exists (
            select from unnest(b.organization_ids, b.job_ids) as l (organization_id, id)
            cross join lateral (
                select from job j
                where j.organization_id = l.organization_id and j.id = l.id
                    and j.status = 'running' and j.locked_by = b.session_id
                limit 1
            ) j
            offset 0
        );
    -- Sessions that hold nothing are kept for a week, so that a late worker is still told that its
    -- session is over; ids of sessions are never used twice.
    delete from worker_session s
        where s.expires_at < moment - interval '7 days' and not exists (
            select from worker_batch b where b.session_id = s.id offset 0
        );
    return next;
end $$;

-- What is kept of every organization, and the notes of what happened since: nothing is counted.
create or replace function queue_stats() returns table (waiting bigint, running bigint)
language sql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
    select (o.live - o.running + n.waiting)::bigint, (o.running - n.freed)::bigint
    from (
        select coalesce(sum(live), 0) as live, coalesce(sum(running), 0) as running
        from queue_organization
    ) o, (
        select coalesce(sum(added - ended + freed), 0) as waiting, coalesce(sum(freed), 0) as freed
        from queue_note
    ) n;
$$;

-- Forgets jobs that ended `the_age` ago or earlier and are not dead, and answers how many. Ids are
-- time-ordered, so it looks at the first `the_limit` of each organization only, and forgets no more.
create or replace function forget_finished(the_age interval, the_limit int) returns bigint
language plpgsql volatile security definer
set enable_seqscan = off
set search_path = pg_catalog, "@schema@", pg_temp as $$
declare
    before timestamptz := clock_timestamp() - the_age;
    org uuid;
    more bigint;
    forgotten bigint := 0;
begin
    for org in select organization_id from organization order by organization_id loop
        delete from job_history h using (
            select h.id, h.finished_at from job_history h
            where h.organization_id = org and h.status <> 'dead'
            order by h.id limit the_limit - forgotten
            -- Whoever erases the organization has no need of help.
            for update skip locked
        ) d
        where h.organization_id = org and h.id = d.id and d.finished_at <= before;
        get diagnostics more = row_count;
        forgotten := forgotten + more;
        exit when forgotten >= the_limit;
    end loop;
    return forgotten;
end $$;

-- Lets a dead job of the organization that was entered begin anew. Answers whether it was dead.
create or replace function redrive_job(the_job uuid) returns boolean
language plpgsql volatile security definer
set enable_seqscan = off
set search_path = pg_catalog, "@schema@", pg_temp as $$
declare
    organization uuid := current_organization();
begin
    -- As whoever erases the organization does: its row first.
    perform from organization o where o.organization_id = organization for key share;
    with gone as (
        delete from job_history h
        where h.organization_id = organization and h.id = the_job and h.status = 'dead'
        returning h.*
    )
    insert into job (
        organization_id, id, kind, payload_version, payload, dedupe_scope, dedupe_key,
        priority, run_at, max_attempts, status, created_at, errors, concurrency_key,
        concurrency_limit, timeout_ms, backoff_base_ms, backoff_cap_ms, correlation_id
    ) select
        organization_id, id, kind, payload_version, payload, dedupe_scope, dedupe_key, priority,
        clock_timestamp(), max_attempts, 'queued', created_at, errors, concurrency_key,
        concurrency_limit, timeout_ms, backoff_base_ms, backoff_cap_ms, correlation_id
    from gone;
    return found;
end $$;

-- Gives a dead job of the organization that was entered up. Answers whether it was dead.
create or replace function discard_job(the_job uuid) returns boolean
language plpgsql volatile security definer
set enable_seqscan = off
set search_path = pg_catalog, "@schema@", pg_temp as $$
declare
    organization uuid := current_organization();
begin
    update job_history h set status = 'cancelled'
        where h.organization_id = organization and h.id = the_job and h.status = 'dead';
    return found;
end $$;

-- How much of the workers an organization gets. No row where nobody ever said.
create or replace function queue_limits(the_organization uuid)
returns table (weight bigint, max_running bigint, max_live bigint)
language sql stable security definer
set enable_seqscan = off
set search_path = pg_catalog, "@schema@", pg_temp as $$
    select weight, max_running, max_live from queue_organization
    where organization_id = the_organization;
$$;

-- An organization's row, locked; made where it is missing. Answers whether there is the organization.
create or replace function queue_lock(the_organization uuid) returns boolean
language plpgsql volatile
set enable_seqscan = off
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    -- Whoever erases it is waited for.
    perform from organization where organization_id = the_organization for key share;
    if not found then
        return false;
    end if;
    insert into queue_organization (organization_id) values (the_organization)
        on conflict (organization_id) do nothing;
    perform from queue_organization where organization_id = the_organization for update;
    return true;
end $$;

-- Answers whether there is the organization.
create or replace function set_queue_limits(
    the_organization uuid, the_weight bigint, the_max_running bigint, the_max_live bigint
) returns boolean
language plpgsql volatile security definer
set enable_seqscan = off
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    if not queue_lock(the_organization) then
        return false;
    end if;
    update queue_organization
        set weight = the_weight, max_running = the_max_running, max_live = the_max_live, credit = 0
        where organization_id = the_organization;
    -- The next claim looks whether more may run now.
    update queue_turn set turn = clock_timestamp()
        where organization_id = the_organization and turn > clock_timestamp();
    return true;
end $$;

-- Holds an organization's jobs back, or lets them go on. Answers whether there is the organization.
create or replace function pause_organization(the_organization uuid, is_paused boolean)
returns boolean
language plpgsql volatile security definer
set enable_seqscan = off
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    if not queue_lock(the_organization) then
        return false;
    end if;
    update queue_organization set paused = is_paused where organization_id = the_organization;
    if not is_paused then
        update queue_turn set turn = clock_timestamp()
            where organization_id = the_organization and turn > clock_timestamp();
    end if;
    return true;
end $$;

-- Holds all jobs of a kind back, or lets them go on.
create or replace function pause_kind(the_kind text, is_paused boolean) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    if is_paused then
        insert into queue_paused_kind (kind) values (the_kind) on conflict (kind) do nothing;
    else
        delete from queue_paused_kind where kind = the_kind;
    end if;
end $$;

-- How many live jobs the organization that was entered has, and how many it may have. No row where
-- nothing limits them.
create or replace function queue_quota() returns table (live bigint, max_live bigint)
language plpgsql stable security definer
set enable_seqscan = off
set search_path = pg_catalog, "@schema@", pg_temp as $$
#variable_conflict use_column
declare
    organization uuid := current_organization();
begin
    return query
        select o.live + coalesce((
            select sum(n.added - n.ended) from queue_note n where n.organization_id = organization
        ), 0)::bigint, o.max_live
        from queue_organization o
        where o.organization_id = organization and o.max_live is not null;
end $$;

-- What a waiting job of the organization that was entered may wait for.
create or replace function queue_waits(the_job uuid) returns table (
    is_paused boolean, has_worker boolean, max_running bigint, running bigint, key_running bigint
)
language plpgsql stable security definer
set enable_seqscan = off
set search_path = pg_catalog, "@schema@", pg_temp as $$
#variable_conflict use_column
declare
    organization uuid := current_organization();
begin
    return query
        select
            coalesce(o.paused, false)
                or exists (select from queue_paused_kind p where p.kind = j.kind),
            exists (
                select from worker_session s
                where s.expires_at > clock_timestamp() and j.kind = any (s.kinds)
            ),
            o.max_running,
            coalesce(o.running, 0) - f.freed,
            coalesce(k.running, 0) - f.key_freed
        from job j
        left join queue_organization o on o.organization_id = j.organization_id
        left join queue_key k on k.organization_id = j.organization_id
            and k.concurrency_key = j.concurrency_key and j.concurrency_key <> ''
        cross join lateral (
            select coalesce(sum(n.freed), 0)::bigint as freed,
                coalesce(sum(n.freed) filter (
                    where n.concurrency_key = j.concurrency_key and j.concurrency_key <> ''
                ), 0)::bigint as key_freed
            from queue_note n where n.organization_id = j.organization_id
        ) f
        where j.organization_id = organization and j.id = the_job;
end $$;

-- Functions of triggers (triggers.sql). Notes for the next claim: see 0011_queue.

create or replace function note_added() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    insert into queue_note (
        organization_id, lane, kind, priority, ready_at, concurrency_key, concurrency_limit, added
    )
        select n.organization_id, n.lane, n.kind, n.priority, min(n.run_at), n.concurrency_key,
            n.concurrency_limit, count(*)
        from new_rows n
        group by n.organization_id, n.lane, n.kind, n.priority, n.concurrency_key,
            n.concurrency_limit;
    return null;
end $$;

create or replace function note_gone() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    insert into queue_note (organization_id, concurrency_key, concurrency_limit, ended, freed)
        select o.organization_id, o.concurrency_key, max(o.concurrency_limit), count(*),
            count(*) filter (where o.status = 'running')
        from old_rows o
        group by o.organization_id, o.concurrency_key;
    return null;
end $$;

create or replace function note_waiting_again() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, "@schema@", pg_temp as $$
begin
    insert into queue_note (
        organization_id, lane, kind, priority, ready_at, concurrency_key, concurrency_limit, freed
    ) values (
        new.organization_id, new.lane, new.kind, new.priority, new.run_at, new.concurrency_key,
        new.concurrency_limit, 1
    );
    return null;
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
grant execute on function
    claim(uuid, text, text[], int, interval, uuid[]), heartbeat(uuid, interval),
    settle_succeeded(uuid, uuid[], uuid[], uuid[]),
    recover_expired(int, bigint, text, int, uuid[]), forget_finished(interval, int), queue_stats(), queue_limits(uuid),
    set_queue_limits(uuid, bigint, bigint, bigint), pause_organization(uuid, boolean),
    pause_kind(text, boolean)
    to "@processor@";
grant execute on function redrive_job(uuid), discard_job(uuid) to "@app@";
grant execute on function queue_quota(), queue_waits(uuid) to "@app@", "@processor@";
-- To make triggers with them, which is all that a trigger's function can be used for.
grant execute on function note_added(), note_gone(), note_waiting_again() to "@owner@";
