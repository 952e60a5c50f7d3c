//! OpenAI's transcriptions: `error.code` splits 429 into a limit that passes and an account without credit.

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
    name: "whisper",
    in_sandbox: "openai",
    title: "Transcription (OpenAI Whisper)",
    queue: "transcription",
    variables: &["OPENAI_", "WHISPER_"],
    rows: ROWS,
    never: &[
        ("gone", "a recording has no address that could be gone"),
        ("ambiguous", "listening changes nothing; a repeat may be billed twice"),
    ],
    next: Next::Nobody("OpenAI is the only one who listens"),
};

const ROWS: &[Row] = &[
    row("200", Nothing, "ok", "", "done"),
    row("a file that is no sound; nothing is sent", Unusable, "permanent", "format", "dead at once"),
    row("400: invalid file", Status(400), "permanent", "400", "dead at once"),
    row(
        "key revoked, as the sandbox refuses it",
        Revoked,
        "auth",
        "invalid_api_key",
        "waits 5 min, not charged; others wait too",
    ),
    row("401", Status(401), "auth", "invalid_api_key", "waits 5 min, not charged; others wait too"),
    row("403: region", Status(403), "permanent", "403", "dead at once"),
    row("404: no such model", Status(404), "permanent", "model_not_found", "dead at once"),
    row("413: too large", Status(413), "permanent", "413", "dead at once"),
    row(
        "429 `insufficient_quota`",
        Says(429, &["insufficient_quota"]),
        "quota",
        "=",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "429 `rate_limit_exceeded`",
        Says(429, &["rate_limit_exceeded"]),
        "rate_limited",
        "=",
        "waits 1 s, not charged; others wait too",
    ),
    row(
        "429 with `Retry-After: 20`",
        With(429, "retry-after", "20"),
        "rate_limited",
        "rate_limit_exceeded",
        "waits 20 s, not charged; others wait too",
    ),
    row("408", Status(408), "server_error", "408", "3 tries, then dead"),
    row("409", Status(409), "server_error", "409", "3 tries, then dead"),
    row("500", Status(500), "server_error", "500", "3 tries, then dead"),
    row(
        "503 `server_is_overloaded`, `slow_down`",
        Says(503, &["server_is_overloaded", "slow_down"]),
        "server_error",
        "=",
        "3 tries, then dead",
    ),
    row("200 with an error inside", SuccessWithError, "server_error", "200", "3 tries, then dead"),
    row("200 that cannot be read", Half, "server_error", "200", "3 tries, then dead"),
    row("No answer in time", Silence, "timeout", "", "one more try, then dead"),
    row("The connection breaks", Breaks(Reset::AfterWork), "network", "", "8 tries, then dead"),
    row("Nobody listens", Nobody, "network", "", "8 tries, then dead"),
];
