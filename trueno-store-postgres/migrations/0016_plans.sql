-- Run as @owner@. What the first plans of an empty queue stay fast with, and what a claim writes.

-- What a claim handed out is written once, read at each heartbeat and deleted soon: to compress it took a
-- twentieth of a claim's time.
alter table worker_batch
    alter column organization_ids set storage external,
    alter column job_ids set storage external;

-- Of two indexes that look alike while a table is small, the planner takes the younger one. A job is
-- looked up by its id, not in the order of all that an organization has waiting.
alter table job drop constraint job_pkey;
alter table job add constraint job_pkey primary key (organization_id, id);

-- An organization is not looked for in the order of all notes: where there were few notes when it was
-- planned, that looked as good as the primary key.
drop index queue_note_order;
create index queue_note_order on queue_note (position) include (organization_id);
