-- Run as @owner@. How many findings there are by account, check and status, kept by triggers.
--
-- A count is the sum of its rows. A counter that is updated in place would make looks and members wait
-- for each other; a row that is added waits for nobody. Folding at the end of a scan keeps them few.

create table finding_count (
    organization_id uuid not null,
    account_id uuid not null,
    check_id text collate "C" not null,
    status text collate "C" not null check (status in (
        'new', 'open', 'acknowledged', 'in_progress', 'resolved', 'suppressed', 'reopened'
    )),
    id uuid not null default gen_random_uuid(),
    delta bigint not null check (delta <> 0),
    primary key (organization_id, account_id, check_id, status, id)
);

alter table finding no force row level security;
insert into finding_count (organization_id, account_id, check_id, status, delta)
    select organization_id, account_id, check_id, status, count(*) from finding
    group by organization_id, account_id, check_id, status;
alter table finding force row level security;

alter table finding_count enable row level security;
alter table finding_count force row level security;
create policy tenant on finding_count to "@app@", "@processor@"
    using (organization_id = (select "@schema@".current_organization()))
    with check (organization_id = (select "@schema@".current_organization()));
create policy across on finding_count to "@system@" using (true) with check (true);
grant select on finding_count to "@app@", "@processor@";
-- UPDATE is for locking rows that are folded.
grant select, insert, update, delete on finding_count to "@system@";

create trigger finding_counts_of_inserts after insert on finding
    referencing new table as new_rows
    for each statement execute function keep_finding_counts();
create trigger finding_counts_of_updates after update on finding
    referencing old table as old_rows new table as new_rows
    for each statement execute function keep_finding_counts();
create trigger finding_counts_of_deletes after delete on finding
    referencing old table as old_rows
    for each statement execute function keep_finding_counts();
