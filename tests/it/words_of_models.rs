//! What people ask a model and what it answers is in the job and in its result, and in no log and in no error, whatever goes
//! wrong. The worker is the real program, and logs everything.

use flota_tests::program::{Installation, Running};
use flota_worker::sandbox::{Fault, Reset, Sandbox};
use serde_json::{Value, json};

const ASKED: &str = "canary-of-the-question-7d1c";
const ANSWERED: &str = "canary-of-the-answer-4be2";
/// More often than a job asks models.
const ALWAYS: u32 = 100;

async fn stage() -> (Installation, Sandbox) {
    let (mut flota, sandbox) = (Installation::new().await, Sandbox::start().await.expect("a sandbox"));
    for (name, value) in sandbox.environment() {
        flota.set(name, value);
    }
    flota.set("LOG_FORMAT", "json").set("RUST_LOG", "trace");
    (flota, sandbox)
}

fn question() -> Value {
    json!({ "messages": [{ "role": "user", "content": ASKED }] })
}

fn says(body: Value) -> Fault {
    Fault { body: Some(body), ..Fault::status("llm", 200) }
}

fn chooses(choice: Value) -> Fault {
    says(json!({ "id": "gen-1", "choices": [choice] }))
}

/// Ways to go wrong, in each of which words stand where an error could take them from.
fn troubles() -> Vec<(Value, Fault)> {
    let (asked, of_anything) = (question, |fault| (question(), fault));
    let mut formed = asked();
    let properties = json!({ "price": { "const": 3 } });
    formed["answer_schema"] =
        json!({ "type": "object", "properties": properties, "additionalProperties": false });
    let moderated = json!({ "code": 403, "message": "Your input was flagged", "metadata": {
        "reasons": ["violence"], "flagged_input": ASKED, "provider_name": "OpenAI", "raw": ANSWERED,
    } });
    let echo = json!({ "code": 400, "message": format!("Cannot parse: {ASKED}"), "metadata": { "error_type": "invalid_request" } });
    let broken_off = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{ANSWERED}\"}}}}]}}\n\n");
    let [no_price, too_much] =
        [json!({ "price": ANSWERED }), json!({ ANSWERED: 3 })].map(|answer| answer.to_string());
    vec![
        of_anything(chooses(json!({ "finish_reason": "stop", "message": { "refusal": ANSWERED } }))),
        of_anything(chooses(
            json!({ "finish_reason": "content_filter", "message": { "content": ANSWERED } }),
        )),
        of_anything(chooses(json!({ "finish_reason": "error", "message": { "content": ANSWERED } }))),
        of_anything(says(json!(format!("{{\"choices\":[{{\"message\":{{\"content\":\"{ANSWERED}")))),
        of_anything(says(json!(broken_off)).header("content-type", "text/event-stream")),
        of_anything(Fault { malformed: true, ..Fault::of("llm") }),
        of_anything(Fault { reset: Some(Reset::AfterWork), ..Fault::of("llm") }),
        of_anything(Fault { body: Some(json!({ "error": moderated })), ..Fault::status("llm", 403) }),
        of_anything(Fault { body: Some(json!({ "error": echo })), ..Fault::status("llm", 400) }),
        of_anything(chooses(json!({ "finish_reason": "error", "error": echo }))),
        (formed.clone(), chooses(json!({ "finish_reason": "stop", "message": { "content": ANSWERED } }))),
        (formed.clone(), chooses(json!({ "finish_reason": "stop", "message": { "content": no_price } }))),
        (formed, chooses(json!({ "finish_reason": "stop", "message": { "content": too_much } }))),
    ]
}

fn assert_silent(place: &str, text: &str) {
    for words in [ASKED, ANSWERED] {
        let Some(at) = text.find(words) else { continue };
        let before: String = text[..at].chars().rev().take(300).collect();
        panic!("{words} stands in {place} behind: {}", before.chars().rev().collect::<String>());
    }
}

/// Waits until the job has ended so, and looks through all that is told of it but what was asked and answered.
async fn end(flota: &Installation, worker: &Running, id: &str, state: &str) {
    flota.wait_for(id, state).await;

    let mut job = flota.job(id).await;
    job["payload"].take();
    job["outcome"]["result"].take();
    assert_silent("the job", &job.to_string());
    assert!(worker.log().contains(id), "the log tells of the job:\n{}", worker.log());
}

#[tokio::test]
async fn what_is_asked_and_answered_is_in_no_log_and_in_no_error() {
    let (flota, sandbox) = stage().await;
    let worker = flota.start(&["worker"]).await;
    let answered = async || {
        let id = flota.enqueue("complete_chat", &question(), &[]).await;
        end(&flota, &worker, &id, "succeeded").await;
        id
    };

    for (payload, fault) in troubles() {
        sandbox.fault(fault.times(ALWAYS)).unwrap();
        let id = flota.enqueue("complete_chat", &payload, &["--max-attempts", "1"]).await;
        end(&flota, &worker, &id, "dead").await;
        sandbox.clear_faults();
        // One success, and the provider is not left alone for its failures.
        answered().await;
    }
    let misplaced = json!({ "messages": ASKED });
    let id = flota.enqueue_unchecked("complete_chat", "llm", &misplaced).await;
    end(&flota, &worker, &id, "dead").await;
    let id = answered().await;

    let answer = flota.job(&id).await["outcome"]["result"]["answer"].clone();
    assert_eq!(answer, format!("You said: {ASKED}"));
    assert_silent("the log", &worker.stop_and_read().await);
}
