//! Tokens over HTTP: make, list, revoke.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Api, access::Caller, input::JsonBody, problem::Problem};
use crate::tokens::{self, NewToken, Role, TokenError, TokenRow};

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenRequest {
    /// Who will use it; it stands in the audit log as `api:NAME`.
    name: String,
    /// What it allows.
    role: Role,
    /// Whether payload fields marked as secret are shown; not unless given.
    #[serde(default)]
    may_see_payloads: bool,
    /// Whose jobs it is for; everybody's unless given.
    tenant: Option<String>,
    /// When it ends; never unless given.
    expires_at: Option<DateTime<Utc>>,
}

/// A token that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NewTokenAnswer {
    /// The token itself. It is shown here and never again.
    token: String,
    #[serde(flatten)]
    row: TokenRow,
}

/// Every token, without its secret
#[utoipa::path(
    get, path = "/api/v1/tokens", operation_id = "listTokens", tag = "tokens",
    responses((status = 200, description = "Newest first, with those that were revoked", body = [TokenRow])),
    security(("token" = ["admin", "fleet"]))
)]
pub(super) async fn list(State(api): State<Arc<Api>>) -> Result<Json<Vec<TokenRow>>, Problem> {
    Ok(Json(tokens::list(api.postgres()?).await?))
}

/// Make a token
#[utoipa::path(
    post, path = "/api/v1/tokens", operation_id = "createToken", tag = "tokens",
    request_body = TokenRequest,
    responses((status = 201, description = "The token, shown once", body = NewTokenAnswer)),
    security(("token" = ["admin", "fleet"]))
)]
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    JsonBody(request): JsonBody<TokenRequest>,
) -> Result<Response, Problem> {
    // Nobody hands out what they do not have.
    if request.may_see_payloads && !caller.may_see_payloads() {
        return Err(Problem::forbidden(
            "a token that may see payloads is made by one that may, or by `flota token create`",
        ));
    }
    let TokenRequest { name, role, may_see_payloads, tenant, expires_at } = request;
    let new = NewToken { name, role, may_see_payloads, tenant, expires_at };
    let (text, row) = tokens::create(api.postgres()?, &new, &caller.actor()).await?;
    let answer = NewTokenAnswer { token: text.reveal().to_owned(), row };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// Revoke a token
///
/// Every server refuses it after five seconds at the latest.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{id}", operation_id = "revokeToken", tag = "tokens",
    params(("id" = Uuid, Path, description = "The token's id")),
    responses((status = 200, description = "The token as it was", body = TokenRow)),
    security(("token" = ["admin", "fleet"]))
)]
pub(super) async fn revoke(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<TokenRow>, Problem> {
    let gone = || Problem::not_found("there is no token in use with this id; see GET /api/v1/tokens");
    let id: Uuid = id.parse().map_err(|_| gone())?;
    let revoked = tokens::revoke(api.postgres()?, &id.to_string(), &caller.actor()).await?;
    revoked.map(Json).ok_or_else(gone)
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::BadName(_) => {
                Self::invalid("/name", "must be 1 to 64 letters, digits, `.`, `_` or `-`")
            }
            TokenError::BadTenant(invalid) => Self::invalid("/tenant", invalid.problem),
            TokenError::NameTaken(_) => Self::conflict(error.to_string()),
            TokenError::Database(error) => error.into(),
            error @ TokenError::NoRandomness => Self::internal(&error),
        }
    }
}
