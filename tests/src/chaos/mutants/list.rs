//! The mistakes, script by script.

use super::{Change, Mutant};

macro_rules! script {
    ($name:literal, $find:expr, $put:expr) => {
        Change::Script {
            name: $name,
            text: include_str!(concat!("../../../../worker/engine/src/scripts/", $name, ".lua")),
            find: $find,
            put: $put,
        }
    };
}

/// Every mistake.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "settle-without-fence",
        bug: "a run whose lease is gone is settled all the same",
        changes: &[script!("settle", "if held[n] then", "if true then")],
    },
    Mutant {
        name: "settle-keeps-body",
        bug: "the body of an ended job stays",
        changes: &[script!("settle", "redis.call('HDEL', KEYS[2], unpack(ended))", "")],
    },
    Mutant {
        name: "settle-keeps-lease",
        bug: "the lease of a settled run stays",
        changes: &[script!(
            "settle",
            "redis.call('ZREM', KEYS[1], unpack(mine))",
            "redis.call('ZREM', KEYS[1], '')"
        )],
    },
    Mutant {
        name: "settle-without-record",
        bug: "a job ends and nobody writes it down",
        changes: &[script!("settle", "if #records > 0 then", "if false then")],
    },
    Mutant {
        name: "retry-to-nowhere",
        bug: "a failed run's job is not put among the delayed ones",
        changes: &[script!("settle", "if #due > 0 then", "if false then")],
    },
    Mutant {
        name: "retry-forgets-counters",
        bug: "a failed run leaves no counters",
        changes: &[script!("settle", "if #marks > 0 then", "if false then")],
    },
    Mutant {
        name: "release-to-nowhere",
        bug: "a released job is not put back in line",
        changes: &[script!("settle", "redis.call('LPUSH', KEYS[list], unpack(again[list]))", "")],
    },
    Mutant {
        name: "recover-to-nowhere",
        bug: "a vanished worker's job is not put back in line",
        changes: &[script!("recover", "redis.call('LPUSH', KEYS[list_of[mark]], id)", "")],
    },
    Mutant {
        name: "recover-keeps-lease",
        bug: "a vanished worker's lease stays beside the job that is ready again",
        changes: &[script!("recover", "redis.call('ZREM', KEYS[1], member)", "")],
    },
    Mutant {
        name: "heartbeat-of-the-dead",
        bug: "a heartbeat brings a lost lease back",
        changes: &[
            script!("heartbeat", "if not held[i] then", "if false then"),
            script!("heartbeat", "'XX', ", ""),
        ],
    },
    Mutant {
        name: "heartbeat-in-vain",
        bug: "a heartbeat does not lengthen leases",
        changes: &[script!("heartbeat", "redis.call('ZADD', KEYS[1], 'XX', unpack(leases))", "")],
    },
    Mutant {
        name: "promote-twice",
        bug: "a due job becomes ready and stays delayed",
        changes: &[script!("promote", "redis.call('ZREM', KEYS[1], unpack(due))", "")],
    },
    Mutant {
        name: "promote-to-nowhere",
        bug: "a due job is taken out and becomes ready nowhere",
        changes: &[script!("promote", "if #ready[list] > 0 then", "if false then")],
    },
    Mutant {
        name: "fetch-without-lease",
        bug: "a job is fetched and no lease says so",
        changes: &[script!("fetch", "redis.call('ZADD', KEYS[4], unpack(leases))", "")],
    },
    Mutant {
        name: "fetch-same-run",
        bug: "every run has the number one, so an old one passes for the new one",
        changes: &[script!(
            "fetch",
            "run = tonumber(string.match(marks[i], '^run=(%d+)') or '0') + 1",
            "run = 1"
        )],
    },
    Mutant {
        name: "cancel-keeps-body",
        bug: "a cancelled job keeps its body and its place",
        changes: &[
            script!("cancel", "redis.call('HDEL', KEYS[1], id)", ""),
            script!("cancel", "redis.call('ZREM', KEYS[2], id, 'h:' .. id, 'l:' .. id)", ""),
        ],
    },
    Mutant {
        name: "record-twice",
        bug: "history does not notice that a batch is repeated",
        changes: &[
            Change::Sql(
                "ALTER TABLE outcomes DROP CONSTRAINT outcomes_pkey; ALTER TABLE attempts DROP CONSTRAINT attempts_pkey",
            ),
            Change::Failpoint("record-committed=2*off->3*return(error)"),
        ],
    },
];
