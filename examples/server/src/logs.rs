//! Logs go to stderr, filtered by `TRUENO_LOG` (`warn` otherwise).

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

/// Targets of the cloud SDK and its HTTP stack, with the most that they may say whatever the
/// filter: their trace lines hold signed requests, tokens and raw answers, and `aws_config`'s
/// profile loader names access keys at info.
const CAPS: &[&str] = &[
    "aws_config=warn",
    "aws_credential_types=info",
    "aws_runtime=info",
    "aws_sdk_ec2=info",
    "aws_sdk_sts=info",
    "aws_sigv4=info",
    "aws_smithy_http=info",
    "aws_smithy_http_client=info",
    "aws_smithy_runtime=info",
    "aws_smithy_runtime_api=info",
    "h2=info",
    "hyper=info",
    "hyper_util=info",
    "rustls=info",
    "sqlx=info",
];

/// Begins to log. Once, at the start of a program.
pub fn init() {
    let wanted = std::env::var("TRUENO_LOG").unwrap_or_else(|_| "warn".to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(filter(&wanted))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}

fn filter(wanted: &str) -> EnvFilter {
    // What is asked of a capped target is dropped; of all others it holds.
    let capped = |directive: &str| {
        let target = directive
            .split(['=', '['])
            .next()
            .unwrap_or_default()
            .trim();
        CAPS.iter().any(|cap| {
            let name = cap.split('=').next().unwrap_or_default();
            target == name
                || target
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with("::"))
        })
    };
    let quiet = wanted.trim() == "off" || wanted.trim() == "error";
    let directives = wanted
        .split(',')
        .filter(|directive| !capped(directive))
        .chain(CAPS.iter().copied().filter(|_| !quiet))
        .filter_map(|directive| directive.parse::<Directive>().ok());
    directives.fold(EnvFilter::new("warn"), EnvFilter::add_directive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdk_is_capped_whatever_is_asked_for() {
        for wanted in [
            "trace",
            "trace,aws_sigv4=trace",
            "aws_sigv4::http_request=trace",
            "nonsense==",
        ] {
            let text = filter(wanted).to_string();
            assert!(text.contains("aws_sigv4=info"), "{wanted}: {text}");
            assert!(
                !text.contains("aws_sigv4=trace") && !text.contains("http_request=trace"),
                "{text}"
            );
        }
        assert!(
            filter("trueno_core=trace")
                .to_string()
                .contains("trueno_core=trace")
        );
    }
}
