//! What people set for a queue while it is at work: a pause, a rate, a concurrency. For a while or until they take it
//! back, with who and why.
//!
//! It lies in the queue's `config` hash, so it outlives every worker. Pause and rate are obeyed by `fetch.lua`, at once
//! and in all processes. Concurrency is a matter of each process, whose [`watch`] looks every second. What has an end is
//! over when the clock of Redis says so; nobody has to clean up.

mod held;
mod rate;

use std::{sync::Arc, time::Duration};

use flota_producer::{
    keys::QueueKeys,
    link::{Link, LinkError},
};
use tokio::time::{sleep, timeout};
use tracing::{debug, info};

pub use self::{
    held::{Controls, Held},
    rate::{BadRate, Rate},
};
use crate::{inspect::text, slots::Slots, store};

/// How often a process looks at what is set.
const EVERY: Duration = Duration::from_secs(1);
/// Most windows that a rate may have.
const MOST_WINDOWS: usize = 4;
/// Most jobs that one process may be told to run at once, as in queues.toml.
pub const MOST_CONCURRENCY: usize = 4_096;

/// A pause with nothing else to say, as older releases wrote it.
const NO_REASON: &str = "1";

/// What can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Nothing is fetched.
    Pause,
    /// So many jobs start per second, minute, hour, day, in all processes together.
    Rate,
    /// So many jobs run at once in each process.
    Concurrency,
}

impl Control {
    /// The field that holds its value; the others begin with it.
    fn field(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Rate => "rate",
            Self::Concurrency => "concurrency",
        }
    }

    fn fields(self) -> [String; 5] {
        let field = self.field();
        ["", "_until", "_by", "_reason", "_at"].map(|part| format!("{field}{part}"))
    }

    /// True for a field of the config hash that belongs to a control.
    pub fn owns(field: &str) -> bool {
        [Self::Pause, Self::Rate, Self::Concurrency]
            .iter()
            .any(|control| control.fields().iter().any(|own| own == field))
    }
}

/// What a control is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// Nothing is fetched.
    Pause,
    /// At most this, in every window.
    Rate(Vec<Rate>),
    /// So many at once in each process.
    Concurrency(usize),
}

/// A setting that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSetting {
    /// No window, too many, or two of the same length.
    #[error("a rate has one to {MOST_WINDOWS} windows of different lengths, such as 10/s with 10000/d")]
    Windows,
    /// Nothing would run, or more than a process can.
    #[error("concurrency is a number from 1 to {MOST_CONCURRENCY}; to run nothing, pause the queue")]
    Concurrency,
}

impl Setting {
    /// A rate of several windows.
    ///
    /// # Errors
    /// When there is none, or two of one length.
    pub fn rate(rates: Vec<Rate>) -> Result<Self, BadSetting> {
        let twice = rates
            .iter()
            .enumerate()
            .any(|(n, rate)| rates[..n].iter().any(|first| first.has_length_of(*rate)));
        if rates.is_empty() || MOST_WINDOWS < rates.len() || twice {
            return Err(BadSetting::Windows);
        }
        Ok(Self::Rate(rates))
    }

    /// A concurrency.
    ///
    /// # Errors
    /// When it is 0 or more than [`MOST_CONCURRENCY`].
    pub fn concurrency(most: usize) -> Result<Self, BadSetting> {
        let possible = (1..=MOST_CONCURRENCY).contains(&most);
        possible.then_some(Self::Concurrency(most)).ok_or(BadSetting::Concurrency)
    }

    fn control(&self) -> Control {
        match self {
            Self::Pause => Control::Pause,
            Self::Rate(_) => Control::Rate,
            Self::Concurrency(_) => Control::Concurrency,
        }
    }

    fn encode(&self) -> String {
        match self {
            Self::Pause => NO_REASON.to_owned(),
            Self::Rate(rates) => rates.iter().map(|rate| rate.encode()).collect::<Vec<_>>().join(" "),
            Self::Concurrency(most) => most.to_string(),
        }
    }
}

/// Who sets something, why, and for how long.
#[derive(Debug, Clone, Default)]
pub struct Note<'a> {
    /// Who: `cli:ana`.
    pub by: &'a str,
    /// Why, for whoever looks at it later; may be empty.
    pub reason: &'a str,
    /// For how long; `None` until it is taken back.
    pub lasting: Option<Duration>,
}

