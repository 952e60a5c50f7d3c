//! The queue in Redis: reading all of it, and the calls that the engine keeps to itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use flota_engine::store::RunId;
use flota_producer::{
    JobId, Priority,
    keys::{Prefix, QueueKeys},
    link::{Link, LinkError},
};
use flota_tests::fleet;
use redis::{FromRedisValue, ParsingError, Script, Value};

use super::{
    contents::{Contents, member_of},
    operation::Lease,
};

/// The fetcher of the engine calls it inside a pipeline, behind its wait at the bell.
static FETCH: LazyLock<Script> = LazyLock::new(|| Script::new(fleet::FETCH));

/// Most jobs whose bodies come along.
const WITH_BODIES: usize = 2;
/// The member that keeps the running set a skip list.
const PERMANENT: &str = "permanent";
/// Names that idempotency, unique and ordering keys have here.
pub(super) const NAMES: [&str; 3] = ["k0", "k1", "k2"];

pub(super) struct Real<'a> {
    pub(super) link: &'a Link,
    pub(super) keys: QueueKeys,
}

/// What fetch.lua answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fetched {
    pub(super) ids: Vec<String>,
    /// Position, from 1, and marks.
    pub(super) known: Vec<(usize, String)>,
    pub(super) cancelled: Vec<usize>,
}

/// What is called by an id, as people read it: the id, with the mark before it and the run behind it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name(pub(super) String);

impl FromRedisValue for Name {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let bytes: Vec<u8> = redis::from_redis_value(value)?;
        let run = RunId::read(&bytes).map(member_of);
        let id = JobId::read(Priority::unmarked(&bytes)).map(|id| {
            let mark = &bytes[..bytes.len() - JobId::BYTES];
            format!("{}{id}", String::from_utf8_lossy(mark))
        });
        let name = run.or(id).unwrap_or_else(|| String::from_utf8_lossy(&bytes).into_owned());
        assert!(name.len() != bytes.len() || name.parse::<JobId>().is_err(), "{name} lies in Redis as text");
        Ok(Self(name))
    }
}

/// A list, where ids are one text.
fn one_by_one(ids: Value) -> Value {
    match ids {
        Value::BulkString(text) => {
            assert_eq!(text.len() % JobId::BYTES, 0, "whole ids: {}", text.escape_ascii());
            Value::Array(text.chunks(JobId::BYTES).map(|id| Value::BulkString(id.to_vec())).collect())
        }
        list => list,
    }
}

fn named<T>(hash: BTreeMap<Name, T>) -> BTreeMap<String, T> {
    hash.into_iter().map(|(name, value)| (name.0, value)).collect()
}

fn names<N: FromIterator<String>>(list: impl IntoIterator<Item = Name>) -> N {
    list.into_iter().map(|name| name.0).collect()
}

/// Everything that a queue holds, and the scores of the delayed set.
pub(super) struct Seen {
    pub(super) contents: Contents,
    pub(super) due: BTreeMap<String, u64>,
}

impl<'a> Real<'a> {
    /// An empty queue with keys of its own, in a Redis that has room.
    pub(super) async fn new(link: &'a Link, case: u32) -> Self {
        let keys = Prefix::new(&format!("case{case}")).unwrap().queue("toys");
        let real = Self { link, keys };
        real.set_full(false).await;
        let mut command = redis::cmd("ZADD");
        real.link.query::<u64>(command.arg(real.keys.running()).arg("+inf").arg(PERMANENT)).await.unwrap();
        real
    }

    pub(super) async fn set_full(&self, full: bool) {
        let limit = if full { "1" } else { "0" };
        let mut command = redis::cmd("CONFIG");
        self.link.query::<()>(command.arg("SET").arg("maxmemory").arg(limit)).await.unwrap();
    }

    pub(super) async fn fetch(
        &self,
        most: usize,
        order: [Priority; 3],
        lease: Lease,
        high_water: usize,
    ) -> Result<Fetched, LinkError> {
        self.fetch_below(most, order, lease, (high_water, 1 << 30)).await
    }

    /// Unless so many entries, or so many bytes of them, wait for Postgres.
    pub(super) async fn fetch_below(
        &self,
        most: usize,
        order: [Priority; 3],
        lease: Lease,
        (entries, bytes): (usize, usize),
    ) -> Result<Fetched, LinkError> {
        let mut call = FETCH.key(self.keys.ready(order[0]));
        call.key(self.keys.ready(order[1])).key(self.keys.ready(order[2]));
        call.key(self.keys.running()).key(self.keys.marks()).key(self.keys.config()).key(self.keys.bell());
        call.key(self.keys.cancelled()).key(self.keys.outcomes()).key(self.keys.jobs());
        call.key(self.keys.starts()).arg(most).arg(lease.length().as_millis() as u64).arg(entries);
        call.arg(bytes).arg(WITH_BODIES);
        type More = (u64, Vec<(usize, String)>, Vec<usize>);
        let mut reply: Vec<Value> = self.link.invoke(&call).await?;
        let bodies: Vec<Option<String>> = redis::from_redis_value(Value::Array(reply.split_off(3))).unwrap();
        let more = reply.pop().filter(|more| matches!(more, Value::Array(_)));
        let (_wait, known, cancelled): More =
            more.map_or_else(Default::default, |more| redis::from_redis_value(more).unwrap());
        let ids: Vec<Name> = redis::from_redis_value(one_by_one(reply.pop().unwrap())).unwrap();
        let expected = if ids.len() <= WITH_BODIES { ids.len() } else { 0 };
        assert_eq!(
            bodies.iter().flatten().count(),
            expected,
            "the bodies of {ids:?} that came along: {bodies:?}"
        );
        Ok(Fetched { ids: names(ids), known, cancelled })
    }

