//! Every Redis key of Flota, built here and nowhere else.
//!
//! All keys of one queue share the hash tag `{queue}`, so one script may touch them together on Redis Cluster.
//! No script touches two queues. Where an `id` stands in a key of a queue it is the 16 bytes of the job's id, never their text
//! ([`JobId::bytes`]). The table in `docs/life-of-a-job.md` says what each structure holds.

use std::fmt;

use crate::{envelope::Envelope, job_id::JobId};

/// The prefix used when none is configured.
pub const DEFAULT_PREFIX: &str = "flota";

/// Most characters that a prefix, a queue name or a tenant may have.
pub const MAX_NAME: usize = 64;

/// First part of every key; lets several fleets (or tests) share one Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

/// A name that cannot be part of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{name}` is not usable: write 1 to {MAX_NAME} of a-z, 0-9, `_`, `-`")]
pub struct BadName {
    what: &'static str,
    name: String,
}

impl Prefix {
    /// Checks a prefix. Braces would move the hash tag, so only plain characters are allowed.
    pub fn new(name: &str) -> Result<Self, BadName> {
        check_name("key prefix", name).map(|()| Self(name.to_owned()))
    }

    /// The keys of one queue. The name must have passed [`check_queue_name`].
    pub fn queue(&self, queue: &str) -> QueueKeys {
        QueueKeys { base: [&self.0, ":{", queue, "}:"].concat() }
    }

    /// `flota:queues`, a set: names of the queues that some worker has published.
    pub fn queues(&self) -> String {
        format!("{}:queues", self.0)
    }

    /// `flota:workers`, a hash: the worker processes that are there, and what people want of them.
    pub fn workers(&self) -> String {
        format!("{}:workers", self.0)
    }

    /// The keys of one allowance at a provider. `tenant` is empty for a credential that tenants share.
    pub fn limit(&self, provider: &str, tenant: &str, credential: &str) -> LimitKeys {
        let parts = [provider, tenant, credential].map(plain).join(":");
        LimitKeys { base: format!("{}:{{limit:{parts}}}", self.0) }
    }

    /// The keys of one webhook endpoint that bears only so many deliveries at once.
    pub fn endpoint(&self, id: &str) -> EndpointKeys {
        EndpointKeys { base: format!("{}:{{endpoint:{}}}", self.0, plain(id)) }
    }

    /// `flota:{budget:<tenant>}:<window>`, a hash: what a tenant has spent in a day or a month, and what is held.
    pub fn budget(&self, tenant: Option<&str>, window: &str) -> String {
        format!("{}:{{budget:{}}}:{}", self.0, plain(tenant.unwrap_or_default()), plain(window))
    }

    /// `flota:answer:<hash>`, a string: an answer of a language model that may be given again.
    pub fn answer(&self, hash: &str) -> String {
        format!("{}:answer:{hash}", self.0)
    }

    /// `flota:schedules`, a hash: name of a schedule → its last tick that was dealt with, Unix ms.
    pub fn schedules(&self) -> String {
        format!("{}:schedules", self.0)
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self(DEFAULT_PREFIX.to_owned())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks that a queue name can be part of a key.
pub fn check_queue_name(name: &str) -> Result<(), BadName> {
    check_name("queue name", name)
}

fn check_name(what: &'static str, name: &str) -> Result<(), BadName> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if name.is_empty() || MAX_NAME < name.len() || !name.chars().all(plain) {
        return Err(BadName { what, name: name.chars().take(MAX_NAME).collect() });
    }
    Ok(())
}

/// A part of a key that comes from outside, such as a host: what is no letter, digit, `.`, `_` or `-` is written as
/// `~` and its number, so that it can neither move the hash tag nor look like another part.
fn plain(part: &str) -> String {
    let mut text = String::with_capacity(part.len());
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("~{byte:02x}"));
        }
    }
    text
}

/// The keys of one allowance at a provider: one slot, away from every queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitKeys {
    base: String,
}

impl LimitKeys {
    /// `flota:{limit:<provider>:<tenant>:<credential>}`, a hash: how far the line and the calls have come, and what the
    /// provider has said.
    pub fn state(&self) -> String {
        self.base.clone()
    }

