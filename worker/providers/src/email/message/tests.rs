//! What a composed message looks like, and what never gets into one.

use insta::assert_snapshot;

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

fn formatted(email: &Email) -> String {
    String::from_utf8(compose(email, &sender(), NOW).unwrap().bytes).unwrap()
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
    assert!(!String::from_utf8(outgoing.bytes).unwrap().contains("secret@example.net"));
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

    assert!(outgoing.bytes.is_ascii());
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

        let problem = problem_on_the_wire(&outgoing.bytes);

        assert_eq!(problem, None, "round {round}: {text:?} {html:?}");
    }
}
