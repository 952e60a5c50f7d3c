//! Health and metrics over HTTP: what probes and Prometheus see, also while servers are away.

mod samples;

use std::time::{Duration, Instant};

use flota_tests::{
    PATIENCE,
    fleet::eventually,
    program::{Installation, Running},
    servers,
};
use flota_worker::dev::{PostgresServer, RedisOptions, RedisServer, SmtpSink};
use serde_json::{Value, json};
use tokio::time::sleep;

use self::samples::Samples;

/// Pause between two questions.
const LOOK: Duration = Duration::from_millis(50);

/// A server on free ports.
const SERVE: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

/// Pages of one process.
struct Pages {
    address: String,
    client: reqwest::Client,
}

impl Pages {
    async fn of(process: &Running) -> Self {
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
        let client = client.expect("a client of HTTP");
        Self { address: process.address().await, client }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.client.get(format!("{}{path}", self.address)).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }

    async fn ready(&self) -> (u16, Value) {
        let (status, body) = self.get("/readyz").await;
        (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
    }

    /// A server that is back takes a moment to be noticed.
    async fn wait_until_ready(&self) {
        eventually(PATIENCE, "it is ready", async || self.ready().await.0 == 200).await;
    }

    /// Waits for this status while the server under this name is as it should be, which takes a moment to be noticed, and
    /// longer than a probe's second on a busy machine.
    async fn ready_with(&self, server: &str, state: &str, status: u16) -> Value {
        let began = Instant::now();
        loop {
            let (now, answer) = self.ready().await;
            if now == status && answer[server] == state {
                return answer;
            }
            assert!(began.elapsed() < PATIENCE, "{status} with {server} {state} is not seen: {now} {answer}");
            sleep(LOOK).await;
        }
    }

    /// What a process does a moment after others can see its effect is counted a moment later, too.
    async fn samples_with(&self, name: &str, labels: &[(&str, &str)], value: f64) -> Samples {
        let began = Instant::now();
        loop {
            let samples = self.samples().await;
            if samples.get(name, labels) == Some(value) {
                return samples;
            }
            assert!(began.elapsed() < PATIENCE, "{name} does not become {value}: {samples:#?}");
            sleep(LOOK).await;
        }
    }

    async fn samples(&self) -> Samples {
        let (status, page) = self.get("/metrics").await;
        assert_eq!(status, 200, "{page}");
        Samples::read(&page)
    }
}

/// Servers that a test may stop, and an installation on them.
async fn own_servers() -> (RedisServer, PostgresServer, Installation) {
    let (redis, (postgres, database)) =
        tokio::join!(RedisServer::start(RedisOptions::default()), servers::own_postgres());
    let redis = redis.expect("a private Redis starts");
    let flota = Installation::on(&redis.url(), &database).await;
    (redis, postgres, flota)
}

#[tokio::test]
async fn probes_tell_a_living_process_from_a_ready_one() {
    let (mut redis, mut postgres, flota) = own_servers().await;
    let server = flota.start(&SERVE).await;
    let pages = Pages::of(&server).await;

    let answer = pages.ready_with("postgres", "ok", 200).await;
    assert_eq!(answer, json!({ "ready": true, "redis": "ok", "postgres": "ok" }));
    redis.stop().await.unwrap();
    let answer = pages.ready_with("postgres", "ok", 503).await;
    assert_eq!(answer["ready"], false);
    assert!(answer["redis"].as_str().unwrap().contains("Redis"), "{answer}");
    assert_eq!(pages.get("/livez").await, (200, "ok\n".to_owned()), "an outage of Redis restarts no fleet");
    assert_eq!(pages.get("/startupz").await.0, 503);
    assert_eq!(pages.get("/metrics").await.0, 200);

    redis.start_again().await.unwrap();
    pages.wait_until_ready().await;
    postgres.stop().await.unwrap();
    let answer = pages.ready_with("redis", "ok", 503).await;
    assert_eq!(answer["ready"], false);
    assert_ne!(answer["postgres"], "ok");
    assert_eq!(pages.get("/livez").await.0, 200);
    postgres.start_again().await.unwrap();
    pages.wait_until_ready().await;
    server.stop().await;
}

#[tokio::test]
async fn a_server_lives_although_nothing_else_was_ever_there() {
    let mut flota = Installation::new().await;
    flota.set("REDIS_URL", "redis://127.0.0.1:1/").set("DATABASE_URL", "postgres://flota@127.0.0.1:1/flota");
    let server = flota.start(&SERVE).await;
    let pages = Pages::of(&server).await;

    let (status, answer) = pages.ready().await;

    assert_eq!((status, &answer["ready"]), (503, &json!(false)));
    assert_eq!(pages.get("/livez").await.0, 200);
    assert_eq!(pages.get("/no/such/page").await.0, 404);
    server.stop().await;
}

#[tokio::test]
async fn a_hanging_redis_makes_a_process_unready_long_before_a_client_gives_up() {
    let (redis, _postgres, flota) = own_servers().await;
    let server = flota.start(&SERVE).await;
    let pages = Pages::of(&server).await;
    pages.wait_until_ready().await;

    redis.pause().await.unwrap();
    let began = Instant::now();
    let (status, answer) = pages.ready().await;
    let metrics = pages.get("/metrics").await.0;
    let took = began.elapsed();
    // It would have hung for as long as nobody did this.
    redis.resume().await.unwrap();

    assert_eq!((status, &answer["redis"], metrics), (503, &json!("no answer within 1s"), 200));
    // One second for each page; the rest is for a machine that is busy.
    assert!(took < Duration::from_secs(30), "{took:?}");
    pages.wait_until_ready().await;
    server.stop().await;
}

#[tokio::test]
async fn the_metrics_of_serve_show_every_queue() {
    let flota = Installation::new().await;
    let mail = json!({ "to": ["ana@example.com"], "body": { "subject": "Hi", "text": "Hello" } });
    flota.enqueue("send_email", &mail, &[]).await;
    flota.enqueue("send_email", &mail, &["--delay", "1h"]).await;
    flota.flota(&["queue", "pause", "webhook"]).await.expect(0);
    let server = flota.start(&SERVE).await;
    let pages = Pages::of(&server).await;

    // The numbers of a server that needs more than a second to answer are left out.
    let samples =
        pages.samples_with("flota_queue_jobs", &[("queue", "webhook"), ("state", "dead")], 0.0).await;

    let jobs = |queue, state| samples.get("flota_queue_jobs", &[("queue", queue), ("state", state)]);
    for queue in ["email", "webhook"] {
        let states =
            ["ready", "delayed", "in_flight", "parked", "in_line", "dead"].map(|state| jobs(queue, state));
        let waiting = if queue == "email" { Some(1.0) } else { Some(0.0) };
        assert_eq!(states, [waiting, waiting, Some(0.0), Some(0.0), Some(0.0), Some(0.0)], "{queue}");
        assert_eq!(samples.get("flota_outcomes_waiting", &[("queue", queue)]), Some(0.0));
    }
    let of_queue = |name, queue| samples.get(name, &[("queue", queue)]);
    assert_eq!(of_queue("flota_queue_paused", "email"), Some(0.0));
    assert_eq!(of_queue("flota_queue_paused", "webhook"), Some(1.0));
    assert!(of_queue("flota_queue_oldest_ready_age_seconds", "email") > Some(0.0));
    assert_eq!(of_queue("flota_queue_oldest_ready_age_seconds", "webhook"), Some(0.0));
    assert_eq!(samples.get("flota_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    server.stop().await;
}

#[tokio::test]
async fn a_worker_with_an_admin_address_counts_its_jobs() {
    let (mut flota, sink) = (Installation::new().await, SmtpSink::start().await.unwrap());
    let worker = flota.mail_to(&sink).start(&["worker", "--admin", "127.0.0.1:0"]).await;
    let pages = Pages::of(&worker).await;
    let mail = json!({ "to": ["ana@example.com"], "body": { "subject": "Hi", "text": "Hello" } });
    let hopeless = json!({ "to": ["ñandú@example.com"], "body": { "subject": "Hi", "text": "Hello" } });

    flota.enqueue("send_email", &mail, &["--wait"]).await;
    let wait = ["enqueue", "send_email", "--wait", "--data", &hopeless.to_string()];
    flota.flota(&wait).await.expect(1);

    let written = [("queue", "email"), ("result", "recorded")];
    let samples = pages.samples_with("flota_outcome_writes_total", &written, 2.0).await;
    let attempts = |outcome, class| {
        let labels =
            [("queue", "email"), ("kind", "send_email"), ("outcome", outcome), ("error_class", class)];
        samples.get("flota_job_attempts_total", &labels)
    };
    assert_eq!((attempts("succeeded", "none"), attempts("dead", "permanent")), (Some(1.0), Some(1.0)));
    let took = [("queue", "email"), ("kind", "send_email"), ("outcome", "succeeded")];
    assert_eq!(samples.get("flota_job_duration_seconds_count", &took), Some(1.0));
    let of_all_processes: Vec<_> =
        samples.names().into_iter().filter(|name| name.starts_with("flota_queue_")).collect();
    assert_eq!(of_all_processes, Vec::<&str>::new(), "those are reported by `flota serve` alone");
    assert_eq!(pages.get("/livez").await.0, 200);
    pages.wait_until_ready().await;
    worker.stop().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_told_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut flota = Installation::new().await;

    let serve = flota.flota(&["serve", "--admin", &address]).await.expect(1);
    let api = ["serve", "--admin", "127.0.0.1:0", "--listen", &address];
    let api = flota.flota(&api).await.expect(1);
    let worker = flota.set("RUST_LOG", "off").flota(&["worker", "--admin", &address]).await.expect(1);

    let begins = format!("{address} cannot be listened on");
    for (said, option) in [(&serve, "--admin"), (&api, "--listen"), (&worker, "--admin")] {
        let refusal = said.refusal();
        assert!(refusal.starts_with(&begins) && refusal.ends_with(&format!("choose another with {option}")));
    }
}

#[tokio::test]
async fn nothing_is_opened_to_other_machines_by_accident() {
    let flota = Installation::new().await;
    let quiet = |arguments: &'static [&'static str]| {
        let flota = &flota;
        async move { flota.flota(arguments).await.expect(2).refusal().to_owned() }
    };

    let pages = quiet(&["serve", "--admin", "0.0.0.0:0"]).await;
    let worker = quiet(&["worker", "--admin", "0.0.0.0:0"]).await;
    let api = quiet(&["serve", "--admin", "127.0.0.1:0", "--listen", "0.0.0.0:0"]).await;

    assert!(pages.contains("no password") && pages.contains("--admin-public"), "{pages}");
    assert_eq!(worker, pages, "a worker follows the same rule");
    assert!(api.contains("there is no token") && api.contains("flota token create"), "{api}");
    flota.flota(&["token", "create", "first", "--role", "admin"]).await.expect(0);
    let open = ["serve", "--admin", "0.0.0.0:0", "--admin-public", "--listen", "0.0.0.0:0"];
    let server = flota.start(&open).await;
    assert!(server.api_address().await.starts_with("http://0.0.0.0:"));
    server.stop().await;
}

#[tokio::test]
async fn a_worker_in_a_pod_opens_its_pages_by_a_variable() {
    let mut flota = Installation::new().await;
    flota.set("FLOTA_ADMIN_ADDR", "0.0.0.0:0").set("FLOTA_ADMIN_PUBLIC", "true");

    let worker = flota.start(&["worker"]).await;

    assert!(worker.address().await.starts_with("http://0.0.0.0:"));
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_is_ready_by_what_its_loops_heard() {
    let (redis, _postgres, flota) = own_servers().await;
    let worker = flota.start(&["worker", "--queue", "email", "--admin", "127.0.0.1:0"]).await;
    let pages = Pages::of(&worker).await;
    pages.wait_until_ready().await;

    let (_, well) = pages.ready().await;
    redis.pause().await.unwrap();
    let is_ill = async || pages.ready().await.1["fetch"]["email"]["well"] == json!(false);
    eventually(PATIENCE, "the fetch counts as ill", is_ill).await;
    redis.resume().await.unwrap();

    let age = |step: &str| well[step]["email"]["age_ms"].as_u64().unwrap();
    assert!(age("fetch") < 60_000 && age("record") < 60_000, "{well}");
    pages.wait_until_ready().await;
    worker.stop().await;
}

#[tokio::test]
async fn the_scaling_page_goes_from_nothing_to_a_backlog_and_back() {
    let (mut redis, _postgres, flota) = own_servers().await;
    let server = flota.start(&SERVE).await;
    let pages = Pages::of(&server).await;
    let read = async |path: &str| {
        let (status, body) = pages.get(&format!("/api/v1/queues/{path}")).await;
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let mail = json!({ "to": ["ana@example.com"], "body": { "subject": "Hi", "text": "Hello" } });

    let (_, empty) = read("email/scaling").await;
    let first = flota.enqueue("send_email", &mail, &[]).await;
    let soon = flota.enqueue("send_email", &mail, &["--delay", "50s"]).await;
    flota.enqueue("send_email", &mail, &["--delay", "1h"]).await;
    let (_, waiting) = read("email/scaling?per_replica=1").await;
    flota.flota(&["queue", "pause", "email"]).await.expect(0);
    let (_, paused) = read("email/scaling").await;
    flota.flota(&["queue", "resume", "email"]).await.expect(0);
    for id in [&first, &soon] {
        flota.flota(&["job", "cancel", id]).await.expect(0);
    }
    // An id that was cancelled while it waited stays in the list until the next fetch takes it away.
    flota.flota(&["queue", "purge", "email", "--yes"]).await.expect(0);
    let (_, after) = read("email/scaling").await;
    let (unknown, _) = read("nowhere/scaling").await;
    let (wrong, _) = read("email/scaling?per_replica=0").await;
    redis.stop().await.unwrap();
    let (away, problem) = read("email/scaling").await;

    assert_eq!((&empty["backlog"], &empty["replicas"]), (&json!(0), &json!(0)));
    assert_eq!((&waiting["backlog"], &waiting["replicas"]), (&json!(2), &json!(2)), "{waiting}");
    assert_eq!((&waiting["ready"], &waiting["due_soon"]), (&json!(1), &json!(1)));
    assert_eq!((&paused["backlog"], &paused["paused"]), (&json!(0), &json!(true)));
    assert_eq!(after["due_soon"], 0, "{after}");
    assert_eq!((unknown, wrong, away), (404, 400, 503));
    assert_eq!(problem["type"], "urn:flota:problem:redis-away");
    server.stop().await;
}
