//! AWS's own suite, and what a service refuses.

use std::collections::BTreeMap;

use axum::http::{HeaderName, HeaderValue};

use super::*;

/// The one copy of it; our signer is held to it too.
const SUITE: &str = include_str!("../../../providers/tests/data/aws_sigv4_suite.json");
/// Cases whose path is taken as it is, which no service does but S3.
const AS_IS: &str = "-unnormalized";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2015-08-30T12:36:00Z.
const NOW: i64 = 1_440_938_160;

struct Request {
    method: String,
    path: String,
    query: String,
    headers: HeaderMap,
    body: String,
}

impl Request {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\n\n").unwrap();
        let mut lines = head.split('\n');
        let line = lines.next().unwrap();
        let (method, rest) = line.split_once(' ').unwrap();
        let (target, _) = rest.rsplit_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = Vec::<(String, String)>::new();
        for line in lines {
            if let (true, Some((_, value))) = (line.starts_with(' '), headers.last_mut()) {
                value.push_str(line);
            } else {
                let (name, value) = line.split_once(':').unwrap();
                headers.push((name.to_owned(), value.to_owned()));
            }
        }
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let text = |text: &str| text.to_owned();
        Self { method: text(method), path: text(path), query: text(query), headers: map, body: text(body) }
    }

    fn verify(&self, secret: &str, now_unix: i64) -> Result<(), Untrue> {
        let Self { method, path, query, headers, body } = self;
        let signed = Signed { method, path, query, headers, body: body.as_bytes() };
        let authorization = headers["authorization"].to_str().unwrap().to_owned();
        verify(&signed, &parse(&authorization).unwrap(), secret, now_unix)
    }
}

fn vanilla() -> Request {
    let suite: BTreeMap<String, String> = serde_json::from_str(SUITE).unwrap();
    Request::read(&suite["get-vanilla"])
}

#[test]
fn every_request_of_the_suite_is_verified_and_a_changed_one_is_not() {
    let mut suite: BTreeMap<String, String> = serde_json::from_str(SUITE).unwrap();
    suite.retain(|name, _| !name.ends_with(AS_IS));

    assert!(suite.len() > 25);
    for (name, text) in &suite {
        let mut request = Request::read(text);
        assert_eq!(request.verify(SECRET, NOW), Ok(()), "{name}");
        request.path.push('x');
        assert_eq!(request.verify(SECRET, NOW), Err(Untrue::Mismatch), "{name}");
    }
}

#[test]
fn another_secret_or_another_body_does_not_verify() {
    let mut request = vanilla();

    assert_eq!(request.verify("other", NOW), Err(Untrue::Mismatch));
    request.body.push('x');
    assert_eq!(request.verify(SECRET, NOW), Err(Untrue::Mismatch));
}

#[test]
fn clocks_may_be_five_minutes_apart() {
    let request = vanilla();

    for (seconds, verdict) in
        [(300, Ok(())), (-300, Ok(())), (301, Err(Untrue::Expired)), (-301, Err(Untrue::Expired))]
    {
        assert_eq!(request.verify(SECRET, NOW + seconds), verdict, "{seconds} s");
    }
}

#[test]
fn what_a_service_needs_must_be_there_and_signed() {
    let set = |name: &'static str, value: &'static str| {
        let mut request = vanilla();
        request.headers.insert(name, HeaderValue::from_static(value));
        request.verify(SECRET, NOW)
    };

    assert_eq!(set("x-amz-date", "yesterday"), Err(Untrue::NoDate));
    assert_eq!(set("x-amz-date", "20150831T123600Z"), Err(Untrue::OtherDay));
    assert_eq!(set("x-amz-meta-more", "unsigned"), Err(Untrue::Unsigned));
    assert_eq!(set("x-amz-content-sha256", "00"), Err(Untrue::Unsigned));
}

#[test]
fn an_authorization_that_lacks_a_part_is_none() {
    let whole = vanilla().headers["authorization"].to_str().unwrap().to_owned();

    for part in ["AWS4-HMAC-SHA256", "Credential=", "/aws4_request", "SignedHeaders=", "Signature="] {
        assert_eq!(parse(&whole.replacen(part, "", 1)), None, "without {part}");
    }
}
