//! OpenRouter and what is compatible: `error.metadata.error_type` counts before the HTTP status, and a 200 may be an
//! error.

use flota_worker::sandbox::Reset;

use super::super::{
    row::{
        Order::{
            Breaks, Half, Nobody, Nothing, Revoked, Says, Silence, Status, SuccessWithError, Text, With,
        },
        Row, row,
    },
    subject::{Next, Subject},
};

pub(in super::super) const SUBJECT: Subject = Subject {
    name: "llm",
    in_sandbox: "llm",
    title: "Language models (OpenRouter)",
    queue: "llm",
    variables: &["LLM_", "OPENROUTER_"],
    rows: ROWS,
    never: &[
        ("gone", "a question has no address that could be gone"),
        ("ambiguous", "asking changes nothing; a repeat may be billed twice"),
    ],
    next: Next::Model {
        after: &[
            "server_error",
            "provider_overloaded",
            "not_found",
            "model_not_found",
            "context_length_exceeded",
            "max_tokens_exceeded",
            "content_policy_violation",
            "moderation",
            "refusal",
            "content_filter",
        ],
    },
};

const ROWS: &[Row] = &[
    row("200", Nothing, "ok", "", "done"),
    row(
        "400: bad request, prompt or length",
        Says(
            400,
            &[
                "invalid_request",
                "invalid_prompt",
                "context_length_exceeded",
                "max_tokens_exceeded",
                "content_policy_violation",
            ],
        ),
        "permanent",
        "=",
        "dead at once",
    ),
    row(
        "key revoked, as the sandbox refuses it",
        Revoked,
        "auth",
        "authentication",
        "waits 5 min, not charged; others wait too",
    ),
    row("401", Status(401), "auth", "authentication", "waits 5 min, not charged; others wait too"),
    row(
        "402: no credit",
        Status(402),
        "quota",
        "payment_required",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "403: moderation, guardrail, permission",
        Says(403, &["moderation", "guardrail", "permission_denied"]),
        "permanent",
        "=",
        "dead at once",
    ),
    row(
        "400: no such model, by a sentence (`… is not a valid model ID`)",
        Text(400, r#"{"error":{"message":"acme/one is not a valid model ID","code":400}}"#),
        "permanent",
        "model_not_found",
        "dead at once",
    ),
    row("404: no such model", Status(404), "permanent", "not_found", "dead at once"),
    row("413, 422, 412", Says(422, &["unprocessable"]), "permanent", "=", "dead at once"),
    row("408, 504, 524: a timeout of theirs", Status(408), "server_error", "timeout", "3 tries, then dead"),
    row("524", Status(524), "server_error", "timeout", "3 tries, then dead"),
    row(
        "429 with `Retry-After: 20`",
        With(429, "retry-after", "20"),
        "rate_limited",
        "rate_limit_exceeded",
        "waits 20 s, not charged; others wait too",
    ),
    row("500", Status(500), "server_error", "server", "3 tries, then dead"),
    row("502", Status(502), "server_error", "provider_unavailable", "3 tries, then dead"),
    row(
        "503: overloaded, with `Retry-After: 20`",
        With(503, "retry-after", "20"),
        "rate_limited",
        "provider_overloaded",
        "waits 20 s, not charged; others go on",
    ),
    row(
        "503 without a word",
        Text(503, "{}"),
        "rate_limited",
        "503",
        "waits 1 s, not charged; others wait too",
    ),
    row(
        "200 with an error inside (502)",
        SuccessWithError,
        "server_error",
        "provider_unavailable",
        "3 tries, then dead",
    ),
    row(
        "200 with an empty answer",
        Text(200, r#"{"choices":[{"message":{"content":""},"finish_reason":"stop"}]}"#),
        "server_error",
        "empty",
        "3 tries, then dead",
    ),
    row(
        "200 with a refusal of the model",
        Text(200, r#"{"choices":[{"message":{"content":null,"refusal":"No."},"finish_reason":"stop"}]}"#),
        "permanent",
        "refusal",
        "dead at once",
    ),
    row(
        "200 whose answer was filtered",
        Text(200, r#"{"choices":[{"message":{"content":"To"},"finish_reason":"content_filter"}]}"#),
        "permanent",
        "content_filter",
        "dead at once",
    ),
    row("200 that cannot be read", Half, "server_error", "cut_off", "3 tries, then dead"),
    row("No answer in time", Silence, "timeout", "", "one more try, then dead"),
    row("The connection breaks", Breaks(Reset::AfterWork), "network", "", "8 tries, then dead"),
    row("Nobody listens", Nobody, "network", "", "8 tries, then dead"),
];
