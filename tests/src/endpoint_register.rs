//! Registered webhook endpoints: the only ones that may lead to a receiver on this machine.

use flota_providers::webhook::{SigningKey, SigningSecret};
use flota_worker::{
    endpoints::{NewEndpoint, add},
    vault::Vault,
};
use secrecy::SecretString;
use sqlx::PgPool;

/// `FLOTA_ENCRYPTION_KEYS` of a test: an id and 32 bytes.
pub const RING: &str = "test:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// Registers an endpoint for everybody. Answers its id and what signs its deliveries.
///
/// # Errors
/// When Postgres does not answer, or the system gives no randomness.
pub async fn register(pool: &PgPool, url: &str) -> anyhow::Result<(String, SecretString)> {
    let (vault, secret) = (Vault::parse(&RING.into())?, SigningSecret::generate()?);
    let text = secret.to_text();
    let key = SigningKey::from(secret);
    let new = NewEndpoint { tenant: None, url, description: None, key: &key, max_concurrent: None };
    Ok((add(pool, &vault, "test", &new).await?, text))
}
