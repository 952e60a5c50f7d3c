//! The description of the API: made from the code, committed as `docs/openapi.json`, and served.

use std::sync::{Arc, LazyLock};

use axum::{Router, http::header, response::IntoResponse};
use utoipa::{
    Modify, OpenApi as _,
    openapi::{
        Content, OpenApi, RefOr, ResponseBuilder,
        path::Operation,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Api,
    access::{SCHEME, need, operations},
    batch, bulk, dead_letters, jobs, kinds,
    problem::Problem,
    queue_limits, queues, scaling, tokens,
};

/// What everybody should know first.
const ABOUT: &str = "Enqueue jobs from any language and run the fleet. Every request needs a token \
(`Authorization: Bearer flota_…`, made by `flota token create`) of the role that stands at its security requirement; \
`fleet` means that a token of one tenant is not enough. What goes wrong is a problem (RFC 9457) whose `type` is a word for \
programs. Names that nobody would read, in bodies and behind the `?`, are refused.";

/// Answers that every operation has, beside its own.
const PROBLEMS: [(&str, &str); 5] = [
    ("400", "The request cannot be read"),
    ("401", "No token, or one that is not valid, has expired or was revoked"),
    ("403", "The token's role or tenant does not allow it"),
    ("429", "More requests a second than the token may make; see `Retry-After`"),
    ("503", "Redis or Postgres is away, or the server is busy; see `Retry-After`"),
];

/// What is served, made once: it is the same for everybody.
static SERVED: LazyLock<String> = LazyLock::new(document);

#[derive(utoipa::OpenApi)]
#[openapi(modifiers(&Finish), components(schemas(Problem)))]
struct Description;

struct Finish;

impl Modify for Finish {
    fn modify(&self, document: &mut OpenApi) {
        document.info.title = String::from("Flota");
        document.info.description = Some(ABOUT.to_owned());
        document.info.version = String::from("1");
        document.info.contact = None;
        document.info.license = None;
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("flota_…").build();
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme(SCHEME, SecurityScheme::Http(scheme));
    }
}

/// The routes, and what they say of themselves.
pub(super) fn routes() -> (Router<Arc<Api>>, OpenApi) {
    let (router, mut document) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(jobs::enqueue))
        .routes(routes!(batch::enqueue))
        .routes(routes!(jobs::get, jobs::cancel))
        .routes(routes!(kinds::list))
        .routes(routes!(kinds::schema))
        .routes(routes!(queues::list))
        .routes(routes!(queues::get))
        .routes(routes!(queues::pause))
        .routes(routes!(queues::resume))
        .routes(routes!(queue_limits::limit))
        .routes(routes!(queue_limits::unlimit))
        .routes(routes!(scaling::get))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::groups))
        .routes(routes!(dead_letters::get))
        .routes(routes!(dead_letters::replay))
        .routes(routes!(dead_letters::discard))
        .routes(routes!(bulk::list, bulk::create))
        .routes(routes!(bulk::get))
        .routes(routes!(bulk::abort))
        .routes(routes!(bulk::resume))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(served))
        .split_for_parts();
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post, &mut item.delete].into_iter().flatten() {
            add_problems(operation);
        }
    }
    (router, document)
}

fn add_problems(operation: &mut Operation) {
    let content = || {
        let schema = utoipa::openapi::Ref::from_schema_name("Problem");
        Content::new(Some(RefOr::from(schema)))
    };
    let mut add = |status: &str, description: &str| {
        let response = ResponseBuilder::new().description(description);
        let response = response.content("application/problem+json", content()).build();
        operation.responses.responses.entry(status.to_owned()).or_insert(RefOr::T(response));
    };
    for (status, description) in PROBLEMS {
        add(status, description);
    }
    let has_id = operation.parameters.iter().flatten().any(|parameter| match parameter {
        RefOr::T(parameter) => matches!(parameter.parameter_in, utoipa::openapi::path::ParameterIn::Path),
        RefOr::Ref(_) => false,
    });
    if has_id {
        add("404", "There is no such thing, or it is another tenant's");
    }
    if operation.request_body.is_some() {
        add("413", "The body is too large");
        add("415", "The body is not JSON");
        add("422", "A field is not valid; `errors` says which");
    }
}

/// The description of the API
#[utoipa::path(
    get, path = "/api/v1/openapi.json", operation_id = "getDescription", tag = "description",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)),
    security(("token" = ["viewer"]))
)]
async fn served() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], SERVED.as_str())
}

/// The description as it is committed.
///
/// # Panics
/// When it cannot be written as JSON: it is plain data.
pub fn document() -> String {
    routes().1.to_pretty_json().expect("a description is plain data") + "\n"
}

/// What every route needs: method, path, role, and whether a token of one tenant is not enough.
pub fn requirements() -> Vec<(String, String, String, bool)> {
    let (_, document) = routes();
    let needs = operations(&document).filter_map(|(method, path, operation)| {
        let need = need(operation)?;
        Some((method.to_string(), path.to_owned(), need.role.to_string(), need.fleet))
    });
    needs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_says_what_it_needs() {
        let (_, document) = routes();
        let open: Vec<_> = operations(&document)
            .filter(|(_, _, operation)| need(operation).is_none())
            .map(|(method, path, _)| format!("{method} {path}"))
            .collect();

        assert_eq!(
            open,
            Vec::<String>::new(),
            "add security((\"token\" = [a role])), with \"fleet\" if need be"
        );
    }

    #[test]
    fn every_route_has_a_name_of_its_own() {
        let (_, document) = routes();
        let mut names: Vec<_> =
            operations(&document).map(|(_, _, operation)| &operation.operation_id).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();

        assert_eq!(names.len(), all, "generators of clients make a function of each");
    }

    #[test]
    fn the_committed_description_is_that_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        let made = document();
        if std::fs::read_to_string(path).is_ok_and(|committed| committed == made) {
            return;
        }
        assert!(
            std::env::var_os("UPDATE_DOCS").is_some(),
            "docs/openapi.json is not what the code says; set UPDATE_DOCS=1 and run this test again"
        );
        std::fs::write(path, made).unwrap();
    }
}
