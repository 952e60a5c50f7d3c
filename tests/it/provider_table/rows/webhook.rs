//! A customer's endpoint: Standard Webhooks 1.0.0 whose plan repeats everything but 410.

use flota_worker::sandbox::Reset;

use super::super::{
    row::{
        Order::{Breaks, Half, Nobody, Nothing, Silence, Status, SuccessWithError, With},
        Row, row,
    },
    subject::{Next, Subject},
};

pub(in super::super) const SUBJECT: Subject = Subject {
    name: "webhook",
    in_sandbox: "webhook",
    title: "Webhooks to customers",
    queue: "webhook",
    variables: &["WEBHOOK_"],
    rows: ROWS,
    never: &[
        (
            "permanent",
            "no answer is for good but 410; what cannot be sent at all (an address that is refused) is dead at once",
        ),
        ("auth", "the credential is the receiver's affair: 401 and 403 are tried again"),
        ("quota", "receivers have none"),
        ("ambiguous", "`webhook-id` is the same in every try, so that a receiver can tell a repeat"),
    ],
    next: Next::Nobody("an endpoint is one place"),
};

const ROWS: &[Row] = &[
    row("2xx", Nothing, "ok", "", "done"),
    row("200 that says `error` inside", SuccessWithError, "ok", "", "done"),
    row("2xx whose body breaks off", Half, "ok", "", "done"),
    row(
        "301: redirects are not followed",
        With(301, "location", "https://example.com/"),
        "server_error",
        "301",
        "10 tries, then dead",
    ),
    row("400", Status(400), "server_error", "400", "10 tries, then dead"),
    row("401", Status(401), "server_error", "401", "10 tries, then dead"),
    row("403", Status(403), "server_error", "403", "10 tries, then dead"),
    row("404", Status(404), "server_error", "404", "10 tries, then dead"),
    row("413", Status(413), "server_error", "413", "10 tries, then dead"),
    row("410", Status(410), "gone", "410", "dead at once; the endpoint is disabled"),
    row("408", Status(408), "server_error", "408", "10 tries, then dead"),
    row("409", Status(409), "server_error", "409", "10 tries, then dead"),
    row("425", Status(425), "server_error", "425", "10 tries, then dead"),
    row("429", Status(429), "rate_limited", "429", "waits 1 s, not charged; others wait too"),
    row(
        "429 with `Retry-After: 20`",
        With(429, "retry-after", "20"),
        "rate_limited",
        "429",
        "waits 20 s, not charged; others wait too",
    ),
    row("500", Status(500), "server_error", "500", "10 tries, then dead"),
    row("502: overloaded", Status(502), "server_error", "502", "tried again, more slowly; others wait too"),
    row(
        "503 with `Retry-After: 20`",
        With(503, "retry-after", "20"),
        "server_error",
        "503",
        "tried again after 20 s, as asked",
    ),
    row("504: overloaded", Status(504), "server_error", "504", "tried again, more slowly; others wait too"),
    row("No answer in time", Silence, "timeout", "", "10 tries, then dead"),
    row("Nobody listens", Nobody, "network", "", "10 tries, then dead"),
    row("The connection breaks before the work", Breaks(Reset::Before), "network", "", "10 tries, then dead"),
    row(
        "The connection breaks after the work",
        Breaks(Reset::AfterWork),
        "network",
        "",
        "10 tries, then dead",
    ),
];
