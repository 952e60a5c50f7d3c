//! Stories about the outbox, told with a real Redis and a real Postgres.

use std::{fs, path::Path, time::Duration};

use flota_engine::{Record, Status, inspect, store::Cancelled};
use flota_producer::{
    JobId,
    keys::{Prefix, Priority, QueueKeys},
    link::Link,
};
use sqlx::{Executor, PgPool, SqlSafeStr};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::*;
use crate::{
    checks::{self, Severity},
    outcomes::{Recorder, tests::servers},
};

/// An envelope without anything special.
const PLAIN: &str = r#"{"v":1,"kind":"send_email","payload":{},"at":1795280202384}"#;

/// How long a test waits for an event before it fails.
const PATIENCE: Duration = Duration::from_mins(2);

/// Every statement of the outbox.
const STATEMENTS: [(&str, &str); 10] = [
    ("drop.sql", include_str!("drop.sql")),
    ("lined.sql", include_str!("lined.sql")),
    ("note.sql", include_str!("note.sql")),
    ("placed.sql", include_str!("placed.sql")),
    ("queues.sql", include_str!("queues.sql")),
    ("sent.sql", include_str!("sent.sql")),
    ("standing.sql", include_str!("standing.sql")),
    ("take.sql", include_str!("take.sql")),
    ("take_again.sql", include_str!("take_again.sql")),
    ("take_in_order.sql", include_str!("take_in_order.sql")),
];

mod in_order;
mod trouble;

struct Story {
    link: Link,
    prefix: Prefix,
    keys: QueueKeys,
    pool: PgPool,
}

impl Story {
    async fn new() -> Self {
        let prefix = Prefix::new(&format!("outbox{}", Uuid::new_v4().simple())).unwrap();
        let link = Link::new(servers().redis_url()).unwrap();
        Self { keys: prefix.queue("email"), link, prefix, pool: servers().database().await }
    }

    /// A relay that looks for lost jobs at once.
    fn relay(&self) -> Relay {
        self.relay_with(Duration::ZERO)
    }

    fn relay_with(&self, lost_after: Duration) -> Relay {
        let pace = Pace { lost_after, ..Pace::default() };
        Relay::new(self.link.again(), self.prefix.clone(), self.pool.clone(), pace)
    }

    /// A relay with time enough to send.
    fn unhurried(&self) -> Relay {
        self.relay_with(Duration::from_secs(60))
    }

    fn recorder(&self) -> Recorder {
        Recorder::new(self.link.again(), self.keys.clone(), "email", self.pool.clone())
    }

    async fn write(&self, queue: &str, envelope: &str) -> JobId {
        self.write_with(queue, envelope, "NULL").await
    }

    async fn write_with(&self, queue: &str, envelope: &str, due: &str) -> JobId {
        let id = JobId::mint();
        let sql = format!("INSERT INTO outbox (id, queue, envelope, due_at) VALUES ($1, $2, $3, {due})");
        let insert = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.uuid()).bind(queue);
        insert.bind(envelope.as_bytes()).execute(&self.pool).await.unwrap();
        id
    }

    async fn is_alive(&self, id: JobId) -> bool {
        self.link.query(redis::cmd("HEXISTS").arg(self.keys.jobs()).arg(id)).await.unwrap()
    }

    async fn ready(&self) -> u64 {
        inspect::counts(&self.link, &self.keys).await.unwrap().ready
    }

    /// Sends and reason of a row, if it is there.
    async fn row(&self, id: JobId) -> Option<(bool, i32, Option<String>, bool)> {
        let sql = "SELECT sent_at IS NOT NULL, sends, refused, given_up FROM outbox WHERE id = $1";
        sqlx::query_as(sql).bind(id.uuid()).fetch_optional(&self.pool).await.unwrap()
    }

    /// Makes a job end the way settle does: out of `jobs`, with a record in the stream.
    async fn cancel(&self, id: JobId) {
        let answer = inspect::cancel(&self.link, &self.keys, id, "test").await.unwrap();
        assert_eq!(answer, Cancelled::Now);
    }

    async fn forget_everything(&self) {
        let keys: Vec<String> =
            self.link.query(redis::cmd("KEYS").arg(format!("{}:*", self.prefix))).await.unwrap();
        let _: u64 = self.link.query(redis::cmd("DEL").arg(keys)).await.unwrap();
    }
}

