//! The store itself: pools, key, and how a scope becomes a transaction.

use std::fmt;
use std::sync::Arc;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use trueno_core::access::{Authority, OrgScope};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::IdSource;
use trueno_core::vault::KeyFile;

use crate::config::{self, Login, Names, PostgresConfig};
use crate::context::{self, ContextKey};
use crate::encode::RowExt as _;
use crate::error::sqlstate;
use crate::pool::{self, Pool};
use crate::transaction::{Mode, Tx};
use crate::waker::Waker;
use crate::{error, migrate, server};

/// Tenants' data and their jobs, in Postgres: [`TenantStore`](trueno_core::port::TenantStore),
/// [`AuditOutbox`](trueno_core::port::AuditOutbox) and [`JobQueue`](trueno_core::port::JobQueue).
/// Clones share its connections.
///
/// Needs a tokio runtime that outlives it, with its I/O and time drivers.
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

struct Inner {
    app: Pool,
    processor: Pool,
    sequencer: Pool,
    key: ContextKey,
    config: PostgresConfig,
    names: Names,
    waker: Arc<Waker>,
}

impl PostgresStore {
    /// Opens the store at `config`, which [`migrate`](crate::migrate()) prepared with the same
    /// schema, role prefix and key file. Contexts are signed with the newest of `keys`.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] where the server cannot be reached;
    /// [`ErrorKind::Unauthenticated`] where it refuses the login; [`ErrorKind::Unsupported`] where
    /// it is too old, the schema is not migrated, or the schema serves only newer programs;
    /// [`ErrorKind::Config`] for malformed names and URLs, a key that the database does not know, and
    /// a [`Login::Direct`] of which any login is not bound by row-level security: a superuser, one
    /// with BYPASSRLS, or a member of the roles that own the tables and their functions.
    pub async fn connect(config: PostgresConfig, keys: &KeyFile) -> Result<Self> {
        let names = config.names()?;
        let mut connection = pool::probe(&config, &config.url).await?;
        server::check(pool::server_version(&mut connection).await?)?;
        check_login(&mut connection, config.login, &names).await?;
        if !migrate::exists(&mut connection, &names.schema).await? {
            return Err(migrate::not_migrated());
        }
        // What was to be asked was answered; a goodbye that is lost changes nothing.
        let _ = connection.close().await;
        for url in config.other_urls() {
            let mut connection = pool::probe(&config, url).await?;
            check_login(&mut connection, config.login, &names).await?;
            let _ = connection.close().await;
        }

        let pool = |url: Option<&secrecy::SecretString>, role: &str| -> Result<Pool> {
            let options = config::options(url.unwrap_or(&config.url))?;
            Ok(Pool::new(options, role, &config, &names))
        };
        let store = Self {
            inner: Arc::new(Inner {
                app: pool(None, &names.app)?,
                processor: pool(config.processor_url.as_ref(), &names.processor)?,
                sequencer: pool(config.sequencer_url.as_ref(), &names.sequencer)?,
                key: ContextKey::newest(keys, &names.schema),
                waker: Arc::default(),
                names,
                config,
            }),
        };
        store.check_schema().await?;
        Ok(store)
    }

    /// Closes every connection, once those in use have come back.
    pub async fn close(&self) {
        for pool in [
            &self.inner.app,
            &self.inner.processor,
            &self.inner.sequencer,
        ] {
            pool.close().await;
        }
    }

    async fn check_schema(&self) -> Result<()> {
        let mut tx = self.inner.app.begin(Mode::Write).await.map_err(|error| {
            let unknown_role = [sqlstate::INVALID_PARAMETER, sqlstate::UNDEFINED_OBJECT];
            if error
                .code()
                .is_some_and(|code| unknown_role.contains(&code))
            {
                Error::new(
                    ErrorKind::Config,
                    format!(
                        "the database has no role {}: run `trueno migrate` with this role prefix",
                        self.inner.names.app
                    ),
                )
                .with_source(error)
            } else {
                error
            }
        })?;
        migrate::read_version(tx.connection())
            .await?
            .serves_this_program()?;
        context::probe(&mut tx, &self.inner.key).await?;
        tx.rollback().await
    }

