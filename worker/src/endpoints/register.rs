//! What people do with endpoints: add, rotate, enable, disable, look at them. Each deed leaves a row in the audit log,
//! in the same transaction.

use std::{num::NonZeroU32, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use flota_providers::webhook::SigningKey;
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::json;
use sqlx::{PgPool, Row, postgres::PgRow};

use super::owner;
use crate::{
    audit::{self, Deed},
    vault::{Vault, VaultError},
};

/// An endpoint to be added.
#[derive(Debug)]
pub struct NewEndpoint<'a> {
    /// Whose it is; `None` for everybody's.
    pub tenant: Option<&'a str>,
    /// Where events go.
    pub url: &'a str,
    /// What it is for.
    pub description: Option<&'a str>,
    /// What signs.
    pub key: &'a SigningKey,
    /// Most deliveries at once in the whole fleet.
    pub max_concurrent: Option<NonZeroU32>,
}

/// An endpoint as people see it. The secret is not part of it.
#[derive(Debug, Serialize)]
pub struct EndpointRow {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub tenant: Option<String>,
    /// Where events go.
    pub url: String,
    /// What it is for.
    pub description: Option<String>,
    /// Why nothing is delivered any more.
    pub disabled: Option<String>,
    /// Since when.
    pub disabled_at: Option<DateTime<Utc>>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// `v1` or `v1a`.
    pub signature: String,
    /// When its newest secret was made, if it is not the first.
    pub rotated_at: Option<DateTime<Utc>>,
    /// Until when an older secret signs as well.
    pub old_secret_until: Option<DateTime<Utc>>,
    /// Most deliveries at once in the whole fleet.
    pub max_concurrent: Option<i32>,
    /// First failure since the last success.
    pub failing_since: Option<DateTime<Utc>>,
    /// Failures since then.
    pub failures: i64,
    /// The last failure.
    pub last_failure_at: Option<DateTime<Utc>>,
    /// The last success, to within an hour.
    pub last_success_at: Option<DateTime<Utc>>,
}

/// Why an endpoint was not added or changed.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The secret could not be sealed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Postgres did not take it.
    #[error("the endpoint could not be written to Postgres")]
    Database(#[from] sqlx::Error),
}

/// Adds an endpoint. Answers its id.
///
/// # Errors
/// When the secret cannot be sealed, or Postgres does not take it.
pub async fn add(
    pool: &PgPool,
    vault: &Vault,
    actor: &str,
    new: &NewEndpoint<'_>,
) -> Result<String, RegisterError> {
    let id = format!("ep_{}", uuid::Uuid::new_v4().simple());
    let sealed = vault.seal(&owner(&id, new.tenant), new.key.to_text().expose_secret().as_bytes())?;
    let mut transaction = pool.begin().await?;
    sqlx::query(include_str!("add.sql"))
        .bind(&id)
        .bind(new.tenant)
        .bind(new.url)
        .bind(new.description)
        .bind(sealed.bytes)
        .bind(sealed.key_id)
        .bind(new.key.scheme().word())
        .bind(new.max_concurrent.map(|most| i32::try_from(most.get()).unwrap_or(i32::MAX)))
        .execute(&mut *transaction)
        .await?;
    let detail = json!({ "signature": new.key.scheme().word() });
    let deed = Deed { actor, action: "endpoint.add", subject: &id, tenant: new.tenant, detail };
    audit::write(&mut *transaction, &deed).await?;
    transaction.commit().await?;
    Ok(id)
}

