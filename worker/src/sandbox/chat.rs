//! Chat completions as OpenRouter serves them, against its own OpenAPI. The answer repeats the question.

use serde_json::{Value, json};

use super::{
    call::{Answer, Call, Done, Outcome, Refusal},
    credential,
    house::new_id,
    schema::CHAT,
};

/// What every model costs here.
const DOLLARS_PER_TOKEN: f64 = 1e-6;

/// `POST /chat/completions`.
pub(super) fn complete(call: &Call<'_>) -> Outcome {
    authorize(call)?;
    if call.media_type() != "application/json" {
        return Err(refuse(400, "invalid_request", "Content-Type must be application/json"));
    }
    let question: Value = serde_json::from_slice(&call.request.body)
        .map_err(|_| refuse(400, "invalid_request", "Invalid JSON in the request body"))?;
    if question["messages"].as_array().is_some_and(Vec::is_empty) {
        return Err(refuse(400, "invalid_prompt", "Input required: specify \"messages\""));
    }
    if let Some(violation) = CHAT.violations(&question).first() {
        let message = format!("{}: {}", violation.place(), violation.what);
        return Err(refuse(400, "invalid_request", &message));
    }
    let model =
        question["model"].as_str().or_else(|| question["models"][0].as_str()).unwrap_or("openrouter/auto");
    if !is_id(model) {
        return Err(unknown_model(model));
    }
    let said = question["messages"].as_array().and_then(|all| all.last()).map_or("", |last| content(last));
    let tokens = said.split_whitespace().count();
    let usage = json!({
        "prompt_tokens": tokens, "completion_tokens": tokens + 2, "total_tokens": tokens * 2 + 2,
        "cost": (tokens * 2 + 2) as f64 * DOLLARS_PER_TOKEN,
    });
    let answer = Told {
        id: format!("gen-{}", new_id()),
        model,
        text: match &question["response_format"]["json_schema"]["schema"] {
            Value::Null => format!("You said: {said}"),
            schema => fitting(schema, said).to_string(),
        },
        usage,
        at: call.now_unix,
    };
    let summary = json!({
        "model": model, "messages": question["messages"].as_array().map_or(0, Vec::len), "prompt_tokens": tokens,
        "stream": question["stream"] == true,
    });
    let answer = if question["stream"] == true { answer.stream() } else { answer.whole() };
    Ok(Done::new(answer, summary))
}

/// `GET /key`: what OpenRouter tells of the key that asks.
pub(super) fn key(call: &Call<'_>) -> Outcome {
    authorize(call)?;
    let body = json!({ "data": {
        "label": "sandbox", "usage": 0.0, "limit": 100.0, "limit_remaining": 74.5, "is_free_tier": false,
    } });
    Ok(Done::plain(Answer::json(200, &body)))
}

/// `GET /models`: OpenRouter shows them to everybody.
#[expect(clippy::unnecessary_wraps, reason = "every route may refuse")]
pub(super) fn models(_: &Call<'_>) -> Outcome {
    let body = json!({ "data": [{ "id": "openrouter/auto", "name": "Auto", "context_length": 2_000_000 }] });
    Ok(Done::plain(Answer::json(200, &body)))
}

fn authorize(call: &Call<'_>) -> Result<(), Refusal> {
    if call.bearer().is_some_and(credential::is_accepted) {
        return Ok(());
    }
    Err(refuse(401, "authentication", "No auth credentials found"))
}

/// Ids are those of their maker and of the model, with a slash between; here every such model is there.
fn is_id(model: &str) -> bool {
    model.split_once('/').is_some_and(|(maker, name)| !maker.is_empty() && !name.is_empty())
}

/// OpenRouter says this without a word of its own.
fn unknown_model(model: &str) -> Refusal {
    let message = format!("{model} is not a valid model ID");
    Refusal::new(Answer::json(400, &json!({ "error": { "message": message, "code": 400 } })), message)
}

/// What fits a schema: the question itself where it is JSON, else the least that the schema asks for.
fn fitting(schema: &Value, said: &str) -> Value {
    serde_json::from_str(said).unwrap_or_else(|_| least(schema, said))
}

