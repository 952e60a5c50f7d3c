//! Telling Redis what a queue is, for scripts and for programs that do not read queues.toml.

use std::{sync::Arc, time::Duration};

use flota_producer::{
    keys::{Prefix, QueueKeys},
    link::{Link, LinkError},
};
use tokio::time::sleep;
use tracing::warn;

use crate::{
    policy::QueuePolicy,
    recover::{LONGEST_LEASE, longest_lease_ms},
};

/// How often a queue is published, and how soon again when Redis was away.
const EVERY: Duration = Duration::from_mins(1);
const AGAIN: Duration = Duration::from_secs(1);

/// Publishes what scripts and other programs need to know of a queue. The settings once; that the queue exists, again
/// and again, so that a Redis that was wiped learns it.
pub(super) async fn publish(link: Arc<Link>, prefix: Prefix, policy: QueuePolicy) {
    let keys = prefix.queue(&policy.name);
    let mut first = true;
    loop {
        let published = publish_once(&link, &prefix, &keys, &policy, first).await;
        match published {
            Ok(()) => {
                first = false;
                sleep(EVERY).await;
            }
            Err(error) => {
                let name = &policy.name;
                warn!(queue.name = %name, "Queue {name} is not published yet: {error}: {}", error.redis());
                sleep(AGAIN).await;
            }
        }
    }
}

async fn publish_once(
    link: &Link,
    prefix: &Prefix,
    keys: &QueueKeys,
    policy: &QueuePolicy,
    first: bool,
) -> Result<(), LinkError> {
    let lease_ms = policy.lease.as_millis() as u64;
    let known: Option<Vec<u8>> = link.query(redis::cmd("HGET").arg(keys.config()).arg(LONGEST_LEASE)).await?;
    let mut pipeline = redis::pipe();
    let set = if first { "HSET" } else { "HSETNX" };
    pipeline.cmd("SADD").arg(prefix.queues()).arg(&*policy.name).ignore();
    pipeline.cmd(set).arg(keys.config()).arg("max_len").arg(policy.max_len).ignore();
    if longest_lease_ms(known.as_deref()) < lease_ms {
        pipeline.cmd("HSET").arg(keys.config()).arg(LONGEST_LEASE).arg(lease_ms).ignore();
    }
    link.pipeline::<()>(&pipeline).await
}
