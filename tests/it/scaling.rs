//! What a scaler reads while a queue fills up and a worker empties it.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use flota_tests::program::Installation;
use flota_worker::sandbox::{Fault, Sandbox};
use serde_json::{Value, json};
use tokio::time::sleep;

const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two questions.
const LOOK: Duration = Duration::from_millis(50);
/// How long a slow provider keeps each of the first runs.
const HELD: Duration = Duration::from_secs(8);

/// Reads the page of queue `email` from the admin address of `flota serve`.
struct Scaler {
    url: String,
    client: reqwest::Client,
    /// What it read, for people.
    told: String,
}

impl Scaler {
    async fn read(&self) -> Value {
        let answer = self.client.get(&self.url).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.json().await.expect("JSON")
    }

    /// The page as soon as it is `wanted`.
    async fn expect(&mut self, when: &str, wanted: &Value) {
        let began = Instant::now();
        loop {
            let page = self.read().await;
            if page == *wanted {
                writeln!(self.told, "{when:<16} {page}").expect("memory");
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{when}: {page} instead of {wanted}\n{}", self.told);
            sleep(LOOK).await;
        }
    }
}

/// The page with these numbers; two of the jobs are one worker's share.
fn page(ready: u64, in_flight: u64) -> Value {
    let backlog: u64 = ready + in_flight;
    json!({
        "queue": "email", "backlog": backlog, "replicas": backlog.div_ceil(2), "ready": ready,
        "in_flight": in_flight, "due_soon": 0, "paused": false,
    })
}

#[tokio::test]
async fn the_scaling_page_goes_from_0_to_the_backlog_and_with_a_worker_back_to_0() {
    let (sandbox, mut flota) = (Sandbox::start().await.unwrap(), Installation::new().await);
    for (name, value) in sandbox.environment() {
        flota.set(name, value);
    }
    let queues = flota.write("two.toml", "[queues.email]\nconcurrency = 2\n");
    flota.set("FLOTA_QUEUES_FILE", queues).set("FLOTA_EMAIL_PROVIDERS", "sendgrid");
    let slow = Fault { delay_ms: HELD.as_millis() as u64, ..Fault::of("sendgrid") };
    sandbox.fault(slow.times(2)).unwrap();
    let server = flota.start(&["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).await;
    let url = format!("{}/api/v1/queues/email/scaling", server.address().await);
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let mut scaler = Scaler { url, client, told: String::new() };

    scaler.expect("empty", &page(0, 0)).await;
    let mail = json!({ "to": ["ana@example.com"], "body": { "subject": "Hi", "text": "Hello" } });
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(flota.enqueue("send_email", &mail, &[]).await);
    }
    scaler.expect("no worker yet", &page(7, 0)).await;
    let worker = flota.start(&["worker"]).await;
    sandbox.wait_for(Some("sendgrid"), 2, PATIENCE).await.unwrap();
    scaler.expect("being worked off", &page(5, 2)).await;
    for id in &ids {
        flota.wait_for(id, "succeeded").await;
    }
    scaler.expect("done", &page(0, 0)).await;

    print!("{}", scaler.told);
    worker.stop().await;
    server.stop().await;
}
