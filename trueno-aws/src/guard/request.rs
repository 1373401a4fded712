//! Which operation a serialized request is: read from its bytes, not from what the SDK says of it.

use std::collections::BTreeMap;
use std::fmt;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

const ALGORITHM: &str = "AWS4-HMAC-SHA256 ";

/// A request as AWS will understand it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identified {
    /// The service of the signature's scope, such as `ec2`.
    pub(crate) service: String,
    /// The region of the signature's scope.
    pub(crate) region: String,
    /// The operation, such as `DescribeVolumes`.
    pub(crate) operation: String,
    /// Its parameters, where it uses the query protocol.
    pub(crate) params: BTreeMap<String, String>,
}

/// Why nobody can tell what a request would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unidentified {
    Unsigned,
    Scope,
    StreamingBody,
    NoOperation,
    SeveralOperations,
    Encoding,
}

impl fmt::Display for Unidentified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsigned => "an unsigned request",
            Self::Scope => "a request whose signature names no service",
            Self::StreamingBody => "a request with a streaming body",
            Self::NoOperation => "a request that names no operation",
            Self::SeveralOperations => "a request that names more than one operation",
            Self::Encoding => "a request whose parameters are malformed",
        })
    }
}

/// Tells what a signed request asks for.
pub(crate) fn identify(request: &HttpRequest) -> Result<Identified, Unidentified> {
    let (region, service) = scope(request)?;
    let (operation, params) = operation(request)?;
    Ok(Identified {
        service,
        region,
        operation,
        params,
    })
}

/// Whether a request carries any proof of who sends it. One that carries none can do nothing to an
/// account, wherever it goes.
pub(crate) fn is_signed(request: &HttpRequest) -> bool {
    let signed_query = query_of(request).contains("X-Amz-");
    signed_query || request.headers().contains_key("x-amz-security-token") || {
        let authorization = request.headers().get("authorization");
        authorization.is_some_and(|value| value.starts_with("AWS"))
    }
}

/// Tells the operation and its parameters, signed or not.
pub(crate) fn operation(
    request: &HttpRequest,
) -> Result<(String, BTreeMap<String, String>), Unidentified> {
    let body = request.body().bytes().ok_or(Unidentified::StreamingBody)?;
    let mut params = BTreeMap::new();
    let mut named: Vec<String> = Vec::new();
    // `Target` headers say it for the JSON protocols, `Action` for the query protocols, in the body
    // or in the query string. A request that says it twice means different things to different
    // readers, so it is none; and so is a body of which nobody says how to read it.
    for target in request.headers().get_all("x-amz-target") {
        named.push(target.rsplit('.').next().unwrap_or_default().to_owned());
    }
    let mut types = request.headers().get_all("content-type");
    let content_type = types
        .next()
        .unwrap_or_default()
        .trim_start()
        .to_ascii_lowercase();
    let is_json = content_type.starts_with("application/x-amz-json-");
    let is_form = content_type.starts_with("application/x-www-form-urlencoded");
    let readable = if named.is_empty() {
        is_form || body.is_empty()
    } else {
        is_json
    };
    if !readable || types.next().is_some() {
        return Err(Unidentified::NoOperation);
    }
    let form = if is_form { str_of(body)? } else { "" };
    for text in [query_of(request), form] {
        for (name, value) in pairs(text)? {
            if name == "Action" {
                named.push(value);
            } else {
                params.insert(name, value);
            }
        }
    }
    match <[String; 1]>::try_from(named) {
        Ok([operation]) if !operation.is_empty() => Ok((operation, params)),
        Ok(_) => Err(Unidentified::NoOperation),
        Err(named) if named.is_empty() => Err(Unidentified::NoOperation),
        Err(_) => Err(Unidentified::SeveralOperations),
    }
}

/// The region and service of `Credential=KEY/DATE/REGION/SERVICE/aws4_request`.
fn scope(request: &HttpRequest) -> Result<(String, String), Unidentified> {
    let mut headers = request.headers().get_all("authorization");
    let (Some(authorization), None) = (headers.next(), headers.next()) else {
        return Err(Unidentified::Unsigned);
    };
    let fields = authorization
        .strip_prefix(ALGORITHM)
        .ok_or(Unidentified::Scope)?;
    let credential = fields
        .split(',')
        .find_map(|field| field.trim().strip_prefix("Credential="))
        .ok_or(Unidentified::Scope)?;
    let parts: Vec<&str> = credential.split('/').collect();
    match parts.as_slice() {
        [_, _, region, service, "aws4_request"] if !region.is_empty() && !service.is_empty() => {
            Ok(((*region).to_owned(), (*service).to_owned()))
        }
        _ => Err(Unidentified::Scope),
    }
}

