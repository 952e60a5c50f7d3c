//! The kinds of jobs over HTTP: what there is, and what goes into each.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Api, problem::Problem};

/// A kind of job.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KindRow {
    /// Its name.
    kind: &'static str,
    /// Queue that it goes to unless said otherwise.
    queue: &'static str,
    /// Where the JSON Schema of its payload is; none where nobody has written one.
    schema: Option<String>,
    /// Parts of the payload that only some tokens may see; a list on the way stands for its elements.
    secret: &'static [&'static str],
}

/// Every kind of job
#[utoipa::path(
    get, path = "/api/v1/kinds", operation_id = "listKinds", tag = "kinds",
    responses((status = 200, description = "The kinds, by name", body = [KindRow])),
    security(("token" = ["viewer"]))
)]
pub(super) async fn list(State(api): State<Arc<Api>>) -> Json<Vec<KindRow>> {
    let kinds = api.registry.names().filter_map(|name| Some((name, api.registry.get(name)?)));
    let row = |(name, kind): (&'static str, &flota_engine::Kind<_>)| KindRow {
        kind: name,
        queue: kind.queue,
        schema: (kind.schema)().map(|_| format!("/api/v1/kinds/{name}/schema")),
        secret: kind.secret.payload,
    };
    Json(kinds.map(row).collect())
}

/// JSON Schema of a kind's payload
///
/// A payload that fits may still be refused: addresses, sizes and such are checked when it is enqueued.
#[utoipa::path(
    get, path = "/api/v1/kinds/{kind}/schema", operation_id = "getKindSchema", tag = "kinds",
    params(("kind" = String, Path, description = "Name of the kind")),
    responses((status = 200, description = "A JSON Schema (draft 2020-12)", body = Object, content_type = "application/schema+json")),
    security(("token" = ["viewer"]))
)]
pub(super) async fn schema(
    State(api): State<Arc<Api>>,
    Path(kind): Path<String>,
) -> Result<Response, Problem> {
    let schema = api.registry.get(&kind).and_then(|kind| (kind.schema)());
    let schema = schema.ok_or_else(|| {
        let known = api.registry.names().collect::<Vec<_>>().join(", ");
        Problem::not_found(format!("there is no kind with that name, or it has no schema; kinds are {known}"))
    })?;
    Ok(([(header::CONTENT_TYPE, "application/schema+json")], schema.to_string()).into_response())
}
