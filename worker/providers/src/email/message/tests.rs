//! What a composed message looks like, and what never gets into one.

use insta::assert_snapshot;
use lettre::message::{
    self, Body, MultiPart, SinglePart,
    header::{ContentTransferEncoding, ContentType},
};

use super::*;

/// Sun, 06 Nov 1994 08:49:37 GMT.
const NOW: i64 = 784_111_777;

fn sender() -> Sender {
    Sender::new("noreply@example.com", Some("Flota")).unwrap()
}

fn email() -> Email {
    Email {
        to: vec!["Ada Lovelace <ada@example.org>".to_owned()],
        subject: "Hello".to_owned(),
        text: Some("Hello,\nAda".to_owned()),
        html: Some("<p>Hello, Ada</p>".to_owned()),
        message_key: "0192-abc".to_owned(),
        ..Email::default()
    }
}

fn bytes(message: &Pieces) -> Vec<u8> {
    message.chunks().map(Result::unwrap).collect::<Vec<_>>().concat()
}

fn formatted(email: &Email) -> String {
    String::from_utf8(bytes(&compose(email, &sender(), NOW).unwrap().message)).unwrap()
}

fn class_of(email: &Email) -> Result<(), ErrorClass> {
    compose(email, &sender(), NOW).map(drop).map_err(|error| error.class)
}

#[test]
fn a_message_has_a_stable_id_a_date_and_both_parts() {
    let message = formatted(&email());

    assert_snapshot!(message.replace("\r\n", "\n"), @r#"
    From: Flota <noreply@example.com>
    Date: Sun, 06 Nov 1994 08:49:37 +0000
    Message-ID: <job-0192-abc@example.com>
    Subject: Hello
    To: "Ada Lovelace" <ada@example.org>
    MIME-Version: 1.0
    Content-Type: multipart/alternative; boundary="flota-alternative"

    --flota-alternative
    Content-Type: text/plain; charset=utf-8
    Content-Transfer-Encoding: quoted-printable

    Hello,
    Ada
    --flota-alternative
    Content-Type: text/html; charset=utf-8
    Content-Transfer-Encoding: quoted-printable

    <p>Hello, Ada</p>
    --flota-alternative--
    "#);
}

#[test]
fn the_same_email_gives_the_same_bytes_on_every_attempt() {
    assert_eq!(formatted(&email()), formatted(&email()));
}

#[test]
fn a_hidden_recipient_is_in_the_envelope_only() {
    let with_bcc = Email { bcc: vec!["secret@example.net".to_owned()], ..email() };

    let outgoing = compose(&with_bcc, &sender(), NOW).unwrap();

    assert_eq!(outgoing.envelope.to().len(), 2);
    assert!(!String::from_utf8(bytes(&outgoing.message)).unwrap().contains("secret@example.net"));
}

#[test]
fn an_address_named_twice_gets_one_copy() {
    let twice = Email { cc: vec!["ada@example.org".to_owned()], ..email() };

    let outgoing = compose(&twice, &sender(), NOW).unwrap();

    assert_eq!(outgoing.envelope.to().len(), 1);
}

#[test]
fn international_names_and_domains_become_ascii_headers() {
    let international = Email {
        to: vec!["José Peña, ventas <jose@münchen.example>".to_owned()],
        subject: "¡Sí!".to_owned(),
        ..email()
    };

    let outgoing = compose(&international, &sender(), NOW).unwrap();

    assert!(outgoing.is_ascii && bytes(&outgoing.message).is_ascii());
    assert_eq!(outgoing.envelope.to()[0].to_string(), "jose@xn--mnchen-3ya.example");
}

#[test]
fn control_characters_in_any_header_field_are_refused() {
    let hostile =
        ["x\r\nBcc: victim@example.net", "x\nBcc: v@example.net", "x\rBcc: v", "x\0", "x\u{7f}", "x\u{85}y"];

    for text in hostile {
        let address = format!("{text} <a@example.com>");
        let cases = [
            Email { subject: text.to_owned(), ..email() },
            Email { to: vec![address.clone()], ..email() },
            Email { cc: vec![format!("a@example.com{text}")], ..email() },
            Email { bcc: vec![address.clone()], ..email() },
            Email { reply_to: Some(address), ..email() },
            Email { message_key: text.to_owned(), ..email() },
        ];
        for case in cases {
            assert_eq!(class_of(&case), Err(ErrorClass::Permanent), "for {case:?}");
        }
        assert!(Sender::new("a@example.com", Some(text)).is_err(), "for {text:?}");
    }
}

#[test]
fn malformed_addresses_are_refused_as_a_whole() {
    let long = format!("{}@example.com", "a".repeat(300));
    let addresses = [
        "",
        "ada",
        "ada@",
        "@example.org",
        "a@b@c",
        "a@example.com, b@example.com",
        "a@example.com> RCPT TO:<b@example.com",
        &long,
    ];

    for address in addresses {
        let case = Email { to: vec![address.to_owned()], ..email() };

        assert_eq!(class_of(&case), Err(ErrorClass::Permanent), "for {address:?}");
    }
}

#[test]
fn a_message_needs_a_recipient_a_body_and_a_key_and_no_crowd() {
    let crowd = (0..=MOST_RECIPIENTS).map(|number| format!("u{number}@example.com")).collect();
    let cases = [
        Email { to: Vec::new(), ..email() },
        Email { text: None, html: None, ..email() },
        Email { message_key: String::new(), ..email() },
        Email { message_key: "a@b>".to_owned(), ..email() },
        Email { to: crowd, ..email() },
    ];

    for case in cases {
        assert_eq!(class_of(&case), Err(ErrorClass::Permanent));
    }
}

#[test]
fn an_error_never_repeats_what_was_in_the_field() {
    let case = Email { to: vec!["private-address@@example.com".to_owned()], ..email() };

    let error = compose(&case, &sender(), NOW).unwrap_err();

    assert!(!error.to_string().contains("private-address"), "{error}");
}

#[test]
fn files_that_are_read_while_they_are_sent_make_the_bytes_that_files_in_memory_make() {
    for length in [0, 1, 56, 57, 58, 2 * 57, 40 * 57, 40 * 57 + 1, 1024 * 1024 + 1] {
        let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let (logo, file) = (content.iter().rev().copied().collect::<Vec<_>>(), content);
        let attachments = vec![
            Attachment { name: "año.pdf".into(), content: file.clone().into(), ..Attachment::default() },
            Attachment {
                name: "logo.png".into(),
                content_id: Some("logo".into()),
                content: logo.clone().into(),
                ..Attachment::default()
            },
        ];

        let outgoing = compose(&Email { attachments, ..email() }, &sender(), NOW).unwrap();

        let body = |bytes| Body::new_with_encoding(bytes, ContentTransferEncoding::Base64).unwrap();
        let part = |kind: &str, text: &str| {
            let part = SinglePart::builder().header(ContentType::parse(kind).unwrap());
            part.body(
                Body::new_with_encoding(text.to_owned(), ContentTransferEncoding::QuotedPrintable).unwrap(),
            )
        };
        let texts = MultiPart::alternative()
            .boundary("flota-alternative")
            .singlepart(part("text/plain; charset=utf-8", "Hello,\r\nAda"))
            .singlepart(part("text/html; charset=utf-8", "<p>Hello, Ada</p>"));
        let logo = message::Attachment::new_inline_with_name("logo".into(), "logo.png".into())
            .body(body(logo), ContentType::parse("image/png").unwrap());
        let file = message::Attachment::new("año.pdf".into())
            .body(body(file), ContentType::parse("application/pdf").unwrap());
        let related = MultiPart::related().boundary("flota-related").multipart(texts).singlepart(logo);
        let whole =
            MultiPart::mixed().boundary("flota-mixed").multipart(related).singlepart(file).formatted();
        let sent = bytes(&outgoing.message);
        assert!(sent.ends_with(&whole), "with files of {length} bytes");
        assert_eq!(outgoing.message.length(), sent.len() as u64);
    }
}

#[test]
fn no_text_takes_the_place_of_a_file() {
    let file = Attachment { name: "a.txt".into(), content: "file".into(), ..Attachment::default() };
    let text = "\0\u{1}=00".repeat(100);
    let case = Email { text: Some(text.clone()), html: Some(text), attachments: vec![file], ..email() };

    let message = formatted(&case);

    assert!(
        message.contains("base64\r\n\r\nZmlsZQ==\r\n--flota-mixed--") && !message.contains('\0'),
        "{message}"
    );
}

/// Pieces that SMTP, MIME or a careless encoder could take for structure.
const HOSTILE_PIECES: [&str; 18] = [
    "\r",
    "\n",
    "\r\n",
    ".",
    "\r\n.\r\n",
    "\n.\n",
    "\r.\r",
    "\n.\r\n",
    "--flota-alternative",
    "--flota-alternative--",
    "MAIL FROM:<a@example.com>",
    "\0",
    "=",
    "=\r\n",
    " ",
    "ñ\u{2028}",
    "a",
    "\u{1f600}",
];

/// A small generator (xorshift64), so that the bodies are the same on every run.
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state % 1_000_000) as usize
}