fn query_of(request: &HttpRequest) -> &str {
    let uri = request.uri();
    let uri = uri.split('#').next().unwrap_or_default();
    uri.split_once('?').map_or("", |(_, query)| query)
}

fn pairs(text: &str) -> Result<Vec<(String, String)>, Unidentified> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

fn decode(text: &str) -> Result<String, Unidentified> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| {
                    byte.and_then(|b| char::from(b).to_digit(16))
                        .ok_or(Unidentified::Encoding)
                };
                let code = digit(rest.next())? * 16 + digit(rest.next())?;
                u8::try_from(code).map_err(|_| Unidentified::Encoding)?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| Unidentified::Encoding)
}

fn str_of(body: &[u8]) -> Result<&str, Unidentified> {
    std::str::from_utf8(body).map_err(|_| Unidentified::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_types::body::SdkBody;

    const FORM: &str = "application/x-www-form-urlencoded";
    const JSON: &str = "application/x-amz-json-1.1";

    fn signed(service: &str, uri: &str, body: &str) -> HttpRequest {
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_uri(uri).unwrap();
        request.set_method("POST").unwrap();
        request.headers_mut().insert(
            "authorization",
            format!(
                "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/{service}/aws4_request, \
                 SignedHeaders=host, Signature=00"
            ),
        );
        request
    }

    fn form(uri: &str, body: &str) -> HttpRequest {
        let mut request = signed("ec2", uri, body);
        request.headers_mut().insert("content-type", FORM);
        request
    }

    #[test]
    fn the_operation_is_read_from_body_query_or_target() {
        let read = identify(&form("http://h/", "Action=DescribeVolumes&A.1=x%2By+z")).unwrap();
        assert_eq!(
            (read.service.as_str(), read.region.as_str()),
            ("ec2", "eu-west-1")
        );
        assert_eq!(read.operation, "DescribeVolumes");
        assert_eq!(read.params["A.1"], "x+y z");
        let read = identify(&signed("ec2", "http://h/?Action=DescribeVolumes", "")).unwrap();
        assert_eq!(read.operation, "DescribeVolumes");
        let mut json = signed("dynamodb", "http://h/", "{}");
        json.headers_mut()
            .insert("x-amz-target", "DynamoDB_20120810.PutItem");
        json.headers_mut().insert("content-type", JSON);
        let read = identify(&json).unwrap();
        assert_eq!(
            (read.service.as_str(), read.operation.as_str()),
            ("dynamodb", "PutItem")
        );
    }

    #[test]
    fn a_second_name_for_the_operation_makes_it_none() {
        let twice = Err(Unidentified::SeveralOperations);
        let body = "Action=DescribeVolumes&Action=DeleteVolume";
        assert_eq!(identify(&form("http://h/", body)), twice);
        let uri = "http://h/?Action=DeleteVolume";
        assert_eq!(identify(&form(uri, "Action=DescribeVolumes")), twice);
        let escaped = "Action=DescribeVolumes&%41ction=DeleteVolume";
        assert_eq!(identify(&form("http://h/", escaped)), twice);
        let mut target = signed("ec2", "http://h/?Action=DescribeVolumes", "{}");
        target
            .headers_mut()
            .insert("x-amz-target", "X.DeleteVolume");
        target.headers_mut().insert("content-type", JSON);
        assert_eq!(identify(&target), twice);
        let mut both = form("http://h/", "Action=DescribeVolumes");
        both.headers_mut().insert("x-amz-target", "X.DeleteVolume");
        assert_eq!(identify(&both), Err(Unidentified::NoOperation));
    }

    #[test]
    fn what_cannot_be_told_is_not_guessed() {
        let mut unsigned = form("http://h/", "Action=DescribeVolumes");
        unsigned.headers_mut().remove("authorization");
        assert_eq!(identify(&unsigned), Err(Unidentified::Unsigned));
        let rest = signed("s3", "http://h/bucket/key", "");
        assert_eq!(identify(&rest), Err(Unidentified::NoOperation));
        let no_form = signed("ec2", "http://h/", "Action=DescribeVolumes");
        assert_eq!(identify(&no_form), Err(Unidentified::NoOperation));
        assert_eq!(
            identify(&form("http://h/", "Action=")),
            Err(Unidentified::NoOperation)
        );
        assert_eq!(
            identify(&form("http://h/", "Action=%zz")),
            Err(Unidentified::Encoding)
        );
        let mut scopeless = form("http://h/", "Action=DescribeVolumes");
        scopeless
            .headers_mut()
            .insert("authorization", "AWS4-HMAC-SHA256 Credential=AK/x");
        assert_eq!(identify(&scopeless), Err(Unidentified::Scope));
        let stream = form("http://h/", "").map(|_| SdkBody::taken());
        assert_eq!(identify(&stream), Err(Unidentified::StreamingBody));
    }
}
