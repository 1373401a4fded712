//! The two ways to the server.

use sqlx::postgres::PgConnection;
use trueno_store_postgres::PostgresConfig;

use super::{Database, Harness, ROLES, bouncer};

/// How a client comes to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// On a connection of its own, whose login took the role on.
    Straight,
    /// Through PgBouncer, as a member of the role.
    Pooled,
}

impl Way {
    pub(crate) async fn harness(self) -> Harness {
        match self {
            Self::Straight => super::harness().await,
            Self::Pooled => bouncer::harness().await,
        }
    }

    /// A store's settings for a migrated database.
    pub(crate) async fn config(self, database: &Database) -> PostgresConfig {
        match self {
            Self::Straight => database.config(),
            Self::Pooled => bouncer::config(database).await,
        }
    }

    /// What a proof is called in its report.
    pub(crate) fn proof(self, name: &str) -> String {
        match self {
            Self::Straight => name.to_owned(),
            Self::Pooled => format!("{name} behind PgBouncer"),
        }
    }

    /// A connection as a role, as injected SQL would have it.
    pub(crate) async fn injected(self, database: &Database, role: &str) -> PgConnection {
        match self {
            Self::Straight => database.role(role).await,
            Self::Pooled => bouncer::injected(database, role).await,
        }
    }

    /// The role that a signature is bound to.
    pub(crate) fn invoker(self, role: &str) -> String {
        match self {
            Self::Straight => format!("{ROLES}_{role}"),
            Self::Pooled => bouncer::login(role),
        }
    }

    /// How many connections each pool of a harness has to the server, as the harness's configuration
    /// or PgBouncer's limits them.
    pub(crate) fn connections(self) -> i64 {
        match self {
            Self::Straight => 5,
            Self::Pooled => 6,
        }
    }
}
