//! Reading the line of an ordinary success back: what [`Line`](super::line::Line) writes of one, to the letter ([`Exact`]).

use flota_producer::exact::Exact;
use uuid::Uuid;

use super::{Record, Status};

/// Letters of a hyphenated id.
const ID: usize = 36;

/// The record of this line, when it is written in just that form.
pub(super) fn read(line: &[u8]) -> Option<Record> {
    let mut rest = Exact(line);
    rest.expect(br#"{"id":""#)?;
    let id = Uuid::try_parse_ascii(rest.take(ID)?).ok()?.into();
    rest.expect(br#"","kind":""#)?;
    let kind = rest.text()?.to_owned();
    let tenant = if rest.skip(br#","tenant":""#) { Some(rest.text()?.to_owned()) } else { None };
    rest.expect(br#","status":"succeeded","run":"#)?;
    let run = rest.number()?.try_into().ok()?;
    rest.expect(br#","attempt":"#)?;
    let attempt = rest.number()?.try_into().ok()?;
    rest.expect(br#","at":"#)?;
    let at = rest.number()?;
    let ran_us = if rest.skip(br#","ran_us":"#) { rest.number()? } else { 0 };
    let record =
        Record { kind, tenant, run, attempt, at, ran_us, ..Record::unreadable(id, Status::Succeeded) };
    (rest.0 == b"}").then_some(record)
}

#[cfg(test)]
mod tests {
    use flota_producer::{JobId, envelope::read_json};

    use super::*;

    fn success() -> Record {
        Record {
            kind: "send_email".to_owned(),
            tenant: Some("caf\u{e9}".to_owned()),
            run: 2,
            attempt: u32::MAX,
            at: u64::MAX,
            ran_us: 7,
            ..Record::unreadable(JobId::mint(), Status::Succeeded)
        }
    }

    #[test]
    fn the_lines_of_ordinary_successes_are_read_as_any_json_would_be() {
        let alone = Record { tenant: None, ran_us: 0, run: 0, kind: String::new(), ..success() };

        for record in [success(), alone] {
            let line = record.encode();

            assert_eq!(read(line.as_bytes()).as_ref(), Some(&record), "{line}");
            assert_eq!(read_json::<Record>(line.as_bytes()).unwrap(), record, "{line}");
        }
    }

    #[test]
    fn what_is_not_an_ordinary_success_is_left_to_the_reader_of_any_json() {
        let others = [
            Record { status: Status::Retried, ..success() },
            Record { provider: Some("ses".to_owned()), ..success() },
            Record { kind: "quo\"te".to_owned(), ..success() },
            Record { tenant: Some("\n".to_owned()), ..success() },
        ];

        for record in others {
            let line = record.encode();

            assert_eq!(read(line.as_bytes()), None, "{line}");
            assert_eq!(Record::decode(line.as_bytes()).unwrap(), record, "{line}");
        }
    }

    #[test]
    fn a_line_that_was_changed_anywhere_is_read_by_neither_or_alike() {
        let line = success().encode().into_bytes();
        let mut cases: Vec<Vec<u8>> = (0..line.len()).map(|end| line[..end].to_vec()).collect();
        for at in 0..line.len() {
            for byte in [b' ', b'0', b'"', b'\\', b',', b'}', b'-', 0xff, 0] {
                cases.push([&line[..at], &[byte], &line[at..]].concat());
                cases.push([&line[..at], &[byte], &line[at + 1..]].concat());
            }
        }

        for case in cases {
            if let Some(record) = read(&case) {
                let any = read_json::<Record>(&case);
                assert_eq!(any.ok(), Some(record), "{}", case.escape_ascii());
            }
        }
    }
}
