//! Bulk operations: what somebody decided about letters, and how far it has been carried out.

use std::fmt;

use chrono::{DateTime, Utc};
use flota_engine::failpoint;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{FromRow, PgConnection, PgPool, QueryBuilder, Row, postgres::PgRow};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Filter;
use crate::audit::{self, Deed};

/// What is done with the letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Decision)]
pub enum Kind {
    /// Enqueue each once more.
    Replay,
    /// Take each off the list for good.
    Discard,
}

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OperationState)]
pub enum State {
    /// Being carried out, or was when its process was killed.
    Running,
    /// Stopped by a person; can be resumed.
    Paused,
    /// Given up by a person; what it had not done yet is left alone.
    Aborted,
    /// Every letter is dealt with.
    Done,
    /// Stopped because too many replays died; can be resumed.
    Failed,
}

/// An operation to be made.
#[derive(Debug, Clone)]
pub struct NewOperation {
    /// What is done.
    pub kind: Kind,
    /// With which letters; only those that are `dead` are ever taken.
    pub filter: Filter,
    /// Why, for whoever looks at it later.
    pub reason: Option<String>,
    /// Who decided.
    pub actor: String,
    /// Most letters per second.
    pub rate: Option<f64>,
    /// After how many letters to wait until their replays have ended.
    pub stage_size: Option<u32>,
    /// How many replays may die before it stops.
    pub max_failures: Option<u32>,
    /// The envelope to send instead of the letter's own; for one letter only.
    pub edited: Option<Vec<u8>>,
}

/// An operation as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Operation {
    /// Its id.
    pub id: Uuid,
    /// What is done.
    pub kind: Kind,
    /// Where it stands.
    pub state: State,
    /// Why it stopped.
    pub note: Option<String>,
    /// Letters in its selection.
    pub matched: i64,
    /// Carried out: put into the outbox, or discarded.
    pub queued: i64,
    /// Somebody else decided about them first.
    pub skipped: i64,
    /// Could not be carried out.
    pub failed: i64,
    /// Replays that died since it was made or resumed, where stages wait for them.
    pub deaths: i64,
    /// Letters per second.
    pub rate: Option<f64>,
    /// Letters after which replays are waited for.
    pub stage_size: Option<i32>,
    /// Replays that may die.
    pub max_failures: Option<i32>,
    /// Which letters were asked for.
    #[schema(value_type = Object)]
    pub filter: Value,
    /// Why.
    pub reason: Option<String>,
    /// Who decided.
    pub actor: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When something last happened to it.
    pub changed_at: DateTime<Utc>,
}

impl Operation {
    /// Letters that nobody has dealt with yet.
    pub fn left(&self) -> i64 {
        self.matched - self.queued - self.skipped - self.failed
    }
}

/// Makes an operation and freezes its selection, in one transaction with its line in the audit log. `None` when no
/// letter fits; nothing is written then.
pub async fn create(pool: &PgPool, new: &NewOperation) -> Result<Option<Operation>, sqlx::Error> {
    let id = Uuid::now_v7();
    let filter = Filter { state: Some("dead"), ..new.filter.clone() };
    let asked = json!(Filter { state: None, ..new.filter.clone() });
    let mut transaction = pool.begin().await?;
    // A million letters take longer to freeze than a statement usually may.
    sqlx::raw_sql("SET LOCAL statement_timeout = '10min'").execute(&mut *transaction).await?;
    let insert = sqlx::query(include_str!("create.sql")).bind(id).bind(new.kind.word()).bind(&asked);
    let insert = insert.bind(&new.reason).bind(&new.actor).bind(new.rate);
    let insert =
        insert.bind(new.stage_size.map(|size| size as i32)).bind(new.max_failures.map(|most| most as i32));
    insert.execute(&mut *transaction).await?;
    let matched = freeze(&mut transaction, id, &filter, new.edited.as_deref()).await?;
    if matched == 0 {
        transaction.rollback().await?;
        return Ok(None);
    }
    let counted = sqlx::query("UPDATE bulk_operations SET matched = $2 WHERE id = $1");
    counted.bind(id).bind(matched as i64).execute(&mut *transaction).await?;
    let detail = json!({
        "filter": asked, "matched": matched, "reason": new.reason, "rate": new.rate, "stage": new.stage_size,
        "max_failures": new.max_failures, "edited": new.edited.is_some(),
    });
    let (action, subject) = (format!("dead.{}", new.kind), id.to_string());
    let tenant = new.filter.tenant.as_deref();
    let deed = Deed { actor: &new.actor, action: &action, subject: &subject, tenant, detail };
    audit::write(&mut *transaction, &deed).await?;
    transaction.commit().await?;
    failpoint!("bulk-created", crate::chaos::cut_off());
    find(pool, id).await
}

