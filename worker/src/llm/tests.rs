//! Stories about questions, told with a real Redis and every provider's API on loopback.

mod budgets;
mod credit;
mod purses;
mod unknown;

use std::{collections::BTreeMap, time::Duration};

use chrono_tz::Tz;
use flota_producer::{Envelope, JobId};
use flota_providers::{
    api::ApiSettings,
    chat::{ChatRequest, ChatSettings},
    pipeline::Pipeline,
};
use serde_json::{Value, json, value::RawValue};

use super::*;
use crate::{
    outcomes::tests::servers,
    sandbox::{Fault, Reset, Sandbox},
};

const HAIKU: &str = "anthropic/claude-3-haiku";
const MINI: &str = "openai/gpt-4o-mini";
const SONNET: &str = "anthropic/claude-3-sonnet";
const LLAMA: &str = "meta-llama/llama-3-8b";

/// Models of the sandbox, a Redis, and tenants with budgets.
struct Stage {
    sandbox: Sandbox,
    llm: Llm,
}

impl Stage {
    async fn set() -> Self {
        Self::with(Budgets::default()).await
    }

    async fn with(budgets: Budgets) -> Self {
        let sandbox = Sandbox::start().await.unwrap();
        let client = ChatClient::new(ChatSettings {
            api: ApiSettings::new(sandbox.url("/llm/v1"), Duration::from_secs(20)),
            api_key: "flota_sandbox_llm".into(),
            stall: Duration::from_secs(10),
        });
        let client = Provider::global(client.unwrap(), &Pipeline::bare());
        let settings = LlmSettings { budgets, ..LlmSettings::built_in() };
        let defaults = Defaults { max_tokens: 100, temperature: 0.7 };
        let (link, prefix) = redis();
        Self { llm: Llm::new(client, settings, defaults, (&link, &prefix)), sandbox }
    }

    async fn ask(&self, question: Question) -> Result<Answered, Error> {
        self.llm.answer(&job(None), question).await
    }

    /// Models in the order in which they were asked.
    fn asked(&self) -> Vec<String> {
        let entries = self.sandbox.journal(Some("llm"));
        entries.iter().map(|entry| entry.summary["model"].as_str().unwrap_or("?").to_owned()).collect()
    }

    /// The next call is answered with this status and this word.
    fn refuses(&self, status: u16, word: &str) {
        let error = json!({ "code": status, "message": "told to", "metadata": { "error_type": word } });
        let body = Some(json!({ "error": error }));
        self.sandbox.fault(Fault { body, ..Fault::status("llm", status) }).unwrap();
    }

    /// The next call is answered with how many tokens there is credit for.
    fn can_afford(&self, tokens: u32) {
        let message = format!("You requested up to 100 tokens, but can only afford {tokens}. Add credit.");
        let body = Some(json!({ "error": { "code": 402, "message": message } }));
        self.sandbox.fault(Fault { body, ..Fault::status("llm", 402) }).unwrap();
    }

    /// How long the answer might be, for each call.
    fn most_tokens(&self) -> Vec<u64> {
        let body = |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body).unwrap();
        let received = self.sandbox.received("llm");
        received.iter().map(|request| body(&request.body)["max_tokens"].as_u64().unwrap()).collect()
    }

    /// The last message of a call, the first of which is call 0.
    fn last_words_of(&self, call: usize) -> String {
        let body: Value = serde_json::from_slice(&self.sandbox.received("llm")[call].body).unwrap();
        body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap().to_owned()
    }

    /// The next call is answered with this text.
    fn says(&self, text: &str) {
        self.says_for(text, &json!({ "prompt_tokens": 10, "completion_tokens": 10 }));
    }

    /// The same, with this told of what it took.
    fn says_for(&self, text: &str, usage: &Value) {
        let choice = json!({ "message": { "content": text }, "finish_reason": "stop" });
        let body = Some(json!({ "id": "gen-1", "model": HAIKU, "choices": [choice], "usage": usage }));
        self.sandbox.fault(Fault { body, ..Fault::status("llm", 200) }).unwrap();
    }
}

fn redis() -> (Link, Prefix) {
    let prefix = Prefix::new(&format!("llm-{:08x}", rand::random::<u32>())).unwrap();
    (Link::new(servers().redis_url()).unwrap(), prefix)
}

fn job(tenant: Option<&str>) -> Job {
    let payload = RawValue::from_string("{}".into()).unwrap();
    let mut envelope = Envelope::new("complete_chat", payload, 0);
    envelope.tenant = tenant.map(Into::into);
    Job { id: JobId::mint(), queue: "llm".into(), run: 1, attempt: 1, envelope }
}

fn question(text: &str) -> Question {
    let request = ChatRequest {
        messages: vec![("user".into(), text.into())],
        max_tokens: 100,
        temperature: 0.7,
        ..ChatRequest::default()
    };
    Question { wanted: Wanted::Tier(DEFAULT_TIER.into()), request, form: None, keep_for: None }
}

