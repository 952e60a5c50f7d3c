//! One call on its way through the pipeline: what it is, and the work itself.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tracing::{Span, field::Empty, info_span};

use super::limit::LimitKey;
use crate::{ProviderError, Receipt};

/// What every layer answers.
pub type Answer = Result<Receipt, ProviderError>;

/// A call that has not begun: nothing happens until `work` is polled.
pub struct Call<'a> {
    /// What the layers go by.
    pub facts: Arc<Facts>,
    /// The call itself, classified where it fails.
    pub work: BoxFuture<'a, Answer>,
}

/// What the layers go by.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Which service, for example `twilio`.
    pub provider: &'static str,
    /// Which call of that service, for example `send`.
    pub operation: &'static str,
    /// For whom, when the job says so.
    pub tenant: Option<Box<str>>,
    /// Who waits in line: the same on every try of one job.
    pub ticket: Box<str>,
    /// Whose allowance the call uses.
    pub key: LimitKey,
    /// Which machine answers; those that fail together.
    pub host: Box<str>,
    /// Most time for all of it; `None` where each step has a limit of its own and knows better what its end means.
    pub deadline: Option<Duration>,
    /// Whether a repeat may do the work twice.
    pub may_double: bool,
}

/// Target of the spans of calls: they are for traces, and whoever only writes a log leaves them out.
pub const SPAN_TARGET: &str = "flota_trace";

impl Facts {
    /// The span of the call, after OpenTelemetry's conventions. Says nothing of what is sent.
    pub(super) fn span(&self) -> Span {
        info_span!(
            target: SPAN_TARGET, "call",
            otel.name = format_args!("{} {}", self.operation, self.provider), otel.kind = "client",
            service = self.provider, operation = self.operation, server.address = &*self.host,
            otel.status_code = Empty, error.r#type = Empty,
        )
    }
}

/// What a client says of itself. One per operation.
#[derive(Debug, Clone)]
pub struct Target {
    /// Which service.
    pub provider: &'static str,
    /// Which call of it.
    pub operation: &'static str,
    /// Host and port of its API; empty for clients that call whatever URL a job names.
    pub host: Box<str>,
    /// Most time for one call.
    pub deadline: Option<Duration>,
    /// Whether a repeat may do the work twice.
    pub may_double: bool,
}

/// A client that can be called through the pipeline.
pub trait Client: Send + Sync + 'static {
    /// What the layers have to know of it.
    fn target(&self) -> Target;
}

/// The job on whose behalf a call is made.
#[derive(Debug, Clone)]
pub struct Caller<'a> {
    /// Its tenant.
    pub tenant: Option<&'a str>,
    /// Its id: its place in line.
    pub ticket: Box<str>,
    /// Whom it calls, for clients of whatever URL a job names: an endpoint's id, or a host.
    pub place: Option<Place<'a>>,
}

/// Where a call of a job's own choice goes.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// What has an allowance of its own: a registered endpoint, or a host.
    pub name: &'a str,
    /// Host and port.
    pub host: &'a str,
}
