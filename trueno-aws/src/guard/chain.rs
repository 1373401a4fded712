//! The guard of the credential chain. The chain does not read accounts: it asks where it runs
//! (instance metadata, a container's endpoint) or STS for the credentials that it hands out.

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

use super::Refused;
use super::connector::checked;
use super::request::{identify, is_signed, operation};

/// What a chain may ask of STS.
const SIGNED: &str = "AssumeRole";
const UNSIGNED: &str = "AssumeRoleWithWebIdentity";

/// A client that can fetch credentials and nothing else.
pub(crate) fn chain_only(inner: SharedHttpClient) -> SharedHttpClient {
    checked("trueno-credential-chain-guard", inner, check)
}

fn check(request: &HttpRequest) -> Result<(), Refused> {
    if is_signed(request) {
        return match identify(request) {
            Ok(read) if read.service == "sts" && read.operation == SIGNED => Ok(()),
            Ok(read) => Err(Refused(format!("{}:{}", read.service, read.operation))),
            Err(problem) => Err(Refused(problem.to_string())),
        };
    }
    // Unsigned, it has no right to any account. What remains are the metadata endpoints (GET, and
    // PUT without a body for a token) and the one exchange of STS that proves itself otherwise.
    let empty = request.body().bytes().is_some_and(<[u8]>::is_empty);
    if matches!(request.method(), "GET" | "PUT") && empty {
        return Ok(());
    }
    match operation(request) {
        Ok((name, _)) if name == UNSIGNED => Ok(()),
        Ok((name, _)) => Err(Refused(format!("an unsigned {name}"))),
        Err(problem) => Err(Refused(problem.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_types::body::SdkBody;

    fn request(method: &str, body: &'static str) -> HttpRequest {
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method(method).unwrap();
        request
            .set_uri("http://169.254.169.254/latest/api/token")
            .unwrap();
        request
            .headers_mut()
            .insert("content-type", "application/x-www-form-urlencoded");
        request
    }

    fn signed(service: &str, body: &'static str) -> HttpRequest {
        let mut request = request("POST", body);
        let scope = format!("AWS4-HMAC-SHA256 Credential=A/1/us-east-1/{service}/aws4_request");
        request.headers_mut().insert("authorization", scope);
        request
    }

    #[test]
    fn credentials_can_be_fetched() {
        assert!(check(&request("GET", "")).is_ok());
        assert!(check(&request("PUT", "")).is_ok());
        assert!(check(&request("POST", "Action=AssumeRoleWithWebIdentity")).is_ok());
        assert!(check(&signed("sts", "Action=AssumeRole")).is_ok());
    }

    #[test]
    fn nothing_else_can_be_done() {
        assert!(check(&signed("ec2", "Action=RunInstances")).is_err());
        assert!(check(&signed("ec2", "Action=DescribeVolumes")).is_err());
        assert!(check(&signed("sts", "Action=GetFederationToken")).is_err());
        assert!(check(&request("POST", "Action=RunInstances")).is_err());
        assert!(check(&request("PUT", "data")).is_err());
        assert!(check(&request("DELETE", "")).is_err());
        let mut presigned = request("GET", "");
        presigned
            .set_uri("http://h/?Action=RunInstances&X-Amz-Signature=0")
            .unwrap();
        assert!(check(&presigned).is_err());
    }
}
