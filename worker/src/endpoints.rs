//! Webhook endpoints: where a customer's events go, with the secrets that sign them, in Postgres.
//!
//! 1. this file: what a worker needs to deliver, read once and remembered
//! 2. `register.rs`: what people do with endpoints: add, rotate, enable, disable, look
//! 3. `health.rs`: how deliveries go, and when to give an endpoint up
//! 4. `places.rs`: at most so many deliveries at once, for the whole fleet, in Redis
//! 5. `trouble.rs`: what `flota doctor` says
//!
//! Workers keep what they read for [`FRESH`]. While Postgres is away they go on with what they know for [`STALE`];
//! an endpoint that nobody has read yet then has to wait (the job is parked, nothing is charged).

mod health;
mod places;
mod register;
mod trouble;

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use flota_providers::webhook::SigningKey;
use sqlx::{PgPool, Row, postgres::PgRow};

use crate::vault::{Sealed, Vault, VaultError};

pub use self::{
    health::{FAILING_FOR, REASONS_TO_DISABLE, SILENCE},
    places::{NoPlace, Place, Places},
    register::{
        EndpointRow, NewEndpoint, RegisterError, add, disable, enable, list, rotate, sealing_keys, show,
    },
    trouble::trouble,
};

/// How long an endpoint is used without asking again. A change takes at most this long to be obeyed everywhere.
pub const FRESH: Duration = Duration::from_secs(30);
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
    /// Most deliveries at once in the whole fleet.
    pub max_concurrent: Option<NonZeroU32>,
    /// Since when every delivery has failed, as Postgres knew when it was read.
    failing_since: Option<DateTime<Utc>>,
    /// What signs deliveries.
    key: SigningKey,
    /// What signs besides, newest first, each until its time.
    old_keys: Vec<(SigningKey, DateTime<Utc>)>,
}

impl Endpoint {
    /// The keys that sign at this time, the newest first.
    pub fn keys(&self, now: DateTime<Utc>) -> Vec<SigningKey> {
        let old = self.old_keys.iter().filter(|(_, until)| now < *until).map(|(key, _)| key);
        std::iter::once(&self.key).chain(old).cloned().collect()
    }
}

/// Why an endpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// No endpoint has this id.
    #[error("no endpoint `{0}`; see `flota endpoint list`")]
    Unknown(String),
    /// It was there, under another tenant.
    #[error(
        "endpoint `{0}` belongs to another tenant; enqueue for its tenant, or register one for everybody"
    )]
    Foreign(String),
    /// Deliveries were stopped.
    #[error("endpoint `{id}` is disabled: {reason}; `flota endpoint enable {id}` starts deliveries again")]
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
    seen: health::Watch,
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
        Self { pool, vault, known: Mutex::default(), seen: health::Watch::default() }
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
        let owner = owner(id, tenant.as_deref());
        let open = |sealed: &Sealed| {
            self.open(&owner, sealed).map_err(|error| EndpointError::Secret(id.to_owned(), error))
        };
        let key = open(&Sealed {
            key_id: row.try_get("secret_key_id").map_err(away)?,
            bytes: row.try_get("secret_ciphertext").map_err(away)?,
        })?;
        let old = old_secrets(&row).map_err(away)?;
        let old_keys = old.iter().map(|(sealed, until)| Ok((open(sealed)?, *until)));
        let most: Option<i32> = row.try_get("max_concurrent").map_err(away)?;
        Ok(Arc::new(Endpoint {
            url: row.try_get("url").map_err(away)?,
            disabled: row.try_get("disabled_reason").map_err(away)?,
            max_concurrent: most.and_then(|most| NonZeroU32::new(most.unsigned_abs())),
            failing_since: row.try_get("failing_since").map_err(away)?,
            old_keys: old_keys.collect::<Result<_, _>>()?,
            tenant,
            key,
        }))
    }

    fn open(&self, owner: &str, sealed: &Sealed) -> Result<SigningKey, VaultError> {
        let text = String::from_utf8(self.vault.open(owner, sealed)?).map_err(|_| VaultError::Forged)?;
        SigningKey::parse(&text).map_err(|_| VaultError::Forged)
    }

    fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The secrets that sign besides, sealed, each with its end.
fn old_secrets(row: &PgRow) -> Result<Vec<(Sealed, DateTime<Utc>)>, sqlx::Error> {
    let bytes: Vec<Vec<u8>> = row.try_get("old_ciphertexts")?;
    let key_ids: Vec<String> = row.try_get("old_key_ids")?;
    let ends: Vec<DateTime<Utc>> = row.try_get("old_ends")?;
    let sealed = bytes.into_iter().zip(key_ids).map(|(bytes, key_id)| Sealed { key_id, bytes });
    Ok(sealed.zip(ends).collect())
}

/// What a sealed secret is bound to.
fn owner(id: &str, tenant: Option<&str>) -> String {
    format!("{}/{id}/webhook-secret", tenant.unwrap_or_default())
}
