-- Run as @owner@. Functions and triggers live in `functions/` from here on, each file the whole present
-- truth: those that 0002, 0004 and 0005 made are made again from there.

-- What they were made from, and how (hex): null until they are made.
alter table schema_info add column functions text;
