-- Run as @owner@, after across.sql, whose functions these call. They keep what work across
-- organizations looks things up by (0008_organizations), and the counts of findings (0007_findings).

create or replace trigger member_lookup_of_inserts after insert on member
    for each row execute function keep_member_lookup();
create or replace trigger exception_due_of_inserts after insert on finding_exception
    for each row execute function keep_exception_due();
create or replace trigger exception_due_of_updates after update of status on finding_exception
    for each row execute function keep_exception_due();
create or replace trigger schedule_due_of_inserts after insert on schedule
    for each row execute function keep_schedule_due();
create or replace trigger schedule_due_of_updates after update of next_run_at on schedule
    for each row execute function keep_schedule_due();
create or replace trigger audit_outbox_of_inserts after insert on audit_staged
    for each row execute function keep_audit_outbox();

create or replace trigger finding_counts_of_inserts after insert on finding
    referencing new table as new_rows
    for each statement execute function keep_finding_counts();
create or replace trigger finding_counts_of_updates after update on finding
    referencing old table as old_rows new table as new_rows
    for each statement execute function keep_finding_counts();
create or replace trigger finding_counts_of_deletes after delete on finding
    referencing old table as old_rows
    for each statement execute function keep_finding_counts();

create or replace trigger queue_note_of_inserts after insert on job
    referencing new table as new_rows
    for each statement execute function note_added();
create or replace trigger queue_note_of_deletes after delete on job
    referencing old table as old_rows
    for each statement execute function note_gone();
create or replace trigger queue_note_of_updates after update of status on job
    for each row when (old.status = 'running' and new.status <> 'running')
    execute function note_waiting_again();
