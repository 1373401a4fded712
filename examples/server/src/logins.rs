//! As whom the programs log in to a Postgres store.

use secrecy::SecretString;
use trueno_store_postgres::{Login, PostgresConfig, WakeUpMode};

/// A login for each role, where there is more than one. Shown without the URLs, which hold passwords.
#[derive(Debug, Default, clap::Args)]
pub struct LoginArgs {
    /// The same Postgres store, as a login that is a member of trueno_processor. With it, --store and
    /// --sequencer-store log in as members of trueno_app and trueno_sequencer, and each may do no more
    /// than its role: for production. One login that takes the roles on is for one's own machine.
    #[arg(
        long,
        value_name = "URL",
        env = "TRUENO_PROCESSOR_STORE",
        hide_env_values = true,
        requires = "sequencer_store"
    )]
    processor_store: Option<SecretString>,
    /// The same Postgres store, as a login that is a member of trueno_sequencer.
    #[arg(
        long,
        value_name = "URL",
        env = "TRUENO_SEQUENCER_STORE",
        hide_env_values = true,
        requires = "processor_store"
    )]
    sequencer_store: Option<SecretString>,
    /// The URLs lead to a pooler in transaction mode, such as PgBouncer: name no statements, and poll
    /// instead of LISTEN.
    #[arg(long, requires_all = ["processor_store", "sequencer_store"])]
    pooled: bool,
}

impl LoginArgs {
    /// Whether each role has a login of its own.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.processor_store.is_some() || self.sequencer_store.is_some()
    }

    /// How to use the store at `url`, which is the app's where each role has its login.
    #[must_use]
    pub fn config(&self, url: SecretString) -> PostgresConfig {
        let mut config = PostgresConfig::new(url);
        // No login takes a role on as soon as one URL is given: a missing one cannot go unnoticed then.
        if self.is_given() {
            config = config.with_login(Login::Direct);
        }
        if let Some(url) = &self.processor_store {
            config = config.with_processor_url(url.clone());
        }
        if let Some(url) = &self.sequencer_store {
            config = config.with_sequencer_url(url.clone());
        }
        if self.pooled {
            config = config
                .without_prepared_statements()
                .with_wake_ups(WakeUpMode::Poll);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use clap::error::ErrorKind;

    use super::*;

    const PROCESSOR: [&str; 2] = ["--processor-store", "postgres://p:hunter2@h/d"];
    const SEQUENCER: [&str; 2] = ["--sequencer-store", "postgres://s:hunter3@h/d"];

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        logins: LoginArgs,
    }

    fn parse(arguments: &[&[&str]]) -> Result<LoginArgs, clap::Error> {
        let arguments = [&["program"], &arguments.concat()[..]].concat();
        Program::try_parse_from(arguments).map(|program| program.logins)
    }

    fn config(arguments: &[&[&str]]) -> String {
        let config = parse(arguments)
            .unwrap()
            .config("postgres://a:hunter1@h/d".to_owned().into());
        format!("{config:?}")
    }

    #[test]
    fn a_login_for_one_role_needs_those_for_the_others() {
        for alone in [
            &[&PROCESSOR[..]][..],
            &[&SEQUENCER],
            &[&["--pooled"]],
            &[&PROCESSOR, &["--pooled"]],
            &[&SEQUENCER, &["--pooled"]],
        ] {
            let error = parse(alone).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::MissingRequiredArgument, "{error}");
            assert!(!error.to_string().contains("hunter"), "{error}");
        }
    }

    #[test]
    fn one_url_takes_the_roles_on_and_three_log_in_as_them() {
        let alone = config(&[]);
        let direct = config(&[&PROCESSOR, &SEQUENCER]);
        let pooled = config(&[&PROCESSOR, &SEQUENCER, &["--pooled"]]);
        for (config, settings) in [
            (&alone, ["SetRole", "processor_url: None", "Listen", "true"]),
            (&direct, ["Direct", "processor_url: Some", "Listen", "true"]),
            (&pooled, ["Direct", "sequencer_url: Some", "Poll", "false"]),
        ] {
            let [login, url, wake_ups, prepared] = settings;
            for setting in [
                format!("login: {login}"),
                url.to_owned(),
                format!("wake_ups: {wake_ups}"),
                format!("prepared_statements: {prepared}"),
            ] {
                assert!(config.contains(&setting), "no {setting} in {config}");
            }
        }
    }

    #[test]
    fn no_url_is_shown() {
        let logins = parse(&[&PROCESSOR, &SEQUENCER]).unwrap();
        assert!(!format!("{logins:?}").contains("hunter"), "{logins:?}");
        let config = config(&[&PROCESSOR, &SEQUENCER, &["--pooled"]]);
        assert!(!config.contains("hunter"), "{config}");
    }
}