fn budget(per_day: f64, when_spent: WhenSpent) -> Budget {
    Budget { per_day: Some(Dollars::new(per_day)), per_month: None, timezone: Tz::UTC, when_spent }
}

fn provider_error(error: Error) -> flota_providers::ProviderError {
    match error {
        Error::Provider(error) => error,
        error => panic!("a provider's error was expected and not {error:?}"),
    }
}

#[tokio::test]
async fn an_answer_says_what_it_took_and_who_said_so() {
    let stage = Stage::set().await;

    let told = stage.ask(question("two words")).await.unwrap();
    stage.says("no cost");
    let by_table = stage.ask(question("two words")).await.unwrap();

    assert_eq!(
        (&told.result["answer"], &told.result["model"]),
        (&json!("You said: two words"), &json!(HAIKU))
    );
    let call = &told.usage["calls"][0];
    assert_eq!((&call["cost_from"], &call["cost_usd"]), (&json!("provider"), &json!(0.000_006)));
    let call = &by_table.usage["calls"][0];
    assert_eq!((&call["cost_from"], &call["cost_usd"]), (&json!("table"), &json!(0.000_015)));
}

#[tokio::test]
async fn what_keeps_a_model_from_answering_decides_who_is_asked_next() {
    let table = [
        (502, "provider_unavailable", MINI),
        (503, "provider_overloaded", MINI),
        (404, "not_found", MINI),
        (400, "context_length_exceeded", SONNET),
        (403, "moderation", LLAMA),
    ];
    for (status, word, next) in table {
        let stage = Stage::set().await;
        stage.refuses(status, word);

        let answered = stage.ask(question("Why?")).await.unwrap();

        assert_eq!(answered.result["model"], next, "{word}");
        let calls = answered.usage["calls"].as_array().unwrap();
        assert!(calls.len() == 2 && calls[0]["model"] == HAIKU && calls[0]["error"].is_string(), "{calls:?}");
    }
}

#[tokio::test]
async fn when_nobody_can_answer_the_failure_says_what_all_of_it_took() {
    let stage = Stage::set().await;
    for _ in 0..3 {
        stage.refuses(502, "provider_unavailable");
    }

    let error = provider_error(stage.ask(question("Why?")).await.unwrap_err());

    let calls = error.detail.unwrap()["usage"]["calls"].as_array().unwrap().len();
    assert_eq!((error.class.name(), calls), ("server_error", 3));
}

#[tokio::test]
async fn a_refused_key_is_no_reason_to_ask_another_model() {
    let stage = Stage::set().await;
    stage.refuses(402, "payment_required");

    let error = provider_error(stage.ask(question("Why?")).await.unwrap_err());

    assert_eq!((error.class.name(), stage.sandbox.journal(Some("llm")).len()), ("quota", 1));
}

#[tokio::test]
async fn a_model_whose_trouble_will_not_pass_is_left_for_the_next() {
    let stage = Stage::set().await;
    let error = json!({ "code": 502, "message": "told to", "availability": { "retryable": false } });
    let body = Some(json!({ "error": error }));
    stage.sandbox.fault(Fault { body, ..Fault::status("llm", 502) }).unwrap();

    let answered = stage.ask(question("Why?")).await.unwrap();

    assert_eq!(
        (&answered.result["model"], &answered.usage["calls"][0]["error"]),
        (&json!(MINI), &json!("permanent"))
    );
}

#[tokio::test]
async fn a_wait_after_something_was_paid_is_a_failure_with_a_record() {
    let form = || Some(Form::new(json!({ "type": "object" })).unwrap());
    let named = BTreeMap::from([("acme".to_owned(), budget(0.000_001, WhenSpent::Wait))]);
    let stage = Stage::with(Budgets { each: None, named }).await;

    stage.says("It is three.");
    stage.refuses(429, "rate_limit_exceeded");
    let limited = stage.ask(Question { form: form(), ..question("How much?") }).await;
    stage.says("It is three.");
    let spent =
        stage.llm.answer(&job(Some("acme")), Question { form: form(), ..question("How much?") }).await;
    stage.refuses(429, "rate_limit_exceeded");
    let unpaid = stage.ask(question("Why?")).await;

    let [limited, spent, unpaid] = [limited, spent, unpaid].map(|asked| provider_error(asked.unwrap_err()));
    assert_eq!(
        (limited.class.name(), limited.code.as_deref()),
        ("server_error", Some("rate_limit_exceeded"))
    );
    assert_eq!((spent.class.name(), spent.code.as_deref()), ("server_error", Some("budget_spent")));
    assert!(spent.retry_after() > Some(Duration::ZERO), "it waits for the window");
    for (error, calls) in [(limited, 2), (spent, 1)] {
        let usage = &error.detail.unwrap()["usage"];
        assert_eq!(usage["calls"].as_array().unwrap().len(), calls);
        assert!(usage["cost_usd"].as_f64() > Some(0.0), "{usage}");
    }
    assert_eq!(unpaid.class.name(), "rate_limited");
}

