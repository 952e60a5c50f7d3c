//! Language models.

use flota_providers::chat::{Took, Usage, took};

use super::*;

#[tokio::test]
async fn an_answer_of_a_model_is_kept_with_what_it_took() {
    let usage = json!({ "prompt_tokens": 4, "completion_tokens": 2, "cost": 0.000_01 });
    let said = json!({ "id": "gen-1", "model": "some/model", "usage": usage,
        "choices": [{ "finish_reason": "stop", "message": { "role": "assistant", "content": "Porque sí." } }] });
    let (receiver, result) = answered(Api::Chat, 200, said).await;

    let (receipt, got) = (result.unwrap(), &receiver.received()[0]);
    let sent: Value = serde_json::from_slice(&got.body).unwrap();
    let detail = receipt.detail.unwrap();
    assert_eq!(got.path, "/v1/chat/completions");
    assert_eq!((&sent["model"], &sent["stream"]), (&json!("some/model"), &json!(true)));
    assert_eq!(sent["stream_options"], json!({ "include_usage": true }));
    assert_eq!(sent["messages"], json!([{ "role": "user", "content": "PROMPT-TEXT" }]));
    assert_eq!(receipt.provider_ref.as_deref(), Some("gen-1"));
    assert_eq!((&detail["answer"], &detail["usage"]), (&json!("Porque sí."), &usage));
}

#[tokio::test]
async fn an_api_that_refuses_to_be_asked_what_an_answer_takes_is_asked_without_that_from_then_on() {
    let refusal = json!({ "detail": [{ "type": "extra_forbidden", "loc": ["body", "stream_options"] }] });
    let body = refusal.to_string().into_bytes();
    let receiver = Receiver::start(Answer { status: 422, body, ..Answer::default() }).await;
    let client = chat(ApiSettings::new(receiver.url(), Duration::from_secs(5)));

    for _ in 0..2 {
        let error = client.complete(&question(), NOW).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Permanent);
    }

    let asked = |got: &crate::receiver::Received| {
        serde_json::from_slice::<Value>(&got.body).unwrap()["stream_options"].is_object()
    };
    assert_eq!(receiver.received().iter().map(asked).collect::<Vec<_>>(), [true, false, false]);
}

#[tokio::test]
async fn a_question_that_reached_nobody_took_nothing_and_one_without_an_answer_may_be_billed() {
    let unreached = Api::Chat.call("http://127.0.0.1:1/v1".into(), Duration::from_secs(5)).await.unwrap_err();
    let (_receiver, refused) = answered(Api::Chat, 500, Value::Null).await;
    let (_receiver, gave_up) = answered(Api::Chat, 524, Value::Null).await;
    let usage = json!({ "prompt_tokens": 4, "completion_tokens": 900, "cost": 0.01 });
    let empty = json!({ "choices": [{ "message": { "content": "" } }], "usage": usage });
    let (_receiver, empty) = answered(Api::Chat, 200, empty).await;

    let billed = Usage { prompt_tokens: 4, completion_tokens: 900, cost: Some(0.01) };
    assert_eq!(took(&unreached), Took::Nothing);
    assert_eq!(took(&refused.unwrap_err()), Took::Nothing);
    assert_eq!(took(&gave_up.unwrap_err()), Took::Untold);
    assert_eq!(took(&empty.unwrap_err()), Took::Told(billed));
}

#[tokio::test]
async fn a_model_that_does_not_want_to_answer_has_given_no_answer_and_is_paid() {
    let usage = json!({ "prompt_tokens": 4, "completion_tokens": 9, "cost": 0.01 });
    let billed = Took::Told(Usage { prompt_tokens: 4, completion_tokens: 9, cost: Some(0.01) });
    let refusal = json!({ "finish_reason": "stop", "message": { "content": null, "refusal": "I cannot." } });
    let filtered = json!({ "finish_reason": "content_filter", "message": { "content": "" } });
    let cut = json!({ "finish_reason": "content_filter", "message": { "content": "To begin with," } });

    for (choice, code) in [(refusal, "refusal"), (filtered, "content_filter"), (cut, "content_filter")] {
        let said_so = json!({ "choices": [choice], "usage": usage });
        let (_receiver, result) = answered(Api::Chat, 200, said_so).await;

        let error = result.unwrap_err();
        assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Permanent, Some(code)));
        let repeats = ["I cannot", "To begin"].iter().any(|words| error.message.contains(words));
        assert!(!repeats && took(&error) == billed, "{error}");
    }
    let (_receiver, untold) =
        answered(Api::Chat, 200, json!({ "choices": [{ "finish_reason": "content_filter" }] })).await;
    assert_eq!(took(&untold.unwrap_err()), Took::Untold);
}

