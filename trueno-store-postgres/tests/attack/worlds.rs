//! Two databases that differ in one thing: whether organization A is there.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, Row as _};

use super::schema::{Role, Schema};
use super::values::{Values, Who};
use crate::support::way::Way;
use crate::support::{Database, bouncer, keys};

/// Rows of A in each table: so many that its values are common ones.
const ROWS_OF_A: usize = 30;
/// Rows of B in each table.
const ROWS_OF_B: usize = 3;

/// What triggers write of the organization `@` into the tables that only definer functions read.
const KEPT: &str = "
    insert into member_lookup (organization_id, user_id)
        select organization_id, user_id from member where organization_id = '@';
    insert into exception_due (organization_id, exception_id, expires_at)
        select organization_id, id, expires_at from finding_exception
        where organization_id = '@' and status in ('requested', 'approved');
    insert into schedule_due (organization_id, schedule_id, due_at)
        select organization_id, id, next_run_at from schedule
        where organization_id = '@' and next_run_at is not null;
    insert into audit_outbox (organization_id, event_id)
        select organization_id, id from audit_staged where organization_id = '@' order by id;
    insert into queue_organization (organization_id, max_running, max_live, live, running)
        select organization_id, 20, 1000, count(*), count(*) filter (where status = 'running')
        from job where organization_id = '@' group by organization_id;
    insert into queue_note (
        organization_id, lane, kind, priority, ready_at, concurrency_key, concurrency_limit
    ) select organization_id, lane, kind, priority, run_at, concurrency_key, concurrency_limit
        from job where organization_id = '@'";

/// Both databases, and what is in them.
#[derive(Debug)]
pub(crate) struct Worlds {
    /// How attackers come to them.
    pub(crate) way: Way,
    /// A and B.
    pub(crate) with: Database,
    /// B alone.
    pub(crate) without: Database,
    pub(crate) schema: Schema,
    pub(crate) values: Values,
}

impl Worlds {
    /// Migrates both, runs `more` on them, and seeds them from the catalog: B's rows first and the
    /// same in both.
    pub(crate) async fn new(way: Way, more: &str) -> Self {
        let keys = keys();
        let (with, without) = tokio::join!(Database::migrated(&keys), Database::migrated(&keys));
        for database in [&with, &without] {
            let mut admin = database.admin().await;
            run(&mut admin, more).await;
            run(&mut admin, UNDISTURBED).await;
        }
        let mut admin = with.admin().await;
        let schema = Schema::read(&mut admin).await;
        run(&mut admin, "set search_path = trueno").await;
        let values = Values::choose(&mut admin, &schema).await;
        let mut worlds = Self {
            way,
            with,
            without,
            schema,
            values,
        };
        worlds.seed(&worlds.with, &[Who::B, Who::A]).await;
        worlds.seed(&worlds.without, &[Who::B]).await;
        worlds
            .values
            .read_generated(&mut admin, &worlds.schema)
            .await;
        worlds.admit(&mut admin).await;
        worlds
    }

    /// Makes the attackers' logins, with settings in both databases: a pooler passes on none that a
    /// client asks for as it connects, and none that it makes later stays with it.
    async fn admit(&self, admin: &mut PgConnection) {
        if self.way == Way::Pooled {
            bouncer::ensure_logins().await;
        }
        for role in Role::ALL {
            let login = self.login(role);
            if self.way == Way::Straight {
                // Roles are the server's: other runs make the same one.
                let sql = format!(
                    "do $$ begin
                        create role {login} login password '{login}' in role {};
                     exception when duplicate_object or unique_violation then null; end $$",
                    role.name()
                );
                run(admin, &sql).await;
            }
            for database in [&self.with, &self.without] {
                let name = database.options().get_database().unwrap().to_owned();
                for setting in SETTINGS {
                    let sql = format!("alter role {login} in database {name} set {setting}");
                    run(admin, &sql).await;
                }
            }
        }
    }

    /// A login that is a member of `role` and nothing else: what an attacker is in production.
    fn login(&self, role: Role) -> String {
        match self.way {
            Way::Straight => format!("attacker_of_{}", role.name()),
            Way::Pooled => bouncer::login(role.short()),
        }
    }

    /// A connection to one of the two, as an attacker has it.
    pub(crate) async fn attacker(&self, database: &Database, role: Role) -> PgConnection {
        if self.way == Way::Pooled {
            return bouncer::injected(database, role.short()).await;
        }
        let login = self.login(role);
        let options = database.options().username(&login).password(&login);
        let options = options.options([("role", role.name())]);
        options.connect().await.expect("an attacker logs in")
    }

    /// The value of a column, as SQL.
    pub(crate) fn value(&self, table: &str, column: &str, who: Who, nth: usize) -> String {
        let table = self.schema.table(table);
        self.values.of(&self.schema, table, column, who, nth)
    }

    async fn seed(&self, database: &Database, whose: &[Who]) {
        let mut admin = database.admin().await;
        // Neither order nor triggers matter then; that foreign keys hold is looked at below.
        run(
            &mut admin,
            "set search_path = trueno; set session_replication_role = replica",
        )
        .await;
        for who in whose {
            let rows = match who {
                Who::A => ROWS_OF_A,
                Who::B => ROWS_OF_B,
            };
            for table in self.schema.tenants() {
                let columns = table.settable().map(|column| column.name.as_str());
                let columns: Vec<&str> = columns.collect();
                let rows: Vec<String> = (0..rows)
                    .map(|nth| {
                        let row = columns
                            .iter()
                            .map(|column| self.value(&table.name, column, *who, nth));
                        format!("({})", row.collect::<Vec<_>>().join(", "))
                    })
                    .collect();
                let columns: Vec<String> = columns.iter().map(|c| format!("\"{c}\"")).collect();
                let sql = format!(
                    "insert into \"{}\" ({}) values {} on conflict do nothing",
                    table.name,
                    columns.join(", "),
                    rows.join(", ")
                );
                run(&mut admin, &sql).await;
            }
            self.lease(&mut admin, *who).await;
            run(&mut admin, &KEPT.replace('@', &who.organization())).await;
        }
        run(&mut admin, "set session_replication_role = origin").await;
        for who in whose {
            self.look_at(&mut admin, *who).await;
        }
        run(&mut admin, "analyze").await;
    }

