//! Webhook endpoints: where a customer's events go, with the secret that signs them, in Postgres.
//!
//! Workers keep what they read for [`FRESH`]. While Postgres is away they go on with what they know for [`STALE`];
//! an endpoint that nobody has read yet then has to wait (the job is parked, nothing is charged).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use flota_providers::webhook::SigningSecret;
use secrecy::ExposeSecret;
use serde::Serialize;
use sqlx::{PgPool, Row, postgres::PgRow};

use crate::vault::{Sealed, Vault, VaultError};

/// How long an endpoint is used without asking again. A change takes at most this long to be obeyed everywhere.
const FRESH: Duration = Duration::from_secs(30);
/// How long an endpoint is used while Postgres is away.
const STALE: Duration = Duration::from_hours(1);
/// How long a Postgres that was away is not asked again for an endpoint that is known.
const LEAVE_ALONE: Duration = Duration::from_secs(5);

/// An endpoint, ready to be delivered to.
#[derive(Debug)]
pub struct Endpoint {
    /// Where events go.
    pub url: String,
    /// Whose it is; `None` for everybody's.
    pub tenant: Option<String>,
    /// Why nothing is delivered any more.
    pub disabled: Option<String>,
    /// What signs deliveries.
    pub secret: SigningSecret,
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
    /// When it was added.
    pub created_at: DateTime<Utc>,
}

