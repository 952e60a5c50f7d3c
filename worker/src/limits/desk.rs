//! Where a process asks Redis for turns: one call is under way at a time, and what is asked meanwhile goes into the next,
//! so a busy process asks for dozens of turns at once and an idle one without delay.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use flota_producer::{
    keys::Prefix,
    link::{Link, LinkError},
};
use flota_providers::pipeline::LimitKey;
use futures_util::future::join_all;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tracing::warn;

use super::{
    script::{Given, Said, take_turns},
    windows::Window,
};

/// Most asks in one round.
const MOST: usize = 500;
/// Longest wait for Redis. A call to a provider should not be held up longer by a limit.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// For how long Redis is not asked again after it did not answer.
const REST: Duration = Duration::from_secs(1);

struct Ask {
    key: LimitKey,
    said: Said,
    windows: Vec<Window>,
    ticket: Option<Box<str>>,
    reply: oneshot::Sender<Option<Given>>,
}

/// The way to the task that asks.
pub(super) struct Desk {
    asks: mpsc::UnboundedSender<Ask>,
}

impl Desk {
    /// Starts the task, which waits for Redis no longer than `patience`; it ends with the desk.
    pub(super) fn open(link: Link, prefix: Prefix, patience: Duration) -> Self {
        let (asks, queue) = mpsc::unbounded_channel();
        tokio::spawn(Clerk { link, prefix, patience, rests_until: None }.work(queue));
        Self { asks }
    }

    /// Says something, and asks for the turn of a ticket. `None` when Redis does not answer, or no ticket was given.
    pub(super) async fn ask(
        &self,
        key: &LimitKey,
        said: Said,
        windows: &[Window],
        ticket: Option<&str>,
    ) -> Option<Given> {
        let (reply, answer) = oneshot::channel();
        let (key, windows, ticket) = (key.clone(), windows.to_vec(), ticket.map(Into::into));
        self.asks.send(Ask { key, said, windows, ticket, reply }).ok()?;
        answer.await.ok().flatten()
    }
}

struct Clerk {
    link: Link,
    prefix: Prefix,
    patience: Duration,
    rests_until: Option<Instant>,
}

impl Clerk {
    async fn work(mut self, mut queue: mpsc::UnboundedReceiver<Ask>) {
        let mut asks = Vec::with_capacity(MOST);
        while 0 < queue.recv_many(&mut asks, MOST).await {
            if self.rests_until.is_some_and(|until| Instant::now() < until) {
                // Dropped replies say that Redis does not answer.
                asks.clear();
                continue;
            }
            let calls = grouped(asks.drain(..)).into_iter().map(|group| self.call(group));
            let failed = join_all(calls).await.into_iter().find_map(Result::err);
            if let Some(why) = failed {
                self.rests_until = Some(Instant::now() + REST);
                warn!("Turns at providers are estimated in this process: {why}");
            }
        }
    }

    /// One call of the script. Asks whose caller has gone are left out, so that they use up no turn.
    async fn call(&self, mut group: Vec<Ask>) -> Result<(), String> {
        group.retain(|ask| ask.ticket.is_none() || !ask.reply.is_closed());
        let Some(first) = group.first() else { return Ok(()) };
        let keys = self.prefix.limit(first.key.provider, &first.key.tenant, &first.key.credential);
        let tickets: Vec<&str> = group.iter().filter_map(|ask| ask.ticket.as_deref()).collect();
        let call = take_turns(&self.link, &keys, first.said, &first.windows, &tickets);
        let given = match timeout(self.patience, call).await {
            Ok(Ok(given)) => given,
            // The numbers of one allowance are no reason to leave all others to an estimate.
            Ok(Err(error @ LinkError::Refused(_))) if !error.is_for_everybody() && !error.is_full() => {
                warn!(
                    service = first.key.provider,
                    "Redis did not give turns of one allowance: {}",
                    why(&error)
                );
                return Ok(());
            }
            Ok(Err(error)) => return Err(why(&error)),
            Err(_) => return Err("Redis does not answer in time".to_owned()),
        };
        let with_ticket = group.into_iter().filter(|ask| ask.ticket.is_some());
        for (ask, given) in with_ticket.zip(given) {
            // A caller that has gone meanwhile leaves a ticket behind, which expires.
            let _ = ask.reply.send(Some(given));
        }
        Ok(())
    }
}

/// Asks by allowance, in order. What a provider said goes in a call of its own.
fn grouped(asks: impl Iterator<Item = Ask>) -> Vec<Vec<Ask>> {
    let (mut groups, mut open) = (Vec::<Vec<Ask>>::new(), HashMap::new());
    for ask in asks {
        let at = if ask.said == Said::Nothing {
            *open.entry(ask.key.clone()).or_insert(groups.len())
        } else {
            groups.len()
        };
        match groups.get_mut(at) {
            Some(group) => group.push(ask),
            None => groups.push(vec![ask]),
        }
    }
    groups
}

fn why(error: &LinkError) -> String {
    crate::failure::chain(error)
}
