//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use trueno_core::id::JobId;
use trueno_core::model::{JobKind, JobStatus, Region, RoleArn};
use trueno_server::logins::LoginArgs;

/// Scans cloud accounts for wasted spend.
#[derive(Debug, Parser)]
#[command(name = "trueno", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Scans one account and prints the result.
    Scan(ScanArgs),
    /// Prints the external id and the trust policy for a role that Trueno is to assume.
    Connect(ConnectArgs),
    /// Prepares a Postgres store, or brings it up to date.
    Migrate(MigrateArgs),
    /// Keeps the history of jobs of a Postgres store in partitions, a week each: adds those of the coming
    /// weeks, and drops those that are old enough. To be run once a week.
    History(HistoryArgs),
    /// Serves the page and the API, over the recorded account or over a Postgres store.
    Serve(ServeArgs),
    /// Looks at the queue of a Postgres store and deals with its jobs.
    Queue(QueueArgs),
}

#[derive(Debug, Args)]
pub(crate) struct QueueArgs {
    #[command(subcommand)]
    pub(crate) command: QueueCommand,
    /// How to print it: as JSON, one object a line.
    #[arg(long, value_enum, default_value_t = Format::Table, global = true)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// How many jobs of all organizations wait and run.
    Stats,
    /// The organization's jobs, oldest first; `--status dead` lists the dead letters.
    List(ListArgs),
    /// Everything that is known of a job.
    Show(JobArgs),
    /// Lets a dead job begin anew, with all its attempts.
    Retry(JobArgs),
    /// Gives a dead job up.
    Discard(JobArgs),
    /// Stops a job.
    Cancel(JobArgs),
    /// Says why a job has not begun.
    Why(JobArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only in this status: queued, running, failed, succeeded, dead or cancelled.
    #[arg(long)]
    pub(crate) status: Option<JobStatus>,
    /// Only of this kind.
    #[arg(long)]
    pub(crate) kind: Option<JobKind>,
    /// How many at the most, 1 to 1000.
    #[arg(long, value_name = "JOBS", default_value_t = 100)]
    pub(crate) limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct JobArgs {
    /// The job's id.
    pub(crate) job: JobId,
}

#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Look only at this region; may be given several times. Every enabled region otherwise.
    #[arg(long = "region", value_name = "REGION", conflicts_with = "demo")]
    pub(crate) regions: Vec<Region>,
    /// Assume this role, with the external id that `trueno connect` prints for it.
    #[arg(long, value_name = "ARN", conflicts_with = "demo")]
    pub(crate) role_arn: Option<RoleArn>,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) checks: CheckArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
}

/// Which account to scan: exactly one.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Source {
    /// The recorded account that comes with Trueno; nothing leaves this machine.
    #[arg(long)]
    pub(crate) demo: bool,
    /// Whatever the AWS credential chain and AWS_ENDPOINT_URL point to.
    #[arg(long)]
    pub(crate) ambient: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The moment that ages are counted to, such as 2026-11-15 or 2026-11-15T08:00:00Z. Now
    /// otherwise; for the demo the day of its recording.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) as_of: Option<Timestamp>,
    /// Override a threshold, such as ec2.snapshot.old.min_age_days=30; may be given several times.
    #[arg(long = "set", value_name = "CHECK.PARAMETER=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// A price table whose rows replace the built-in ones.
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
}

impl CheckArgs {
    /// Whether anything is to be different from what it is by itself.
    pub(crate) fn is_given(&self) -> bool {
        self.as_of.is_some() || !self.overrides.is_empty() || self.prices.is_some()
    }
}

