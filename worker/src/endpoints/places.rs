//! At most so many deliveries to one endpoint at once, for the whole fleet.
//!
//! A delivery holds a place in Redis while it is under way. Who finds no place free is parked without being charged, and
//! asks again when one will probably be free (`take_place.lua`). A place whose worker vanished is free again when its hold
//! ends, a little after the longest delivery. Only endpoints with a cap are asked about; all their keys end by themselves.

use std::{
    num::NonZeroU32,
    sync::{Arc, LazyLock},
    time::Duration,
};

use flota_producer::{
    keys::{EndpointKeys, Prefix},
    link::{Link, LinkError},
};
use redis::Script;
use tokio::{runtime::Handle, time::timeout};
use tracing::debug;

use crate::failure::chain;

/// How much longer than the longest delivery a place is held: for Redis, and for clocks that are not exact.
const MARGIN: Duration = Duration::from_secs(15);
/// Furthest ahead that a job is told when to ask again.
const HORIZON: Duration = Duration::from_mins(10);
/// Longest wait for Redis.
const PATIENCE: Duration = Duration::from_secs(1);

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take_place.lua")));
static LEAVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("leave_place.lua")));

/// The places of all endpoints. Cheap to clone.
#[derive(Clone)]
pub struct Places {
    link: Arc<Link>,
    prefix: Prefix,
    hold: Duration,
}

/// Why a delivery cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum NoPlace {
    /// As many as the endpoint bears are under way.
    #[error(
        "endpoint `{id}` has its {most} deliveries under way, so nothing was sent; this job asks again in {} ms",
        after.as_millis()
    )]
    Full {
        /// The endpoint.
        id: String,
        /// Its cap.
        most: NonZeroU32,
        /// When to ask again.
        after: Duration,
    },
    /// Nobody knows how many are under way.
    #[error("Redis does not say how many deliveries to endpoint `{0}` are under way, so nothing was sent")]
    Away(String, #[source] Option<LinkError>),
}

/// A place, given back when it is dropped.
pub struct Place {
    places: Places,
    keys: EndpointKeys,
    holder: String,
    /// Whether anything was sent: only then does its time say how long deliveries take.
    pub was_sent: bool,
}

impl Places {
    /// Places in this Redis, for deliveries that take at most `longest`.
    pub fn new(link: Link, prefix: Prefix, longest: Duration) -> Self {
        Self { link: Arc::new(link), prefix, hold: longest + MARGIN }
    }

    /// Begins a delivery to an endpoint that bears `most` at once, for this run of the job `ticket`.
    ///
    /// # Errors
    /// [`NoPlace`].
    pub async fn take(&self, id: &str, most: NonZeroU32, ticket: &str, run: u32) -> Result<Place, NoPlace> {
        let keys = self.prefix.endpoint(id);
        let holder = format!("{ticket}:{run}");
        let mut call = TAKE.key(keys.holders());
        call.key(keys.line()).key(keys.due()).key(keys.state()).arg(ticket).arg(&holder).arg(most.get());
        call.arg(self.hold.as_millis() as u64).arg(HORIZON.as_millis() as u64);
        let answer: i64 = match timeout(PATIENCE, self.link.invoke(&call)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(NoPlace::Away(id.to_owned(), Some(error))),
            Err(_) => return Err(NoPlace::Away(id.to_owned(), None)),
        };
        let after = Duration::from_millis(answer.unsigned_abs());
        if after.is_zero() {
            return Ok(Place { places: self.clone(), keys, holder, was_sent: false });
        }
        Err(NoPlace::Full { id: id.to_owned(), most, after })
    }

    async fn leave(&self, keys: EndpointKeys, holder: String, was_sent: bool) {
        let mut call = LEAVE.key(keys.holders());
        call.key(keys.state()).arg(&holder).arg(self.hold.as_millis() as u64);
        call.arg(if was_sent { "sent" } else { "" });
        if let Err(error) = self.link.invoke::<i64>(&call).await {
            debug!("A place is free again only when its hold ends: {}", chain(&error));
        }
    }
}

impl Drop for Place {
    /// Also when the run was stopped on its way. Without a runtime the hold ends by itself.
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else { return };
        let (places, keys) = (self.places.clone(), self.keys.clone());
        let (holder, was_sent) = (std::mem::take(&mut self.holder), self.was_sent);
        runtime.spawn(async move { places.leave(keys, holder, was_sent).await });
    }
}

#[cfg(test)]
mod tests;