    /// The first job runs under a lease, the third under one whose time ran out, and with it the
    /// third scan; the others are due.
    async fn lease(&self, admin: &mut PgConnection, who: Who) {
        let Lease {
            job,
            token,
            session,
        } = self.lease_of(who);
        let sql = "
            update job set status = 'queued', token = null, locked_by = null, locked_worker = null,
                cancel_requested = false
                where organization_id = '@organization';
            update job set status = 'running', token = '@token', locked_by = '@session',
                locked_worker = 'worker' where organization_id = '@organization' and id = '@job';
            insert into worker_session (id, worker, expires_at)
                values ('@session', 'worker', clock_timestamp() + interval '1 day');
            insert into worker_batch (session_id, organization_ids, job_ids)
                values ('@session', array['@organization']::uuid[], array['@job']::uuid[]);
            update job set status = 'running', token = '@token', locked_by = '@over',
                locked_worker = 'worker' where organization_id = '@organization' and id = '@lost';
            insert into worker_session (id, worker, expires_at)
                values ('@over', 'worker', clock_timestamp() - interval '1 hour');
            insert into worker_batch (session_id, organization_ids, job_ids)
                values ('@over', array['@organization']::uuid[], array['@lost']::uuid[]);
            update scan set job_id = '@lost', status = 'running', error = null, finished_at = null,
                started_at = created_at
                where organization_id = '@organization' and id = '@scan'";
        let values = [
            ("@organization", who.organization()),
            ("@token", token),
            ("@session", session),
            ("@job", job),
            ("@over", who.uuid("lease", "over", 0)),
            ("@lost", who.uuid("job", "id", 2)),
            ("@scan", who.uuid("scan", "id", 2)),
        ];
        let sql = values.iter().fold(sql.to_owned(), |sql, (name, value)| {
            sql.replace(name, value)
        });
        run(admin, &sql).await;
    }

    /// The lease of somebody's first job.
    pub(crate) fn lease_of(&self, who: Who) -> Lease {
        Lease {
            job: who.uuid("job", "id", 0),
            token: who.uuid("lease", "token", 0),
            session: who.uuid("lease", "session", 0),
        }
    }

    /// Whether `found`, a value of A's, is one of these columns (`table.` for all of a table).
    pub(crate) fn is_of(&self, found: &str, columns: &[&str]) -> bool {
        let of = |at: &str| columns.iter().any(|column| at.starts_with(column));
        if let Some(at) = found.split('~').nth(1) {
            return of(at);
        }
        self.schema.tenants().any(|table| {
            table.settable().any(|column| {
                of(&format!("{}.{}", table.name, column.name))
                    && (0..ROWS_OF_A).any(|nth| {
                        self.value(&table.name, &column.name, Who::A, nth)
                            .contains(found)
                    })
            })
        })
    }

    async fn look_at(&self, admin: &mut PgConnection, who: Who) {
        for table in self.schema.tenants() {
            let name = &table.name;
            let sql = format!(
                "select count(*) from \"{name}\" where organization_id = '{}'",
                who.organization()
            );
            let rows: i64 = number(admin, &sql).await;
            assert!(
                rows > 0,
                "{name} has no row of {who:?}: nothing would be proved of it"
            );
            for foreign in &table.foreign {
                let pairs = foreign.columns.iter().zip(&foreign.referenced);
                let same: Vec<String> = pairs
                    .map(|(mine, theirs)| format!("p.\"{theirs}\" = c.\"{mine}\""))
                    .collect();
                let set: Vec<String> = foreign
                    .columns
                    .iter()
                    .map(|c| format!("c.\"{c}\" is not null"))
                    .collect();
                let sql = format!(
                    "select count(*) from \"{name}\" c where {} and not exists (
                        select from \"{}\" p where {})",
                    set.join(" and "),
                    foreign.table,
                    same.join(" and ")
                );
                assert_eq!(
                    number(admin, &sql).await,
                    0,
                    "{name} refers to nothing in {}",
                    foreign.table
                );
            }
        }
    }
}

/// What a processor enters with.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) job: String,
    pub(crate) token: String,
    pub(crate) session: String,
}

/// Nothing but the statements takes locks: the server's own maintenance comes to one of the two
/// databases and not to the other, and who waits for it would be told apart.
const UNDISTURBED: &str = "do $$ declare name text; begin
    for name in select oid::regclass::text from pg_class
        where relnamespace = 'trueno'::regnamespace and relkind = 'r'
    loop
        execute format('alter table %s set (autovacuum_enabled = off)', name);
    end loop;
 end $$";

/// What an attacker's transactions begin with.
const SETTINGS: [&str; 4] = [
    "search_path = trueno",
    "timezone = 'UTC'",
    "statement_timeout = '10s'",
    "lock_timeout = '200ms'",
];

/// Runs statements that have to succeed.
pub(crate) async fn run(connection: &mut PgConnection, sql: &str) {
    let done = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await;
    done.unwrap_or_else(|error| panic!("{sql}\n{error}"));
}

async fn number(connection: &mut PgConnection, sql: &str) -> i64 {
    let row = connection.fetch_one(AssertSqlSafe(sql)).await;
    row.unwrap_or_else(|error| panic!("{sql}\n{error}")).get(0)
}
