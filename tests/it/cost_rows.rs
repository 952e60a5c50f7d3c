//! What each model cost stands in Postgres to the millionth of a dollar, by the prices of queues.toml: every tier of language
//! models, and transcription. The worker is the real program.

use flota_tests::program::Installation;
use flota_worker::sandbox::{Fault, Sandbox};
use serde_json::{Value, json};
use sqlx::Row;

/// What every question took.
const TOKENS: (u64, u64) = (1_000, 200);
/// Tier or name of the model that is asked, the model that answers, what it cost in millionths of a dollar.
const ROWS: [(&str, &str, &str, f64); 6] = [
    ("tier", "default", "anthropic/claude-3-haiku", 500.0),
    ("tier", "premium", "anthropic/claude-3-sonnet", 6_000.0),
    ("tier", "fallback", "openai/gpt-4o-mini", 270.0),
    // The second of its tier.
    ("model", "openai/gpt-3.5-turbo", "openai/gpt-3.5-turbo", 800.0),
    ("tier", "economy", "mistralai/mistral-7b", 72.0),
    ("tier", "open", "meta-llama/llama-3-8b", 240.0),
];
/// 6.8 seconds, of which the seventh was begun.
const RECORDING: (&str, f64) = ("whisper-1", 700.0);

/// An answer that does not say what it cost, so that the table has to.
fn answer() -> Fault {
    let usage = json!({ "prompt_tokens": TOKENS.0, "completion_tokens": TOKENS.1 });
    let choice =
        json!({ "finish_reason": "stop", "message": { "role": "assistant", "content": "Because." } });
    let body = json!({ "id": "gen-1", "choices": [choice], "usage": usage });
    Fault { body: Some(body), ..Fault::status("llm", 200) }.times(ROWS.len() as u32)
}

/// Model, millionths of a dollar, and who said so, of every call in history.
async fn calls(flota: &Installation) -> Vec<(String, f64, String)> {
    let query = "SELECT call->>'model' AS model, (call->>'cost_usd')::double precision * 1e6 AS micro,
                        call->>'cost_from' AS teller
                 FROM outcomes CROSS JOIN LATERAL jsonb_array_elements(result->'usage'->'calls') AS call ORDER BY model";
    let rows = sqlx::query(query).fetch_all(&flota.pool()).await.expect("Postgres answers");
    rows.iter().map(|row| (row.get("model"), row.get("micro"), row.get("teller"))).collect()
}

#[tokio::test]
async fn every_model_has_its_row_with_what_it_cost() {
    let (mut flota, sandbox) = (Installation::new().await, Sandbox::start().await.expect("a sandbox"));
    for (name, value) in sandbox.environment() {
        flota.set(name, value);
    }
    flota.set("FLOTA_FILES_DIR", concat!(env!("CARGO_MANIFEST_DIR"), "/assets/audio"));
    sandbox.fault(answer()).expect("a fault that can be ordered");
    let worker = flota.start(&["worker"]).await;

    let mut ids = Vec::new();
    for (field, name, ..) in ROWS {
        let question = json!({ "messages": [{ "role": "user", "content": "Why?" }], field: name });
        ids.push(flota.enqueue("complete_chat", &question, &["--tenant", "acme"]).await);
    }
    let recording = json!({ "audio": { "file": "speech.ogg" }, "language": "es" });
    ids.push(flota.enqueue("transcribe_audio", &recording, &["--tenant", "acme"]).await);
    for id in &ids {
        flota.wait_for(id, "succeeded").await;
    }

    let mut expected: Vec<(&str, f64)> =
        ROWS.iter().map(|(_, _, model, micro)| (*model, *micro)).chain([RECORDING]).collect();
    expected.sort_by_key(|(model, _)| *model);
    let calls = calls(&flota).await;
    assert_eq!(calls.len(), expected.len(), "{calls:?}");
    for ((model, micro, teller), (name, cost)) in calls.iter().zip(expected) {
        assert_eq!((model.as_str(), teller.as_str()), (name, "table"));
        assert!((micro - cost).abs() < 1e-6, "{model} cost {micro} millionths of a dollar, and not {cost}");
    }
    let table = flota.flota(&["llm", "usage", "-o", "table"]).await.expect(0).stdout;
    println!("{table}");
    let by_kind = flota.flota(&["llm", "usage", "--by", "kind"]).await.expect(0).json();
    let sums: Vec<(&Value, f64)> = by_kind
        .as_array()
        .expect("a list")
        .iter()
        .map(|sum| (&sum["name"], (sum["cost_usd"].as_f64().expect("dollars") * 1e6).round()))
        .collect();
    assert_eq!(sums, [(&json!("complete_chat"), 7_882.0), (&json!("transcribe_audio"), 700.0)]);
    worker.stop().await;
}