    /// The same with `:turns`, a sorted set: job id as text → its turn, by the clock of the allowance.
    pub fn turns(&self) -> String {
        format!("{}:turns", self.base)
    }
}

/// The keys of one webhook endpoint: one slot, away from every queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointKeys {
    base: String,
}

impl EndpointKeys {
    /// `flota:{endpoint:<id>}`, a hash: how long deliveries take.
    pub fn state(&self) -> String {
        self.base.clone()
    }

    /// The same with `:holders`, a sorted set: `id:run` of the deliveries under way → end of their hold in Unix ms.
    pub fn holders(&self) -> String {
        format!("{}:holders", self.base)
    }

    /// The same with `:line`, a sorted set: id of a job that waits for a place → since when, in Unix ms.
    pub fn line(&self) -> String {
        format!("{}:line", self.base)
    }

    /// The same with `:due`, a sorted set: id of a job that waits for a place → when it asks again, in Unix ms.
    pub fn due(&self) -> String {
        format!("{}:due", self.base)
    }
}

/// The keys of one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueKeys {
    base: String,
}

impl QueueKeys {
    /// `jobs`, a hash: id → envelope. The truth: a job is alive while it is here.
    pub fn jobs(&self) -> String {
        self.key("jobs")
    }

    /// `ready`, `ready:high`, `ready:low`, lists of ids that wait for a worker.
    pub fn ready(&self, priority: Priority) -> String {
        match priority {
            Priority::High => self.key("ready:high"),
            Priority::Normal => self.key("ready"),
            Priority::Low => self.key("ready:low"),
        }
    }

    /// `delayed`, a sorted set: id (marked with its priority, see [`Priority::mark`]) → due time in Unix ms.
    pub fn delayed(&self) -> String {
        self.key("delayed")
    }

    /// `running`, a sorted set: `id` for the first run of a job, `id:run` for a later one → end of the lease in Unix ms.
    /// Removing a member proves ownership.
    pub fn running(&self) -> String {
        self.key("running")
    }

    /// `marks`, a hash: id → counters, only for jobs that had trouble.
    pub fn marks(&self) -> String {
        self.key("marks")
    }

    /// `parked`, a hash: id → reason, for jobs that no worker here can read.
    pub fn parked(&self) -> String {
        self.key("parked")
    }

    /// `in_line`, a hash: id → mark of its priority, for jobs that wait behind another one of their line.
    pub fn in_line(&self) -> String {
        self.key("in_line")
    }

    /// `outcomes`, a stream: packed records waiting for Postgres.
    pub fn outcomes(&self) -> String {
        self.key("outcomes")
    }

    /// `refused`, a list: records that Postgres refused, kept aside for a person to look at.
    pub fn refused(&self) -> String {
        self.key("refused")
    }

    /// `bell`, a list: at most 64 wake-ups that idle workers block on.
    pub fn bell(&self) -> String {
        self.key("bell")
    }

    /// `bell:<worker>`, a list that only one worker blocks on, so that it can be woken to stop.
    pub fn own_bell(&self, worker: &str) -> String {
        [&self.base, "bell:", worker].concat()
    }

    /// `config`, a hash: what the scripts and workers obey (`max_len`, published by workers; pause, rate and
    /// concurrency, set by people).
    pub fn config(&self) -> String {
        self.key("config")
    }

    /// `starts`, a hash: `<window ms>:<slice>` → jobs that were started in it, while the queue has a rate.
    pub fn starts(&self) -> String {
        self.key("starts")
    }

    /// `cancelled`, a set: running jobs that were asked to stop, and cancelled ids that still lie in a ready list.
    pub fn cancelled(&self) -> String {
        self.key("cancelled")
    }

    /// `dedup:<tenant>:<key>`, a string: id and body hash of the first job with that idempotency key.
    pub fn dedup(&self, tenant: Option<&str>, key: &str) -> String {
        format!("{}dedup:{}:{key}", self.base, tenant.unwrap_or_default())
    }

