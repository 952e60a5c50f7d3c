//! The typed side of `take_turns.lua`.

use std::{sync::LazyLock, time::Duration};

use flota_producer::{
    keys::LimitKeys,
    link::{Link, LinkError},
};
use flota_providers::usage::Usage;
use redis::Script;

use super::{HORIZON, windows::Window};

static TAKE_TURNS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take_turns.lua")));

/// What a provider has just said of an allowance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Said {
    /// Nothing: somebody only asks for a turn.
    Nothing,
    /// Too fast: wait this long, if it said so.
    TooFast(Option<Duration>),
    /// Nothing is left until its window ends.
    UsedUp {
        /// Until then.
        left: Duration,
    },
    /// So little is left that it has to be spread over the rest of the window.
    Scarce {
        /// Between two calls.
        gap: Duration,
        /// The rest of the window.
        left: Duration,
    },
}

impl Said {
    /// From the headers of an answer whose window ends in `left`.
    pub(super) fn of(usage: Usage, left: Duration) -> Self {
        if usage.remaining < 1.0 {
            Self::UsedUp { left }
        } else {
            Self::Scarce { gap: left.div_f64(usage.remaining), left }
        }
    }

    fn arguments(self) -> [String; 3] {
        let (wait, gap, lasts) = match self {
            Self::Nothing => (None, None, None),
            Self::TooFast(None) => return ["?".to_owned(), String::new(), String::new()],
            Self::TooFast(Some(wait)) => (Some(wait), None, None),
            // A gap of nothing: no pace of its own once the window has begun anew.
            Self::UsedUp { left } => (Some(left), Some(Duration::ZERO), Some(Duration::ZERO)),
            Self::Scarce { gap, left } => (None, Some(gap), Some(left)),
        };
        [wait, gap, lasts].map(|time| time.map_or_else(String::new, |time| milliseconds(time).to_string()))
    }
}

/// What the script answers to one caller.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Given {
    /// How long until its turn; zero is now, `None` further ahead than turns are given.
    pub(super) wait: Option<Duration>,
    /// The share of the fullest window that is used up, 0 to 1.
    pub(super) used: f64,
}

/// Gives each ticket its turn, in order, after taking in what the provider said.
pub(super) async fn take_turns(
    link: &Link,
    keys: &LimitKeys,
    said: Said,
    windows: &[Window],
    tickets: &[&str],
) -> Result<Vec<Given>, LinkError> {
    let mut call = TAKE_TURNS.key(keys.state());
    call.key(keys.turns());
    for argument in said.arguments() {
        call.arg(argument);
    }
    call.arg(HORIZON.as_millis() as u64).arg(windows.len());
    for window in windows {
        call.arg(window.length.as_millis() as u64).arg(milliseconds(window.gap())).arg(window.burst);
    }
    for ticket in tickets {
        call.arg(ticket);
    }
    let answer: Vec<i64> = link.invoke(&call).await?;
    let used = answer.first().map_or(0.0, |used| *used as f64 / 1_000.0);
    let waits = answer.into_iter().skip(1);
    Ok(waits.map(|wait| Given { wait: u64::try_from(wait).ok().map(Duration::from_millis), used }).collect())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
