//! Signs requests to AWS: Signature Version 4
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).
//!
//! Our own hundred lines over the hashes that are here anyway, because `aws-sigv4` 1.6 brings fifteen crates, a second
//! library of dates among them. AWS's whole suite holds them to account, and the sandbox verifies with code that was
//! written apart.

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac,
};
use chrono::DateTime;
use secrecy::{ExposeSecret, SecretString};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Who signs, and for what.
#[derive(Debug)]
pub(crate) struct Signer {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: SecretString,
    /// For example `us-east-1`.
    pub(crate) region: String,
    /// The name by which AWS signs for the service, which is not always the host's: `ses` for the API v2 too.
    pub(crate) service: &'static str,
    /// How a path is written into what is signed.
    pub(crate) path_style: PathStyle,
}

/// How a path is written into what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathStyle {
    /// Without `.`, `..` and doubled slashes: every service but S3.
    Normalized,
    /// As it is: S3, whose keys may hold all of them.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "only AWS's suite signs so until there is a client of S3")
    )]
    AsIs,
}

/// What is signed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unsigned<'a> {
    pub(crate) method: &'a str,
    /// The path before any encoding.
    pub(crate) path: &'a str,
    /// The query as it is sent, without `?`.
    pub(crate) query: &'a str,
    /// `host`, `x-amz-date` and whatever else shall be signed. Names in any case.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// The SHA-256 of the body, which may be too large to be at hand.
    pub(crate) body_sha256: &'a [u8],
}

impl Signer {
    /// The value of `Authorization`. `amz_date` is what `x-amz-date` holds, see [`amz_date`].
    pub(crate) fn authorization(&self, request: &Unsigned<'_>, amz_date: &str) -> String {
        let day = amz_date.get(..8).unwrap_or_default();
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let (names, canonical) = self.canonical(request);
        let text = format!("{ALGORITHM}\n{amz_date}\n{scope}\n{}", hex::encode(sha256(canonical.as_bytes())));
        let signature = hex::encode(mac(&self.key_of(day), &text));
        let key = &self.access_key_id;
        format!("{ALGORITHM} Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}")
    }

    fn key_of(&self, day: &str) -> Vec<u8> {
        let secret = format!("AWS4{}", self.secret_access_key.expose_secret());
        [day, &self.region, self.service, "aws4_request"]
            .into_iter()
            .fold(secret.into_bytes(), |key, part| mac(&key, part))
    }

    /// The names of the signed headers, and the request in the form that both sides agree on.
    fn canonical(&self, request: &Unsigned<'_>) -> (String, String) {
        let Unsigned { method, query, body_sha256, .. } = request;
        let (names, lines) = canonical_headers(request.headers);
        let path = match self.path_style {
            PathStyle::Normalized => normalized(request.path),
            PathStyle::AsIs => request.path.to_owned(),
        };
        let (path, query, body) =
            (encoded(path.as_bytes(), b"/"), canonical_query(query), hex::encode(body_sha256));
        (names.clone(), format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{body}"))
    }
}

/// A moment as `x-amz-date` has it: `20150830T123600Z`.
pub(crate) fn amz_date(now_unix: i64) -> String {
    DateTime::from_timestamp(now_unix, 0).unwrap_or_default().format("%Y%m%dT%H%M%SZ").to_string()
}

fn canonical_headers(headers: &[(&str, &str)]) -> (String, String) {
    let mut sorted: Vec<(String, Vec<String>)> = Vec::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        let value = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        match sorted.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => sorted.push((name, vec![value])),
        }
    }
    sorted.sort();
    let names: Vec<&str> = sorted.iter().map(|(name, _)| name.as_str()).collect();
    let lines: Vec<String> = sorted
        .iter()
        .map(|(name, values)| {
            format!(
                "{name}:{}
",
                values.join(",")
            )
        })
        .collect();
    (names.join(";"), lines.concat())
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encoded(&decoded(name), b""), encoded(&decoded(value), b""))
        })
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// The path with `.`, `..` and doubled slashes resolved (RFC 3986 section 5.2.4).
fn normalized(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let end = if path.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    format!("/{}{end}", parts.join("/"))
}

/// Everything but RFC 3986's unreserved characters, and those of `also`, as `%XX`.
fn encoded(bytes: &[u8], also: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || also.contains(byte) {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

fn decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let (byte, length) =
            pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).map_or((bytes[at], 1), |byte| (byte, 3));
        plain.push(byte);
        at += length;
    }
    plain
}

/// The digest of a body that is at hand.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const SUITE: &str = include_str!("../tests/data/aws_sigv4_suite.json");

    /// A request of the suite, taken apart: its start line, headers and body.
    fn parts(text: &str) -> ([&str; 3], Vec<(&str, String)>, &str) {
        let (head, body) = text.split_once("\n\n").unwrap();
        let (line, rest) = head.split_once('\n').unwrap();
        let (method, target) = line.split_once(' ').unwrap();
        let (target, _) = target.rsplit_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers: Vec<(&str, String)> = Vec::new();
        for line in rest.split('\n') {
            if let (true, Some((_, value))) = (line.starts_with(' '), headers.last_mut()) {
                value.push_str(line);
            } else {
                let (name, value) = line.split_once(':').unwrap();
                headers.push((name, value.to_owned()));
            }
        }
        ([method, path, query], headers, body)
    }

    #[test]
    fn every_request_of_the_suite_is_signed_as_aws_signs_it() {
        let suite: BTreeMap<String, String> = serde_json::from_str(SUITE).unwrap();

        assert_eq!(suite.len(), 38);
        for (name, text) in &suite {
            let ([method, path, query], mut headers, body) = parts(text);
            let found = headers.iter().position(|(name, _)| *name == "Authorization").unwrap();
            let expected = headers.remove(found).1;
            let (_, signed) = expected.split_once("SignedHeaders=").unwrap();
            let signed: Vec<&str> = signed.split_once(',').unwrap().0.split(';').collect();
            headers.retain(|(name, _)| signed.contains(&&*name.to_ascii_lowercase()));
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
            let path_style =
                if name.ends_with("-unnormalized") { PathStyle::AsIs } else { PathStyle::Normalized };
            let signer = Signer {
                access_key_id: "AKIDEXAMPLE".into(),
                secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
                region: "us-east-1".into(),
                service: "service",
                path_style,
            };

            let body_sha256 = &sha256(body.as_bytes());
            let request = Unsigned { method, path, query, headers: &headers, body_sha256 };

            assert_eq!(signer.authorization(&request, "20150830T123600Z"), expected, "{name}");
        }
    }

    #[test]
    fn a_date_is_written_as_aws_reads_it() {
        assert_eq!(amz_date(1_440_938_160), "20150830T123600Z");
    }

    #[test]
    fn a_percent_sign_that_encodes_nothing_is_itself() {
        assert_eq!(canonical_query("a=%E1%88%B4&b=100%&c=%4"), "a=%E1%88%B4&b=100%25&c=%254");
    }
}
