//! What operators see of a provider: the share of an allowance that is used up, a warning when little is left, and one log
//! line for each failed call with the directive's fields. The worker is the real program.

use std::time::{Duration, Instant};

use flota_tests::{
    PATIENCE,
    program::{Installation, Running},
};
use flota_worker::sandbox::{Fault, Sandbox};
use serde_json::{Value, json};
use tokio::time::sleep;

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// A worker that asks the sandbox's language model, and logs JSON.
async fn stage() -> (Installation, Sandbox, Running) {
    let (mut flota, sandbox) = (Installation::new().await, Sandbox::start().await.expect("a sandbox"));
    for (name, value) in sandbox.environment() {
        flota.set(name, value);
    }
    flota.set("LOG_FORMAT", "json").set("FLOTA_ADMIN_ADDR", "127.0.0.1:0");
    let worker = flota.start(&["worker"]).await;
    (flota, sandbox, worker)
}

async fn ask(flota: &Installation, options: &[&str]) -> String {
    // Of a model by name, so that no other is asked instead.
    let question = json!({
        "messages": [{ "role": "user", "content": "Why is the sky blue?" }],
        "model": "some/model",
    });
    flota.enqueue("complete_chat", &question, &[&["--tenant", "acme"], options].concat()).await
}

/// The lines with this message, as soon as there is one.
async fn logged(worker: &Running, message: &str) -> Vec<Value> {
    let began = Instant::now();
    loop {
        let log = worker.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let found: Vec<Value> = lines.filter(|line| line["message"] == message).collect();
        if !found.is_empty() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{message} is not in\n{log}");
        sleep(LOOK).await;
    }
}

/// The exported share of the language model's allowance.
async fn used_share(worker: &Running) -> f64 {
    let url = format!("{}/metrics", worker.address().await);
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let page = http.get(url).send().await.expect("an answer").text().await.expect("text");
    let name = "flota_provider_limit_used_ratio{provider=\"llm\"} ";
    let share = page.lines().find_map(|line| line.strip_prefix(name));
    share.and_then(|share| share.parse().ok()).unwrap_or_else(|| panic!("no share in\n{page}"))
}

#[tokio::test]
async fn an_allowance_that_is_nearly_used_up_is_exported_and_told_once() {
    let (flota, sandbox, worker) = stage().await;
    let answer =
        json!({ "id": "gen-1", "model": "m", "choices": [{ "message": { "content": "Rayleigh." } }] });
    let fault = Fault { body: Some(answer), ..Fault::status("llm", 200) };
    let fault = fault.header("x-ratelimit-limit", "600").header("x-ratelimit-remaining", "42");
    sandbox.fault(fault.header("x-ratelimit-reset", "30").times(2)).unwrap();

    for _ in 0..2 {
        ask(&flota, &["--wait"]).await;
    }

    let told = logged(&worker, "Rate limit warning: 42/600 remaining").await;
    assert_eq!(told.len(), 1, "it is told once a minute");
    assert_eq!((&told[0]["level"], &told[0]["fields"]["service"]), (&json!("WARN"), &json!("llm")));
    assert!((used_share(&worker).await - 0.93).abs() < 1e-9);
    worker.stop().await;
}

#[tokio::test]
async fn plenty_of_an_allowance_is_exported_without_a_warning() {
    let (flota, sandbox, worker) = stage().await;
    let answer =
        json!({ "id": "gen-1", "model": "m", "choices": [{ "message": { "content": "Rayleigh." } }] });
    let fault = Fault { body: Some(answer), ..Fault::status("llm", 200) };
    sandbox.fault(fault.header("x-ratelimit-limit", "600").header("x-ratelimit-remaining", "120")).unwrap();

    ask(&flota, &["--wait"]).await;

    assert!((used_share(&worker).await - 0.8).abs() < 1e-9);
    assert!(!worker.log().contains("Rate limit warning"), "a fifth is enough");
    worker.stop().await;
}

#[tokio::test]
async fn a_failed_call_is_one_line_with_the_fields_of_the_directive() {
    let (flota, sandbox, worker) = stage().await;
    sandbox.fault(Fault::status("llm", 502)).unwrap();

    let id = ask(&flota, &["--wait"]).await;

    let told = logged(&worker, "External service error").await;
    assert_eq!(told.len(), 1);
    let fields = told[0]["fields"].as_object().unwrap();
    let shown = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    assert_eq!(
        (shown("service"), shown("operation"), shown("code"), shown("class"), shown("tenant")),
        ("llm", "complete", "provider_unavailable", "server_error", "acme")
    );
    assert!(shown("error").starts_with("llm complete failed: "), "{fields:?}");
    assert_eq!(told[0]["spans"][0]["job.id"], id, "the line says which job it was");
    assert_eq!(flota.job(&id).await["attempts"].as_array().map(Vec::len), Some(2));
    worker.stop().await;
}
