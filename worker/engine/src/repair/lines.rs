//! Which jobs wait in line with good reason: behind one that is alive and on its way, whose end will let them go.
//!
//! A line stands still when its head is gone by a way out that knew nothing of lines, or when a hand in Redis took the
//! line away. Enqueueing into such a line and every end in it mend it too; this finds those that nobody touches.

use std::collections::{HashMap, HashSet};

use flota_producer::{
    Envelope,
    keys::QueueKeys,
    link::{Link, LinkError},
};

use crate::store::BATCH;

use super::{list, pieces, scan};

/// The jobs in line that somebody alive is before, by the names of their bodies.
pub(super) async fn behind_somebody(link: &Link, keys: &QueueKeys) -> Result<Vec<Vec<u8>>, LinkError> {
    let waiting = pieces(link, |cursor| scan("HSCAN", &keys.in_line(), cursor), 2).await?;
    let mut lines: HashMap<String, Vec<Vec<u8>>> = HashMap::new();
    let mut behind = Vec::new();
    for ids in waiting.chunks(BATCH) {
        let bodies: Vec<Option<Vec<u8>>> = link.query(redis::cmd("HMGET").arg(keys.jobs()).arg(ids)).await?;
        for (id, body) in ids.iter().zip(bodies) {
            match body.map(|body| Envelope::decode(&body)) {
                Some(Ok(envelope)) => lines.entry(keys.line_of(&envelope)).or_default().push(id.clone()),
                // What a newer release has put in line is for that release to judge.
                _ => behind.push(id.clone()),
            }
        }
    }
    for (line, ids) in lines.into_iter().filter(|(line, _)| !line.is_empty()) {
        let standing = list(link, &line).await?;
        let first: Option<Vec<u8>> = link.query(redis::cmd("LINDEX").arg(&line).arg(0)).await?;
        if let Some(first) = first
            && is_on_its_way(link, keys, &first).await?
        {
            let standing: HashSet<&Vec<u8>> = standing.iter().collect();
            behind.extend(ids.into_iter().filter(|id| standing.contains(id)));
        }
    }
    Ok(behind)
}

/// True when the first of a line is alive and does not wait in line itself.
async fn is_on_its_way(link: &Link, keys: &QueueKeys, first: &[u8]) -> Result<bool, LinkError> {
    let mut pipeline = redis::pipe();
    pipeline.cmd("HEXISTS").arg(keys.jobs()).arg(first).cmd("HEXISTS").arg(keys.in_line()).arg(first);
    let (alive, in_line): (bool, bool) = link.pipeline(&pipeline).await?;
    Ok(alive && !in_line)
}
