//! The mistakes, script by script.

use super::{Change, Mutant};

macro_rules! script {
    ("enqueue", $find:expr, $put:expr) => {
        script!(in "producer-lib/src/scripts/", "enqueue", $find, $put)
    };
    ($name:literal, $find:expr, $put:expr) => {
        script!(in "worker/engine/src/scripts/", $name, $find, $put)
    };
    (in $folder:literal, $name:literal, $find:expr, $put:expr) => {
        Change::Script {
            name: $name,
            text: include_str!(concat!("../../../../", $folder, $name, ".lua")),
            find: $find,
            put: $put,
        }
    };
}

/// Every mistake.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "enqueue-to-nowhere",
        bug: "an accepted job is not put in line",
        changes: &[
            script!("enqueue", "redis.call('RPUSH', KEYS[list], unpack(ready[list]))", ""),
            script!("enqueue", "redis.call('RPUSH', KEYS[2], unpack(ids))", ""),
        ],
    },
    Mutant {
        name: "enqueue-forgets-body",
        bug: "an accepted job is put in line without its body",
        changes: &[
            script!("enqueue", "redis.call('HSET', KEYS[1], unpack(jobs))", ""),
            script!("enqueue", "redis.call('HSET', KEYS[1], unpack(ARGV, FIRST))", ""),
            script!("enqueue", "redis.pcall('HSETNX', KEYS[1], unpack(ARGV, FIRST))", "1"),
        ],
    },
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
        changes: &[script!("settle", "put_first(KEYS[list], again[list])", "")],
    },
    Mutant {
        name: "recover-to-nowhere",
        bug: "a vanished worker's job is not put back in line",
        changes: &[script!("recover", "put_first(lists[mark], ids)", "")],
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
        bug: "a due job becomes ready and is due again two seconds later",
        changes: &[script!(
            "promote",
            "redis.call('ZREM', KEYS[1], unpack(due))",
            "for _, id in ipairs(due) do redis.call('ZADD', KEYS[1], now + 2000, id) end"
        )],
    },
    Mutant {
        name: "promote-to-nowhere",
        bug: "a due job is taken out and becomes ready nowhere",
        changes: &[script!("promote", "if #ready[list] > 0 then", "if false then")],
    },
    Mutant {
        name: "fetch-without-lease",
        bug: "a job is fetched and no lease says so",
        changes: &[
            script!("fetch", "redis.call('ZADD', KEYS[4], unpack(leases))", ""),
            script!("fetch", "redis.call('ZADD', KEYS[4], deadline, ids[1])", ""),
        ],
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
            script!("cancel", "redis.call('ZREM', KEYS[2], id, 'h:' .. id, 'l:' .. id)", "0"),
        ],
    },
    Mutant {
        name: "cancel-ends-running",
        bug: "a running job that is cancelled ends at once, and its run ends it again",
        changes: &[script!("cancel", "if running then", "if false then")],
    },
    Mutant {
        name: "cancel-without-record",
        bug: "a cancelled job is gone and nobody writes it down",
        changes: &[script!(
            "cancel",
            "redis.call('XADD', KEYS[4], '*', 't', stamp, 'w', ARGV[4], 'o', record)",
            ""
        )],
    },
    Mutant {
        name: "cancelled-for-ever",
        bug: "the wish to cancel a job outlives the job",
        changes: &[script!(
            "settle",
            "redis.call('SREM', KEYS[9], unpack(ended))",
            "redis.call('SISMEMBER', KEYS[9], ended[1])"
        )],
    },
    Mutant {
        name: "pause-unheard",
        bug: "a paused queue is fetched from",
        changes: &[script!("fetch", "if holds(config[1], config[2]) then", "if false then")],
    },
    Mutant {
        name: "fetch-keeps-place",
        bug: "a fetched job stays in line",
        changes: &[script!(
            "fetch",
            "redis.call('LMPOP', 3, KEYS[1], KEYS[2], KEYS[3], 'LEFT', 'COUNT', n - #ids)",
            "#ids == 0 and redis.call('EXISTS', KEYS[2]) == 1 and { '', redis.call('LRANGE', KEYS[2], 0, n - 1) }"
        )],
    },
    Mutant {
        name: "enqueue-knows-no-lines",
        bug: "a job in order does not wait for those before it",
        changes: &[script!("enqueue", "if line and line.head then", "if false then")],
    },
    Mutant {
        name: "settle-leaves-lines-standing",
        bug: "the end of a job does not let the next of its line go",
        changes: &[script!("settle", "leave_line(in_order[i], in_order[i + 1], keys)", "false")],
    },
    Mutant {
        name: "retry-leaves-its-line",
        bug: "a failed run lets the next of its line go, and its job is tried again behind it",
        changes: &[script!(
            "settle",
            "marks[#marks + 1] = id",
            "marks[#marks + 1] = id\nif ARGV[at + 8] ~= '' then in_order[#in_order + 1] = ARGV[at + 8]; in_order[#in_order + 1] = id end"
        )],
    },
    Mutant {
        name: "retry-counts-nothing",
        bug: "a failed run is charged, and the charge is written under a wrong name",
        changes: &[script!("settle", "marks[#marks + 1] = id", "marks[#marks + 1] = id .. '?'")],
    },
    Mutant {
        name: "record-forgets-the-dead",
        bug: "dead jobs are left out of history",
        changes: &[Change::Sql(
            "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
             CREATE TRIGGER forget BEFORE INSERT ON outcomes FOR EACH ROW WHEN (NEW.status = 'dead') \
             EXECUTE FUNCTION forget()",
        )],
    },
    Mutant {
        name: "record-forgets-first-tries",
        bug: "the first failed run of a job is left out of history",
        changes: &[Change::Sql(
            "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
             CREATE TRIGGER forget BEFORE INSERT ON attempts FOR EACH ROW WHEN (NEW.attempt = 1) \
             EXECUTE FUNCTION forget()",
        )],
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
