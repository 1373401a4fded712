-- The least that a queue needs: claimed in order, deleted when done.
create table job (
    id bigint generated always as identity primary key,
    kind text not null,
    payload jsonb not null,
    run_at timestamptz not null default now()
);
insert into job (kind, payload) select 'noop', '{}' from generate_series(1, :jobs);