/// Gives an endpoint a new key. The one so far signs as well for `overlap` from `now` on.
/// Answers whether there is such an endpoint.
///
/// # Errors
/// When the secret cannot be sealed, or Postgres does not take it.
pub async fn rotate(
    pool: &PgPool,
    vault: &Vault,
    actor: &str,
    id: &str,
    key: &SigningKey,
    (now, overlap): (DateTime<Utc>, Duration),
) -> Result<bool, RegisterError> {
    let mut transaction = pool.begin().await?;
    let row = sqlx::query(include_str!("lock.sql")).bind(id);
    let Some(row) = row.fetch_optional(&mut *transaction).await? else { return Ok(false) };
    let tenant: Option<String> = row.try_get("tenant")?;
    let sealed = vault.seal(&owner(id, tenant.as_deref()), key.to_text().expose_secret().as_bytes())?;
    let until = TimeDelta::from_std(overlap).ok().and_then(|overlap| now.checked_add_signed(overlap));
    let until = until.unwrap_or(DateTime::<Utc>::MAX_UTC);
    let retire = sqlx::query(include_str!("retire.sql")).bind(id).bind(now).bind(until);
    retire.execute(&mut *transaction).await?;
    let renew = sqlx::query(include_str!("renew.sql")).bind(id).bind(sealed.bytes).bind(sealed.key_id);
    renew.bind(key.scheme().word()).bind(now).execute(&mut *transaction).await?;
    let detail = json!({ "signature": key.scheme().word(), "old_secret_until": until });
    let tenant = tenant.as_deref();
    let deed = Deed { actor, action: "endpoint.rotate", subject: id, tenant, detail };
    audit::write(&mut *transaction, &deed).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Stops deliveries. Answers whether there is such an endpoint.
///
/// # Errors
/// When Postgres does not take it.
pub async fn disable(pool: &PgPool, actor: &str, id: &str, reason: &str) -> Result<bool, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let row = sqlx::query(include_str!("disable.sql")).bind(id).bind(reason);
    let Some(row) = row.fetch_optional(&mut *transaction).await? else { return Ok(false) };
    let (tenant, detail): (Option<String>, _) = (row.try_get("tenant")?, json!({ "reason": reason }));
    let tenant = tenant.as_deref();
    let deed = Deed { actor, action: "endpoint.disable", subject: id, tenant, detail };
    audit::write(&mut *transaction, &deed).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Starts deliveries again, with a clean record. Answers whether there is such an endpoint.
///
/// # Errors
/// When Postgres does not take it.
pub async fn enable(pool: &PgPool, actor: &str, id: &str) -> Result<bool, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let row = sqlx::query(include_str!("enable.sql")).bind(id);
    let Some(row) = row.fetch_optional(&mut *transaction).await? else { return Ok(false) };
    let tenant: Option<String> = row.try_get("tenant")?;
    let tenant = tenant.as_deref();
    let deed = Deed { actor, action: "endpoint.enable", subject: id, tenant, detail: json!({}) };
    audit::write(&mut *transaction, &deed).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Every endpoint, newest first. Needs no vault, since secrets stay sealed.
///
/// # Errors
/// When Postgres does not answer.
pub async fn list(pool: &PgPool, tenant: Option<&str>) -> Result<Vec<EndpointRow>, sqlx::Error> {
    select(pool, tenant, None).await
}

/// One endpoint.
///
/// # Errors
/// When Postgres does not answer.
pub async fn show(pool: &PgPool, id: &str) -> Result<Option<EndpointRow>, sqlx::Error> {
    Ok(select(pool, None, Some(id)).await?.pop())
}

async fn select(
    pool: &PgPool,
    tenant: Option<&str>,
    id: Option<&str>,
) -> Result<Vec<EndpointRow>, sqlx::Error> {
    let rows = sqlx::query(include_str!("list.sql")).bind(tenant).bind(id).fetch_all(pool).await?;
    rows.iter().map(endpoint_row).collect()
}

/// Ids of the keys that sealed any secret.
///
/// # Errors
/// When Postgres does not answer.
pub async fn sealing_keys(pool: &PgPool) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(include_str!("sealing_keys.sql")).fetch_all(pool).await
}

fn endpoint_row(row: &PgRow) -> Result<EndpointRow, sqlx::Error> {
    Ok(EndpointRow {
        id: row.try_get("id")?,
        tenant: row.try_get("tenant")?,
        url: row.try_get("url")?,
        description: row.try_get("description")?,
        disabled: row.try_get("disabled_reason")?,
        disabled_at: row.try_get("disabled_at")?,
        created_at: row.try_get("created_at")?,
        signature: row.try_get("signature")?,
        rotated_at: row.try_get("rotated_at")?,
        old_secret_until: row.try_get("old_secret_until")?,
        max_concurrent: row.try_get("max_concurrent")?,
        failing_since: row.try_get("failing_since")?,
        failures: row.try_get("failures")?,
        last_failure_at: row.try_get("last_failure_at")?,
        last_success_at: row.try_get("last_success_at")?,
    })
}
