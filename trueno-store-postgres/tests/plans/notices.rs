//! What sqlx tells beside rows: the server's notices, and how long each statement took. So the
//! statements that the store really sends are looked at, and none is written a second time.
#![allow(
    dead_code,
    clippy::expect_used,
    reason = "shared by the plans' test and the benches, neither of which uses all of it"
)]

use std::fmt::Debug;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::ConnectOptions as _;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use trueno_store_postgres::{PostgresConfig, PostgresStore};

use crate::support::{Database, ROLES, keys};

const NOTICES: &str = "sqlx::postgres::notice";
const STATEMENTS: &str = "sqlx::query";

/// One thing that sqlx told.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// The server sent a message beside its answer.
    Notice(String),
    /// A statement is over.
    Statement {
        /// Its text.
        text: String,
        /// From sending it to its last row, as this process saw it.
        seconds: f64,
    },
}

/// Collects what sqlx tells, of every connection of the subscriber's threads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notices {
    told: Arc<Mutex<Vec<Told>>>,
}

impl Notices {
    /// A subscriber that collects into it: for one thread, or for the whole process.
    pub(crate) fn subscriber(&self) -> impl Subscriber + Send + Sync + use<> {
        tracing_subscriber::registry().with(self.clone())
    }

    /// What was told since it was asked last, in order.
    pub(crate) fn take(&self) -> Vec<Told> {
        mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: Subscriber> Layer<S> for Notices {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        [NOTICES, STATEMENTS].contains(&metadata.target())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let told = if event.metadata().target() == NOTICES {
            Told::Notice(fields.message)
        } else {
            Told::Statement {
                text: if fields.statement.is_empty() {
                    fields.summary
                } else {
                    fields.statement.trim().to_owned()
                },
                seconds: fields.seconds,
            }
        };
        let mut all = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(told);
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    summary: String,
    /// Empty where the summary is all of it.
    statement: String,
    seconds: f64,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.clone_into(&mut self.statement),
            _ => {}
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "elapsed_secs" {
            self.seconds = value;
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// A store on `database` with one connection for each role, whose sessions have these settings.
/// Some take a superuser, which the tests' server is.
pub(crate) async fn store_with(database: &Database, settings: &[(&str, &str)]) -> PostgresStore {
    let mut url = database.options().to_url_lossy();
    for (name, value) in settings {
        let option = format!("options[{name}]");
        url.query_pairs_mut().append_pair(&option, value);
    }
    let config = PostgresConfig::new(url.to_string().into())
        .with_role_prefix(ROLES)
        .with_max_connections(1);
    PostgresStore::connect(config, &keys())
        .await
        .expect("a second store opens on the database")
}
