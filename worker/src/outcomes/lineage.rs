//! Which dead letter an ended job repeated.
//!
//! A replay carries the letter's envelope byte for byte, so the job does not know what it is. The letter does: it is
//! `replaying` as this job. Hardly ever is any, and then this costs one look at an empty index per batch.

use sqlx::PgConnection;
use uuid::Uuid;

use super::rows::Row;

/// Marks the letters that these ended jobs repeated as replayed, and the jobs as their repetitions. Part of the
/// transaction that writes the jobs; a repeated batch finds nothing left to do.
pub(super) async fn tell(connection: &mut PgConnection, ended: &[&Row]) -> Result<(), sqlx::Error> {
    let Some(first) = ended.iter().min_by_key(|row| row.finished_us) else { return Ok(()) };
    let any = sqlx::query_scalar("SELECT EXISTS (SELECT FROM dead_letters WHERE state = 'replaying')");
    if !any.fetch_one(&mut *connection).await? {
        return Ok(());
    }
    let jobs: Vec<Uuid> = ended.iter().map(|row| row.job).collect();
    let query = sqlx::query(include_str!("lineage.sql")).bind(jobs).bind(first.day());
    query.execute(connection).await.map(drop)
}
