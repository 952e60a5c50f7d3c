//! What is left alone in the whole fleet: a credential that was refused, a host that fails again and again.
//!
//! A process that finds out tells the others, and those that hear of it make no call of their own to find out as well.
//! Nobody waits for that: who hears nothing finds out by itself. Where the news is kept is for the [`Rests`] that come
//! in; this crate knows no Redis.

use std::{fmt, time::Duration};

use super::call::Facts;
use crate::ErrorClass;

/// What is left alone. Its text is the same in every process.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RestName(Box<str>);

const CREDENTIAL: &str = "credential ";
const HOST: &str = "host ";

impl RestName {
    pub(super) fn credential(facts: &Facts) -> Self {
        Self(format!("{CREDENTIAL}{}", facts.key).into())
    }

    pub(super) fn host(facts: &Facts) -> Self {
        Self(format!("{HOST}{} {}", facts.provider, facts.host).into())
    }

    /// What another process wrote; `None` when it is no name that this release knows.
    pub fn parse(text: &str) -> Option<Self> {
        (text.starts_with(CREDENTIAL) || text.starts_with(HOST)).then(|| Self(text.into()))
    }

    /// True for a credential, false for a host.
    pub fn is_credential(&self) -> bool {
        self.0.starts_with(CREDENTIAL)
    }

    /// Which service it belongs to.
    pub fn provider(&self) -> &str {
        let (_, rest) = self.0.split_once(' ').unwrap_or_default();
        rest.split([':', ' ']).next().unwrap_or_default()
    }
}

impl fmt::Display for RestName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Something that is left alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Rest {
    /// What.
    pub name: RestName,
    /// For how long from now.
    pub left: Duration,
    /// What the refusal was: `Auth` or `Quota` of a credential, `ServerError` of a host.
    pub class: ErrorClass,
    /// What was said of a credential; free of secrets.
    pub why: Box<str>,
}

/// Tells the other processes. Called between calls: it must not block, and nobody waits for its success.
pub trait Rests: Send + Sync + 'static {
    /// This is left alone from now on.
    fn begins(&self, rest: Rest);

    /// It has answered again.
    fn ends(&self, name: &RestName);
}

/// Tells nobody.
impl Rests for () {
    fn begins(&self, _: Rest) {}
    fn ends(&self, _: &RestName) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_what_it_is_of_in_every_process() {
        let names = ["credential sendgrid:acme:global", "host twilio api.twilio.com:443", "queue email"];

        let read: Vec<_> = names
            .iter()
            .filter_map(|text| RestName::parse(text))
            .map(|name| (name.is_credential(), name.provider().to_owned()))
            .collect();

        assert_eq!(read, [(true, "sendgrid".to_owned()), (false, "twilio".to_owned())]);
    }
}