#[tokio::test]
async fn every_answer_of_a_model_api_has_its_class() {
    let typed = |word: &str| json!({ "error": { "message": "no", "metadata": { "error_type": word } } });
    let inner = |code: i64| json!({ "error": { "code": code, "message": "no" } });
    let finished = json!({ "choices": [{ "finish_reason": "error", "error": { "code": 502 } }] });
    let rows = [
        (400, typed("invalid_request"), ErrorClass::Permanent),
        (400, typed("context_length_exceeded"), ErrorClass::Permanent),
        (401, typed("authentication"), ErrorClass::Auth),
        (402, typed("payment_required"), ErrorClass::Quota),
        (403, typed("moderation"), ErrorClass::Permanent),
        (404, typed("not_found"), ErrorClass::Permanent),
        (408, typed("timeout"), ErrorClass::ServerError),
        (412, Value::Null, ErrorClass::Permanent),
        (413, typed("payload_too_large"), ErrorClass::Permanent),
        (422, typed("unprocessable"), ErrorClass::Permanent),
        (429, typed("rate_limit_exceeded"), LIMITED),
        (429, json!({ "error": { "code": "insufficient_quota", "message": "no" } }), ErrorClass::Quota),
        (500, typed("server"), ErrorClass::ServerError),
        (502, typed("provider_unavailable"), ErrorClass::ServerError),
        (503, typed("provider_overloaded"), LIMITED),
        (504, typed("timeout"), ErrorClass::ServerError),
        (524, Value::Null, ErrorClass::ServerError),
        (400, json!({ "error": { "availability": { "retryable": true } } }), ErrorClass::ServerError),
        // A 200 can be an error.
        (200, inner(429), LIMITED),
        (200, inner(402), ErrorClass::Quota),
        (200, inner(502), ErrorClass::ServerError),
        (200, json!({ "error": { "message": "no" } }), ErrorClass::ServerError),
        (200, finished, ErrorClass::ServerError),
        (200, json!({ "choices": [] }), ErrorClass::ServerError),
        (200, json!({ "choices": [{ "message": { "content": "" } }] }), ErrorClass::ServerError),
    ];

    for (status, body, class) in rows {
        check(Api::Chat, status, body, class).await;
    }
}

#[tokio::test]
async fn a_model_that_is_not_known_is_told_from_a_question_that_is_wrong() {
    let said = |message: &str| json!({ "error": { "message": message, "code": 400 } });

    let (_receiver, unknown) = answered(Api::Chat, 400, said("acme/one is not a valid model ID")).await;
    let with_a_word = json!({ "error": {
        "message": "acme/one is not a valid model ID", "code": 400, "metadata": { "error_type": "invalid_request" },
    } });
    let (_receiver, still_unknown) = answered(Api::Chat, 400, with_a_word).await;
    let (_receiver, wrong) = answered(Api::Chat, 400, said("max_tokens is too large")).await;

    for unknown in [unknown, still_unknown] {
        let error = unknown.unwrap_err();
        assert_eq!(error.code.as_deref(), Some("model_not_found"));
        assert!(error.message.starts_with("It does not offer this model to this account."), "{error}");
    }
    assert_eq!(wrong.unwrap_err().code.as_deref(), Some("400"));
}

#[tokio::test]
async fn models_that_are_named_instead_are_told_whatever_else_is_in_their_place() {
    let said = |fallback_models: Value| {
        let availability = json!({ "retryable": false, "fallback_models": fallback_models });
        json!({ "error": { "message": "No endpoints found.", "code": 404, "availability": availability } })
    };

    let (_receiver, named) = answered(Api::Chat, 404, said(json!(["acme/two", "acme/three"]))).await;
    let (_receiver, unnamed) = answered(Api::Chat, 404, said(json!({ "acme": 1 }))).await;

    let [named, unnamed] = [named, unnamed].map(|result| result.unwrap_err().message);
    assert!(named.ends_with("No endpoints found. Instead there is: acme/two, acme/three"), "{named}");
    assert!(unnamed.ends_with("It said: No endpoints found."), "{unnamed}");
}

#[tokio::test]
async fn a_wish_to_wait_is_kept_in_all_its_forms() {
    let reset = (NOW + 30).to_string();
    let rows =
        [("retry-after", "7", 7), ("retry-after-ms", "2000", 2), ("x-ratelimit-reset", reset.as_str(), 30)];

    for (name, value, seconds) in rows {
        let headers = vec![(name, value.to_owned())];
        let (_receiver, result) = with(Api::Chat, Answer { status: 429, headers, body: Vec::new() }).await;
        assert_eq!(result.unwrap_err().retry_after(), Some(Duration::from_secs(seconds)), "{name}");
    }
    let told = json!({ "error": { "code": 503, "availability": { "retry_after": 12 } } });
    let (_receiver, result) = answered(Api::Chat, 503, told).await;
    assert_eq!(result.unwrap_err().retry_after(), Some(Duration::from_secs(12)));
}
