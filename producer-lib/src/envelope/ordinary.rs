//! Reading an envelope without options, as [`Envelope::encode`] writes it, to the letter ([`Exact`]).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Envelope;
use crate::exact::Exact;

/// What stands between the payload and the time.
const AT: &[u8] = b",\"at\":";
/// Most digits of a time.
const DIGITS: usize = 20;

/// The envelope in these bytes, when they are written in just that form.
pub(super) fn read(bytes: &[u8]) -> Option<Envelope> {
    let mut rest = Exact(bytes);
    rest.expect(br#"{"v":1,"kind":""#)?;
    let kind = rest.text()?;
    let tenant = if rest.skip(br#","tenant":""#) { Some(rest.text()?.to_owned()) } else { None };
    rest.expect(br#","payload":"#)?;
    // The payload is whatever is before the time, if that is JSON: then the time is not a part of it.
    let payload = rest.take(before_time(rest.0)?)?;
    rest.expect(AT)?;
    let at = rest.number()?;
    (rest.0 == b"}").then_some(())?;
    let mut payload = serde_json::Deserializer::from_str(std::str::from_utf8(payload).ok()?);
    let raw = <&RawValue>::deserialize(&mut payload).ok()?;
    payload.end().ok()?;
    Some(Envelope { tenant, ..Envelope::new(kind, raw.to_owned(), at) })
}

/// Where the payload ends, when digits and a brace are all that follows the name of the time.
fn before_time(bytes: &[u8]) -> Option<usize> {
    let last = &bytes[bytes.len().saturating_sub(AT.len() + DIGITS + 1)..];
    let colon = last.iter().rposition(|byte| *byte == b':')?;
    let end = bytes.len() - last.len() + colon + 1;
    end.checked_sub(AT.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::read_json;

    fn any(bytes: &[u8]) -> Option<String> {
        read_json::<Envelope>(bytes).ok().map(|envelope| format!("{envelope:?}"))
    }

    fn exact(bytes: &[u8]) -> Option<String> {
        read(bytes).map(|envelope| format!("{envelope:?}"))
    }

    fn encoded(payload: &str, tenant: Option<&str>) -> Vec<u8> {
        let payload = RawValue::from_string(payload.to_owned()).unwrap();
        let tenant = tenant.map(str::to_owned);
        Envelope { tenant, ..Envelope::new("send_email", payload, 1_795_280_202_384) }.encode()
    }

    #[test]
    fn envelopes_without_options_are_read_as_any_json_would_be() {
        let payloads = ["{}", "7", "null", r#"{"at":1,"a":[{"at":2}]}"#, r#"" ,\"at\":3}""#, "\"caf\u{e9}\""];
        for payload in payloads {
            for tenant in [None, Some("acme"), Some("\u{2028}")] {
                let bytes = encoded(payload, tenant);

                assert!(exact(&bytes).is_some(), "{payload}");
                assert_eq!(exact(&bytes), any(&bytes), "{payload}");
            }
        }
    }

    #[test]
    fn other_envelopes_are_left_to_the_reader_of_any_json() {
        let plain = String::from_utf8(encoded("{}", Some("acme"))).unwrap();
        let with = |what: &str| format!("{},{what}}}", &plain[..plain.len() - 1]);

        for other in [
            plain.replace(r#""v":1"#, r#""v":2"#),
            plain.replace(':', ": "),
            plain.replace("acme", "a\\u0063me"),
            with(r#""priority":"high""#),
            with(r#""at":7"#),
        ] {
            assert_eq!(exact(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn bytes_that_were_changed_anywhere_are_read_by_neither_or_alike() {
        let bytes = encoded(r#"{"to":["a",{"at":1}],"n":-1.5e3}"#, Some("acme"));
        let mut cases: Vec<Vec<u8>> = (0..bytes.len()).map(|end| bytes[..end].to_vec()).collect();
        for at in 0..bytes.len() {
            for byte in [b' ', b'0', b'"', b'\\', b',', b'}', b'{', b':', 0xff, 0] {
                cases.push([&bytes[..at], &[byte], &bytes[at..]].concat());
                cases.push([&bytes[..at], &[byte], &bytes[at + 1..]].concat());
            }
            cases.push([&bytes[..at], &bytes[at + 1..]].concat());
        }

        for case in cases {
            if let Some(envelope) = exact(&case) {
                assert_eq!(any(&case), Some(envelope), "{}", case.escape_ascii());
            }
        }
    }
}
