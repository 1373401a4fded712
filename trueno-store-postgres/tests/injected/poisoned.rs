//! What injected SQL leaves on a connection of a pool is not met there by the next transaction,
//! which may be another organization's (P1).

use trueno_core::model::EventDraft;
use trueno_testkit::fixtures::{Tenant, World};

use crate::support::{Database, harness_of, keys};

/// Runs what `poison` holds in the transaction that connects an account, as the app itself, and notes
/// which connection that was and how it found it.
const INJECTED: &str = "
    create table public.poison (sql text);
    create table public.seen (nth serial, pid int, read_only text, locks bigint);
    grant all on public.poison, public.seen, public.seen_nth_seq to public;
    create function public.poison() returns trigger language plpgsql as $$
    declare
        found text;
    begin
        insert into public.seen (pid, read_only, locks) values (
            pg_backend_pid(), current_setting('default_transaction_read_only'), (
                select count(*) from pg_locks
                where locktype = 'advisory' and pid = pg_backend_pid()
            )
        );
        for found in select sql from public.poison loop
            execute found;
        end loop;
        return null;
    end $$;
    create trigger poison after insert on trueno.cloud_account
        for each statement execute function public.poison()";

/// What closes a connection.
const LEFT: [&str; 8] = [
    // Of the store's own statements the first asks for the transaction's time: here for another one.
    "deallocate sqlx_s_1; prepare sqlx_s_1 as select now() - interval '1 year'",
    "prepare mine as select 1",
    "deallocate all",
    "declare mine cursor with hold for select 1",
    "create temp table cloud_account (organization_id uuid)",
    "create function pg_temp.current_organization() returns uuid language sql as 'select null::uuid'",
    "listen mine",
    "set role none",
];

/// What is dropped, as the connection stays.
const DROPPED: [&str; 2] = [
    "set default_transaction_read_only = on",
    "select pg_advisory_lock(1)",
];

struct Case {
    world: World,
    tenant: Tenant,
    database: Database,
}

impl Case {
    /// A store with one connection for each role.
    async fn new() -> Self {
        let database = Database::migrated(&keys()).await;
        let config = database.config().with_max_connections(1);
        let world = World::new(harness_of(database.borrowed(), config).await).await;
        let tenant = world.organization().await;
        database.execute(INJECTED).await;
        Self {
            world,
            tenant,
            database,
        }
    }

    /// Connects an account, while `sql` is run in its transaction. Whether that ends well is not asked:
    /// a statement that is gone fails at once.
    async fn inject(&self, sql: &str) {
        let poison = format!("insert into public.poison values ($poison${sql}$poison$)");
        self.database.execute(&poison).await;
        let mut unit = self.world.begin_accounts(&self.tenant).await;
        let account = unit.insert_account(self.world.new_account()).await.unwrap();
        let event = EventDraft::new("cloud_account.connected", "cloud_account", account.id);
        drop(unit.commit(event).await);
        self.database.execute("delete from public.poison").await;
    }

    /// The one connection that accounts are connected over.
    async fn connection(&self) -> i64 {
        self.world.pending_account(&self.tenant).await;
        self.last("pid").await
    }

    async fn last(&self, what: &str) -> i64 {
        let sql = format!("select ({what})::bigint from public.seen order by nth desc limit 1");
        self.database.number(&sql).await
    }
}

pub(crate) async fn a_connection_that_something_was_left_on_is_closed() {
    let case = Case::new().await;
    let mut connection = case.connection().await;
    assert_eq!(
        case.connection().await,
        connection,
        "a clean one is used again"
    );
    for sql in LEFT {
        case.inject(sql).await;
        let next = case.connection().await;
        assert_ne!(next, connection, "the connection goes on after: {sql}");
        connection = next;
    }
}

pub(crate) async fn settings_and_locks_of_a_session_are_dropped() {
    let case = Case::new().await;
    let connection = case.connection().await;
    for sql in DROPPED {
        case.inject(sql).await;
        assert_eq!(case.connection().await, connection, "closed after: {sql}");
        let left = case
            .last("case read_only when 'on' then 1 else 0 end + locks")
            .await;
        assert_eq!(left, 0, "left behind: {sql}");
    }
}
