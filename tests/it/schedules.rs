//! Jobs by the clock: one per tick, however many processes look.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use flota_engine::browse::{self, Live, LiveState};
use flota_producer::{Producer, Settings, keys::Prefix, link::Link};
use flota_tests::{PATIENCE, servers};
use flota_worker::{
    config::Queues,
    schedules::{Schedule, Scheduler, last_ticks, previous},
};
use futures_util::future::join_all;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// A fleet with one schedule that ticks at the turn of the year, so that no tick comes in the middle of a test.
struct Clockwork {
    link: Link,
    prefix: Prefix,
    schedule: Schedule,
}

impl Clockwork {
    async fn new(options: &str) -> Self {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let text = format!(
            r#"
[queues.email]
[schedules.yearly]
cron = "0 0 1 1 *"
timezone = "America/Mexico_City"
kind = "send_email"
{options}
payload = {{ to = ["ana@example.com"], body = {{ subject = "S", text = "T" }} }}
"#
        );
        std::fs::write(file.path(), text).expect("it can be written");
        let queues = Queues::load(Some(file.path())).expect("a good file");
        Self {
            link: Link::new(servers::redis_url().await).expect("a Redis URL"),
            prefix: Prefix::new(&servers::unique_name()).expect("a usable prefix"),
            schedule: queues.schedules[0].clone(),
        }
    }

    /// The last turn of the year in Mexico City.
    async fn tick(&self) -> DateTime<Utc> {
        let (now, _) = last_ticks(&self.link, &self.prefix).await.expect("Redis answers");
        previous(&self.schedule.cron, self.schedule.timezone, now).expect("there was one")
    }

    async fn last(&self) -> Option<DateTime<Utc>> {
        let (_, last) = last_ticks(&self.link, &self.prefix).await.expect("Redis answers");
        last.get("yearly").copied()
    }

    /// As if no worker had been there since then.
    async fn asleep_since(&self, time: DateTime<Utc>) {
        let mut command = redis::cmd("HSET");
        command.arg(self.prefix.schedules()).arg("yearly").arg(time.timestamp_millis());
        self.link.query::<()>(&command).await.expect("Redis answers");
    }

    /// Lets this many processes look until the mark has moved on from `before`.
    async fn wake(&self, processes: usize, before: Option<DateTime<Utc>>) {
        let stop = CancellationToken::new();
        let url = servers::redis_url().await;
        let loops = (0..processes).map(|_| {
            let mut settings = Settings::from_url(&url).expect("a Redis URL");
            settings.prefix = self.prefix.clone();
            let producer = Producer::new(settings).expect("a Redis URL");
            let schedules = vec![self.schedule.clone()];
            Scheduler::new(schedules, self.link.again(), self.prefix.clone(), producer).run(stop.clone())
        });
        let loops = tokio::spawn(join_all(loops.collect::<Vec<_>>()));
        let began = Instant::now();
        while self.last().await == before {
            assert!(began.elapsed() < PATIENCE, "no process moved the mark on from {before:?}");
            sleep(Duration::from_millis(20)).await;
        }
        // Every process looks at once when it starts; this long they all have.
        sleep(Duration::from_millis(300)).await;
        stop.cancel();
        loops.await.expect("no scheduler panics");
    }

    async fn jobs(&self) -> Vec<Live> {
        let keys = self.prefix.queue("email");
        browse::page(&self.link, &keys, LiveState::Ready, 0, 100).await.expect("Redis answers")
    }
}

#[tokio::test]
async fn ten_processes_enqueue_one_job_per_tick_and_make_up_for_the_last_one() {
    let clockwork = Clockwork::new("tenant = \"acme\"").await;
    let tick = clockwork.tick().await;
    let long_ago = tick - chrono::TimeDelta::days(3 * 366);
    clockwork.asleep_since(long_ago).await;

    clockwork.wake(10, Some(long_ago)).await;

    let jobs = clockwork.jobs().await;
    assert_eq!(jobs.len(), 1, "three ticks had passed: the last is made up for, once");
    let envelope = jobs[0].envelope.as_ref().unwrap();
    assert_eq!((envelope.kind.as_str(), envelope.tenant.as_deref()), ("send_email", Some("acme")));
    assert_eq!(envelope.meta["schedule"], "yearly");
    assert!(envelope.meta["tick"].as_str().unwrap().ends_with("01-01T06:00:00Z"), "{:?}", envelope.meta);
    assert_eq!(clockwork.last().await, Some(tick));
}

#[tokio::test]
async fn a_crash_between_enqueueing_and_saying_so_enqueues_nothing_twice() {
    let clockwork = Clockwork::new("overlap = \"allow\"").await;
    let before = clockwork.tick().await - chrono::TimeDelta::days(1);
    clockwork.asleep_since(before).await;
    clockwork.wake(1, Some(before)).await;

    clockwork.asleep_since(before).await;
    clockwork.wake(3, Some(before)).await;

    assert_eq!(clockwork.jobs().await.len(), 1);
}

#[tokio::test]
async fn a_new_schedule_begins_with_its_next_tick() {
    let clockwork = Clockwork::new("").await;

    clockwork.wake(2, None).await;

    assert!(clockwork.jobs().await.is_empty());
    assert!(clockwork.tick().await < clockwork.last().await.unwrap());
}

#[tokio::test]
async fn without_catching_up_a_missed_tick_is_left_out() {
    let clockwork = Clockwork::new("catch_up = \"none\"").await;
    let before = clockwork.tick().await - chrono::TimeDelta::days(1);
    clockwork.asleep_since(before).await;

    clockwork.wake(3, Some(before)).await;

    assert!(clockwork.jobs().await.is_empty());
    assert_eq!(clockwork.last().await, Some(clockwork.tick().await));
}

#[tokio::test]
async fn a_tick_is_skipped_while_the_last_job_is_alive_unless_overlap_is_allowed() {
    for (options, expected) in [("", 1), ("overlap = \"allow\"", 2)] {
        let clockwork = Clockwork::new(options).await;
        let mut settings = Settings::from_url(&servers::redis_url().await).unwrap();
        settings.prefix = clockwork.prefix.clone();
        Producer::new(settings).unwrap().enqueue(clockwork.schedule.job()).await.unwrap();
        let before = clockwork.tick().await - chrono::TimeDelta::days(1);
        clockwork.asleep_since(before).await;

        clockwork.wake(2, Some(before)).await;

        assert_eq!(clockwork.jobs().await.len(), expected, "{options}");
        assert_eq!(clockwork.last().await, Some(clockwork.tick().await), "the tick has been dealt with");
    }
}
