//! Amazon SES `SendEmail`: the error's type counts before the HTTP status.

use flota_worker::sandbox::Reset;

use super::super::{
    row::{
        Order::{
            Breaks, Half, Nobody, Nothing, Revoked, Says, Silence, Status, SuccessWithError, Text, Unusable,
        },
        Row, row,
    },
    subject::{MAIL_GOES_ON, Next, Subject},
};

pub(in super::super) const SUBJECT: Subject = Subject {
    name: "ses",
    in_sandbox: "ses",
    title: "E-mail (Amazon SES)",
    queue: "email",
    variables: &["AWS_SES_"],
    rows: ROWS,
    never: &[
        ("gone", "addresses are checked after the message was accepted"),
        ("timeout", "there is no idempotency token, so a lost answer is `ambiguous`"),
    ],
    next: Next::Provider { name: "smtp", after: MAIL_GOES_ON },
};

const ROWS: &[Row] = &[
    row("200", Nothing, "ok", "", "done"),
    row(
        "a file of a kind that SES refuses; nothing is sent",
        Unusable,
        "permanent",
        "blocked_file",
        "dead at once",
    ),
    row(
        "message or sender rejected, bad request",
        Says(400, &["MessageRejected", "MailFromDomainNotVerifiedException", "BadRequestException"]),
        "permanent",
        "=",
        "dead at once",
    ),
    row(
        "404: no such configuration set",
        Says(404, &["NotFoundException"]),
        "permanent",
        "=",
        "dead at once",
    ),
    row("413 without a type: too large", Text(413, ""), "permanent", "too_large", "dead at once"),
    row(
        "key revoked, as the sandbox refuses it",
        Revoked,
        "auth",
        "UnrecognizedClientException",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "signature, key, permission",
        Says(
            403,
            &[
                "SignatureDoesNotMatch",
                "InvalidClientTokenId",
                "UnrecognizedClientException",
                "AccessDenied",
                "AccessDeniedException",
                "ExpiredTokenException",
            ],
        ),
        "auth",
        "=",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "the clock is off",
        Says(403, &["RequestExpired"]),
        "auth",
        "=",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "the account is suspended",
        Says(400, &["AccountSuspendedException"]),
        "auth",
        "=",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "limit of the account; sending is paused",
        Says(400, &["LimitExceededException", "SendingPausedException"]),
        "quota",
        "=",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "`Daily message quota exceeded`",
        Text(400, r#"{"__type":"ThrottlingException","message":"Daily message quota exceeded."}"#),
        "quota",
        "ThrottlingException",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "`Maximum sending rate exceeded`, as HTTP 400",
        Text(400, r#"{"__type":"ThrottlingException","message":"Maximum sending rate exceeded."}"#),
        "rate_limited",
        "ThrottlingException",
        "waits 1 s, not charged; others wait too",
    ),
    row(
        "429",
        Status(429),
        "rate_limited",
        "TooManyRequestsException",
        "waits 1 s, not charged; others wait too",
    ),
    row(
        "500",
        Says(500, &["InternalServerErrorException", "InternalFailure"]),
        "server_error",
        "=",
        "3 tries, then dead",
    ),
    row("503", Text(503, ""), "server_error", "503", "3 tries, then dead"),
    row(
        "502, 504 without a type: a gateway that does not know what became of it",
        Text(504, "<html>"),
        "ambiguous",
        "504",
        "one more try, then dead",
    ),
    row("200 without an id", SuccessWithError, "ambiguous", "200", "one more try, then dead"),
    row("200 that cannot be read", Half, "ambiguous", "200", "one more try, then dead"),
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