/// Why an endpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// No endpoint has this id.
    #[error("no endpoint `{0}`; see `flota endpoint list`")]
    Unknown(String),
    /// It was there, under another tenant.
    #[error("endpoint `{0}` belongs to another tenant")]
    Foreign(String),
    /// Deliveries were stopped.
    #[error("endpoint `{id}` is disabled: {reason}")]
    Disabled {
        /// The endpoint.
        id: String,
        /// Why.
        reason: String,
    },
    /// Its secret does not open.
    #[error("the secret of endpoint `{0}` cannot be used")]
    Secret(String, #[source] VaultError),
    /// Neither Postgres nor memory knows it now.
    #[error("endpoint `{0}` cannot be read: Postgres is away")]
    Away(String, #[source] sqlx::Error),
}

/// All endpoints.
pub struct Endpoints {
    pool: PgPool,
    vault: Vault,
    known: Mutex<HashMap<String, Known>>,
}

/// What is remembered of an endpoint.
#[derive(Clone)]
struct Known {
    endpoint: Arc<Endpoint>,
    read: Instant,
    ask_again: Instant,
}

impl Endpoints {
    /// Endpoints in this database, their secrets sealed by this vault.
    pub fn new(pool: PgPool, vault: Vault) -> Self {
        Self { pool, vault, known: Mutex::default() }
    }

    /// The endpoint that a job of this tenant may deliver to.
    pub async fn usable(&self, id: &str, tenant: Option<&str>) -> Result<Arc<Endpoint>, EndpointError> {
        let endpoint = self.get(id).await?;
        if endpoint.tenant.is_some() && endpoint.tenant.as_deref() != tenant {
            return Err(EndpointError::Foreign(id.to_owned()));
        }
        match &endpoint.disabled {
            Some(reason) => Err(EndpointError::Disabled { id: id.to_owned(), reason: reason.clone() }),
            None => Ok(endpoint),
        }
    }

    /// Adds an endpoint. Answers its id.
    pub async fn add(
        &self,
        tenant: Option<&str>,
        url: &str,
        description: Option<&str>,
        secret: &SigningSecret,
    ) -> Result<String, AddError> {
        let id = format!("ep_{}", uuid::Uuid::new_v4().simple());
        let sealed = self.vault.seal(&owner(&id, tenant), secret.to_text().expose_secret().as_bytes())?;
        sqlx::query(include_str!("endpoints/add.sql"))
            .bind(&id)
            .bind(tenant)
            .bind(url)
            .bind(description)
            .bind(sealed.bytes)
            .bind(sealed.key_id)
            .execute(&self.pool)
            .await?;
        Ok(id)
    }

    /// Stops deliveries. Answers whether there is such an endpoint.
    pub async fn disable(&self, id: &str, reason: &str) -> Result<bool, sqlx::Error> {
        let done = disable(&self.pool, id, reason).await?;
        self.lock().remove(id);
        Ok(done)
    }

    async fn get(&self, id: &str) -> Result<Arc<Endpoint>, EndpointError> {
        let known = self.lock().get(id).cloned();
        if let Some(known) = &known
            && Instant::now() < known.ask_again
        {
            return Ok(known.endpoint.clone());
        }
        let now = Instant::now();
        let fresh = match (self.read(id).await, known) {
            (Ok(endpoint), _) => Known { endpoint, read: now, ask_again: now + FRESH },
            (Err(EndpointError::Away(..)), Some(known)) if known.read.elapsed() < STALE => {
                Known { ask_again: Instant::now() + LEAVE_ALONE, ..known }
            }
            (Err(error), _) => return Err(error),
        };
        self.lock().insert(id.to_owned(), fresh.clone());
        Ok(fresh.endpoint)
    }

    async fn read(&self, id: &str) -> Result<Arc<Endpoint>, EndpointError> {
        let away = |error| EndpointError::Away(id.to_owned(), error);
        let row = sqlx::query(include_str!("endpoints/get.sql")).bind(id).fetch_optional(&self.pool);
        let row = row.await.map_err(away)?.ok_or_else(|| EndpointError::Unknown(id.to_owned()))?;
        let tenant: Option<String> = row.try_get("tenant").map_err(away)?;
        let sealed = Sealed {
            key_id: row.try_get("secret_key_id").map_err(away)?,
            bytes: row.try_get("secret_ciphertext").map_err(away)?,
        };
        let unusable = |error| EndpointError::Secret(id.to_owned(), error);
        let secret = self.vault.open(&owner(id, tenant.as_deref()), &sealed).map_err(unusable)?;
        let secret = String::from_utf8(secret).ok().and_then(|text| SigningSecret::parse(&text).ok());
        Ok(Arc::new(Endpoint {
            url: row.try_get("url").map_err(away)?,
            tenant,
            disabled: row.try_get("disabled_reason").map_err(away)?,
            secret: secret.ok_or_else(|| unusable(VaultError::Forged))?,
        }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why an endpoint was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The secret could not be sealed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Postgres did not take it.
    #[error("the endpoint could not be written to Postgres")]
    Database(#[from] sqlx::Error),
}

/// Every endpoint, newest first. Needs no vault, since secrets stay sealed.
pub async fn list(pool: &PgPool, tenant: Option<&str>) -> Result<Vec<EndpointRow>, sqlx::Error> {
    let rows = sqlx::query(include_str!("endpoints/list.sql")).bind(tenant).fetch_all(pool).await?;
    rows.iter().map(endpoint_row).collect()
}

/// Ids of the keys that sealed any secret.
pub async fn sealing_keys(pool: &PgPool) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(include_str!("endpoints/sealing_keys.sql")).fetch_all(pool).await
}

/// Stops deliveries. Answers whether there is such an endpoint.
pub async fn disable(pool: &PgPool, id: &str, reason: &str) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(include_str!("endpoints/disable.sql")).bind(id).bind(reason).execute(pool).await?;
    Ok(0 < done.rows_affected())
}

fn endpoint_row(row: &PgRow) -> Result<EndpointRow, sqlx::Error> {
    Ok(EndpointRow {
        id: row.try_get("id")?,
        tenant: row.try_get("tenant")?,
        url: row.try_get("url")?,
        description: row.try_get("description")?,
        disabled: row.try_get("disabled_reason")?,
        created_at: row.try_get("created_at")?,
    })
}

/// What a sealed secret is bound to.
fn owner(id: &str, tenant: Option<&str>) -> String {
    format!("{}/{id}/webhook-secret", tenant.unwrap_or_default())
}