    /// Opens a transaction in the scope's organization: a member's as the app, a lease's as the
    /// processor, which can only read here.
    pub(crate) async fn enter(&self, scope: &OrgScope, mode: Mode) -> Result<Tx> {
        match (scope.authority(), mode) {
            (Authority::Lease(lease), Mode::Snapshot) => {
                let mut tx = self.inner.processor.begin(mode).await?;
                context::enter_lease_to_read(&mut tx, lease).await?;
                Ok(tx)
            }
            _ => {
                let mut tx = self.inner.app.begin(mode).await?;
                context::enter(&mut tx, &self.inner.key, scope).await?;
                Ok(tx)
            }
        }
    }

    /// Opens a transaction as the app, in no organization.
    pub(crate) async fn begin_app(&self) -> Result<Tx> {
        self.inner.app.begin(Mode::Write).await
    }

    /// Opens a transaction as the processor, in no organization.
    pub(crate) async fn begin_processor(&self) -> Result<Tx> {
        self.inner.processor.begin(Mode::Write).await
    }

    /// Opens a transaction as the processor, in no organization, which others may wait for.
    pub(crate) async fn begin_processor_briefly(&self) -> Result<Tx> {
        self.inner.processor.begin(Mode::Brief).await
    }

    /// Opens a transaction as the sequencer, in no organization.
    pub(crate) async fn begin_sequencer(&self) -> Result<Tx> {
        self.inner.sequencer.begin(Mode::Write).await
    }

    pub(crate) fn ids(&self) -> &IdSource {
        &self.inner.config.ids
    }

    pub(crate) fn config(&self) -> &PostgresConfig {
        &self.inner.config
    }

    pub(crate) fn channel(&self) -> String {
        self.inner.names.channel()
    }

    /// Wakes workers up, in the background and outside of every transaction: at once, or where this
    /// store did so a moment ago, at the end of that moment. What is committed before a call is seen by
    /// whoever that wake-up wakes.
    ///
    /// Whoever is dropped before it gets here (while its commit is under way) wakes nobody: workers
    /// poll as well.
    pub(crate) fn wake(&self) {
        if self.inner.config.wake_ups == config::WakeUpMode::Poll {
            return;
        }
        let Some(asked) = self.inner.waker.ask() else {
            return;
        };
        let store = self.clone();
        tokio::spawn(async move {
            asked.moment().await;
            let channel = store.channel();
            store.inner.app.notify(&channel, || asked.sends()).await;
        });
    }
}

/// Shows which schema it uses, and nothing of the URL or the key.
impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("schema", &self.inner.names.schema)
            .field("key", &self.inner.key)
            .finish_non_exhaustive()
    }
}

/// Row-level security does not bind superusers, BYPASSRLS and who may become the roles behind it:
/// such a login is refused where it would work as itself. Where it takes a bound role on, it has to be
/// able to become others; one that no policy binds at all is warned about.
async fn check_login(connection: &mut PgConnection, login: Login, names: &Names) -> Result<()> {
    let row = sqlx::query(
        "select rolname::text as name, rolsuper or rolbypassrls as unbound, exists (
            select from pg_roles r
            where r.rolname in ($1, $2) and pg_has_role(session_user, r.oid, 'member')
         ) as trusted
         from pg_roles where rolname = session_user",
    )
    .persistent(false)
    .bind(&names.owner)
    .bind(&names.system)
    .fetch_one(connection)
    .await
    .map_err(error::statement)?;
    let (name, unbound, trusted) = (
        row.text("name")?,
        row.flag("unbound")?,
        row.flag("trusted")?,
    );
    let refused = |why: String| {
        Error::new(
            ErrorKind::Config,
            format!("the database login {name} {why}: row-level security would not hold"),
        )
    };
    match login {
        Login::SetRole if unbound => {
            tracing::warn!(
                "the database login is a superuser or has BYPASSRLS: fit for one's own machine; \
                 in production log in as members of the roles"
            );
            Ok(())
        }
        Login::SetRole => Ok(()),
        Login::Direct if unbound => Err(refused("is a superuser or has BYPASSRLS".to_owned())),
        Login::Direct if trusted => Err(refused(format!(
            "is a member of the role {} or {}",
            names.owner, names.system
        ))),
        Login::Direct => Ok(()),
    }
}