    /// `unique:<tenant>:<key>`, a string: id of the live job that holds the unique key.
    pub fn unique(&self, tenant: Option<&str>, key: &str) -> String {
        format!("{}unique:{}:{key}", self.base, tenant.unwrap_or_default())
    }

    /// Key of the unique lock that this job holds; empty when it holds none, which is how scripts read it.
    pub fn unique_of(&self, envelope: &Envelope) -> String {
        let key = envelope.unique.as_deref();
        key.map_or_else(String::new, |key| self.unique(envelope.tenant.as_deref(), key))
    }

    /// `line:<tenant>:<key>`, a list: ids of the live jobs with this ordering key, the one whose turn it is first.
    pub fn line(&self, tenant: Option<&str>, key: &str) -> String {
        format!("{}line:{}:{key}", self.base, tenant.unwrap_or_default())
    }

    /// Key of the line that this job goes in; empty when it goes in none, which is how scripts read it.
    pub fn line_of(&self, envelope: &Envelope) -> String {
        envelope.order().map_or_else(String::new, |key| self.line(envelope.tenant.as_deref(), key))
    }

    fn key(&self, name: &str) -> String {
        [&self.base, name].concat()
    }
}

/// Which of the three ready lists a job waits in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Taken first, but one fetch in eight looks at normal jobs first and one in eight at low ones.
    High,
    /// What a job gets when nothing is said.
    #[default]
    Normal,
    /// Taken when nothing else waits, and first by one fetch in eight, so it never starves.
    Low,
}

impl Priority {
    /// What stands before the id in the delayed set, so that promotion finds the right list without the body.
    pub fn mark(self) -> &'static str {
        match self {
            Self::High => "h:",
            Self::Normal => "",
            Self::Low => "l:",
        }
    }

    /// What the delayed set calls a job of this priority.
    pub fn marked(self, id: JobId) -> Vec<u8> {
        [self.mark().as_bytes(), id.bytes()].concat()
    }

    /// What is left of a member of the delayed set without the mark. An id alone bears none, whatever its bytes are.
    pub fn unmarked(member: &[u8]) -> &[u8] {
        if member.len() == JobId::BYTES {
            return member;
        }
        let marks = [Self::High, Self::Low].map(|priority| priority.mark().as_bytes());
        marks.iter().find_map(|mark| member.strip_prefix(*mark)).unwrap_or(member)
    }

    /// True for the priority that is left out of the envelope.
    pub(crate) fn is_normal(&self) -> bool {
        *self == Self::Normal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_queue_share_its_hash_tag() {
        let keys = Prefix::default().queue("email");

        assert_eq!(keys.jobs(), "flota:{email}:jobs");
        assert_eq!(keys.ready(Priority::High), "flota:{email}:ready:high");
        assert_eq!(keys.dedup(Some("acme"), "invoice-1"), "flota:{email}:dedup:acme:invoice-1");
        assert_eq!(keys.unique(None, "{x}"), "flota:{email}:unique::{x}");
    }

    #[test]
    fn keys_of_a_limit_share_its_hash_tag_whatever_it_is_called() {
        let keys = Prefix::default().limit("webhook", "", "shop.example:8443}{x");

        assert_eq!(keys.state(), "flota:{limit:webhook::shop.example~3a8443~7d~7bx}");
        assert_eq!(keys.turns(), "flota:{limit:webhook::shop.example~3a8443~7d~7bx}:turns");
    }

    #[test]
    fn a_mark_is_told_from_an_id_that_begins_like_one() {
        let alike = JobId::read(b"h:like a mark 16").unwrap();

        for priority in [Priority::High, Priority::Normal, Priority::Low] {
            assert_eq!(Priority::unmarked(&priority.marked(alike)), alike.bytes());
        }
        assert_eq!(Priority::unmarked(b"l:hand-made"), b"hand-made");
    }

    #[test]
    fn names_that_would_move_the_hash_tag_are_refused() {
        for name in ["", "a}b", "{", "Email", "a b", "a:b", &"x".repeat(65)] {
            assert!(check_queue_name(name).is_err(), "{name:?} was accepted");
        }
        assert!(check_queue_name("email-2_b").is_ok());
    }
}
