//! In which context an attack runs.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use sqlx::postgres::PgConnection;
use sqlx::{Executor as _, Row as _};

use super::run::LEAKY;
use super::schema::Role;
use super::values::Who;
use super::worlds::{Worlds, run};
use crate::support::keys;
use crate::support::way::Way;

/// The context of an attack. All but the last two hold none that is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Context {
    /// None was entered.
    Absent,
    /// A's, kept on the connection beyond the transaction that it was sealed for; where clients share
    /// connections, by another client.
    Expired,
    /// A's, with a signature that nobody made.
    Forged,
    /// A's, valid in an open transaction of another backend.
    Replayed,
    /// A's, valid in an open transaction of the other role.
    ReplayedRole,
    /// A's, rolled back with its savepoint.
    RolledBack,
    /// B's, valid: it reaches for what is A's.
    Foreign,
    /// B's, after A's was rolled back with its savepoint.
    RolledBackToOwn,
}

impl Context {
    pub(crate) const ALL: [Self; 8] = [
        Self::Absent,
        Self::Expired,
        Self::Forged,
        Self::Replayed,
        Self::ReplayedRole,
        Self::RolledBack,
        Self::Foreign,
        Self::RolledBackToOwn,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Expired => "expired",
            Self::Forged => "forged",
            Self::Replayed => "replayed",
            Self::ReplayedRole => "replayed role",
            Self::RolledBack => "rolled back",
            Self::Foreign => "foreign",
            Self::RolledBackToOwn => "rolled back to own",
        }
    }

    /// Whether the attacker is in its own organization.
    pub(crate) fn is_own(self) -> bool {
        matches!(self, Self::Foreign | Self::RolledBackToOwn)
    }
}

/// Valid contexts of A in transactions that stay open, for others to copy.
#[derive(Debug)]
pub(crate) struct Seals {
    sealed: [String; 2],
    /// Dropping them would end the transactions.
    sessions: Vec<PgConnection>,
}

impl Seals {
    pub(crate) async fn new(worlds: &Worlds) -> Self {
        let (mut sealed, mut sessions) = (Vec::new(), Vec::new());
        for role in Role::ALL {
            let mut session = worlds.attacker(&worlds.with, role).await;
            run(&mut session, "begin").await;
            enter(&mut session, worlds, role, Who::A).await;
            sealed.push(seal(&mut session).await);
            sessions.push(session);
        }
        Self {
            sealed: sealed.try_into().expect("one for each role"),
            sessions,
        }
    }

    /// They hold to the end: each was valid in its own transaction all the time.
    pub(crate) async fn still_valid(mut self) {
        for session in &mut self.sessions {
            let rows = session
                .fetch_all("select id from cloud_account")
                .await
                .unwrap();
            assert!(!rows.is_empty(), "A's own session reads A's rows");
        }
    }
}

async fn seal(connection: &mut PgConnection) -> String {
    let row = connection
        .fetch_one("select current_setting('trueno.context', true)")
        .await;
    row.unwrap().get(0)
}

/// Begins the transaction of an attack on both worlds, in `context`, and sets a savepoint `s`.
/// Whatever A's context is made from, both worlds are given the same text.
pub(crate) async fn arrange(
    worlds: &Worlds,
    seals: &Seals,
    role: Role,
    context: Context,
    [with, without]: [&mut PgConnection; 2],
) {
    let other = Role::ALL[1 - role as usize];
    let text = match context {
        Context::Forged => format!(
            "{}:{}:{}",
            ["test", "_server"][role as usize],
            Who::A.organization(),
            "00".repeat(32)
        ),
        Context::Replayed => seals.sealed[role as usize].clone(),
        Context::ReplayedRole => seals.sealed[other as usize].clone(),
        _ => String::new(),
    };
    if context == Context::Expired {
        begin_expired(worlds, role, [with, without]).await;
    } else {
        for connection in [&mut *with, &mut *without] {
            let set = format!("begin; select set_config('trueno.context', '{text}', true)");
            run(connection, &set).await;
        }
    }
    for (connection, has_a) in [(with, true), (without, false)] {
        // In the transaction, since the next one may be on another of a pooler's servers.
        run(connection, LEAKY).await;
        if context.is_own() {
            enter(connection, worlds, role, Who::B).await;
        }
        if matches!(context, Context::RolledBack | Context::RolledBackToOwn) {
            run(connection, "savepoint before").await;
            if has_a {
                enter(connection, worlds, role, Who::A).await;
            }
            run(connection, "rollback to savepoint before").await;
        }
        run(connection, "savepoint s").await;
    }
}

