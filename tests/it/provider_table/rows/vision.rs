//! Google Vision: HTTP statuses, and inside a 200 the codes of `google.rpc.Code` for each picture.

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
    name: "google_vision",
    in_sandbox: "google_vision",
    title: "Pictures (Google Vision)",
    queue: "ocr",
    variables: &["GOOGLE_VISION_"],
    rows: ROWS,
    never: &[
        ("gone", "a picture has no address that could be gone"),
        ("quota", "Google says 429 for a minute and for a month alike"),
        ("ambiguous", "looking changes nothing; a repeat may be billed twice"),
    ],
    next: Next::Nobody("Google is the only one who reads"),
};

const ROWS: &[Row] = &[
    row("200", Nothing, "ok", "", "done"),
    row("a file that is no picture; nothing is sent", Unusable, "permanent", "format", "dead at once"),
    row("400 `INVALID_ARGUMENT`", Status(400), "permanent", "INVALID_ARGUMENT", "dead at once"),
    row("400 `FAILED_PRECONDITION`", Says(400, &["FAILED_PRECONDITION"]), "permanent", "=", "dead at once"),
    row(
        "API key revoked, as the sandbox refuses it (400)",
        Revoked,
        "auth",
        "API_KEY_INVALID",
        "waits 5 min, not charged; others wait too",
    ),
    row("401", Status(401), "auth", "UNAUTHENTICATED", "waits 5 min, not charged; others wait too"),
    row(
        "403: API or billing is off",
        Status(403),
        "auth",
        "PERMISSION_DENIED",
        "waits 5 min, not charged; others wait too",
    ),
    row("404", Status(404), "permanent", "NOT_FOUND", "dead at once"),
    row("413", Says(413, &["INVALID_ARGUMENT"]), "permanent", "=", "dead at once"),
    row("429", Status(429), "rate_limited", "RESOURCE_EXHAUSTED", "waits 1 s, not charged; others wait too"),
    row(
        "429 with `Retry-After: 20`",
        With(429, "retry-after", "20"),
        "rate_limited",
        "RESOURCE_EXHAUSTED",
        "waits 20 s, not charged; others wait too",
    ),
    row("499", Status(499), "server_error", "DEADLINE_EXCEEDED", "3 tries, then dead"),
    row("500", Status(500), "server_error", "INTERNAL", "3 tries, then dead"),
    row("503", Status(503), "server_error", "UNAVAILABLE", "3 tries, then dead"),
    row("504", Status(504), "server_error", "DEADLINE_EXCEEDED", "3 tries, then dead"),
    row(
        "200, the picture: 3, 5, 7 (bad, not found, not allowed)",
        Says(200, &["3", "5", "7"]),
        "permanent",
        "rpc_=",
        "dead at once",
    ),
    row(
        "200, the picture: 4, 13, 14",
        Says(200, &["4", "13", "14"]),
        "server_error",
        "rpc_=",
        "3 tries, then dead",
    ),
    row(
        "200, the picture: 8",
        Says(200, &["8"]),
        "rate_limited",
        "rpc_=",
        "waits 1 s, not charged; others wait too",
    ),
    row("200 with an error inside (14)", SuccessWithError, "server_error", "rpc_14", "3 tries, then dead"),
    row("200 that cannot be read", Half, "server_error", "unreadable", "3 tries, then dead"),
    row("No answer in time", Silence, "timeout", "", "one more try, then dead"),
    row("The connection breaks", Breaks(Reset::AfterWork), "network", "", "8 tries, then dead"),
    row("Nobody listens", Nobody, "network", "", "8 tries, then dead"),
];