#[tokio::test]
async fn every_statement_prepares() {
    let pool = servers().database().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/outbox");
    let names = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
    let mut files: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
    files.retain(|name| Path::new(name).extension().is_some_and(|extension| extension == "sql"));
    files.sort_unstable();

    assert_eq!(STATEMENTS.map(|(name, _)| name).as_slice(), files, "add the new file to the list above");
    for (name, sql) in STATEMENTS {
        let prepared = pool.prepare(sql.into_sql_str()).await;
        assert!(prepared.is_ok(), "{name}: {:?}", prepared.err());
    }
}

#[tokio::test]
async fn committed_rows_go_to_redis_byte_for_byte_and_stay_until_the_job_has_ended() {
    let story = Story::new().await;
    let spaced = r#" {"v":1, "kind":"send_email", "payload":{"b":1,"a":2}, "at":1, "priority":"high"}"#;
    let id = story.write("email", spaced).await;

    let sent = story.unhurried().run_once().await.unwrap();

    assert_eq!(sent, 1);
    let found = inspect::find(&story.link, &story.keys, id).await.unwrap().unwrap();
    assert_eq!(found.bytes, spaced.as_bytes());
    let high: u64 = story.link.query(redis::cmd("LLEN").arg(story.keys.ready(Priority::High))).await.unwrap();
    assert_eq!(high, 1);
    assert_eq!(story.row(id).await, Some((true, 1, None, false)));
    story.cancel(id).await;
    story.recorder().run_once().await.unwrap();
    assert_eq!(story.row(id).await, None);
}

#[tokio::test]
async fn relays_at_once_send_each_job_once() {
    let story = Story::new().await;
    let rows = "INSERT INTO outbox (id, queue, envelope) \
                SELECT gen_random_uuid(), 'email', $1 FROM generate_series(1, 3000)";
    sqlx::query(rows).bind(PLAIN.as_bytes()).execute(&story.pool).await.unwrap();
    let (one, two) = (story.unhurried(), story.unhurried());

    let (one, two) = tokio::join!(one.run_once(), two.run_once());

    assert_eq!(one.unwrap() + two.unwrap(), 3000);
    assert_eq!(story.ready().await, 3000);
    let again: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE sends <> 1")
        .fetch_one(&story.pool)
        .await
        .unwrap();
    assert_eq!(again, 0);
}

