//! AWS's errors in Trueno's terms: the one place that knows AWS's codes.
//!
//! Sources of the codes: EC2,
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>, and the errors
//! common to all services,
//! <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use trueno_core::error::{Error, ErrorKind};
use trueno_core::port::Operation;

use crate::guard::Refused;
use crate::replay::NotRecorded;

/// EC2's way to say that a policy does not allow it.
pub(crate) const UNAUTHORIZED_OPERATION: &str = "UnauthorizedOperation";
/// Every other service's way to say so.
pub(crate) const ACCESS_DENIED: &str = "AccessDenied";
const ACCESS_DENIED_EXCEPTION: &str = "AccessDeniedException";
/// The region or service is not enabled for the account.
const OPT_IN_REQUIRED: &str = "OptInRequired";
const REGION_DISABLED: &str = "RegionDisabledException";
/// The account itself is suspended or not yet verified.
const BLOCKED: &str = "Blocked";
const PENDING_VERIFICATION: &str = "PendingVerification";

/// The credentials were good once.
pub(crate) const EXPIRED: &[&str] = &[
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "TokenRefreshRequired",
];
const DENIED: &[&str] = &[
    UNAUTHORIZED_OPERATION,
    ACCESS_DENIED,
    ACCESS_DENIED_EXCEPTION,
    OPT_IN_REQUIRED,
    REGION_DISABLED,
    BLOCKED,
    PENDING_VERIFICATION,
];
/// The credentials were never good, or are not in this region.
const UNAUTHENTICATED: &[&str] = &[
    "AuthFailure",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];
const THROTTLED: &[&str] = &[
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];
const UNAVAILABLE: &[&str] = &[
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "Unavailable",
];
/// A page token that AWS does not know, or no longer.
const TOKENS: &[&str] = &["InvalidNextToken", "InvalidPaginationToken"];

/// Where a request was going.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) operation: Operation,
    pub(crate) region: &'a str,
    /// What the request held that no error may repeat, even if AWS does.
    pub(crate) secrets: &'a [&'a str],
}

impl<'a> Call<'a> {
    pub(crate) const fn new(operation: Operation, region: &'a str) -> Self {
        Self {
            operation,
            region,
            secrets: &[],
        }
    }

    /// An error of this call.
    pub(crate) fn error(&self, kind: ErrorKind, problem: &str) -> Error {
        Error::new(
            kind,
            format!("{} in {}: {problem}", self.operation, self.region),
        )
    }

    /// What the SDK says, in Trueno's terms. The SDK's own error goes no further: its `Debug` holds
    /// the whole answer, which for STS are credentials.
    pub(crate) fn sdk_error<E>(&self, error: &SdkError<E, HttpResponse>) -> Error
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        if let Some(refused) = find::<Refused>(error) {
            return self.error(ErrorKind::Denied, &refused.to_string());
        }
        if let Some(missing) = find::<NotRecorded>(error) {
            return self.error(ErrorKind::Unsupported, &missing.to_string());
        }
        // Credentials are fetched inside a request: its failure must not read as the service's.
        if let Some(inner) = find::<Error>(error) {
            return copy(inner);
        }
        if let Some(credentials) = find::<CredentialsError>(error) {
            return from_credentials(credentials);
        }
        match error {
            SdkError::ServiceError(service) => self.answer_error(
                service.err().code(),
                service.err().message(),
                service.raw().status().as_u16(),
            ),
            SdkError::TimeoutError(_) => self.error(ErrorKind::Timeout, "no answer in time"),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                self.error(ErrorKind::Timeout, "no answer in time")
            }
            SdkError::DispatchFailure(failure) => {
                let problem = "the endpoint cannot be reached";
                let error = self.error(ErrorKind::Unavailable, problem);
                match failure.as_connector_error() {
                    Some(source) => error.with_detail(chain(source)),
                    None => error,
                }
            }
            SdkError::ResponseError(_)
                if find::<crate::well_formed::IllFormed>(error).is_some() =>
            {
                self.corrupt()
            }
            SdkError::ResponseError(_) => {
                self.error(ErrorKind::Unavailable, "the answer broke off")
            }
            SdkError::ConstructionFailure(_) => {
                let problem =
                    "the request cannot be made; is the region or the endpoint malformed?";
                self.error(ErrorKind::Config, problem)
                    .with_detail(chain(error))
            }
            _ => self.error(ErrorKind::Unexpected, "failed in an unknown way"),
        }
    }

    fn answer_error(&self, code: Option<&str>, text: Option<&str>, status: u16) -> Error {
        let (kind, problem) = match code.and_then(kind_of) {
            Some(kind) => (kind, problem_of(kind, code.unwrap_or_default())),
            None => match status {
                200..=299 => return self.corrupt(),
                401 => (
                    ErrorKind::Unauthenticated,
                    "AWS does not accept the credentials",
                ),
                403 => (ErrorKind::Denied, "AWS denies it"),
                429 => (ErrorKind::Throttled, "AWS asks for fewer requests"),
                500..=599 => (ErrorKind::Unavailable, "AWS fails to answer"),
                _ => (ErrorKind::Unexpected, "AWS refuses the request"),
            },
        };
        let named = code.map_or_else(|| format!("HTTP {status}"), str::to_owned);
        let error = self
            .error(kind, &format!("{problem} ({named})"))
            .with_code(named);
        match text.filter(|text| !self.secrets.iter().any(|secret| text.contains(secret))) {
            Some(text) => error.with_detail(text.chars().take(500).collect::<String>()),
            None => error,
        }
    }

    /// An answer that cannot be understood.
    pub(crate) fn corrupt(&self) -> Error {
        self.error(ErrorKind::Corrupt, "the answer cannot be parsed")
    }
}

