//! What an endpoint answers, without what should not be kept: our keys, its URL's secrets, credentials that it echoes.
//!
//! Answers are kept for people to read (`flota job get`). Some endpoints answer with the request that they received, a
//! page of their settings, or a new session. Known texts are removed wherever they stand; everything else by its shape:
//! a value behind a telling name, a scheme's credential, a prefix that only secrets have. Too much is removed rather
//! than too little. Pure.

use secrecy::ExposeSecret;
use url::Url;

use super::signing_key::SigningKey;

/// What stands in place of a secret.
const REDACTED: &str = "[redacted]";
/// Shortest text that is removed wherever it stands; shorter ones would hit ordinary words.
const LEAST_KNOWN_BYTES: usize = 8;
/// Shortest part of a path that may be a secret, as in the URLs of chat services.
const LEAST_PATH_PART: usize = 16;
/// Shortest credential behind `Bearer` or `Basic`.
const LEAST_CREDENTIAL: usize = 6;

/// Parts of names whose value is secret, without `-` and `_`.
const TELLING: [&str; 12] = [
    "authorization",
    "cookie",
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "privatekey",
    "accesskey",
    "credential",
    "sessionid",
];
/// Headers whose whole line is secret.
const WHOLE_LINE: [&str; 2] = ["authorization", "cookie"];
/// What begins a secret, whatever stands before it.
const PREFIXES: [&str; 15] = [
    "whsec_",
    "whsk_",
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "sk-",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "ASIA",
    "SG.",
];

/// Texts that must not be kept: the keys that signed, and what may be secret in the URL.
pub(super) fn known(keys: &[SigningKey], url: &Url) -> Vec<String> {
    let mut known = Vec::new();
    for key in keys {
        let text = key.to_text();
        let text = text.expose_secret();
        known.push(text.to_owned());
        // A receiver may print the key without its prefix.
        known.extend(text.split_once('_').map(|(_, encoded)| encoded.trim_end_matches('=').to_owned()));
    }
    known.extend(url.query().map(str::to_owned));
    known.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    let parts = url.path_segments().into_iter().flatten();
    known.extend(parts.filter(|part| LEAST_PATH_PART <= part.len()).map(str::to_owned));
    known.retain(|text| LEAST_KNOWN_BYTES <= text.len());
    // The longest first, so that a part does not break up the whole.
    known.sort_by_key(|text| std::cmp::Reverse(text.len()));
    known
}

/// The text without secrets.
pub(super) fn redact(text: &str, known: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in known {
        text = text.replace(secret.as_str(), REDACTED);
    }
    let (mut clean, mut rest) = (String::with_capacity(text.len()), text.as_str());
    while let Some(first) = rest.chars().next() {
        let (kept, secret) = if let Some(authority) = rest.strip_prefix("://") {
            (3, user_info(authority))
        } else if is_word(first) {
            word(rest)
        } else {
            (first.len_utf8(), 0)
        };
        clean.push_str(&rest[..kept]);
        if 0 < secret {
            clean.push_str(REDACTED);
        }
        rest = &rest[kept + secret..];
    }
    clean
}

/// Length of `user:password` before the `@` of a URL.
fn user_info(authority: &str) -> usize {
    let end =
        authority.find(|c: char| c.is_whitespace() || "/?#\"'<>\\".contains(c)).unwrap_or(authority.len());
    authority[..end].rfind('@').unwrap_or(0)
}

/// How much of the text, which begins with a word, is kept, and how much behind it is secret.
fn word(text: &str) -> (usize, usize) {
    let token = text.find(|c: char| !is_token(c)).unwrap_or(text.len());
    if is_secret_by_itself(&text[..token]) {
        return (0, token);
    }
    let length = text.find(|c: char| !is_word(c)).unwrap_or(text.len());
    let (name, behind) = text.split_at(length);
    if name.eq_ignore_ascii_case("bearer") || name.eq_ignore_ascii_case("basic") {
        let blanks = behind.len() - behind.trim_start_matches([' ', '\t']).len();
        let credential = behind[blanks..].find(|c: char| !is_token(c)).unwrap_or(behind.len() - blanks);
        if 0 < blanks && LEAST_CREDENTIAL <= credential {
            return (length + blanks, credential);
        }
    }
    let plain: String = name.chars().filter(|c| !"-_".contains(*c)).collect::<String>().to_ascii_lowercase();
    if TELLING.iter().any(|telling| plain.contains(telling)) {
        let is_whole_line = WHOLE_LINE.iter().any(|header| plain.ends_with(header));
        let (kept, secret) = value(behind, is_whole_line);
        return (length + kept, secret);
    }
    (length, 0)
}