/// Sets something, in place of what was set before. A full Redis takes it too: that is when people pause queues.
pub async fn set(link: &Link, keys: &QueueKeys, setting: &Setting, note: &Note<'_>) -> Result<(), LinkError> {
    let now_ms = redis_now(link).await?;
    let until = note.lasting.map(|lasting| now_ms.saturating_add(lasting.as_millis() as u64).to_string());
    let values = [
        setting.encode(),
        until.unwrap_or_default(),
        note.by.to_owned(),
        note.reason.to_owned(),
        now_ms.to_string(),
    ];
    store::set_control(link, keys, &setting.control().fields(), &values).await
}

/// Takes something back. Answers whether it was in force.
pub async fn unset(link: &Link, keys: &QueueKeys, control: Control) -> Result<bool, LinkError> {
    let controls = read(link, keys).await?;
    let was_set = match control {
        Control::Pause => controls.paused.is_some(),
        Control::Rate => controls.rate.is_some(),
        Control::Concurrency => controls.concurrency.is_some(),
    };
    link.query::<()>(redis::cmd("HDEL").arg(keys.config()).arg(&control.fields())).await?;
    // Only a wake-up: at maxmemory it is refused, and the poll behind every wake-up finds the queue open.
    link.query::<()>(redis::cmd("RPUSH").arg(keys.bell()).arg("1")).await.ok();
    Ok(was_set)
}

/// Everything that is in force now.
pub async fn read(link: &Link, keys: &QueueKeys) -> Result<Controls, LinkError> {
    let mut pipeline = redis::pipe();
    pipeline.cmd("TIME").cmd("HGETALL").arg(keys.config());
    type Fields = Vec<(Vec<u8>, Vec<u8>)>;
    let ((seconds, micros), fields): ((u64, u64), Fields) = link.pipeline(&pipeline).await?;
    let fields = fields.iter().map(|(name, value)| (text(name), text(value))).collect();
    Ok(held::in_force(&fields, seconds * 1_000 + micros / 1_000))
}

async fn redis_now(link: &Link) -> Result<u64, LinkError> {
    let (seconds, micros): (u64, u64) = link.query(&redis::cmd("TIME")).await?;
    Ok(seconds * 1_000 + micros / 1_000)
}

/// Ends the wait of our own fetcher at the bell, which holds all free places meanwhile. When it cannot be woken, its wait
/// ends by itself.
async fn wake(link: &Link, own_bell: &str) {
    let mut pipeline = redis::pipe();
    pipeline.cmd("RPUSH").arg(own_bell).arg("1").ignore().cmd("PEXPIRE").arg(own_bell).arg(1_000).ignore();
    link.pipeline::<()>(&pipeline).await.ok();
}

/// Keeps the places of this process at what is set, or at `own`, what queues.toml says; for ever.
pub(crate) async fn watch(
    (queue, worker): (Arc<str>, Arc<str>),
    link: Arc<Link>,
    keys: QueueKeys,
    slots: Arc<Slots>,
    own: usize,
) {
    let mut wanted = own;
    loop {
        match read(&link, &keys).await {
            Ok(controls) => {
                let now_wanted = controls.concurrency.map_or(own, |held| held.value);
                if now_wanted != wanted {
                    info!(queue.name = %queue, "Queue {queue} runs {now_wanted} jobs at once here, no longer {wanted}");
                    wanted = now_wanted;
                }
            }
            Err(error) => {
                debug!(queue.name = %queue, error = &error as &dyn std::error::Error, "What is set for the queue is not known");
            }
        }
        if slots.size() != wanted {
            slots.want(wanted);
            if wanted < slots.size() {
                wake(&link, &keys.own_bell(&worker)).await;
            }
            // Places to be given up may take as long as runs do; meanwhile there may be news.
            if timeout(EVERY, slots.resize(wanted)).await.is_err() {
                continue;
            }
        }
        slots.are_known();
        sleep(EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_one_window_of_a_length() {
        let rates = |texts: &[&str]| Setting::rate(texts.iter().map(|text| text.parse().unwrap()).collect());

        assert!(rates(&["10/s", "10000/d"]).is_ok());
        assert_eq!(rates(&["10/s", "20/s"]), Err(BadSetting::Windows));
        assert_eq!(rates(&[]), Err(BadSetting::Windows));
    }

    #[test]
    fn no_queue_runs_nothing_by_its_concurrency() {
        assert_eq!(Setting::concurrency(0), Err(BadSetting::Concurrency));
        assert!(Setting::concurrency(MOST_CONCURRENCY).is_ok());
        assert_eq!(Setting::concurrency(MOST_CONCURRENCY + 1), Err(BadSetting::Concurrency));
    }
}
