//! While a story goes on: every live job is in exactly one place (I16).
//!
//! One script looks at all places at once, so what it sees is a consistent cut. A job that is nowhere will never run; a
//! job that is in two places may run twice. Large queues are not looked at: the script would hold Redis up.

use std::sync::{Arc, Mutex, PoisonError};

use flota_producer::{
    JobId,
    keys::{Prefix, Priority},
    link::Link,
};
use redis::Script;
use tokio::time::{Duration, sleep};

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Most live jobs of a queue that is looked at.
const MOST: usize = 20_000;

/// KEYS jobs, ready x3, delayed, running, parked, `in_line`. ARGV most jobs. Returns id and
/// what is wrong, one behind the other, of at most twenty jobs.
const LOOK: &str = r"
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[1]) then return {} end
local ID, MOST = 16, 20
local places, findings = {}, {}
local function found(id, place)
  places[id] = places[id] and (places[id] .. '+' .. place) or place
end
for i = 2, 4 do
  for _, id in ipairs(redis.call('LRANGE', KEYS[i], 0, -1)) do found(id, 'ready') end
end
for _, member in ipairs(redis.call('ZRANGE', KEYS[5], 0, -1)) do
  found(string.sub(member, -ID), 'delayed')
end
for _, member in ipairs(redis.call('ZRANGE', KEYS[6], 0, -1)) do
  found(string.sub(member, 1, ID), 'running')
end
for _, id in ipairs(redis.call('HKEYS', KEYS[7])) do found(id, 'parked') end
for _, id in ipairs(redis.call('HKEYS', KEYS[8])) do found(id, 'in_line') end
for _, id in ipairs(redis.call('HKEYS', KEYS[1])) do
  local where = places[id]
  local wrong = not where and 'nowhere' or string.find(where, '+', 1, true) and 'in ' .. where
  if wrong and #findings < 2 * MOST then
    findings[#findings + 1] = id
    findings[#findings + 1] = wrong
  end
end
return findings";

/// Looks at the queues again and again until dropped.
pub struct Conservation {
    findings: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Conservation {
    /// Begins. While Redis is away nothing is seen.
    pub fn watch(link: Link, queues: &[&str]) -> Self {
        let findings = Arc::<Mutex<Vec<String>>>::default();
        let (told, queues) =
            (findings.clone(), queues.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let task = tokio::spawn(async move {
            loop {
                for queue in &queues {
                    let found = look(&link, queue).await.unwrap_or_default();
                    told.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
                }
                sleep(EVERY).await;
            }
        });
        Self { findings, task }
    }

    /// What was wrong so far, each finding once.
    pub fn findings(&self) -> Vec<String> {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        findings.sort_unstable();
        findings.dedup();
        findings
    }
}

impl Drop for Conservation {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One look at one queue.
pub async fn look(link: &Link, queue: &str) -> anyhow::Result<Vec<String>> {
    let keys = Prefix::default().queue(queue);
    let script = Script::new(LOOK);
    let mut call = script.key(keys.jobs());
    for priority in [Priority::Normal, Priority::High, Priority::Low] {
        call.key(keys.ready(priority));
    }
    call.key(keys.delayed()).key(keys.running()).key(keys.parked()).key(keys.in_line()).arg(MOST);
    let found: Vec<(JobId, String)> = link.invoke(&call).await?;
    Ok(found.into_iter().map(|(id, place)| format!("{queue}: {id} is {place}")).collect())
}