/// Begins transactions where an earlier one left A's context to the session: its own session, or the
/// server's that another client had.
async fn begin_expired(worlds: &Worlds, role: Role, connections: [&mut PgConnection; 2]) {
    let mut sealed = None;
    for (connection, database) in connections.into_iter().zip([&worlds.with, &worlds.without]) {
        let mut another = match worlds.way {
            Way::Straight => None,
            Way::Pooled => Some(worlds.attacker(database, role).await),
        };
        let earlier = another.as_mut().unwrap_or(connection);
        run(earlier, "begin").await;
        let text = match sealed.take() {
            Some(text) => text,
            None => {
                enter(earlier, worlds, role, Who::A).await;
                seal(earlier).await
            }
        };
        let set = format!("select set_config('trueno.context', '{text}', false)");
        run(earlier, &set).await;
        let left_on = backend(earlier).await;
        run(earlier, "commit").await;
        drop(another);
        sealed = Some(text);

        // A pooler's servers take turns.
        for turn in 0.. {
            assert!(turn < 100, "the connection is handed out again");
            run(connection, "begin").await;
            if backend(connection).await == left_on {
                break;
            }
            run(connection, "rollback").await;
        }
        let found = seal(connection).await;
        assert_eq!(Some(found), sealed, "it is there to be found");
    }
}

/// The server's process that works for a connection in this transaction.
async fn backend(connection: &mut PgConnection) -> i32 {
    let row = connection.fetch_one("select pg_backend_pid()").await;
    row.unwrap().get(0)
}

/// Enters an organization as its own members and workers do: nothing of it shows in the server's
/// activity.
async fn enter(connection: &mut PgConnection, worlds: &Worlds, role: Role, who: Who) {
    let organization = who.organization();
    let entered = match role {
        Role::App => {
            let mac = signature(worlds.way, connection, &organization).await;
            sqlx::query("select trueno.enter('test', $1::text::uuid, decode($2, 'hex'))")
                .bind(organization)
                .bind(mac)
                .execute(connection)
                .await
        }
        Role::Processor => {
            let lease = worlds.lease_of(who);
            sqlx::query(
                "select trueno.enter_lease_to_read(
                    $1::text::uuid, $2::text::uuid, $3::text::uuid, $4::text::uuid
                 )",
            )
            .bind(organization)
            .bind(lease.job)
            .bind(lease.token)
            .bind(lease.session)
            .execute(connection)
            .await
        }
    };
    entered.unwrap_or_else(|error| panic!("{role:?} cannot enter as {who:?}: {error}"));
}

/// Signs as the app does.
async fn signature(way: Way, connection: &mut PgConnection, organization: &str) -> String {
    let row = connection
        .fetch_one("select int4send(pg_backend_pid()) || timestamptz_send(transaction_timestamp())")
        .await
        .unwrap();
    let stamp: Vec<u8> = row.get(0);
    let organization: uuid::Uuid = organization.parse().unwrap();
    let key = keys().newest().derive("trueno context key v1", b"trueno");
    let mut mac = Hmac::<Sha256>::new_from_slice(&*key).unwrap();
    for text in ["test", &way.invoker(Role::App.short())] {
        mac.update(&u32::try_from(text.len()).unwrap().to_be_bytes());
        mac.update(text.as_bytes());
    }
    mac.update(organization.as_bytes());
    mac.update(&stamp);
    let mac = mac.finalize().into_bytes();
    mac.iter().map(|byte| format!("{byte:02x}")).collect()
}