#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// Where results are kept: `memory`, which keeps nothing after exit, or postgres://…
    #[arg(
        long,
        value_name = "STORE",
        default_value = "memory",
        env = "TRUENO_STORE",
        hide_env_values = true
    )]
    pub(crate) store: StoreUrl,
    #[command(flatten)]
    pub(crate) logins: LoginArgs,
    /// The organization to work in, by its local name.
    #[arg(long, value_name = "NAME", default_value = "local")]
    pub(crate) organization: String,
}

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// The file with the keys that external ids and database contexts are derived from.
    #[arg(long, value_name = "FILE", env = "TRUENO_KEY_FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ConnectArgs {
    /// The role that Trueno is to assume.
    #[arg(long, value_name = "ARN")]
    pub(crate) role_arn: RoleArn,
    /// The identity that Trueno runs as, which the role is to trust. The role's own account
    /// otherwise.
    #[arg(long, value_name = "ARN")]
    pub(crate) principal: Option<String>,
    /// The organization to work in, by its local name.
    #[arg(long, value_name = "NAME", default_value = "local")]
    pub(crate) organization: String,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = ConnectFormat::Text)]
    pub(crate) format: ConnectFormat,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// The database to prepare: postgres://…, as a role that may create roles and schemas.
    #[arg(long, value_name = "URL", env = "TRUENO_STORE", hide_env_values = true)]
    pub(crate) store: StoreUrl,
    /// Prepare nothing, but refuse every key that is no longer in the key file from now on: the last
    /// step of a rotation, once every process was restarted with a newer key.
    #[arg(long)]
    pub(crate) retire_keys: bool,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// The database: postgres://…, as the role that prepared it.
    #[arg(long, value_name = "URL", env = "TRUENO_STORE", hide_env_values = true)]
    pub(crate) store: StoreUrl,
    /// For how many days jobs that ended are kept at least: for as long as the longest window of a dedupe
    /// key.
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub(crate) keep_days: u32,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Scan the recorded account that comes with Trueno, and show it.
    #[arg(long)]
    pub(crate) demo: bool,
    /// The loopback address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Fire the schedules that are due. Any number of servers and processors may.
    #[arg(long)]
    pub(crate) schedules: bool,
    /// Fire them when somebody calls POST /v1/system/tick with the token in this file: one of at least
    /// 32 characters, readable by its owner alone.
    #[arg(long, value_name = "FILE", env = "TRUENO_TICK_TOKEN_FILE")]
    pub(crate) tick_token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) checks: CheckArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs: the shape in the README.
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConnectFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Which store: never shown with its password.
#[derive(Clone)]
pub(crate) enum StoreUrl {
    Memory,
    Postgres(secrecy::SecretString),
}

impl std::fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Postgres(_) => "postgres://…",
        })
    }
}

impl std::str::FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "memory" {
            Ok(Self::Memory)
        } else if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            Ok(Self::Postgres(text.to_owned().into()))
        } else {
            Err("expected `memory` or postgres://USER@HOST:PORT/DATABASE".to_owned())
        }
    }
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    text.parse::<Date>()
        .and_then(|date| date.to_zoned(TimeZone::UTC))
        .map(|midnight| midnight.timestamp())
        .map_err(|_| {
            "expected a day like 2026-11-15 or a time like 2026-11-15T08:00:00Z".to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn days_and_times_are_taken_as_utc() {
        assert_eq!(
            parse_time("2026-11-15").unwrap(),
            parse_time("2026-11-15T00:00:00Z").unwrap()
        );
        assert!(parse_time("yesterday").is_err());
    }

    #[test]
    fn one_source_is_required() {
        assert!(Cli::try_parse_from(["trueno", "scan"]).is_err());
        assert!(Cli::try_parse_from(["trueno", "scan", "--demo", "--ambient"]).is_err());
        assert!(
            Cli::try_parse_from(["trueno", "scan", "--demo", "--region", "eu-west-1"]).is_err()
        );
        assert!(Cli::try_parse_from(["trueno", "scan", "--demo", "--store", "mysql://x"]).is_err());
    }

    #[test]
    fn a_store_url_is_not_shown() {
        let url: StoreUrl = "postgres://u:hunter2@h/d".parse().unwrap();
        assert!(!format!("{url:?}").contains("hunter2"));
    }
}
