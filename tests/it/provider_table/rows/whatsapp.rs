//! WhatsApp Cloud API: the codes of
//! <https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes>, which count before the HTTP status.

use flota_worker::sandbox::Reset;

use super::super::{
    row::{
        Order::{Breaks, Half, Nobody, Nothing, Revoked, Says, Silence, Status, SuccessWithError, Text},
        Row, row,
    },
    subject::{Next, Subject},
};

pub(in super::super) const SUBJECT: Subject = Subject {
    name: "whatsapp",
    in_sandbox: "whatsapp",
    title: "WhatsApp (Meta Cloud API)",
    queue: "notification",
    variables: &["WHATSAPP_"],
    rows: ROWS,
    never: &[
        ("gone", "no code says that a number is gone for good; 131026 is permanent"),
        ("timeout", "there is no idempotency key, so a lost answer is `ambiguous`"),
    ],
    next: Next::Nobody(
        "a number has one account; after 131047 the job's own template is sent, where it has one",
    ),
};

const ROWS: &[Row] = &[
    row("200", Nothing, "ok", "", "done"),
    row(
        "token revoked, as the sandbox refuses it",
        Revoked,
        "auth",
        "190",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "token invalid or expired",
        Says(401, &["0", "190"]),
        "auth",
        "=",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "permission",
        Says(403, &["3", "10", "200", "299", "131005"]),
        "auth",
        "=",
        "waits 5 min, not charged; others wait too",
    ),
    row(
        "locked, display name, registration, policy",
        Says(400, &["131031", "131037", "131045", "133010", "368"]),
        "auth",
        "=",
        "waits 5 min, not charged; others wait too",
    ),
    row("payment", Says(400, &["131042"]), "quota", "=", "waits 5 min, not charged; others wait too"),
    row("spam limit", Says(400, &["131048"]), "quota", "=", "waits 5 min, not charged; others wait too"),
    row(
        "bad request or parameter",
        Says(400, &["1", "33", "100", "131008", "131009", "135000"]),
        "permanent",
        "=",
        "dead at once",
    ),
    row("undeliverable: not on WhatsApp", Says(400, &["131026"]), "permanent", "=", "dead at once"),
    row(
        "more than 24 hours since the user wrote: use a template",
        Says(400, &["131047"]),
        "permanent",
        "=",
        "dead at once",
    ),
    row(
        "opted out, blocked",
        Says(400, &["131050", "130403"]),
        "permanent",
        "=",
        "dead at once; nothing more is sent there",
    ),
    row("the user is in an experiment", Says(400, &["130472"]), "permanent", "=", "dead at once"),
    row(
        "same number, not on the test list, unsupported type",
        Says(400, &["131021", "131030", "131051"]),
        "permanent",
        "=",
        "dead at once",
    ),
    row("media could not be uploaded", Says(400, &["131053"]), "permanent", "=", "dead at once"),
    row(
        "template: count, missing, long, policy, format, paused, disabled",
        Says(
            400,
            &["132000", "132001", "132005", "132007", "132012", "132015", "132016", "132018", "132068"],
        ),
        "permanent",
        "=",
        "dead at once",
    ),
    row(
        "temporary",
        Says(500, &["2", "131000", "131016", "131057", "133004"]),
        "server_error",
        "=",
        "3 tries, then dead",
    ),
    row(
        "incoming media could not be downloaded",
        Says(400, &["131052"]),
        "server_error",
        "=",
        "3 tries, then dead",
    ),
    row(
        "`is_transient`, whatever the code",
        Text(400, r#"{"error":{"message":"told to","code":4242,"is_transient":true}}"#),
        "server_error",
        "4242",
        "3 tries, then dead",
    ),
    row(
        "limit of the app or account, as HTTP 400",
        Says(400, &["4", "80007", "80008"]),
        "rate_limited",
        "=",
        "waits 1 min, not charged; others wait too",
    ),
    row(
        "throughput of the number",
        Says(429, &["130429"]),
        "rate_limited",
        "=",
        "waits 1 s, not charged; others wait too",
    ),
    row(
        "flow throttled",
        Says(400, &["132069"]),
        "rate_limited",
        "=",
        "waits 1 s, not charged; others wait too",
    ),
    row(
        "too many to this one recipient",
        Says(400, &["131056"]),
        "rate_limited",
        "=",
        "waits 4 s, not charged; others go on",
    ),
    row(
        "not delivered, for a healthy ecosystem: leave the user alone",
        Says(400, &["131049"]),
        "server_error",
        "=",
        "tried again after 24 h, as asked",
    ),
    row("unknown code with HTTP 500", Says(500, &["4242"]), "server_error", "=", "3 tries, then dead"),
    row("unknown code with HTTP 400", Says(400, &["4242"]), "permanent", "=", "dead at once"),
    row(
        "502, a page of HTML: a gateway that does not know what became of it",
        Text(502, "<html>Bad gateway</html>"),
        "ambiguous",
        "502",
        "one more try, then dead",
    ),
    row(
        "200 with an error inside (131000)",
        SuccessWithError,
        "server_error",
        "131000",
        "3 tries, then dead",
    ),
    row(
        "403 with the usual body (131005)",
        Status(403),
        "auth",
        "131005",
        "waits 5 min, not charged; others wait too",
    ),
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
