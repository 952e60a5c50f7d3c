//! What went wrong, as RFC 9457 problem details: a word for programs, a sentence for people, and where in the request.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use flota_producer::{EnqueueError, Invalid, link::LinkError};
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use crate::{
    database::{DatabaseError, sqlstate},
    dead::UnknownFilter,
    exit::{Exit, Stop},
    failure::chain,
};

/// What every problem's `type` begins with.
const TYPE: &str = "urn:flota:problem:";
/// When to try again after an outage, in seconds.
const SOON: u64 = 2;

/// A problem (RFC 9457, `application/problem+json`).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// `urn:flota:problem:` and a word for programs, which stays as it is.
    #[serde(rename = "type")]
    kind: String,
    /// The same for people.
    title: &'static str,
    /// Status of the answer.
    status: u16,
    /// What happened, why, and what to do next.
    detail: String,
    /// Where in the request it is, if it is anywhere in particular.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// Seconds after which it may go better.
    #[serde(skip)]
    retry_after: Option<u64>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct FieldError {
    /// JSON Pointer (RFC 6901) into the request's body.
    pub(super) pointer: String,
    /// What is wrong, as the rest of a sentence that starts with the field.
    pub(super) detail: String,
}

impl Problem {
    fn new(status: StatusCode, word: &str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("{TYPE}{word}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// The request cannot be understood.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "The request cannot be read", detail)
    }

    /// Nobody is let in.
    pub(super) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "token", "A valid token is needed", detail)
    }

    /// The token does not allow it.
    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "role", "This token does not allow it", detail)
    }

    /// There is no such thing, or it is somebody else's.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing", detail)
    }

    pub(super) fn no_such_page() -> Self {
        Self::not_found("there is no such path; see /api/v1/openapi.json for those that there are")
    }

    pub(super) fn no_such_method() -> Self {
        let detail = "this path has other methods; the header Allow names them";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", "Not with this method", detail)
    }

    /// It came too slowly.
    pub(super) fn too_slow() -> Self {
        let detail = "the body did not arrive in time; send it without a pause";
        Self::new(StatusCode::REQUEST_TIMEOUT, "slow-body", "The body came too slowly", detail)
    }

    /// What is there now does not go with it.
    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "It is not in a state for this", detail)
    }

    /// It is larger than it may be.
    pub(super) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request is too large", detail)
    }

    pub(super) fn not_json() -> Self {
        let detail = "this request takes a JSON body: send one, with the header `Content-Type: application/json`; \
                      /api/v1/openapi.json says what is in it";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "The body is not JSON", detail)
    }

    /// A field is wrong.
    pub(super) fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let (pointer, detail) = (pointer.into(), detail.into());
        let place = if pointer.is_empty() { "the body" } else { &pointer };
        let sentence = format!("`{place}` {detail}");
        let problem =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "A field is not valid", sentence);
        Self { errors: vec![FieldError { pointer, detail }], ..problem }
    }

    /// An idempotency key was used for something else.
    pub(super) fn key_reused(detail: impl Into<String>) -> Self {
        let title = "The idempotency key was used for another job";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "key-reused", title, detail)
    }

    /// More requests than the token may make.
    pub(super) fn too_many(seconds: u64, detail: impl Into<String>) -> Self {
        let title = "Too many requests";
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate", title, detail);
        Self { retry_after: Some(seconds), ..problem }
    }

    /// It does not go now, and may go soon.
    pub(super) fn away(word: &str, title: &'static str, detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, word, title, detail);
        Self { retry_after: Some(SOON), ..problem }
    }

    pub(super) fn no_postgres() -> Self {
        Self::away("postgres-away", "Postgres is away", "this needs Postgres: the server has no DATABASE_URL")
    }

    pub(super) fn overloaded() -> Self {
        let detail = "this server has as many requests in hand as it takes; try again soon";
        Self::away("overloaded", "The server is busy", detail)
    }

    pub(super) fn took_too_long() -> Self {
        let detail = "it took longer than it may, and it is not known whether it was carried out; \
                      look, or repeat with the same Idempotency-Key";
        Self::away("took-too-long", "It took too long", detail)
    }

    /// Our own mistake, which is told in the log.
    pub(super) fn internal(problem: &(dyn std::error::Error + 'static)) -> Self {
        error!(error = problem, "A request failed: {problem}");
        let detail = "the server failed; its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server failed", detail)
    }

    /// The same about a part of the body further down.
    pub(super) fn below(mut self, place: &str) -> Self {
        for error in &mut self.errors {
            error.pointer.insert_str(0, place);
        }
        self
    }

    pub(super) fn status(&self) -> u16 {
        self.status
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"flota\""));
        }
        response
    }
}

impl From<LinkError> for Problem {
    fn from(error: LinkError) -> Self {
        Stop::from(error).into()
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        DatabaseError::from(error).into()
    }
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        match &error {
            DatabaseError::Unreachable(_) | DatabaseError::Exhausted(_) => Self::away(
                "postgres-away",
                "Postgres is away",
                "Postgres does not answer; try again soon. Jobs that were accepted go on without it",
            ),
            DatabaseError::NotMigrated(_) => Self::away(
                "postgres-away",
                "Postgres is not prepared",
                "the database lacks what this release needs: run `flota db migrate`",
            ),
            // The time of a statement was over, see `database::connect_for_answers`.
            DatabaseError::Statement(refusal) if sqlstate(refusal).as_deref() == Some("57014") => Self::away(
                "took-too-long",
                "It took too long",
                "Postgres took longer for it than a request may: ask for less, for example for one queue or a \
                 shorter time, or try again",
            ),
            // Nothing that a caller can mend, and nothing that it did: a password was changed, for example.
            DatabaseError::NotAllowed(_) => {
                error!(error = &error as &dyn std::error::Error, "A request failed: {error}");
                Self::away(
                    "postgres-away",
                    "Postgres is away",
                    "Postgres does not let this server in; its log says why. Try again when that is mended",
                )
            }
            _ => Self::internal(&error),
        }
    }
}

