//! What the running set calls a run.
//!
//! The 16 bytes of the job's id alone for its first run, which most jobs have no other than; the id, a colon and the number
//! for a later one. Every run has one such name, so a lease is found by it and by nothing else. `scripts/member.lua` writes
//! the same in Redis.

use flota_producer::JobId;
use redis::{FromRedisValue, ParsingError, RedisWrite, ToRedisArgs, Value};

/// One run of one job, and the fence: the lease of a run is the member of the `running` set with its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId {
    /// The job.
    pub id: JobId,
    /// Number of the run, from 1.
    pub run: u32,
}

impl RunId {
    /// The member of the `running` set.
    pub fn member(self) -> Vec<u8> {
        let mut member = self.id.bytes().to_vec();
        if self.run != 1 {
            member.extend_from_slice(format!(":{}", self.run).as_bytes());
        }
        member
    }

    /// Reads a member; `None` for the permanent member and for what was not written by a script of ours.
    pub fn read(member: &[u8]) -> Option<Self> {
        let (id, rest) = member.split_at_checked(JobId::BYTES)?;
        let id = JobId::read(id)?;
        if rest.is_empty() {
            return Some(Self { id, run: 1 });
        }
        let number = std::str::from_utf8(rest.strip_prefix(b":")?).ok()?;
        let run = Self { id, run: number.parse().ok()? };
        // `:1`, `:02` and `:+2` are numbers, and names of no run: a lease would be looked for under another name.
        (run.run != 0 && run.member() == member).then_some(run)
    }
}

impl ToRedisArgs for RunId {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        if self.run == 1 {
            out.write_arg(self.id.bytes());
        } else {
            out.write_arg(&self.member());
        }
    }
}

impl FromRedisValue for RunId {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let member: Vec<u8> = redis::from_redis_value(value)?;
        Self::read(&member).ok_or_else(|| format!("{} bytes that are no run of a job", member.len()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An id with colons and digits where a number could be looked for.
    const ID: &[u8] = b":1h:l:2:\x00\xff1:2:31";

    fn run(run: u32) -> RunId {
        RunId { id: JobId::read(ID).unwrap(), run }
    }

    #[test]
    fn a_first_run_is_called_by_its_job_alone_and_a_later_one_has_its_number() {
        let members = [1, 2, u32::MAX].map(|number| run(number).member());

        assert_eq!(members[0], ID);
        assert_eq!(members[1], [ID, b":2"].concat());
        for (member, number) in members.iter().zip([1, 2, u32::MAX]) {
            assert_eq!(RunId::read(member), Some(run(number)));
            assert_eq!(run(number).to_redis_args(), std::slice::from_ref(member));
        }
    }

    #[test]
    fn a_run_has_one_name_and_what_has_another_is_no_run() {
        for rest in [":", ":0", ":1", ":02", ":+2", ":-2", ":2 ", ":4294967296", "2", ":\u{e9}"] {
            assert_eq!(RunId::read(&[ID, rest.as_bytes()].concat()), None, "{rest:?}");
        }
        for other in [&b""[..], b"hand-made:1", &ID[1..], &[b'~'; 72]] {
            assert_eq!(RunId::read(other), None, "{other:?}");
        }
    }
}
