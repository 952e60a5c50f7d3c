//! Push services: RFC 8030, and the numbers of Mozilla's autopush.

use flota_worker::sandbox::Reset;

use super::super::{
    row::{
        Order::{Breaks, Half, Nobody, Nothing, Says, Silence, Status, SuccessWithError, Text, With},
        Row, row,
    },
    subject::{Next, Subject},
};

pub(in super::super) const SUBJECT: Subject = Subject {
    name: "web_push",
    in_sandbox: "push",
    title: "Push services (Web Push)",
    queue: "notification",
    variables: &[],
    rows: ROWS,
    never: &[
        ("quota", "push services have none"),
        ("ambiguous", "`Topic` is the same in every try, so that a repeat replaces the first"),
    ],
    next: Next::Nobody("a subscription belongs to one service"),
};

const ROWS: &[Row] = &[
    row("201", Nothing, "ok", "", "done"),
    row("201 with an error inside: only the status counts", SuccessWithError, "ok", "", "done"),
    row("201 whose body breaks off", Half, "ok", "", "done"),
    row("301, 307: redirects are not followed", Status(307), "permanent", "307", "dead at once"),
    row(
        "400: bad headers or encryption (errno 101, 108, 110 to 113)",
        Says(400, &["101", "108", "110", "111", "112", "113"]),
        "permanent",
        "400",
        "dead at once",
    ),
    row(
        "401: the VAPID signature is bad",
        Status(401),
        "auth",
        "401",
        "waits 5 min, not charged; others go on",
    ),
    row("403 without a reason", Text(403, ""), "auth", "403", "waits 5 min, not charged; others go on"),
    row(
        "401, 403: the browser subscribed with another key",
        Text(403, r#"{"reason":"VapidPkHashMismatch"}"#),
        "gone",
        "vapid_mismatch",
        "dead at once",
    ),
    row(
        "404: unknown subscription (errno 102)",
        Says(404, &["102"]),
        "gone",
        "404",
        "dead at once; nothing more is sent there",
    ),
    row(
        "410: the subscription has ended (errno 103, 105, 106)",
        Says(410, &["103", "105", "106"]),
        "gone",
        "410",
        "dead at once; nothing more is sent there",
    ),
    row(
        "406: throttled (Windows)",
        Status(406),
        "rate_limited",
        "406",
        "waits 1 s, not charged; others wait too",
    ),
    row("413: too large", Status(413), "permanent", "413", "dead at once"),
    row(
        "429 with `Retry-After: 20`",
        With(429, "retry-after", "20"),
        "rate_limited",
        "429",
        "waits 20 s, not charged; others wait too",
    ),
    row("500", Status(500), "server_error", "500", "3 tries, then dead"),
    row("503 (errno 201, 202)", Says(503, &["201", "202"]), "server_error", "503", "3 tries, then dead"),
    row(
        "503 with `Retry-After: 20`",
        With(503, "retry-after", "20"),
        "server_error",
        "503",
        "tried again after 20 s, as asked",
    ),
    row("No answer in time", Silence, "timeout", "", "one more try, then dead"),
    row("Nobody listens", Nobody, "network", "", "8 tries, then dead"),
    row("The connection breaks before the work", Breaks(Reset::Before), "network", "", "8 tries, then dead"),
    row(
        "The connection breaks after the work",
        Breaks(Reset::AfterWork),
        "network",
        "",
        "8 tries, then dead",
    ),
];