/// What kind of error a code is; `None` for one that nobody foresaw.
fn kind_of(code: &str) -> Option<ErrorKind> {
    let classes = [
        (EXPIRED, ErrorKind::Unauthenticated),
        (UNAUTHENTICATED, ErrorKind::Unauthenticated),
        (DENIED, ErrorKind::Denied),
        (THROTTLED, ErrorKind::Throttled),
        (UNAVAILABLE, ErrorKind::Unavailable),
        (TOKENS, ErrorKind::InvalidInput),
    ];
    classes
        .into_iter()
        .find(|(codes, _)| codes.contains(&code))
        .map(|(_, kind)| kind)
}

fn problem_of(kind: ErrorKind, code: &str) -> &'static str {
    match kind {
        ErrorKind::Unauthenticated if EXPIRED.contains(&code) => {
            "the credentials are expired; get new ones"
        }
        ErrorKind::Unauthenticated => "AWS does not accept the credentials",
        ErrorKind::Denied if matches!(code, OPT_IN_REQUIRED | REGION_DISABLED) => {
            "the account has not enabled it"
        }
        ErrorKind::Denied => "AWS denies it",
        ErrorKind::Throttled => "AWS asks for fewer requests",
        ErrorKind::InvalidInput => "AWS no longer knows the page; begin anew",
        _ => "AWS fails to answer",
    }
}

/// Why there are no credentials.
pub(crate) fn from_credentials(error: &CredentialsError) -> Error {
    if let Some(inner) = find::<Error>(error) {
        return copy(inner);
    }
    let problem = match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            "no AWS credentials are found; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY, or run where a role is attached"
        }
        CredentialsError::ProviderTimedOut(_) => {
            "the source of the AWS credentials does not answer"
        }
        CredentialsError::InvalidConfiguration(_) => {
            "the AWS configuration names credentials that cannot be used (single sign-on and external \
             processes are not built in); `aws configure export-credentials` makes them usable"
        }
        _ => {
            "the AWS credentials cannot be loaded; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY"
        }
    };
    Error::new(ErrorKind::Unauthenticated, problem).with_detail(chain(error))
}

/// The same error once more: what a request's credentials failed with is behind a reference.
fn copy(error: &Error) -> Error {
    let mut copy = Error::new(error.kind(), error.to_string()).with_retry(error.retry());
    if let Some(code) = error.code() {
        copy = copy.with_code(code);
    }
    match error.detail() {
        Some(detail) => copy.with_detail(detail),
        None => copy,
    }
}

/// The first error of a chain that is a `T`.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    std::iter::successors(Some(error), |error| (*error).source())
        .find_map(|error| error.downcast_ref::<T>())
}

/// The texts of a chain. Texts only: the `Debug` forms of the SDK's errors hold whole answers.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let texts = std::iter::successors(Some(error), |error| (*error).source());
    texts
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::DESCRIBE_REGIONS;

    fn answer(code: Option<&str>, status: u16) -> Error {
        Call::new(DESCRIBE_REGIONS, "eu-west-1").answer_error(code, Some("text"), status)
    }

    #[test]
    fn codes_keep_their_name_and_get_a_kind() {
        for (code, kind) in [
            ("UnauthorizedOperation", ErrorKind::Denied),
            ("AccessDenied", ErrorKind::Denied),
            ("OptInRequired", ErrorKind::Denied),
            ("AuthFailure", ErrorKind::Unauthenticated),
            ("ExpiredToken", ErrorKind::Unauthenticated),
            ("RequestLimitExceeded", ErrorKind::Throttled),
            ("Unavailable", ErrorKind::Unavailable),
            ("InvalidPaginationToken", ErrorKind::InvalidInput),
            ("SomethingNew", ErrorKind::Unexpected),
        ] {
            let error = answer(Some(code), 400);
            assert_eq!((error.kind(), error.code()), (kind, Some(code)), "{code}");
            assert!(
                error
                    .to_string()
                    .contains("ec2:DescribeRegions in eu-west-1"),
                "{error}"
            );
        }
    }

    #[test]
    fn without_a_code_the_status_decides() {
        for (status, kind) in [
            (200, ErrorKind::Corrupt),
            (403, ErrorKind::Denied),
            (429, ErrorKind::Throttled),
            (503, ErrorKind::Unavailable),
            (418, ErrorKind::Unexpected),
        ] {
            assert_eq!(answer(None, status).kind(), kind, "{status}");
        }
    }

    #[test]
    fn no_code_is_in_two_classes() {
        let classes = [
            EXPIRED,
            UNAUTHENTICATED,
            DENIED,
            THROTTLED,
            UNAVAILABLE,
            TOKENS,
        ];
        let mut codes: Vec<&str> = classes.concat();
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }

    #[test]
    fn an_answer_that_repeats_a_secret_is_not_kept() {
        let call = Call {
            secrets: &["tru1-secret"],
            ..Call::new(DESCRIBE_REGIONS, "r")
        };
        let error = call.answer_error(Some("AccessDenied"), Some("id tru1-secret is wrong"), 403);
        assert!(!format!("{error:?}").contains("tru1-secret"), "{error:?}");
    }
}
