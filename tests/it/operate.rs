//! An operator at the command line: queues, live jobs, workers, schedules.

use std::time::{Duration, Instant};

use flota_tests::{PATIENCE, program::Installation, shape::shape};
use serde_json::{Value, json};
use tokio::time::sleep;

fn mail() -> Value {
    json!({ "to": ["ana@example.com"], "body": { "subject": "Hi", "text": "Hello" } })
}

async fn audit(flota: &Installation) -> Vec<String> {
    let sql = "SELECT action || ' ' || actor || ' ' || subject FROM audit_log ORDER BY id";
    sqlx::query_scalar(sql).fetch_all(&flota.pool()).await.expect("Postgres answers")
}

/// Waits until the list of workers fits. Answers it.
async fn workers(flota: &Installation, what: &str, fits: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let began = Instant::now();
    loop {
        let list = flota.flota(&["workers", "list"]).await.expect(0).json();
        let list = list.as_array().expect("a list").clone();
        if fits(&list) {
            return list;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}: {list:#?}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_queue_is_looked_at_and_purged_only_when_it_is_meant() {
    let mut flota = Installation::new().await;
    flota.set("USER", "olga");
    let waiting = flota.enqueue("send_email", &mail(), &["--tenant", "acme"]).await;
    let later = flota.enqueue("send_email", &mail(), &["--delay", "1h"]).await;
    flota.flota(&["queue", "pause", "email", "--reason", "the provider is down"]).await.expect(0);

    let queue = flota.flota(&["queue", "get", "email"]).await.expect(0).json();
    let ready = flota.flota(&["job", "list", "--state", "ready"]).await.expect(0).json();
    let delayed = flota.flota(&["job", "list", "--state", "delayed", "-o", "id"]).await.expect(0);
    let none = flota.flota(&["job", "list", "--state", "parked"]).await.expect(0).json();
    let refused = flota.flota(&["queue", "purge", "email"]).await.expect(5);
    let purged = flota.flota(&["queue", "purge", "email", "--yes"]).await.expect(0).json();
    let unknown = flota.flota(&["queue", "purge", "nowhere", "--yes"]).await.expect(3);

    assert_eq!((&queue["ready"], &queue["paused_reason"]), (&json!(1), &json!("the provider is down")));
    assert_eq!((&ready[0]["id"], &ready[0]["tenant"]), (&json!(waiting), &json!("acme")));
    assert_eq!(
        shape(&ready),
        "[age_ms: count, attempt: count, id: id, kind: text, priority: text, queue: text, state: text, tenant: text]"
    );
    assert_eq!((delayed.stdout.trim(), none), (later.as_str(), json!([])));
    assert!(
        refused.refusal().contains("2 waiting jobs") && refused.refusal().contains("--yes"),
        "{refused:?}"
    );
    assert_eq!(
        purged,
        json!({ "queue": "email", "cancelled": 2, "left": 0, "by_state": { "in_line": 0, "ready": 1, "delayed": 1, "parked": 0 } })
    );
    assert!(unknown.refusal().contains("there is no queue"), "{unknown:?}");
    assert_eq!(audit(&flota).await, ["queue.pause cli:olga email", "queue.purge cli:olga email"]);
    let worker = flota.start(&["worker"]).await;
    assert_eq!(flota.wait_for(&waiting, "cancelled").await["attempts"], json!([]));
    worker.stop().await;
}

#[tokio::test]
async fn releasing_what_is_not_parked_is_told() {
    let flota = Installation::new().await;
    let waiting = flota.enqueue("send_email", &mail(), &[]).await;

    let nothing = flota.flota(&["queue", "release", "email"]).await.expect(0).json();
    let other = flota.flota(&["queue", "release", "email", "--id", &waiting]).await.expect(3);

    assert_eq!(nothing, json!({ "queue": "email", "released": 0 }));
    assert!(other.refusal().contains("none of these jobs is parked"), "{other:?}");
}

#[tokio::test]
async fn workers_are_listed_quieted_and_stopped() {
    let mut flota = Installation::new().await;
    flota.set("USER", "olga");
    assert_eq!(flota.flota(&["workers", "list"]).await.expect(0).json(), json!([]));
    let mut worker = flota.start(&["worker"]).await;
    let there = workers(&flota, "it is there", |list| list.len() == 1).await;
    let name = there[0]["worker"].as_str().unwrap().to_owned();

    let quiet = flota.flota(&["workers", "quiet", &name[..name.len() - 2]]).await.expect(0).json();
    workers(&flota, "it is quiet", |list| list.first().is_some_and(|worker| worker["state"] == "quiet"))
        .await;
    let all = flota.flota(&["workers", "stop", "--all"]).await.expect(5);
    let nobody = flota.flota(&["workers", "stop", "nobody"]).await.expect(3);
    flota.flota(&["workers", "stop", "--all", "--yes"]).await.expect(0);

    assert_eq!(there[0]["pid"], worker.process.pid());
    assert_eq!(
        shape(&there[0]),
        "busy: count, host: text, pid: count, queues: array, seen_ms_ago: count, slots: count, state: text, \
         uptime_ms: count, version: text, worker: text"
    );
    assert_eq!(quiet, json!({ "action": "workers.quiet", "workers": [name] }));
    assert!(all.refusal().contains("all 1 workers") && all.refusal().contains("--yes"), "{all:?}");
    assert!(nobody.refusal().contains("there is no worker `nobody`"), "{nobody:?}");
    tokio::time::timeout(PATIENCE, worker.process.gone()).await.expect("it drains and exits");
    assert_eq!(flota.flota(&["workers", "list"]).await.expect(0).json(), json!([]));
    let deeds = [format!("workers.quiet cli:olga {name}"), format!("workers.stop cli:olga {name}")];
    assert_eq!(audit(&flota).await, deeds);
}

#[tokio::test]
async fn schedules_are_shown_in_both_times_and_run_by_hand() {
    let mut flota = Installation::new().await;
    let file = |cron: &str| {
        format!(
            "[queues.email]\n[schedules.greeting]\ncron = \"{cron}\"\ntimezone = \"America/Mexico_City\"\n\
             kind = \"send_email\"\npayload = {}\n",
            r#"{ to = ["ana@example.com"], body = { subject = "S", text = "T" } }"#
        )
    };
    let good = flota.write("good.toml", &file("0 6 * * *"));
    let bad = flota.write("bad.toml", &file("0 25 * * *"));
    flota.set("FLOTA_QUEUES_FILE", &good);

    let list = flota.flota(&["schedule", "list"]).await.expect(0).json();
    let first = flota.flota(&["schedule", "run", "greeting"]).await.expect(0).json();
    let second = flota.flota(&["schedule", "run", "greeting"]).await.expect(0).json();
    let unknown = flota.flota(&["schedule", "run", "nothing"]).await.expect(3);
    let wrong = flota.set("FLOTA_QUEUES_FILE", &bad).flota(&["config", "check"]).await.expect(2);

    assert_eq!(list[0]["timezone"], "America/Mexico_City");
    assert!(list[0]["next"].as_str().unwrap().ends_with("T06:00:00-06:00"), "{list}");
    assert!(list[0]["next_utc"].as_str().unwrap().ends_with("T12:00:00Z"), "{list}");
    assert_eq!((&first["deduplicated"], &second["deduplicated"]), (&json!(false), &json!(true)));
    assert_eq!(first["id"], second["id"], "the first is still alive, and overlap is skip");
    assert!(unknown.refusal().contains("known schedules: greeting"), "{unknown:?}");
    assert!(wrong.refusal().contains("bad.toml:3: schedules.greeting.cron = \"0 25 * * *\""), "{wrong:?}");
}

#[tokio::test]
async fn db_status_shows_partitions_with_their_sizes() {
    let flota = Installation::new().await;

    let list = flota.flota(&["db", "status", "--partitions"]).await.expect(0).json();
    let told = flota.flota(&["db", "status", "-o", "table"]).await.expect(0).stdout;

    assert_eq!(shape(&list), "[bytes: count, partition: text, rows: number, table: text]");
    assert!(told.contains("dead_letters") && told.contains("KiB"), "{told}");
}