#[tokio::test]
async fn a_200_with_an_error_and_an_answer_that_was_cut_off_are_noticed() {
    let faults = [
        Fault { ok_with_error: true, ..Fault::of("llm") },
        Fault { malformed: true, ..Fault::of("llm") },
        Fault {
            body: Some(json!("data: {\"choices\":[{\"delta\":{\"content\":\"Ho\"}}]}\n\n")),
            ..Fault::status("llm", 200)
        }
        .header("content-type", "text/event-stream"),
    ];
    for fault in faults {
        let stage = Stage::set().await;
        stage.sandbox.fault(fault.clone()).unwrap();

        let answered = stage.ask(question("Why?")).await.unwrap();

        let call = &answered.usage["calls"][0];
        assert_eq!(call["error"], "server_error", "{fault:?}");
        // What was cut off may be billed; what is told as an error is not.
        let teller = if fault.ok_with_error { "table" } else { "estimate" };
        assert_eq!(call["cost_from"], teller, "{fault:?}");
        assert_eq!(answered.result["model"], MINI);
    }
}

#[tokio::test]
async fn a_lost_answer_is_left_to_the_next_run() {
    let stage = Stage::set().await;
    stage.sandbox.fault(Fault { reset: Some(Reset::AfterWork), ..Fault::of("llm") }).unwrap();

    let error = provider_error(stage.ask(question("Why?")).await.unwrap_err());

    assert_eq!((error.class.name(), stage.asked()), ("network", vec![HAIKU.to_owned()]));
    let call = &error.detail.unwrap()["usage"]["calls"][0];
    assert_eq!((&call["cost_from"], &call["error"]), (&json!("estimate"), &json!("network")));
    assert!(call["cost_usd"].as_f64() > Some(0.0), "{call}");
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_repaired_once() {
    let schema = json!({ "type": "object", "required": ["price"] });
    let form = || Some(Form::new(schema.clone()).unwrap());
    let stage = Stage::set().await;
    stage.says("It is three.");
    stage.says("{\"price\": 3}");

    let mended = stage.ask(Question { form: form(), ..question("How much?") }).await.unwrap();
    stage.says("It is three.");
    stage.says("Three!");
    let error =
        provider_error(stage.ask(Question { form: form(), ..question("How much?") }).await.unwrap_err());

    assert_eq!(mended.result["answer"], "{\"price\":3}");
    assert_eq!(mended.usage["calls"].as_array().unwrap().len(), 2);
    let repair = stage.last_words_of(1);
    assert!(repair.contains(&schema.to_string()) && repair.contains("not JSON"), "{repair}");
    assert_eq!((error.class.name(), error.code.as_deref()), ("server_error", Some("answer_schema")));
    assert!(!error.to_string().contains("Three"), "{error}");
}

#[tokio::test]
async fn an_answer_is_given_again_only_to_the_same_question_of_the_same_tenant() {
    let stage = Stage::set().await;
    let keep_for = Some(Duration::from_mins(1));
    let ask = async |tenant, text: &str, keep_for| {
        let question = Question { keep_for, ..question(text) };
        let answered = stage.llm.answer(&job(tenant), question).await.unwrap();
        (answered.result["cached"] == true, answered.usage["cost_usd"].as_f64().unwrap() > 0.0)
    };
    let (paid, kept) = ((false, true), (true, false));

    assert_eq!(ask(Some("acme"), "Why?", keep_for).await, paid);
    assert_eq!(ask(Some("acme"), "Why?", keep_for).await, kept);
    assert_eq!(ask(Some("acme"), "Why?", None).await, paid);
    assert_eq!(ask(Some("acme"), "Why not?", keep_for).await, paid);
    assert_eq!(ask(Some("globex"), "Why?", keep_for).await, paid);
}

#[tokio::test]
async fn an_answer_is_not_given_again_to_the_same_words_with_another_model_or_parameter() {
    let stage = Stage::set().await;
    let asked = || Question { keep_for: Some(Duration::from_mins(1)), ..question("Why?") };
    let mut others = [(); 4].map(|()| asked());
    others[0].wanted = Wanted::Tier("premium".into());
    others[1].request.temperature = 0.1;
    others[2].request.max_tokens = 50;
    others[3].request.response_format = Some(json!({ "type": "json_object" }));
    stage.ask(asked()).await.unwrap();

    for other in others {
        assert_eq!(stage.ask(other).await.unwrap().result["cached"], false);
    }
    assert_eq!(stage.ask(asked()).await.unwrap().result["cached"], true);
}