fn hostile_body(state: &mut u64) -> String {
    let pieces = next(state) % 40;
    (0..pieces)
        .map(|_| {
            let piece = HOSTILE_PIECES[next(state) % HOSTILE_PIECES.len()];
            // Long runs move the encoder's soft line breaks to every position.
            if next(state).is_multiple_of(10) { piece.repeat(next(state) % 90) } else { piece.to_owned() }
        })
        .collect()
}

fn problem_on_the_wire(message: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(message).replace("\r\n", "\u{1}");
    if text.contains('\r') || text.contains('\n') {
        return Some("a bare CR or LF");
    }
    if text.split('\u{1}').any(|line| line.starts_with('.')) {
        return Some("a line that starts with a dot");
    }
    if text.matches("\u{1}--flota-alternative").count() != 3 {
        return Some("a forged boundary");
    }
    (!message.is_ascii()).then_some("a byte above 127")
}

#[test]
fn ten_thousand_hostile_bodies_put_no_structure_of_their_own_on_the_wire() {
    let mut state = 0x5eed_f107a;

    for round in 0..10_000 {
        let (text, html) = (hostile_body(&mut state), hostile_body(&mut state));
        let case = Email { text: Some(text.clone()), html: Some(html.clone()), ..email() };
        let outgoing = compose(&case, &sender(), NOW).unwrap();

        let problem = problem_on_the_wire(&bytes(&outgoing.message));

        assert_eq!(problem, None, "round {round}: {text:?} {html:?}");
    }
}
