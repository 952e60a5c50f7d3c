//! What every answer of the API has, and is counted by.

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderValue, Method, header},
    middleware::Next,
    response::Response,
};
use metrics::counter;

use crate::telemetry::metrics::API_REQUESTS;

/// Counts an answer, and keeps browsers and caches from making something else of it.
pub(super) async fn finish(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = word(request.method());
    let mut response = next.run(request).await;
    let status = response.status().as_str().to_owned();
    // A path that nobody described may be anything, and each value of a label is a series of its own.
    let route = route.as_ref().map_or("none", MatchedPath::as_str).to_owned();
    counter!(API_REQUESTS, "method" => method, "route" => route, "status" => status).increment(1);
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Methods may be any word, too.
fn word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}
