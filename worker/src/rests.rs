//! What is left alone at providers, told to the whole fleet through Redis: a credential that was refused in one worker is
//! not tried by all the others as well, nor is a host that one of them found to be down.
//!
//! Told when it begins and when it ends, which is rare; read every two seconds, by one call that answers for everything
//! (`rest.lua`, `resting.lua`). While Redis is away each process goes by what it found out itself, as a fleet of one.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use flota_producer::{
    keys::Prefix,
    link::{Link, LinkError},
};
use flota_providers::{
    ErrorClass,
    pipeline::{Pipeline, Rest, RestName, Rests},
};
use redis::Script;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tracing::debug;

use crate::failure::chain;

static REST: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("rests/rest.lua")));
static RESTING: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("rests/resting.lua")));

/// How often a process asks what rests.
const LOOK: Duration = Duration::from_secs(2);
/// Most that is told of: customers' endpoints that are down come without end.
const MOST: usize = 1_000;
/// Classes that make something rest.
const CLASSES: [ErrorClass; 3] = [ErrorClass::Auth, ErrorClass::Quota, ErrorClass::ServerError];

/// What one process has to tell.
#[derive(Debug)]
enum News {
    Begins(Rest),
    Ends(RestName),
}

/// Where a pipeline tells its news.
struct Teller(mpsc::UnboundedSender<News>);

impl Rests for Teller {
    fn begins(&self, rest: Rest) {
        // The other end lives as long as the process.
        let _ = self.0.send(News::Begins(rest));
    }

    fn ends(&self, name: &RestName) {
        let _ = self.0.send(News::Ends(name.clone()));
    }
}

/// News on their way to Redis.
pub struct Messages(mpsc::UnboundedReceiver<News>);

/// For a pipeline, and what [`follow`] passes on.
pub fn teller() -> (Arc<dyn Rests>, Messages) {
    let (news, messages) = mpsc::unbounded_channel();
    (Arc::new(Teller(news)), Messages(messages))
}

/// Tells the fleet what this process finds out, and the pipeline what the others did. Does not end by itself.
pub async fn follow(link: Link, prefix: Prefix, pipeline: Pipeline, mut messages: Messages) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let done = tokio::select! {
            Some(news) = messages.0.recv() => tell(&link, &prefix, &news).await,
            _ = looks.tick() => resting(&link, &prefix).await.map(|rests| pipeline.hear(&rests)),
        };
        if let Err(error) = done {
            debug!("What rests at providers is known to this process only: {}", chain(&error));
        }
    }
}

/// Everything that rests in the fleet.
///
/// # Errors
/// When Redis does not answer.
pub async fn resting(link: &Link, prefix: &Prefix) -> Result<Vec<Rest>, LinkError> {
    let mut call = RESTING.prepare_invoke();
    call.key(prefix.rests());
    let answer: Vec<(String, u64, String)> = link.invoke(&call).await?;
    // What a newer release wrote in words of its own is none of our business.
    let rest = |(name, left, said): (String, u64, String)| {
        let (class, why) = said.split_once(' ').unwrap_or((&said, ""));
        let class = CLASSES.into_iter().find(|known| known.name() == class)?;
        Some(Rest {
            name: RestName::parse(&name)?,
            left: Duration::from_millis(left),
            class,
            why: why.into(),
        })
    };
    Ok(answer.into_iter().filter_map(rest).collect())
}

async fn tell(link: &Link, prefix: &Prefix, news: &News) -> Result<(), LinkError> {
    let mut call = REST.prepare_invoke();
    call.key(prefix.rests());
    match news {
        News::Begins(Rest { name, left, class, why }) => {
            let left = (left.as_millis() as u64).max(1);
            call.arg(name.to_string()).arg(left).arg(MOST).arg(format!("{} {why}", class.name()));
        }
        News::Ends(name) => {
            call.arg(name.to_string()).arg(0).arg(MOST).arg("");
        }
    }
    link.invoke(&call).await
}

#[cfg(test)]
mod tests;
