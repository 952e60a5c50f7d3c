//! What people do with tokens: make one, look at them, revoke one.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{FromRow, PgPool, Row, postgres::PgRow};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Role, TokenText};
use crate::{
    audit::{self, Deed},
    database::DatabaseError,
};

/// Longest name, in characters.
const MAX_NAME: usize = 64;

/// A token to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Who will use it, for the audit log: `ci`, `billing-service`.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// Whether payload fields marked as secret are shown.
    pub may_see_payloads: bool,
    /// Whose jobs it is for; `None` for everybody's.
    pub tenant: Option<String>,
    /// When it ends; `None` for never.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A token as it is listed: everything but its secret.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TokenRow {
    /// Its id.
    pub id: Uuid,
    /// Who uses it.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// Whether payload fields marked as secret are shown.
    pub may_see_payloads: bool,
    /// Whose jobs it is for; none for everybody's.
    pub tenant: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Who made it.
    pub created_by: String,
    /// When it ends; none for never.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to within a minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Why a token was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It stands in the audit log and in commands.
    #[error("a token's name has 1 to {MAX_NAME} letters, digits, `.`, `_` and `-`; `{0}` does not")]
    BadName(String),
    /// The tenant's id cannot be one.
    #[error("{0}")]
    BadTenant(flota_producer::Invalid),
    /// Two tokens in use never share a name.
    #[error(
        "there is a token `{0}` already: choose another name, or revoke that one with `flota token revoke {0}`"
    )]
    NameTaken(String),
    /// There is no randomness to make it of.
    #[error("the operating system gives no randomness; a token cannot be made now")]
    NoRandomness,
    /// Postgres did not take it.
    #[error("{0}")]
    Database(#[from] DatabaseError),
}

impl From<sqlx::Error> for TokenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Makes a token, in one transaction with its line in the audit log. Its text is never seen again.
pub async fn create(pool: &PgPool, new: &NewToken, actor: &str) -> Result<(TokenText, TokenRow), TokenError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !(1..=MAX_NAME).contains(&new.name.len()) || !new.name.chars().all(plain) {
        return Err(TokenError::BadName(new.name.chars().take(MAX_NAME).collect()));
    }
    new.tenant.as_deref().map_or(Ok(()), flota_producer::check_tenant).map_err(TokenError::BadTenant)?;
    let text = TokenText::mint().map_err(|_| TokenError::NoRandomness)?;
    let mut transaction = pool.begin().await?;
    let insert = sqlx::query_as(include_str!("add.sql"));
    let insert = insert.bind(Uuid::now_v7()).bind(&new.name).bind(new.role.word());
    let insert = insert.bind(new.may_see_payloads).bind(&new.tenant).bind(text.hash().to_vec());
    let row = insert.bind(actor).bind(new.expires_at).fetch_one(&mut *transaction).await;
    let row: TokenRow = row.map_err(|error| match error.as_database_error() {
        Some(refused) if refused.is_unique_violation() => TokenError::NameTaken(new.name.clone()),
        _ => error.into(),
    })?;
    let detail = json!({
        "id": row.id, "role": row.role, "may_see_payloads": row.may_see_payloads, "expires_at": row.expires_at,
    });
    let tenant = new.tenant.as_deref();
    let deed = Deed { actor, action: "token.create", subject: &new.name, tenant, detail };
    audit::write(&mut *transaction, &deed).await?;
    transaction.commit().await?;
    Ok((text, row))
}

/// Every token, newest first; those that were revoked too.
pub async fn list(pool: &PgPool) -> Result<Vec<TokenRow>, sqlx::Error> {
    sqlx::query_as(include_str!("list.sql")).fetch_all(pool).await
}

/// Revokes the token with this id, or the one in use with this name, in one transaction with its line in the audit log.
/// `None` when there is none, or it was revoked before.
pub async fn revoke(pool: &PgPool, id_or_name: &str, actor: &str) -> Result<Option<TokenRow>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let revoked: Option<TokenRow> = sqlx::query_as(include_str!("revoke.sql"))
        .bind(id_or_name.parse::<Uuid>().ok())
        .bind(id_or_name)
        .fetch_optional(&mut *transaction)
        .await?;
    if let Some(row) = &revoked {
        let (tenant, detail) = (row.tenant.as_deref(), json!({ "id": row.id, "role": row.role }));
        let deed = Deed { actor, action: "token.revoke", subject: &row.name, tenant, detail };
        audit::write(&mut *transaction, &deed).await?;
    }
    transaction.commit().await?;
    Ok(revoked)
}

/// True when anybody could be let in.
pub async fn any_usable(pool: &PgPool) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(include_str!("any_usable.sql")).fetch_one(pool).await
}

impl FromRow<'_, PgRow> for TokenRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            role: role(row)?,
            may_see_payloads: row.try_get("may_see_payloads")?,
            tenant: row.try_get("tenant")?,
            created_at: row.try_get("created_at")?,
            created_by: row.try_get("created_by")?,
            expires_at: row.try_get("expires_at")?,
            last_used_at: row.try_get("last_used_at")?,
            revoked_at: row.try_get("revoked_at")?,
        })
    }
}

/// The role of a row.
pub(super) fn role(row: &PgRow) -> Result<Role, sqlx::Error> {
    row.try_get::<&str, _>("role")?.parse().map_err(|error: String| sqlx::Error::Decode(error.into()))
}