#[tokio::test]
async fn a_notification_wakes_the_relay_long_before_its_poll() {
    let story = Story::new().await;
    let pace = Pace { poll: Duration::from_secs(600), ..Pace::default() };
    let relay = Relay::new(story.link.again(), story.prefix.clone(), story.pool.clone(), pace);
    let stop = CancellationToken::new();
    let running = tokio::spawn(relay.run(stop.clone()));
    let first = story.write("email", PLAIN).await;
    wait_for(async || story.is_alive(first).await).await;

    let listens = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%')";
    wait_for(async || sqlx::query_scalar(listens).fetch_one(&story.pool).await.unwrap()).await;
    let second = story.write("email", PLAIN).await;

    wait_for(async || story.is_alive(second).await).await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_full_queue_is_said_to_be_full_and_holds_no_other_queue_up() {
    let story = Story::new().await;
    let config = story.keys.config();
    let _: u64 = story.link.query(redis::cmd("HSET").arg(&config).arg("max_len").arg(1)).await.unwrap();
    let first = story.write("email", PLAIN).await;
    let second = story.write("email", PLAIN).await;
    story.write("webhook", PLAIN).await;

    let sent = story.unhurried().run_once().await.unwrap();

    assert_eq!(sent, 2, "one of each queue");
    let (is_sent, _, refused, given_up) = story.row(second).await.unwrap();
    assert!(!is_sent && !given_up && refused.unwrap().contains("`email` is full"));
    let standing = standing(&story.pool).await.unwrap();
    assert_eq!((standing.waiting, standing.refused, standing.given_up), (1, 1, 0));
    story.cancel(first).await;
    assert_eq!(story.unhurried().run_once().await.unwrap(), 1);
    assert_eq!(story.row(second).await.unwrap().2, None, "what was refused is taken back");
}

#[tokio::test]
async fn what_could_never_run_is_given_up_and_shown_to_people() {
    let story = Story::new().await;
    let garbage = story.write("email", "not json").await;
    let tenant = story.write("email", r#"{"v":1,"kind":"x","payload":{},"at":1,"tenant":"a:b"}"#).await;
    let nowhere = story.write("No Queue", PLAIN).await;
    let good = story.write("email", PLAIN).await;

    let sent = story.unhurried().run_once().await.unwrap();

    assert_eq!((sent, story.is_alive(good).await), (1, true));
    for (id, reason) in
        [(garbage, "not a job envelope"), (tenant, "tenant"), (nowhere, "queue name `No Queue`")]
    {
        let (is_sent, _, refused, given_up) = story.row(id).await.unwrap();
        assert!(!is_sent && given_up && refused.as_deref().unwrap().contains(reason), "{refused:?}");
    }
    let findings = checks::outbox(Some(&story.pool)).await;
    let finding = findings.iter().find(|finding| finding.check == "outbox refused").unwrap();
    assert_eq!(finding.severity, Severity::Error);
    assert!(finding.found.starts_with("3 jobs are given up: "), "{}", finding.found);
}

#[tokio::test]
async fn times_of_any_kind_do_not_stop_the_relay() {
    let story = Story::new().await;
    let soon = story.write_with("email", PLAIN, "now() + interval '1 hour'").await;
    let past = story.write_with("email", PLAIN, "'-infinity'").await;
    let never = story.write_with("email", PLAIN, "'infinity'").await;
    sqlx::query("UPDATE outbox SET created_at = 'infinity' WHERE id = $1")
        .bind(past.uuid())
        .execute(&story.pool)
        .await
        .unwrap();

    let sent = story.unhurried().run_once().await.unwrap();

    assert_eq!(sent, 3);
    let place = async |id| inspect::find(&story.link, &story.keys, id).await.unwrap().unwrap().place;
    assert!(matches!(place(soon).await, inspect::Place::Delayed { .. }));
    assert!(matches!(place(never).await, inspect::Place::Delayed { .. }));
    assert!(matches!(place(past).await, inspect::Place::Ready));
}

#[tokio::test]
async fn a_row_that_another_job_stands_for_is_dropped_but_a_replay_is_not() {
    let story = Story::new().await;
    let keyed = r#"{"v":1,"kind":"send_email","payload":{},"at":1,"key":"k"}"#;
    let other = r#"{"v":1,"kind":"send_email","payload":{"x":1},"at":1,"key":"k"}"#;
    let first = story.write("email", keyed).await;
    story.unhurried().run_once().await.unwrap();
    let repeated = story.write("email", keyed).await;
    let conflicting = story.write("email", other).await;
    let replay = story.write("email", keyed).await;
    let operation = sqlx::query("UPDATE outbox SET operation = gen_random_uuid() WHERE id = $1");
    operation.bind(replay.uuid()).execute(&story.pool).await.unwrap();

    story.unhurried().run_once().await.unwrap();

    assert!(story.is_alive(first).await && story.is_alive(replay).await);
    assert_eq!(story.row(repeated).await, None);
    let (_, _, refused, given_up) = story.row(conflicting).await.unwrap();
    assert!(given_up && refused.unwrap().contains(&first.to_string()));
}

#[tokio::test]
async fn a_relay_that_died_before_or_after_sending_costs_time_and_nothing_else() {
    let story = Story::new().await;
    let (unsent, sent) = (story.write("email", PLAIN).await, story.write("email", PLAIN).await);
    story.unhurried().run_once().await.unwrap();
    // The first of them never got to Redis, although it was taken.
    let mut pipeline = redis::pipe();
    pipeline.cmd("HDEL").arg(story.keys.jobs()).arg(unsent).ignore();
    pipeline.cmd("LREM").arg(story.keys.ready(Priority::Normal)).arg(0).arg(unsent).ignore();
    story.link.pipeline::<()>(&pipeline).await.unwrap();
    assert_eq!(story.unhurried().search_once().await.unwrap(), 0, "not old enough");

    let (one, two) = (short(&story), short(&story));
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let (one, two) = tokio::join!(one.search_once(), two.search_once());

    assert_eq!(one.unwrap() + two.unwrap(), 1);
    assert_eq!(story.ready().await, 2);
    assert_eq!(story.row(unsent).await, Some((true, 2, None, false)));
    assert_eq!(story.row(sent).await, Some((true, 1, None, false)));
}

#[tokio::test]
async fn a_finished_job_is_not_sent_again_while_its_record_waits_nor_afterwards() {
    let story = Story::new().await;
    let id = story.write("email", PLAIN).await;
    story.unhurried().run_once().await.unwrap();
    story.cancel(id).await;

    // The recorder comes while the search waits for it.
    let (relay, mut recorder) = (story.relay(), story.recorder());
    let late_recorder = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        recorder.run_once().await.unwrap()
    };
    let (sent, recorded) = tokio::join!(relay.search_once(), late_recorder);

    assert_eq!((sent.unwrap(), recorded.recorded), (0, 1));
    assert_eq!(story.row(id).await, None);
    assert_eq!(relay.search_once().await.unwrap(), 0);
    assert!(!story.is_alive(id).await);
}

#[tokio::test]
async fn everything_that_redis_forgot_is_sent_again_with_its_id() {
    let story = Story::new().await;
    let ids = [story.write("email", PLAIN).await, story.write("email", PLAIN).await];
    let ended = story.write("email", PLAIN).await;
    story.unhurried().run_once().await.unwrap();
    story.cancel(ended).await;
    story.recorder().run_once().await.unwrap();
    story.forget_everything().await;
    tokio::time::sleep(Duration::from_millis(2100)).await;

    let sent = short(&story).search_once().await.unwrap();

    assert_eq!(sent, 2);
    assert!(story.is_alive(ids[0]).await && story.is_alive(ids[1]).await);
    assert!(!story.is_alive(ended).await);
}

#[tokio::test]
async fn a_relay_that_slept_too_long_is_not_heard() {
    let story = Story::new().await;
    let id = story.write("email", PLAIN).await;

    // With no time at all to send, each call comes too late.
    let mover = &story.relay().mover;
    let late = mover.not_after().await.unwrap() - 1;
    let rows = sqlx::query_as(include_str!("take.sql")).bind("email").bind(500_i64);
    let rows = rows.fetch_all(&story.pool).await.unwrap();
    let moved = mover.hand_over("email", rows, late).await.unwrap();

    assert_eq!((moved.rows, moved.sent), (1, 0));
    assert!(!story.is_alive(id).await);
    assert_eq!(story.row(id).await, Some((false, 1, None, false)), "it waits again");
}

#[tokio::test]
async fn a_record_that_postgres_refuses_takes_its_row_along() {
    let story = Story::new().await;
    let id = story.write("email", PLAIN).await;
    story.unhurried().run_once().await.unwrap();
    let refuse = "ALTER TABLE outcomes ADD CONSTRAINT never CHECK (kind <> 'unheard_of')";
    sqlx::query(refuse).execute(&story.pool).await.unwrap();
    let record = Record { kind: "unheard_of".into(), ..Record::unreadable(id, Status::Succeeded) };
    let mut end = redis::pipe();
    end.cmd("HDEL").arg(story.keys.jobs()).arg(id).ignore();
    end.cmd("XADD").arg(story.keys.outcomes()).arg("*").arg("t").arg(1_795_280_202_384_u64);
    end.arg("w").arg("w").arg("o").arg(record.encode()).ignore();
    story.link.pipeline::<()>(&end).await.unwrap();

    let progress = story.recorder().run_once().await.unwrap();

    assert_eq!((progress.refused, progress.recorded), (1, 0));
    assert_eq!(story.row(id).await, None);
}

/// A relay for which rows are old after 2 s.
fn short(story: &Story) -> Relay {
    story.relay_with(Duration::from_secs(2))
}

async fn wait_for(mut condition: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "waited {PATIENCE:?} in vain");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
