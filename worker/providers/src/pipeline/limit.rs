//! Third layer: waits its turn with everybody who uses the same allowance, and passes on what the provider says of it.
//!
//! Nobody waits inside the call: a job that has to wait is told when its turn is and gives its slot to others. Where
//! turns are kept is for the [`Limits`] that come in; this crate knows no Redis.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

use super::{
    call::{Answer, Facts},
    observe::{CallEvent, CallObserver},
    stage::Stage,
};
use crate::{
    ErrorClass, ProviderError, Standing,
    usage::{Heard, Usage},
};

/// Whose allowance a call uses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LimitKey {
    /// Which service.
    pub provider: &'static str,
    /// The tenant whose credential it is; empty when it is everybody's.
    pub tenant: Box<str>,
    /// Which credential, or which endpoint.
    pub credential: Box<str>,
}

impl fmt::Display for LimitKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}", self.provider, self.tenant, self.credential)
    }
}

/// The answer to "may I call now?".
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Turn {
    /// Now. `used` is the share of the allowance that is used up, 0 to 1, when there is a known one.
    Now {
        /// Share that is used up.
        used: Option<f64>,
    },
    /// Not before this long; the place in line is kept under the ticket.
    Reserved {
        /// How long.
        after: Duration,
    },
    /// Ask again after about this long; no place is kept.
    Later {
        /// About how long.
        after: Duration,
    },
}

/// Keeps turns for the whole fleet.
pub trait Limits: Send + Sync {
    /// May the holder of `ticket` call now? The turn is used up by the answer `Now`.
    fn take<'a>(&'a self, key: &'a LimitKey, ticket: &'a str) -> BoxFuture<'a, Turn>;

    /// The provider refused a call as too fast and asked to wait this long. Answers the next turn of that ticket.
    fn refused<'a>(
        &'a self,
        key: &'a LimitKey,
        ticket: &'a str,
        wait: Option<Duration>,
    ) -> BoxFuture<'a, Turn>;

    /// The provider showed that it is overloaded, and perhaps asked to wait this long: everybody slows down. The call
    /// that found out is repeated as its job sees fit.
    fn overloaded<'a>(&'a self, key: &'a LimitKey, wait: Option<Duration>) -> BoxFuture<'a, ()>;

    /// The provider said how much is left. Answers the share that is used up.
    fn heard<'a>(&'a self, key: &'a LimitKey, usage: Usage) -> BoxFuture<'a, Option<f64>>;
}

/// Lets everything through.
#[derive(Debug, Clone, Copy)]
pub struct NoLimits;

impl Limits for NoLimits {
    fn take<'a>(&'a self, _: &'a LimitKey, _: &'a str) -> BoxFuture<'a, Turn> {
        Box::pin(async { Turn::Now { used: None } })
    }

    fn refused<'a>(&'a self, _: &'a LimitKey, _: &'a str, wait: Option<Duration>) -> BoxFuture<'a, Turn> {
        Box::pin(async move { wait.map_or(Turn::Now { used: None }, |after| Turn::Later { after }) })
    }

    fn overloaded<'a>(&'a self, _: &'a LimitKey, _: Option<Duration>) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    fn heard<'a>(&'a self, _: &'a LimitKey, usage: Usage) -> BoxFuture<'a, Option<f64>> {
        Box::pin(async move { Some(usage.used()) })
    }
}

/// The stage.
#[derive(Clone)]
pub(super) struct Limit {
    pub(super) limits: Arc<dyn Limits>,
    pub(super) observer: Arc<dyn CallObserver>,
}

impl Stage for Limit {
    fn around<'a>(&self, facts: Arc<Facts>, call: BoxFuture<'a, Answer>) -> BoxFuture<'a, Answer> {
        let limit = self.clone();
        Box::pin(async move {
            match limit.limits.take(&facts.key, &facts.ticket).await {
                Turn::Now { used } => limit.tell_used(&facts, used),
                turn => return Err(put_off(&facts, turn)),
            }
            let heard = Heard::default();
            let answer = heard.during(call).await;
            limit.learn(&facts, answer, heard.take()).await
        })
    }
}

impl Limit {
    /// Passes on what the answer says of the allowance. A refused call gets a turn of its own.
    async fn learn(&self, facts: &Facts, answer: Answer, usage: Option<Usage>) -> Answer {
        let mut error = match answer {
            Err(error) if matches!(error.class, ErrorClass::RateLimited { .. }) => error,
            Err(error) if error.standing == Standing::Overloaded => {
                self.limits.overloaded(&facts.key, error.retry_after()).await;
                return Err(error);
            }
            answer => {
                if let Some(usage) = usage {
                    self.tell_used(facts, self.limits.heard(&facts.key, usage).await);
                }
                return answer;
            }
        };
        // A limit on one recipient is no reason to keep others waiting; a breaker's refusal was not the provider's.
        if error.standing != Standing::Answered {
            return Err(error);
        }
        let wait = error.retry_after().or_else(|| usage.and_then(Usage::until_more));
        match self.limits.refused(&facts.key, &facts.ticket, wait).await {
            Turn::Reserved { after } => {
                error.class = ErrorClass::RateLimited { retry_after: Some(after) };
                error.standing = Standing::RefusedWithTurn;
            }
            Turn::Later { after } => error.class = ErrorClass::RateLimited { retry_after: Some(after) },
            Turn::Now { .. } => {}
        }
        Err(error)
    }

    fn tell_used(&self, facts: &Facts, used: Option<f64>) {
        if let Some(used) = used {
            self.observer.observe(&CallEvent::LimitUsed { facts, used });
        }
    }
}

fn put_off(facts: &Facts, turn: Turn) -> ProviderError {
    let (after, standing) = match turn {
        Turn::Reserved { after } => (after, Standing::Turn),
        Turn::Later { after } => (after, Standing::NotSent),
        Turn::Now { .. } => (Duration::ZERO, Standing::NotSent),
    };
    let message = format!(
        "Others use the same allowance, so nothing was sent; the turn of this job is in {} ms.",
        after.as_millis()
    );
    let class = ErrorClass::RateLimited { retry_after: Some(after) };
    ProviderError::new(facts.provider, facts.operation, class, message)
        .with_code("own_limit")
        .with_standing(standing)
}
