//! S3 and what speaks like it: the word of the error's document counts, and where there is none the status.

use flota_worker::sandbox::Reset;

use super::super::{
    row::{
        Order::{Breaks, Half, Nobody, Nothing, Revoked, Says, Silence, Status, Text, Unusable, With},
        Row, row,
    },
    subject::{Next, Subject},
};

pub(in super::super) const SUBJECT: Subject = Subject {
    name: "storage",
    in_sandbox: "storage",
    title: "Storage (S3, R2, MinIO)",
    queue: "ocr",
    variables: &["STORAGE_", "MINIO_"],
    rows: ROWS,
    never: &[
        (
            "gone",
            "a file that is missing is the job's own trouble, and no address that could be switched off",
        ),
        ("ambiguous", "reading changes nothing, and a key is written once"),
    ],
    next: Next::Nobody("a file lies in one bucket"),
};

const ROWS: &[Row] = &[
    row("200", Nothing, "ok", "", "done"),
    row("404 `NoSuchKey`: there is no such file", Unusable, "permanent", "NoSuchKey", "dead at once"),
    row(
        "400 `InvalidArgument`, `EntityTooLarge`, `XAmzContentSHA256Mismatch`; `BadDigest`, after an upload was sent twice",
        Says(400, &["InvalidArgument", "EntityTooLarge", "XAmzContentSHA256Mismatch", "BadDigest"]),
        "permanent",
        "=",
        "dead at once",
    ),
    row("412: the key is taken", Status(412), "permanent", "PreconditionFailed", "dead at once"),
    row(
        "access key revoked, as the server refuses it",
        Revoked,
        "auth",
        "InvalidAccessKeyId",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "403 `AccessDenied`: the file may not be read, or is not there and the key has no s3:ListBucket",
        Says(403, &["AccessDenied"]),
        "auth",
        "=",
        "waits 5 min, not charged; others go on",
    ),
    row(
        "403 `SignatureDoesNotMatch`, `RequestTimeTooSkewed`",
        Says(403, &["SignatureDoesNotMatch", "RequestTimeTooSkewed"]),
        "auth",
        "=",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "400 `ExpiredToken`, `AuthorizationHeaderMalformed`",
        Says(400, &["ExpiredToken", "AuthorizationHeaderMalformed"]),
        "auth",
        "=",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "404 `NoSuchBucket`: a setting to mend",
        Says(404, &["NoSuchBucket"]),
        "auth",
        "=",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "301: the bucket is in another region",
        Status(301),
        "auth",
        "PermanentRedirect",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "507 `XMinioStorageFull`",
        Says(507, &["XMinioStorageFull"]),
        "quota",
        "=",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "503 `SlowDown`",
        Says(503, &["SlowDown"]),
        "rate_limited",
        "=",
        "waits 1 s, not charged; others wait too",
    ),
    row(
        "429 with `Retry-After: 20`",
        With(429, "retry-after", "20"),
        "rate_limited",
        "TooManyRequests",
        "waits 20 s, not charged; others wait too",
    ),
    row("500 `InternalError`", Status(500), "server_error", "InternalError", "3 tries, then dead"),
    row("503 `ServiceUnavailable`", Status(503), "server_error", "ServiceUnavailable", "3 tries, then dead"),
    row(
        "409 `OperationAborted`, `ConditionalRequestConflict`",
        Says(409, &["OperationAborted", "ConditionalRequestConflict"]),
        "server_error",
        "=",
        "3 tries, then dead",
    ),
    row("400 `RequestTimeout`", Says(400, &["RequestTimeout"]), "server_error", "=", "3 tries, then dead"),
    row("502 of a gateway, no document", Text(502, "<html>"), "server_error", "502", "3 tries, then dead"),
    row("No answer in time", Silence, "timeout", "", "one more try, then dead"),
    row("The file stops in the middle", Half, "network", "cut_off", "8 tries, then dead"),
    row("The connection breaks", Breaks(Reset::AfterWork), "network", "", "8 tries, then dead"),
    row("Nobody listens", Nobody, "network", "", "8 tries, then dead"),
];
