//! The list in Postgres: adding, removing, looking.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgPool, Row, postgres::PgRow};

use super::address::Channel;
use crate::audit::{self, Deed};

/// What is added in one statement.
const BATCH: usize = 1_000;

/// One address that is not written to.
#[derive(Debug, Serialize)]
pub struct Suppression {
    /// How it would be written to.
    pub channel: String,
    /// For whom it holds; `None` for every tenant.
    pub tenant: Option<String>,
    /// In its stored form.
    pub address: String,
    /// Why.
    pub reason: String,
    /// Who put it there.
    pub actor: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// Puts addresses (in their normal form) on the list. Those that are on it stay as they are. Answers how many are new.
///
/// # Errors
/// When Postgres does not take them; then none is on the list.
pub async fn add(
    pool: &PgPool,
    (channel, tenant): (Channel, Option<&str>),
    addresses: &[String],
    reason: &str,
    actor: &str,
) -> Result<u64, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let mut added = 0;
    for batch in addresses.chunks(BATCH) {
        let query =
            sqlx::query(include_str!("add.sql")).bind(channel.name()).bind(tenant.unwrap_or_default());
        added += query.bind(batch).bind(reason).bind(actor).execute(&mut *transaction).await?.rows_affected();
    }
    let [subject, ..] = addresses else { return Ok(0) };
    let subject = if addresses.len() == 1 { subject } else { channel.name() };
    let detail = json!({ "channel": channel, "added": added, "reason": reason });
    let deed = Deed { actor, action: "suppression.add", subject, tenant, detail };
    audit::write(&mut *transaction, &deed).await?;
    transaction.commit().await?;
    Ok(added)
}

/// Takes an address (in its normal form) off the list. Answers whether it was on it.
///
/// # Errors
/// When Postgres does not do it.
pub async fn remove(
    pool: &PgPool,
    (channel, tenant): (Channel, Option<&str>),
    address: &str,
    actor: &str,
) -> Result<bool, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let query = sqlx::query(include_str!("remove.sql")).bind(channel.name()).bind(tenant.unwrap_or_default());
    let removed = 0 < query.bind(address).execute(&mut *transaction).await?.rows_affected();
    if removed {
        let detail = json!({ "channel": channel });
        let deed = Deed { actor, action: "suppression.remove", subject: address, tenant, detail };
        audit::write(&mut *transaction, &deed).await?;
        sqlx::query(include_str!("forget_removed.sql")).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(removed)
}

/// What to list; `None` is everything.
#[derive(Debug, Default)]
pub struct Wanted<'a> {
    /// Of this channel.
    pub channel: Option<Channel>,
    /// Of this tenant; `Some("")` is what holds for every tenant.
    pub tenant: Option<&'a str>,
    /// This address, in its normal form.
    pub address: Option<&'a str>,
}

/// The newest addresses on the list.
///
/// # Errors
/// When Postgres does not answer.
pub async fn list(pool: &PgPool, wanted: &Wanted<'_>, most: u32) -> Result<Vec<Suppression>, sqlx::Error> {
    let query = sqlx::query(include_str!("list.sql")).bind(wanted.channel.map(Channel::name));
    let rows = query.bind(wanted.tenant).bind(wanted.address).bind(i64::from(most)).fetch_all(pool).await?;
    rows.iter().map(suppression).collect()
}

fn suppression(row: &PgRow) -> Result<Suppression, sqlx::Error> {
    let tenant: String = row.try_get("tenant")?;
    Ok(Suppression {
        channel: row.try_get("channel")?,
        tenant: (!tenant.is_empty()).then_some(tenant),
        address: row.try_get("address")?,
        reason: row.try_get("reason")?,
        actor: row.try_get("actor")?,
        created_at: row.try_get("created_at")?,
    })
}