    /// Reads everything.
    pub(super) async fn see(&self) -> Seen {
        let keys = &self.keys;
        let [normal, high, low] =
            [Priority::Normal, Priority::High, Priority::Low].map(|list| keys.ready(list));
        let mut pipeline = redis::pipe();
        pipeline.cmd("HGETALL").arg(keys.jobs()).cmd("HGETALL").arg(keys.marks());
        pipeline.cmd("HGETALL").arg(keys.parked()).cmd("HGETALL").arg(keys.config());
        for list in [normal, high, low] {
            pipeline.cmd("LRANGE").arg(list).arg(0).arg(-1);
        }
        pipeline.cmd("SMEMBERS").arg(keys.cancelled()).cmd("LLEN").arg(keys.bell());
        type Hash = BTreeMap<Name, String>;
        type List = Vec<Name>;
        type Config = BTreeMap<String, String>;
        type Plain = (Hash, Hash, Hash, Config, List, List, List, BTreeSet<Name>, usize);
        let plain: Plain = self.link.pipeline(&pipeline).await.unwrap();
        let (jobs, marks, parked, mut config, normal, high, low, cancelled, bell) = plain;
        // Who paused it and when is for people.
        config.retain(|field, _| !field.starts_with("paused_"));
        let (delayed, due, running) = self.scored().await;
        let in_line: Hash = self.link.query(redis::cmd("HGETALL").arg(keys.in_line())).await.unwrap();
        let contents = Contents {
            jobs: named(jobs),
            ready: [normal, high, low].map(names),
            delayed,
            running,
            marks: named(marks),
            parked: named(parked),
            in_line: named(in_line),
            lines: self.lines().await,
            cancelled: names(cancelled),
            outcomes: self.outcomes().await,
            bell,
            config,
            strings: self.strings().await,
        };
        Seen { contents, due }
    }

    async fn scored(&self) -> (BTreeMap<String, bool>, BTreeMap<String, u64>, BTreeMap<String, Lease>) {
        let mut pipeline = redis::pipe();
        for key in [self.keys.delayed(), self.keys.running()] {
            pipeline.cmd("ZRANGE").arg(key).arg(0).arg(-1).arg("WITHSCORES");
        }
        pipeline.cmd("TIME");
        type Scores = Vec<(Name, f64)>;
        let (delayed, mut running, (seconds, micros)): (Scores, Scores, (u64, u64)) =
            self.link.pipeline(&pipeline).await.unwrap();
        let now = seconds * 1000 + micros / 1000;
        let permanent = running.pop().expect("the permanent member");
        assert_eq!(permanent, (Name(PERMANENT.to_owned()), f64::INFINITY));
        let due: BTreeMap<String, u64> =
            delayed.into_iter().map(|(member, due)| (member.0, due as u64)).collect();
        let lease = |end: f64| if end as u64 <= now { Lease::Ended } else { Lease::Kept };
        (
            due.iter().map(|(member, due)| (member.clone(), *due <= now)).collect(),
            due,
            running.into_iter().map(|(member, end)| (member.0, lease(end))).collect(),
        )
    }

    async fn outcomes(&self) -> Vec<(String, Vec<String>)> {
        let mut command = redis::cmd("XRANGE");
        command.arg(self.keys.outcomes()).arg("-").arg("+");
        let entries: Vec<(String, Vec<String>)> = self.link.query(&command).await.unwrap();
        let entry = |(_, fields): (String, Vec<String>)| {
            let names: Vec<&str> = fields.iter().step_by(2).map(String::as_str).collect();
            assert_eq!(names, ["t", "w", "o"]);
            let mut records: Vec<String> = fields[5].split('\n').map(str::to_owned).collect();
            records.sort_unstable();
            (fields[3].clone(), records)
        };
        entries.into_iter().map(entry).collect()
    }

    async fn lines(&self) -> BTreeMap<String, Vec<String>> {
        let mut pipeline = redis::pipe();
        for name in NAMES {
            pipeline.cmd("LRANGE").arg(self.keys.line(None, name)).arg(0).arg(-1);
        }
        let lines: Vec<Vec<Name>> = self.link.pipeline(&pipeline).await.unwrap();
        let lines = NAMES.iter().map(|name| (*name).to_owned()).zip(lines.into_iter().map(names::<Vec<_>>));
        lines.filter(|(_, ids)| !ids.is_empty()).collect()
    }

    async fn strings(&self) -> BTreeMap<String, String> {
        let names = NAMES.iter().flat_map(|name| [self.keys.dedup(None, name), self.keys.unique(None, name)]);
        let names: Vec<String> = names.collect();
        let held: Vec<Option<Vec<u8>>> = self.link.query(redis::cmd("MGET").arg(&names)).await.unwrap();
        // An idempotency key holds the hash of the body behind the id.
        let holder = |held: Vec<u8>| JobId::read(&held[..JobId::BYTES]).unwrap().to_string();
        names.into_iter().zip(held).filter_map(|(name, held)| Some((name, holder(held?)))).collect()
    }
}