fn least(schema: &Value, said: &str) -> Value {
    if let Some(one) = schema.get("const").or_else(|| schema["enum"].get(0)).or_else(|| schema.get("default"))
    {
        return one.clone();
    }
    match schema["type"].as_str() {
        Some("string") => json!(said),
        Some("number" | "integer") => schema.get("minimum").cloned().unwrap_or(json!(0)),
        Some("boolean") => json!(false),
        Some("array") => json!([]),
        Some("null") => Value::Null,
        _ => {
            let names = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            names.map(|name| (name.to_owned(), least(&schema["properties"][name], said))).collect()
        }
    }
}

/// The text of a message: itself, or that of its first part.
fn content(message: &Value) -> &str {
    let content = &message["content"];
    content.as_str().or_else(|| content[0]["text"].as_str()).unwrap_or_default()
}

struct Told<'a> {
    id: String,
    model: &'a str,
    text: String,
    usage: Value,
    at: i64,
}

impl Told<'_> {
    fn whole(self) -> Answer {
        let message = json!({ "role": "assistant", "content": self.text, "refusal": null });
        let choice = json!({ "index": 0, "message": message, "finish_reason": "stop", "native_finish_reason": "stop" });
        let body = json!({
            "id": self.id, "object": "chat.completion", "created": self.at, "model": self.model,
            "provider": "Sandbox", "choices": [choice], "usage": self.usage,
        });
        Answer::json(200, &body).with("x-generation-id", self.id)
    }

    /// Server-sent events: a comment, two chunks, the usage, the end.
    fn stream(self) -> Answer {
        let chunk = |choices: Value, usage: Option<&Value>| {
            let mut chunk = json!({
                "id": self.id, "object": "chat.completion.chunk", "created": self.at, "model": self.model, "choices": choices,
            });
            if let Some(usage) = usage {
                chunk["usage"] = usage.clone();
            }
            format!("data: {chunk}\n\n")
        };
        let choice = |delta: Value, end: Value| json!([{ "index": 0, "delta": delta, "finish_reason": end }]);
        let events = [
            ": OPENROUTER PROCESSING\n\n".to_owned(),
            chunk(choice(json!({ "role": "assistant", "content": self.text }), Value::Null), None),
            chunk(choice(json!({ "content": "" }), json!("stop")), None),
            chunk(json!([]), Some(&self.usage)),
            "data: [DONE]\n\n".to_owned(),
        ];
        Answer::of(200, "text/event-stream", events.concat())
    }
}

fn refuse(status: u16, kind: &str, message: &str) -> Refusal {
    let error = json!({ "code": status, "message": message, "metadata": { "error_type": kind } });
    Refusal::new(Answer::json(status, &json!({ "error": error })), format!("{kind}: {message}"))
}

/// The body of a status, after OpenRouter's table of errors.
pub(super) fn error(status: u16) -> Answer {
    let (kind, message) = match status {
        401 => ("authentication", "No auth credentials found"),
        402 => ("payment_required", "Insufficient credits"),
        403 => ("permission_denied", "Key is not permitted to use this model"),
        404 => ("not_found", "No endpoints found for this model"),
        408 | 504 | 524 => ("timeout", "The request timed out"),
        413 => ("payload_too_large", "The request is too large"),
        429 => ("rate_limit_exceeded", "Rate limit exceeded"),
        502 => ("provider_unavailable", "The provider is down"),
        503 => ("provider_overloaded", "The provider is overloaded"),
        500.. => ("server", "Internal Server Error"),
        _ => ("invalid_request", "Bad Request"),
    };
    refuse(status, kind, message).answer
}

/// A 200 with an error inside, as when the provider behind OpenRouter fails late.
pub(super) fn ok_with_error() -> Answer {
    let error = json!({ "code": 502, "message": "The provider is down", "metadata": { "error_type": "provider_unavailable" } });
    Answer::json(200, &json!({ "error": error }))
}