impl From<Stop> for Problem {
    fn from(stop: Stop) -> Self {
        let Stop { exit, error } = stop;
        let stop = match error.downcast::<DatabaseError>() {
            Ok(error) => return error.into(),
            Err(error) => Stop { exit, error },
        };
        match stop.exit {
            Exit::NotFound => Self::not_found(stop.sentence()),
            Exit::Usage => Self::malformed(stop.sentence()),
            Exit::Unreachable | Exit::NotAllowed => {
                Self::away("redis-away", "Redis is away", "Redis does not answer; try again soon")
            }
            _ if is_full(&stop) => Self::away("redis-full", "Redis is full", stop.sentence()),
            _ => Self::internal(stop.error.as_ref()),
        }
    }
}

fn is_full(stop: &Stop) -> bool {
    stop.error.chain().any(|cause| cause.downcast_ref::<LinkError>().is_some_and(LinkError::is_full))
}

impl From<UnknownFilter> for Problem {
    fn from(error: UnknownFilter) -> Self {
        Self::malformed(error.to_string())
    }
}

impl From<EnqueueError> for Problem {
    fn from(error: EnqueueError) -> Self {
        let sentence = chain(&error);
        match error {
            EnqueueError::Invalid(Invalid { field, problem }) => Self::invalid(option(&field), problem),
            EnqueueError::TooLarge { .. } => Self::too_large(sentence),
            EnqueueError::QueueFull { .. } => Self::away("queue-full", "The queue is full", sentence),
            EnqueueError::KeyConflict { .. } => Self::key_reused(format!(
                "{sentence}; use a new key for another job, or send the first payload again"
            )),
            EnqueueError::Unknown { id, .. } => Self::away(
                "unknown",
                "Nobody knows whether it was accepted",
                format!(
                    "the connection to Redis broke before the reply came: look for job {id}, or repeat with the \
                     same Idempotency-Key"
                ),
            ),
            EnqueueError::Refused(source) => LinkError::Refused(source).into(),
            EnqueueError::Unreachable(source) => LinkError::Down(source).into(),
            error => Self::internal(&error),
        }
    }
}

/// Where an option of a job stands in a request: times have their unit in their name there.
fn option(field: &str) -> String {
    match field {
        "timeout" | "delay" | "key_window" => format!("/{field}_ms"),
        field => pointer(field),
    }
}

/// `to[1]` and `body.subject` as JSON Pointers.
pub(super) fn pointer(field: &str) -> String {
    let parts = field.split(['.', '[']).map(|part| part.trim_end_matches(']'));
    let parts = parts.filter(|part| !part.is_empty());
    parts.flat_map(|part| ["/".to_owned(), escaped(part)]).collect()
}

/// `~` and `/` have a meaning in JSON Pointers.
pub(super) fn escaped(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fields_become_pointers() {
        assert_eq!(pointer("to[1]"), "/to/1");
        assert_eq!(pointer("attachments[0].source.file"), "/attachments/0/source/file");
        assert_eq!(pointer(""), "");
        assert_eq!(escaped("a/b~c"), "a~1b~0c");
    }

    #[test]
    fn a_problem_says_when_to_come_back_and_what_to_bring() {
        let busy = Problem::overloaded().into_response();
        let stranger = Problem::unauthorized("no token").into_response();

        assert_eq!(
            (busy.status(), &busy.headers()[header::RETRY_AFTER]),
            (StatusCode::SERVICE_UNAVAILABLE, &HeaderValue::from_static("2"))
        );
        assert_eq!(busy.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(stranger.headers()[header::WWW_AUTHENTICATE], "Bearer realm=\"flota\"");
    }

    #[test]
    fn trouble_with_postgres_is_the_same_problem_by_whichever_way_it_comes() {
        type Trouble = fn(sqlx::Error) -> DatabaseError;
        let error = || sqlx::Error::PoolTimedOut;
        let away: [Trouble; 4] = [
            DatabaseError::Unreachable,
            DatabaseError::Exhausted,
            DatabaseError::NotMigrated,
            DatabaseError::NotAllowed,
        ];
        let ours: Trouble = |error| DatabaseError::Address(Some(error));

        for (trouble, status) in away.map(|trouble| (trouble, 503)).into_iter().chain([(ours, 500)]) {
            let straight = Problem::from(trouble(error()));
            let around = Problem::from(Stop::from(trouble(error())));

            assert_eq!((straight.status, around.status), (status, status));
            assert_eq!((straight.kind, straight.detail), (around.kind, around.detail));
        }
    }

    #[test]
    fn a_problem_of_an_item_points_into_the_batch() {
        let problem = Problem::invalid("/payload/to/0", "is no address").below("/jobs/7");

        assert_eq!(problem.errors[0].pointer, "/jobs/7/payload/to/0");
    }
}
