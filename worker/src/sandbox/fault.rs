//! Faults on order: what the next calls of a provider suffer.
//!
//! Faults are queued and each is used as often as it says, the first that fits a call first.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{house::lock, routes};

/// Longest delay, in milliseconds.
const MOST_DELAY_MS: u64 = 10 * 60 * 1_000;

/// One fault, as `POST /__faults` takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Whom it strikes: a provider's name as the journal has it.
    pub provider: String,
    /// Only this operation, for example `send`; of `smtp` the step, for example `rcpt_to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Only calls whose path ends with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Answers this status instead of doing the work; of `smtp` the reply code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Goes with `status`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Goes with `status`; without it the vendor's own error body. Text as it is, anything else as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// Answers this late, in milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
    /// Cuts the connection off instead of answering.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<Reset>,
    /// Does the work and answers half of its answer.
    #[serde(default)]
    pub malformed: bool,
    /// Answers a success that says inside that it failed, as the vendor does; the work is not done.
    #[serde(default)]
    pub ok_with_error: bool,
    /// Goes with `ok_with_error` where one call is about several things, as with pictures: only this one fails, counted
    /// from 0, and the others are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<usize>,
    /// How many calls it strikes.
    #[serde(default = "once")]
    pub times: u32,
}

/// When a connection is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reset {
    /// Before the work: it was not done.
    Before,
    /// After the work: it was done, and its caller cannot know.
    AfterWork,
}

/// Why a fault cannot be ordered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFault {
    /// There is no such provider.
    #[error("there is no provider \"{0}\" here; write one of {1}")]
    Provider(String, String),
    /// The provider has no such operation.
    #[error("{0} has no operation \"{1}\"; write one of {2}")]
    Operation(String, String, String),
    /// It does nothing, or two things at once.
    #[error(
        "a fault does one thing: write one of status, reset, malformed, ok_with_error, or delay_ms alone"
    )]
    NotOneThing,
    /// The status is none.
    #[error("status {0} cannot be answered; write 200 to 599")]
    Status(u16),
    /// The delay is too long.
    #[error("delay_ms is {0}; write at most 600000, which is ten minutes")]
    Delay(u64),
    /// It would never happen.
    #[error("times is 0, so the fault would never happen; write 1 or more")]
    Never,
    /// A mail server cannot do that.
    #[error(
        "{0} cannot be had of smtp; write status, reset, malformed or delay_ms, and for a step its operation"
    )]
    NotOfSmtp(&'static str),
    /// Headers or a body without a status.
    #[error("headers and body go with a status; write the status too")]
    WithoutStatus,
    /// An item without what happens to it.
    #[error("item says which of several things fails; write ok_with_error too")]
    ItemAlone,
}

fn once() -> u32 {
    1
}

impl Fault {
    /// A fault that does nothing yet; set one of its fields.
    pub fn of(provider: &str) -> Self {
        Self {
            provider: provider.to_owned(),
            operation: None,
            path: None,
            status: None,
            headers: BTreeMap::new(),
            body: None,
            delay_ms: 0,
            reset: None,
            malformed: false,
            ok_with_error: false,
            item: None,
            times: once(),
        }
    }

    /// Answers this status with the vendor's own error body.
    pub fn status(provider: &str, status: u16) -> Self {
        Self { status: Some(status), ..Self::of(provider) }
    }

    /// Only for calls whose path ends with this.
    pub fn at(self, path: &str) -> Self {
        Self { path: Some(path.to_owned()), ..self }
    }

    /// This often.
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// With one more header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.insert(name.to_owned(), value.into());
        self
    }

    /// Refuses a fault that could not do what it says.
    pub(super) fn check(&self) -> Result<(), BadFault> {
        let operations = routes::operations(&self.provider)
            .ok_or_else(|| BadFault::Provider(self.provider.clone(), routes::names().join(", ")))?;
        if let Some(operation) = self.operation.as_deref().filter(|operation| !operations.contains(operation))
        {
            let known = operations.join(", ");
            return Err(BadFault::Operation(self.provider.clone(), operation.to_owned(), known));
        }
        if let Some(status) = self.status.filter(|status| !(200..600).contains(status)) {
            return Err(BadFault::Status(status));
        }
        let things = usize::from(self.status.is_some())
            + usize::from(self.reset.is_some())
            + usize::from(self.malformed)
            + usize::from(self.ok_with_error);
        if things > 1 || (things == 0 && self.delay_ms == 0 && self.body.is_none() && self.headers.is_empty())
        {
            return Err(BadFault::NotOneThing);
        }
        if self.status.is_none() && (self.body.is_some() || !self.headers.is_empty()) {
            return Err(BadFault::WithoutStatus);
        }
        if self.item.is_some() && !self.ok_with_error {
            return Err(BadFault::ItemAlone);
        }
        if MOST_DELAY_MS < self.delay_ms {
            return Err(BadFault::Delay(self.delay_ms));
        }
        if self.times == 0 { Err(BadFault::Never) } else { Ok(()) }
    }

    fn fits(&self, provider: &str, operation: &str, path: &str) -> bool {
        self.provider == provider
            && self.operation.as_deref().is_none_or(|wanted| wanted == operation)
            && self.path.as_deref().is_none_or(|wanted| path.ends_with(wanted))
    }
}

/// The faults that have not happened yet.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<VecDeque<Fault>>);

impl Faults {
    pub(super) fn add(&self, fault: Fault) {
        lock(&self.0).push_back(fault);
    }

    pub(super) fn all(&self) -> Vec<Fault> {
        lock(&self.0).iter().cloned().collect()
    }

    pub(super) fn clear(&self) {
        lock(&self.0).clear();
    }

    /// The fault that this call suffers.
    pub(super) fn take(&self, provider: &str, operation: &str, path: &str) -> Option<Fault> {
        let mut faults = lock(&self.0);
        let at = faults.iter().position(|fault| fault.fits(provider, operation, path))?;
        let fault = &mut faults[at];
        fault.times -= 1;
        if fault.times == 0 { faults.remove(at) } else { Some(fault.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_as_often_as_it_says_and_only_where_it_fits() {
        let faults = Faults::default();
        faults.add(Fault::status("webhook", 500).at("/flaky").times(2));
        faults.add(Fault::status("webhook", 503));

        let struck = |path| faults.take("webhook", "deliver", path).and_then(|fault| fault.status);

        assert_eq!(struck("/hooks/flaky"), Some(500));
        assert_eq!(struck("/hooks/other"), Some(503));
        assert_eq!(struck("/hooks/other"), None);
        assert_eq!((struck("/hooks/flaky"), struck("/hooks/flaky")), (Some(500), None));
    }

    #[test]
    fn a_fault_that_could_not_do_what_it_says_is_refused_with_a_remedy() {
        let of = Fault::of("twilio");
        let cases = [
            (Fault::status("nobody", 500), "there is no provider \"nobody\""),
            (Fault { operation: Some("fly".into()), ..Fault::status("twilio", 500) }, "write one of send"),
            (Fault::status("twilio", 99), "write 200 to 599"),
            (of.clone(), "one of status, reset"),
            (Fault { malformed: true, ..Fault::status("twilio", 500) }, "does one thing"),
            (Fault { body: Some("x".into()), delay_ms: 1, ..of.clone() }, "write the status too"),
            (Fault { delay_ms: 600_001, ..of.clone() }, "ten minutes"),
            (Fault { times: 0, delay_ms: 1, ..of }, "never happen"),
        ];

        for (fault, remedy) in cases {
            let told = fault.check().unwrap_err().to_string();
            assert!(told.contains(remedy), "{told}");
        }
    }
}
