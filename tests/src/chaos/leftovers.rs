//! What may stay in Redis when every job has ended, and what may not.

use flota_producer::{keys::Prefix, link::Link};

/// Most wake-ups that a bell keeps.
const BELL: u64 = 64;

/// Keys that should be gone or empty, each with what is in it.
pub async fn leftovers(link: &Link) -> anyhow::Result<Vec<String>> {
    let prefix = Prefix::default();
    let names: Vec<String> = link.query(redis::cmd("KEYS").arg(format!("{prefix}:*"))).await?;
    let mut left = Vec::new();
    for name in names {
        let ends: i64 = link.query(redis::cmd("PTTL").arg(&name)).await?;
        // What ends by itself (idempotency keys) may stay, and so may settings and the list of workers.
        let stays = [prefix.queues(), prefix.workers()].contains(&name);
        if 0 <= ends || stays || name.ends_with(":config") || name.contains("schedule") {
            continue;
        }
        let kind: String = link.query(redis::cmd("TYPE").arg(&name)).await?;
        let size = match kind.as_str() {
            "string" => 1,
            "list" => link.query::<u64>(redis::cmd("LLEN").arg(&name)).await?,
            "hash" => link.query::<u64>(redis::cmd("HLEN").arg(&name)).await?,
            "set" => link.query::<u64>(redis::cmd("SCARD").arg(&name)).await?,
            "zset" => link.query::<u64>(redis::cmd("ZCARD").arg(&name)).await?,
            "stream" => link.query::<u64>(redis::cmd("XLEN").arg(&name)).await?,
            _ => 0,
        };
        let allowed = match () {
            () if name.ends_with(":bell") => BELL,
            // The member that keeps the set a skip list.
            () if name.ends_with(":running") => 1,
            () => 0,
        };
        if allowed < size {
            left.push(format!("{name} ({kind} of {size})"));
        }
    }
    left.sort_unstable();
    Ok(left)
}
