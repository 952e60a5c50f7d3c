//! Twilio's Messages API: the numbers of <https://www.twilio.com/docs/api/errors>, which count before the HTTP status.

use flota_worker::sandbox::Reset;

use super::super::{
    row::{
        Order::{
            Breaks, Half, Nobody, Nothing, Revoked, Says, Silence, Status, SuccessWithError, Unusable, With,
        },
        Row, row,
    },
    subject::{Next, Subject},
};

pub(in super::super) const SUBJECT: Subject = Subject {
    name: "twilio",
    in_sandbox: "twilio",
    title: "SMS (Twilio)",
    queue: "notification",
    variables: &["TWILIO_"],
    rows: ROWS,
    never: &[("timeout", "there is no idempotency key, so a lost answer is `ambiguous`")],
    next: Next::Nobody("Twilio is the only way to send an SMS"),
};

const ROWS: &[Row] = &[
    row("201", Nothing, "ok", "", "done"),
    row("a number that is none, as the sandbox refuses it", Unusable, "permanent", "21211", "dead at once"),
    row(
        "number invalid, unreachable, not allowed there, no mobile, empty or long text",
        Says(400, &["21211", "21602", "21604", "21612", "21408", "21614", "21617"]),
        "permanent",
        "=",
        "dead at once",
    ),
    row(
        "the recipient said STOP",
        Says(400, &["21610"]),
        "gone",
        "=",
        "dead at once; nothing more is sent there",
    ),
    row(
        "token revoked, as the sandbox refuses it",
        Revoked,
        "auth",
        "20003",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "credentials, closed account, a sender that is not ours",
        Says(401, &["20003", "20005", "21212", "21606", "21659", "21660", "30002"]),
        "auth",
        "=",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "limit of the account or of a trial",
        Says(429, &["63038", "30037"]),
        "quota",
        "=",
        "waits 5 min, not charged; others wait too",
    ),
    row("402", Says(402, &["20999"]), "quota", "=", "waits 5 min, not charged; others wait too"),
    row(
        "too many requests, or the sender's queue is full",
        Says(429, &["20429", "14107", "21611", "30001"]),
        "rate_limited",
        "=",
        "waits 1 s, not charged; others wait too",
    ),
    row(
        "429 with `Retry-After: 20`",
        With(429, "retry-after", "20"),
        "rate_limited",
        "20429",
        "waits 20 s, not charged; others wait too",
    ),
    row("500", Status(500), "server_error", "20500", "3 tries, then dead"),
    row(
        "503 with `Retry-After: 20`",
        With(503, "retry-after", "20"),
        "server_error",
        "20500",
        "tried again after 20 s, as asked",
    ),
    row("201 that says `failed` (30008)", SuccessWithError, "permanent", "30008", "dead at once"),
    row("201 that cannot be read", Half, "ambiguous", "201", "one more try, then dead"),
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
