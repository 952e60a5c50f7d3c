//! Verifies AWS Signature Version 4 as a service does
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).
//!
//! Written apart from any signer, so that both agreeing means something; the vectors of AWS's own suite hold it to
//! account. The path is encoded once more as it came, which is right for every service but S3.

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac,
};
use axum::http::HeaderMap;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far the clocks may be apart.
const TOLERANCE_SECONDS: i64 = 300;
/// Stands for the hash of a body that is not signed.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// A request whose signature is to be verified.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    /// The path as it was sent.
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

/// `Authorization: AWS4-HMAC-SHA256 …`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authorization<'a> {
    pub(super) access_key: &'a str,
    /// `YYYYMMDD`.
    pub(super) date: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

/// Why a signature does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Untrue {
    /// `x-amz-date` is missing or no date.
    NoDate,
    /// The date of the credential is another one than that of the request.
    OtherDay,
    /// The clocks are more than five minutes apart.
    Expired,
    /// A header that must be signed is not.
    Unsigned,
    /// The hash of the body is another one than was announced.
    OtherBody,
    /// The signature is wrong.
    Mismatch,
}

/// Takes the header apart; `None` when something is missing.
pub(super) fn parse(authorization: &str) -> Option<Authorization<'_>> {
    let rest = authorization.strip_prefix(ALGORITHM)?;
    let field =
        |name: &str| rest.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
    let mut scope = field("Credential")?.split('/');
    let (access_key, date, region, service) = (scope.next()?, scope.next()?, scope.next()?, scope.next()?);
    if scope.next() != Some("aws4_request") || scope.next().is_some() {
        return None;
    }
    let signed_headers = field("SignedHeaders")?.split(';').collect();
    Some(Authorization { access_key, date, region, service, signed_headers, signature: field("Signature")? })
}

/// Verifies the signature with the secret of the access key.
pub(super) fn verify(
    request: &Signed<'_>,
    authorization: &Authorization<'_>,
    secret: &str,
    now_unix: i64,
) -> Result<(), Untrue> {
    let time = header(request, "x-amz-date");
    let at = unix(&time).ok_or(Untrue::NoDate)?;
    if !time.starts_with(authorization.date) {
        return Err(Untrue::OtherDay);
    }
    if TOLERANCE_SECONDS < now_unix.abs_diff(at) as i64 {
        return Err(Untrue::Expired);
    }
    let must = |name: &str| authorization.signed_headers.contains(&name);
    // The token of a session may be added after signing.
    let is_own = |name: &&str| name.starts_with("x-amz-") && *name != "x-amz-security-token";
    let own = request.headers.keys().map(axum::http::HeaderName::as_str);
    if !must("host") || own.filter(is_own).any(|name| !must(name)) {
        return Err(Untrue::Unsigned);
    }
    let announced = header(request, "x-amz-content-sha256");
    let actual = hex::encode(digest(&SHA256, request.body));
    if !announced.is_empty() && announced != UNSIGNED && announced != actual {
        return Err(Untrue::OtherBody);
    }
    let hash = if announced.is_empty() { &actual } else { &announced };
    let canonical = canonical_request(request, &authorization.signed_headers, hash);
    let signature = hex::decode(authorization.signature).map_err(|_| Untrue::Mismatch)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &signing_key(authorization, secret));
    let signed = string_to_sign(authorization, &time, &canonical);
    hmac::verify(&key, signed.as_bytes(), &signature).map_err(|_| Untrue::Mismatch)
}

fn string_to_sign(authorization: &Authorization<'_>, time: &str, canonical: &str) -> String {
    let Authorization { date, region, service, .. } = authorization;
    let hash = hex::encode(digest(&SHA256, canonical.as_bytes()));
    format!("{ALGORITHM}\n{time}\n{date}/{region}/{service}/aws4_request\n{hash}")
}

fn signing_key(authorization: &Authorization<'_>, secret: &str) -> Vec<u8> {
    let Authorization { date, region, service, .. } = authorization;
    let first = format!("AWS4{secret}").into_bytes();
    [*date, *region, *service, "aws4_request"].into_iter().fold(first, |key, part| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        hmac::sign(&key, part.as_bytes()).as_ref().to_vec()
    })
}

fn canonical_request(request: &Signed<'_>, signed_headers: &[&str], body_hash: &str) -> String {
    let line = |name: &&str| format!("{name}:{}\n", header(request, name));
    let headers = signed_headers.iter().map(line).collect::<Vec<_>>().concat();
    let (path, query) = (canonical_path(request.path), canonical_query(request.query));
    let names = signed_headers.join(";");
    format!("{}\n{path}\n{query}\n{headers}\n{names}\n{body_hash}", request.method)
}

/// All values of a header with a comma between, each with single spaces.
fn header(request: &Signed<'_>, name: &str) -> String {
    let values = request.headers.get_all(name).iter();
    let single = |value: &axum::http::HeaderValue| {
        String::from_utf8_lossy(value.as_bytes()).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    values.map(single).collect::<Vec<_>>().join(",")
}

/// Without `.`, `..` and empty segments, each segment encoded.
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let end = if segments.is_empty() || !path.ends_with('/') { "" } else { "/" };
    let encoded: Vec<String> = segments.into_iter().map(encode).collect();
    format!("/{}{end}", encoded.join("/"))
}

/// Decoded, encoded again and sorted.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encode_bytes(&percent_decode(name)), encode_bytes(&percent_decode(value)))
        })
        .collect();
    pairs.sort();
    pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let code = (byte == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        match code.and_then(|code| hex::decode(code).ok()) {
            Some(code) => (decoded.extend(code), at += 3),
            None => (decoded.push(byte), at += 1),
        };
    }
    decoded
}

fn encode(text: &str) -> String {
    encode_bytes(text.as_bytes())
}

/// Everything but the unreserved characters of RFC 3986 section 2.3.
fn encode_bytes(bytes: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    bytes.iter().map(one).collect()
}

/// Seconds since the Unix epoch of `20150830T123600Z`.
fn unix(time: &str) -> Option<i64> {
    let parsed = chrono::NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%SZ").ok()?;
    Some(parsed.and_utc().timestamp())
}

#[cfg(test)]
mod tests;
