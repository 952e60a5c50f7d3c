//! SendGrid's mail send: HTTP statuses, and of a 401 the words that tell a wrong key from a plan that is used up.

use flota_worker::sandbox::Reset;

use super::super::{
    row::{
        Order::{
            Breaks, Half, Nobody, Nothing, Revoked, Says, Silence, Status, SuccessWithError, Text, With,
        },
        Row, row,
    },
    subject::{MAIL_GOES_ON, Next, Subject},
};

pub(in super::super) const SUBJECT: Subject = Subject {
    name: "sendgrid",
    in_sandbox: "sendgrid",
    title: "E-mail (SendGrid)",
    queue: "email",
    variables: &["SENDGRID_"],
    rows: ROWS,
    never: &[
        ("gone", "addresses are checked after the message was accepted"),
        ("timeout", "there is no idempotency key, so a lost answer is `ambiguous`"),
    ],
    next: Next::Provider { name: "ses", after: MAIL_GOES_ON },
};

const ROWS: &[Row] = &[
    row("202", Nothing, "ok", "", "done"),
    row("202 whose body breaks off: the status counts", Half, "ok", "", "done"),
    row("400: the message is not valid", Status(400), "permanent", "400", "dead at once"),
    row(
        "key revoked, as the sandbox refuses it",
        Revoked,
        "auth",
        "401",
        "waits 5 min, not charged; others wait too",
    ),
    row("401", Status(401), "auth", "401", "waits 5 min, not charged; others wait too"),
    row(
        "401 `Maximum credits exceeded`",
        Text(401, r#"{"errors":[{"message":"Maximum credits exceeded","field":null,"help":null}]}"#),
        "quota",
        "401",
        "waits 5 min, not charged; others wait too",
    ),
    row("402", Says(402, &["pay"]), "quota", "402", "waits 5 min, not charged; others wait too"),
    row(
        "403: the sender is not verified",
        Status(403),
        "auth",
        "403",
        "waits 5 min, not charged; others wait too",
    ),
    row("404: wrong path", Status(404), "permanent", "404", "dead at once"),
    row("405: wrong method", Status(405), "permanent", "405", "dead at once"),
    row("408", Status(408), "server_error", "408", "3 tries, then dead"),
    row("413: too large", Status(413), "permanent", "too_large", "dead at once"),
    row("429", Status(429), "rate_limited", "429", "waits 1 s, not charged; others wait too"),
    row(
        "429 with `Retry-After: 20`",
        With(429, "retry-after", "20"),
        "rate_limited",
        "429",
        "waits 20 s, not charged; others wait too",
    ),
    row("500", Status(500), "server_error", "500", "3 tries, then dead"),
    row("503", Status(503), "server_error", "503", "3 tries, then dead"),
    row(
        "503 with `Retry-After: 20`",
        With(503, "retry-after", "20"),
        "server_error",
        "503",
        "tried again after 20 s, as asked",
    ),
    row(
        "502: a gateway that does not know what became of it",
        Status(502),
        "ambiguous",
        "502",
        "one more try, then dead",
    ),
    row("504: the same", Status(504), "ambiguous", "504", "one more try, then dead"),
    row("200 with errors inside", SuccessWithError, "ambiguous", "200", "one more try, then dead"),
    row("No answer in time", Silence, "ambiguous", "", "one more try, then dead"),
    row(
        "The connection breaks before the work",
        Breaks(Reset::Before),
        "ambiguous",
        "",
        "one more try, then dead",
    ),
    row(
        "The connection breaks after the work",
        Breaks(Reset::AfterWork),
        "ambiguous",
        "",
        "one more try, then dead",
    ),
    row("Nobody listens", Nobody, "network", "", "8 tries, then dead"),
];