async fn freeze(
    connection: &mut PgConnection,
    operation: Uuid,
    filter: &Filter,
    edited: Option<&[u8]>,
) -> Result<u64, sqlx::Error> {
    let mut query =
        QueryBuilder::new("INSERT INTO bulk_items (operation, letter, position, envelope) SELECT ");
    query.push_bind(operation).push(", job_id, row_number() OVER (ORDER BY died_at, job_id), ");
    query.push_bind(edited.map(<[u8]>::to_vec)).push(" FROM dead_letters");
    filter.push(&mut query);
    Ok(query.build().persistent(false).execute(connection).await?.rows_affected())
}

/// The operation with this id.
pub async fn find(pool: &PgPool, id: Uuid) -> Result<Option<Operation>, sqlx::Error> {
    sqlx::query_as("SELECT * FROM bulk_operations WHERE id = $1").bind(id).fetch_optional(pool).await
}

/// Operations, newest first, at most `limit`.
pub async fn list(pool: &PgPool, limit: u32) -> Result<Vec<Operation>, sqlx::Error> {
    let query = sqlx::query_as("SELECT * FROM bulk_operations ORDER BY created_at DESC, id DESC LIMIT $1");
    query.bind(i64::from(limit)).fetch_all(pool).await
}

/// Stops a running operation so that it can be resumed. False when it does not run.
pub async fn pause(pool: &PgPool, id: Uuid, actor: &str) -> Result<bool, sqlx::Error> {
    change(pool, id, actor, State::Paused, &[State::Running], Some("stopped by a person")).await
}

/// Gives up what an operation has not done yet. False when it has ended.
pub async fn abort(pool: &PgPool, id: Uuid, actor: &str) -> Result<bool, sqlx::Error> {
    let open = [State::Running, State::Paused, State::Failed];
    change(pool, id, actor, State::Aborted, &open, Some("given up by a person")).await
}

/// Lets an operation go on, with its count of deaths at zero again. False when it has ended.
pub async fn reopen(pool: &PgPool, id: Uuid, actor: &str) -> Result<bool, sqlx::Error> {
    let open = [State::Running, State::Paused, State::Failed];
    change(pool, id, actor, State::Running, &open, None).await
}

async fn change(
    pool: &PgPool,
    id: Uuid,
    actor: &str,
    to: State,
    from: &[State],
    note: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let from: Vec<&str> = from.iter().map(|state| state.word()).collect();
    let update = sqlx::query(include_str!("change.sql")).bind(id).bind(to.word()).bind(from).bind(note);
    let changed = 0 < update.execute(&mut *transaction).await?.rows_affected();
    if changed {
        let action = match to {
            State::Paused => "bulk.pause",
            State::Aborted => "bulk.abort",
            _ => "bulk.resume",
        };
        let (subject, detail) = (id.to_string(), json!({ "note": note }));
        let deed = Deed { actor, action, subject: &subject, tenant: None, detail };
        audit::write(&mut *transaction, &deed).await?;
    }
    transaction.commit().await?;
    Ok(changed)
}

impl Kind {
    /// The word in the table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl State {
    const ALL: [Self; 5] = [Self::Running, Self::Paused, Self::Aborted, Self::Done, Self::Failed];

    /// The word in the table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Aborted => "aborted",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

impl FromRow<'_, PgRow> for Operation {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let (kind, state): (&str, &str) = (row.try_get("kind")?, row.try_get("state")?);
        let unknown = |word: &str| sqlx::Error::Decode(format!("unknown word `{word}`").into());
        Ok(Self {
            id: row.try_get("id")?,
            kind: if kind == "replay" { Kind::Replay } else { Kind::Discard },
            state: State::ALL
                .into_iter()
                .find(|known| known.word() == state)
                .ok_or_else(|| unknown(state))?,
            note: row.try_get("note")?,
            matched: row.try_get("matched")?,
            queued: row.try_get("queued")?,
            skipped: row.try_get("skipped")?,
            failed: row.try_get("failed")?,
            deaths: row.try_get("deaths")?,
            rate: row.try_get("rate")?,
            stage_size: row.try_get("stage_size")?,
            max_failures: row.try_get("max_failures")?,
            filter: row.try_get("filter")?,
            reason: row.try_get("reason")?,
            actor: row.try_get("actor")?,
            created_at: row.try_get("created_at")?,
            changed_at: row.try_get("changed_at")?,
        })
    }
}
