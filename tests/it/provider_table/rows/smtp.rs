//! A mail server: reply codes of RFC 5321 section 4.2 and RFC 4954 section 6, and the step at which they come.

use flota_worker::sandbox::Reset;

use super::super::{
    row::{
        Order::{Breaks, Half, Nobody, Nothing, Reply, Silence},
        Row, row,
    },
    subject::{MAIL_GOES_ON, Next, Subject},
};

pub(in super::super) const SUBJECT: Subject = Subject {
    name: "smtp",
    in_sandbox: "smtp",
    title: "Mail server (SMTP)",
    queue: "email",
    variables: &["SMTP_"],
    rows: ROWS,
    never: &[
        ("gone", "a mailbox that is unknown today may exist tomorrow: 550 is permanent"),
        ("quota", "the protocol has no word for it"),
        ("timeout", "before the message is handed over it is `network`, from then on `ambiguous`"),
    ],
    next: Next::Provider { name: "sendgrid", after: MAIL_GOES_ON },
};

const ROWS: &[Row] = &[
    row("250 to the message", Nothing, "ok", "", "done"),
    row(
        "421 in the greeting: too many connections",
        Reply("greeting", 421),
        "rate_limited",
        "421",
        "waits 1 s, not charged; others wait too",
    ),
    row(
        "554 in the greeting: this machine may not send",
        Reply("greeting", 554),
        "auth",
        "554",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "530 to MAIL: log in first",
        Reply("mail_from", 530),
        "auth",
        "530",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "534 to MAIL: the login is too weak",
        Reply("mail_from", 534),
        "auth",
        "534",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "535 to MAIL: the login is refused",
        Reply("mail_from", 535),
        "auth",
        "535",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "538 to MAIL: the login needs TLS",
        Reply("mail_from", 538),
        "auth",
        "538",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "450 to RCPT: the mailbox is busy",
        Reply("rcpt_to", 450),
        "server_error",
        "450",
        "waits 5 min, not charged; others go on",
    ),
    row(
        "451 to RCPT: greylisted",
        Reply("rcpt_to", 451),
        "server_error",
        "451",
        "waits 5 min, not charged; others go on",
    ),
    row(
        "452 to MAIL: no space",
        Reply("mail_from", 452),
        "server_error",
        "452",
        "waits 5 min, not charged; others go on",
    ),
    row("454 to DATA: not now", Reply("data", 454), "server_error", "454", "3 tries, then dead"),
    row(
        "451 to the message",
        Reply("content", 451),
        "server_error",
        "451",
        "waits 5 min, not charged; others go on",
    ),
    row("550 to RCPT: no such user", Reply("rcpt_to", 550), "permanent", "550", "dead at once"),
    row("552 to the message: too big", Reply("content", 552), "permanent", "552", "dead at once"),
    row(
        "553 to MAIL: the sender is not allowed",
        Reply("mail_from", 553),
        "permanent",
        "553",
        "dead at once",
    ),
    row("554 to the message: refused", Reply("content", 554), "permanent", "554", "dead at once"),
    row("Nobody listens", Nobody, "network", "", "8 tries, then dead"),
    row(
        "The connection breaks after the message",
        Breaks(Reset::AfterWork),
        "ambiguous",
        "",
        "one more try, then dead",
    ),
    row(
        "The connection breaks while the message is sent",
        Breaks(Reset::Before),
        "ambiguous",
        "",
        "one more try, then dead",
    ),
    row("No reply to the message in time", Silence, "ambiguous", "", "one more try, then dead"),
    row("A reply to the message that cannot be read", Half, "ambiguous", "", "one more try, then dead"),
];
