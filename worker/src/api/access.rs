//! Who may do what: the token, its role, whose jobs it is for, and how often it may ask.
//!
//! What a route needs stands in its description, so that what is documented is what is enforced; a route without a
//! description is closed. Somebody else's things are answered like things that do not exist.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{FromRequestParts, MatchedPath, Request, State},
    http::{HeaderMap, Method, header, request::Parts},
    middleware::Next,
    response::Response,
};
use tokio::time::timeout;
use utoipa::openapi::{OpenApi, path::Operation};

use super::{
    Api,
    limits::{ANSWER, LONG_ANSWER},
    problem::Problem,
};
use crate::tokens::{Grant, Refusal, Role};

/// Name of the security scheme in the description.
pub(super) const SCHEME: &str = "token";
/// The word for routes that concern everybody's jobs, beside a role.
pub(super) const FLEET: &str = "fleet";

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) role: Role,
    /// True when a token of one tenant is not enough.
    pub(super) fleet: bool,
}

/// What every route needs, by method and path.
pub(super) struct Access(HashMap<(Method, String), Need>);

impl Access {
    /// Reads the needs out of the description.
    pub(super) fn of(document: &OpenApi) -> Self {
        let needs = operations(document)
            .filter_map(|(method, path, operation)| Some(((method, path.to_owned()), need(operation)?)));
        Self(needs.collect())
    }

    fn need(&self, method: &Method, path: &str) -> Option<Need> {
        // Whoever may read something may read its head.
        let method = if method == Method::HEAD { Method::GET } else { method.clone() };
        self.0.get(&(method, path.to_owned())).copied()
    }
}

/// Every operation of a description.
pub(super) fn operations(document: &OpenApi) -> impl Iterator<Item = (Method, &str, &Operation)> {
    document.paths.paths.iter().flat_map(|(path, item)| {
        let all = [(Method::GET, &item.get), (Method::POST, &item.post), (Method::DELETE, &item.delete)];
        all.into_iter().filter_map(|(method, operation)| Some((method, path.as_str(), operation.as_ref()?)))
    })
}

/// What an operation says that it needs: `{"token": ["operator", "fleet"]}`.
pub(super) fn need(operation: &Operation) -> Option<Need> {
    let security = serde_json::to_value(&operation.security).ok()?;
    let words = security.as_array()?.first()?.get(SCHEME)?.as_array()?.clone();
    let is = |wanted: &str| words.iter().any(|word| word == wanted);
    let role = Role::ALL.into_iter().find(|role| is(role.word()))?;
    Some(Need { role, fleet: is(FLEET) })
}

/// Stands in front of every route.
pub(super) async fn guard(
    State(api): State<Arc<Api>>,
    matched: MatchedPath,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let _place = api.limits.place()?;
    let need = api.access.need(request.method(), matched.as_str()).ok_or_else(Problem::no_such_page)?;
    let grant = grant(&api, request.headers()).await?;
    api.limits.count(grant.id)?;
    allow(&grant, need)?;
    request.extensions_mut().insert(Caller(grant));
    let waits = request.uri().query().is_some_and(|query| query.contains("wait="));
    let longest = if waits || matched.as_str().contains("/bulk-operations") { LONG_ANSWER } else { ANSWER };
    timeout(longest, next.run(request)).await.map_err(|_| Problem::took_too_long())
}

async fn grant(api: &Api, headers: &HeaderMap) -> Result<Arc<Grant>, Problem> {
    let text = bearer(headers).ok_or_else(|| {
        Problem::unauthorized(
            "send a token as `Authorization: Bearer flota_…`; `flota token create` makes one",
        )
    })?;
    api.door.open(text).await.map_err(|refusal| match refusal {
        Refusal::Away => Problem::away("postgres-away", "Postgres is away", refusal.to_string()),
        _ => Problem::unauthorized(refusal.to_string()),
    })
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (scheme, token) = given.next()?.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && given.next().is_none()).then(|| token.trim())
}

/// Whether a token is enough. Pure.
fn allow(grant: &Grant, need: Need) -> Result<(), Problem> {
    if grant.role < need.role {
        return Err(Problem::forbidden(format!(
            "this needs the role {}; this token is a {}",
            need.role, grant.role
        )));
    }
    if need.fleet && grant.tenant.is_some() {
        return Err(Problem::forbidden(
            "this concerns everybody's jobs, and this token is for those of one tenant",
        ));
    }
    Ok(())
}

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Caller(Arc<Grant>);

impl Caller {
    /// Who this is in the audit log.
    pub(super) fn actor(&self) -> String {
        self.0.actor()
    }

    pub(super) fn may_see_payloads(&self) -> bool {
        self.0.may_see_payloads
    }

    /// Whose jobs these are about; `None` for everybody's.
    pub(super) fn tenant(&self) -> Option<&str> {
        self.0.tenant.as_deref()
    }

    /// True when something of this tenant may be seen.
    pub(super) fn sees(&self, tenant: Option<&str>) -> bool {
        self.tenant().is_none_or(|own| Some(own) == tenant)
    }

    /// The tenant that is meant when this one was named: a token's own where it has one.
    pub(super) fn meant(&self, named: Option<String>) -> Result<Option<String>, Problem> {
        match (self.tenant(), named) {
            (None, named) => Ok(named),
            (Some(own), None) => Ok(Some(own.to_owned())),
            (Some(own), Some(named)) if own == named => Ok(Some(named)),
            (Some(own), Some(_)) => {
                Err(Problem::forbidden(format!("this token is for jobs of tenant {own} and no other")))
            }
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::no_such_page)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn grant(role: Role, tenant: Option<&str>) -> Grant {
        let tenant = tenant.map(str::to_owned);
        Grant { id: Uuid::nil(), name: "x".to_owned(), role, may_see_payloads: false, tenant }
    }

    #[test]
    fn a_role_may_do_what_those_before_it_may_and_no_more() {
        for (have, need, enough) in [
            (Role::Viewer, Role::Viewer, true),
            (Role::Viewer, Role::Operator, false),
            (Role::Operator, Role::Viewer, true),
            (Role::Operator, Role::Admin, false),
            (Role::Admin, Role::Operator, true),
        ] {
            let need = Need { role: need, fleet: false };
            assert_eq!(allow(&grant(have, None), need).is_ok(), enough, "{have} {need:?}");
        }
        let fleet = Need { role: Role::Viewer, fleet: true };
        assert!(allow(&grant(Role::Admin, Some("acme")), fleet).is_err());
    }

    #[test]
    fn a_token_of_a_tenant_sees_and_means_only_its_own() {
        let acme = Caller(Arc::new(grant(Role::Operator, Some("acme"))));

        assert!(acme.sees(Some("acme")) && !acme.sees(Some("other")) && !acme.sees(None));
        assert_eq!(acme.meant(None).unwrap().as_deref(), Some("acme"));
        assert_eq!(acme.meant(Some("other".into())).unwrap_err().status(), 403);
    }

    #[test]
    fn one_bearer_token_is_read_and_nothing_else() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers).map(str::to_owned)
        };

        assert_eq!(read(&["Bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(read(&["bearer  abc"]).as_deref(), Some("abc"));
        for none in [&[][..], &["Basic abc"], &["abc"], &["Bearer a", "Bearer b"]] {
            assert_eq!(read(none), None, "{none:?}");
        }
    }
}
