//! Reading requests: bodies within their size, depth and time, and nothing in them that nobody would read.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{HeaderMap, header, request::Parts},
};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::Segment;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use super::{
    Api,
    problem::{Problem, escaped},
};

/// Largest body of most requests, in bytes: an envelope has 64 KiB at most.
const SMALL: usize = 128 * 1024;
/// Largest body of a batch, in bytes.
const LARGE: usize = 8 * 1024 * 1024;
/// Deepest nesting of lists and objects.
pub(super) const DEPTH: usize = 64;
/// Longest time for a body to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// A JSON body of at most [`SMALL`] bytes.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read(request, SMALL).await.map(Self)
    }
}

/// A JSON body of at most [`LARGE`] bytes, with its place among the large bodies that are in memory. It is kept until the
/// answer is there. A body that says that it is small needs no place.
pub(super) struct LargeBody<T> {
    pub(super) value: T,
    _place: Option<OwnedSemaphorePermit>,
}

impl<T: DeserializeOwned> FromRequest<Arc<Api>> for LargeBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Problem> {
        let small = announced(request.headers()).is_some_and(|length| length <= SMALL);
        let place = if small { None } else { Some(api.limits.large_place()?) };
        Ok(Self { value: read(request, LARGE).await?, _place: place })
    }
}

async fn read<T: DeserializeOwned>(request: Request, most: usize) -> Result<T, Problem> {
    let (parts, body) = request.into_parts();
    if !is_json(&parts.headers) {
        return Err(Problem::not_json());
    }
    let bytes = timeout(BODY_TIME, collect(body, &parts.headers, most)).await;
    decode(&bytes.unwrap_or_else(|_| Err(Problem::too_slow()))?)
}

/// How long a body says that it is.
fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// The body, as long as it is no larger than it may be.
async fn collect(body: Body, headers: &HeaderMap, most: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::too_large(format!("a body here has at most {most} bytes"));
    if announced(headers).is_some_and(|announced| most < announced) {
        return Err(too_large());
    }
    let (mut stream, mut bytes) = (body.into_data_stream(), Vec::new());
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|_| Problem::malformed("the body ended before its end"))?;
        if most < bytes.len() + piece.len() {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.into())
}

/// Reads JSON, and says where it is wrong.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if DEPTH < depth(bytes) {
        return Err(Problem::malformed(format!("the body nests deeper than {DEPTH} lists and objects")));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer: String = error.path().iter().map(segment).collect();
        let error = error.into_inner();
        match error.classify() {
            Category::Data => Problem::invalid(pointer, without_place(&error.to_string())),
            _ => Problem::malformed(format!("the body is not JSON: {error}")),
        }
    })?;
    deserializer.end().map_err(|error| Problem::malformed(format!("the body is not JSON: {error}")))?;
    Ok(value)
}

fn segment(segment: &Segment) -> String {
    match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", escaped(key)),
        Segment::Enum { variant } => format!("/{}", escaped(variant)),
        Segment::Unknown => String::new(),
    }
}

/// The pointer says where it is; lines and columns of a body say nothing to a program.
fn without_place(sentence: &str) -> &str {
    sentence.split_once(" at line ").map_or(sentence, |(sentence, _)| sentence)
}

/// How deep lists and objects nest. Brackets inside texts are none.
fn depth(json: &[u8]) -> usize {
    let (mut deepest, mut now, mut in_text, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => now += 1,
            b']' | b'}' if !in_text => now = now.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(now);
    }
    deepest
}

/// What stands behind the `?`. A name that nobody reads is refused.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::try_from_uri(&parts.uri);
        query
            .map(|Query(query)| Self(query))
            .map_err(|error| Problem::malformed(format!("a parameter cannot be read: {}", error.body_text())))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{json, value::RawValue};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read counts")]
    struct Sample {
        name: String,
        #[serde(default)]
        list: Vec<Inner>,
        payload: Box<RawValue>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read counts")]
    struct Inner {
        number: u32,
    }

    fn refused(json: &str) -> (u16, String) {
        let problem = decode::<Sample>(json.as_bytes()).unwrap_err();
        let told = serde_json::to_value(&problem).unwrap();
        (problem.status(), format!("{} {}", told["errors"][0]["pointer"], told["detail"]))
    }

    #[test]
    fn what_is_wrong_is_told_by_its_place() {
        let fine = json!({ "name": "x", "list": [{ "number": 1 }], "payload": { "a": [1, "[[[["] } });
        assert!(decode::<Sample>(fine.to_string().as_bytes()).is_ok());

        for (json, status, place) in [
            (r#"{"name":"x","payload":{},"colour":1}"#, 422, "\"/colour\""),
            (r#"{"name":7,"payload":{}}"#, 422, "\"/name\""),
            (r#"{"name":"x","payload":{},"list":[{"number":1},{"number":"2"}]}"#, 422, "\"/list/1/number\""),
            (r#"{"name":"x","payload":{},"list":[{"a/b":1}]}"#, 422, "\"/list/0/a~1b\""),
            (r#"{"payload":{}}"#, 422, "\"\""),
            (r#"{"name":"x","payload":{}"#, 400, "null"),
            (r#"{"name":"x","payload":{}} x"#, 400, "null"),
            ("", 400, "null"),
        ] {
            let (was, told) = refused(json);
            assert_eq!(was, status, "{json}: {told}");
            assert!(told.starts_with(place), "{json}: {told}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_before_anything_reads_it() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let body = |depth| format!(r#"{{"name":"x","payload":{}}}"#, nested(depth));

        assert!(decode::<Sample>(body(DEPTH - 1).as_bytes()).is_ok());
        for deep in [DEPTH, 1_000_000] {
            assert_eq!(refused(&body(deep)).0, 400);
        }
        assert_eq!(depth(br#""[[\"[[" "#), 0, "brackets in a text are none");
    }
}