/// The value behind a telling name: how much stands before it, and its length. Nothing when no value follows.
fn value(behind: &str, is_whole_line: bool) -> (usize, usize) {
    let separator = behind.trim_start_matches([' ', '\t', '"', '\'', '\\']);
    if !separator.starts_with([':', '=']) {
        return (0, 0);
    }
    let start = separator[1..].trim_start_matches([' ', '\t']);
    let length = |end: fn(char) -> bool, of: &str| of.find(end).unwrap_or(of.len());
    for (opening, closing) in [("\\\"", "\\\""), ("\"", "\""), ("'", "'"), ("[", "]"), ("{", "}")] {
        if let Some(inside) = start.strip_prefix(opening) {
            return (behind.len() - inside.len(), closed(inside, closing));
        }
    }
    let end: fn(char) -> bool = if is_whole_line {
        |c| matches!(c, '\r' | '\n' | '"' | '<')
    } else {
        |c| c.is_whitespace() || ",;&\"'<>)]}".contains(c)
    };
    (behind.len() - start.len(), length(end, start))
}

/// Length up to the closing mark, which does not count behind a backslash of its own; all of it when it never comes.
fn closed(inside: &str, closing: &str) -> usize {
    let ends = inside.match_indices(closing).map(|(at, _)| at);
    let is_escaped =
        |at: &usize| inside[..*at].bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1;
    let mut ends = ends.filter(|at| !is_escaped(at));
    ends.next().unwrap_or(inside.len())
}

/// A JSON web token, or a prefix that only secrets have with something behind it.
fn is_secret_by_itself(token: &str) -> bool {
    let has_prefix =
        PREFIXES.iter().any(|prefix| token.len() >= prefix.len() + 12 && token.starts_with(prefix));
    has_prefix || (token.starts_with("eyJ") && token.len() >= 20 && token.contains('.'))
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn is_token(c: char) -> bool {
    is_word(c) || matches!(c, '.' | '+' | '/' | '=' | '~')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::SigningSecret;

    #[test]
    fn secrets_are_removed_whatever_form_they_stand_in() {
        let cases = [
            ("Authorization: Bearer abc.def-123\nnext", "Authorization: [redacted]\nnext"),
            ("Set-Cookie: sid=1; Path=/\r\nok", "Set-Cookie: [redacted]\r\nok"),
            ("cookie=a=b; c=d\nok", "cookie=[redacted]\nok"),
            (r#"{"access_token":"a\"b","n":1}"#, r#"{"access_token":"[redacted]","n":1}"#),
            (r#"{"x":"{\"api_key\":\"abc\",\"n\":1}"}"#, r#"{"x":"{\"api_key\":\"[redacted]\",\"n\":1}"}"#),
            (r#"{"tokens":["a","b"],"n":1}"#, r#"{"tokens":[[redacted]],"n":1}"#),
            ("password = hunter2, retry", "password = [redacted], retry"),
            ("/hook?token=abc&x=1", "/hook?token=[redacted]&x=1"),
            ("client-secret:'a b' x", "client-secret:'[redacted]' x"),
            ("try Basic dXNlcjpwYXNz now", "try Basic [redacted] now"),
            ("got eyJhbGciOiJIUzI1NiJ9.e30.c2ln!", "got [redacted]!"),
            ("key whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw.", "key [redacted]"),
            ("see https://user:pass@example.com/x", "see https://[redacted]@example.com/x"),
            (r#""secret": "never closed"#, r#""secret": "[redacted]"#),
        ];

        for (text, clean) in cases {
            assert_eq!(redact(text, &[]), clean, "for {text}");
        }
    }

    #[test]
    fn ordinary_answers_stay_as_they_are() {
        for text in [
            "",
            "ok",
            r#"{"error":"invalid signature","code":401}"#,
            "The token has expired. Ask for a basic one.",
            "<html><body>502 Bad Gateway</body></html>",
            "No hay sesión: ñandú 🙂 a=b",
            "https://example.com/path@x",
        ] {
            assert_eq!(redact(text, &[]), text);
        }
    }

    #[test]
    fn our_keys_and_the_secrets_of_the_url_are_removed_wherever_they_stand() {
        let secret = SigningSecret::from_bytes(vec![7; 32]).unwrap();
        let text = secret.to_text();
        let bare = text.expose_secret().trim_start_matches("whsec_").to_owned();
        let url = Url::parse("https://example.com/services/T0000000000B00000000/x?k=0123456789").unwrap();
        let echo = format!("{} {bare} /services/T0000000000B00000000/x?k=0123456789", text.expose_secret());

        let clean = redact(&echo, &known(&[secret.into()], &url));

        for hidden in [bare.as_str(), "T0000000000", "0123456789"] {
            assert!(!clean.contains(hidden), "{clean}");
        }
        assert!(clean.contains("/services/"), "{clean}");
    }
}
