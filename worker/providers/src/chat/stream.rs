//! A streamed answer: server-sent events, put together again.
//!
//! Answers are streamed for one reason: silence is noticed. A model that stalls is given up after a pause between two
//! pieces, and one that is cut off is known by the missing `[DONE]`, while a whole answer that does not come looks like
//! one that takes long. The format: <https://openrouter.ai/docs/api-reference/streaming>.

use serde::Deserialize;
use serde_json::Value;

use super::answer::{ApiError, Choice, Completion, Message};

/// How a stream begins in `Content-Type`.
pub(super) const MEDIA_TYPE: &str = "text/event-stream";
/// The last event.
const DONE: &str = "[DONE]";

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    choices: Vec<Piece>,
    #[serde(default)]
    usage: Option<Value>,
    #[serde(default)]
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct Piece {
    #[serde(default)]
    delta: Option<Message>,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    error: Option<ApiError>,
}

/// The whole answer. `None` when the stream was cut off, or is none.
pub(super) fn collect(body: &[u8]) -> Option<Completion> {
    let text = std::str::from_utf8(body).ok()?;
    let (mut whole, mut said, mut is_done) = (Completion::default(), Message::default(), false);
    let mut end = Choice::default();
    for data in text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim) {
        if data == DONE {
            is_done = true;
            break;
        }
        let chunk: Chunk = serde_json::from_str(data).ok()?;
        whole.id = whole.id.or(chunk.id);
        whole.model = chunk.model.or(whole.model);
        whole.usage = chunk.usage.or(whole.usage);
        if let Some(error) = chunk.error {
            // Nothing follows that would matter, not even the end.
            return Some(Completion { error: Some(error), ..whole });
        }
        for piece in chunk.choices {
            let delta = piece.delta.unwrap_or_default();
            join(&mut said.content, delta.content);
            join(&mut said.refusal, delta.refusal);
            end.finish_reason = piece.finish_reason.or(end.finish_reason);
            end.error = piece.error.or(end.error);
        }
    }
    whole.choices = vec![Choice { message: Some(said), ..end }];
    is_done.then_some(whole)
}

fn join(text: &mut Option<String>, more: Option<String>) {
    if let Some(more) = more {
        text.get_or_insert_default().push_str(&more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &str) -> String {
        format!("data: {data}\n\n")
    }

    #[test]
    fn pieces_become_one_answer_with_what_it_took() {
        let body = [
            ": OPENROUTER PROCESSING\n\n".to_owned(),
            event(r#"{"id":"gen-1","model":"m","choices":[{"delta":{"role":"assistant","content":"Ho"}}]}"#),
            event(r#"{"id":"gen-1","choices":[{"delta":{"content":"la"},"finish_reason":"stop"}]}"#),
            event(r#"{"id":"gen-1","choices":[],"usage":{"total_tokens":3}}"#),
            event(DONE),
        ];

        let whole = collect(body.concat().as_bytes()).unwrap();

        let choice = &whole.choices[0];
        assert_eq!(choice.message.as_ref().unwrap().content.as_deref(), Some("Hola"));
        assert_eq!((whole.id.as_deref(), choice.finish_reason.as_deref()), (Some("gen-1"), Some("stop")));
        assert_eq!(whole.usage.unwrap()["total_tokens"], 3);
    }

    #[test]
    fn an_error_in_the_middle_is_the_answer_whatever_came_before() {
        let body = [
            event(r#"{"choices":[{"delta":{"content":"Ho"}}]}"#),
            event(
                r#"{"error":{"code":502,"message":"gone"},"choices":[{"delta":{},"finish_reason":"error"}]}"#,
            ),
        ];

        assert!(collect(body.concat().as_bytes()).unwrap().error.is_some());
    }

    #[test]
    fn a_stream_without_its_end_is_no_answer() {
        let cut = event(r#"{"choices":[{"delta":{"content":"Ho"}}]}"#);

        for body in [cut.as_str(), "", "data: {\"choi", "<html>"] {
            assert!(collect(body.as_bytes()).is_none(), "{body}");
        }
    }
}
