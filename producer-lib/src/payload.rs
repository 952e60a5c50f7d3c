//! What makes a struct a job: its kind, its queue, how it is read and how it is checked before it is sent.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// What a payload is called as a whole, where no field can be named.
const WHOLE: &str = "payload";
/// Longest word that is repeated where it is none of ours.
const MOST_WORD: usize = 24;

/// The input of one kind of job.
///
/// ```
/// use flota_producer::{Invalid, Payload};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct ResizeImage { width: u32 }
///
/// impl Payload for ResizeImage {
///     const KIND: &'static str = "resize_image";
///     const QUEUE: &'static str = "images";
///
///     fn validate(&self) -> Result<(), Invalid> {
///         Invalid::unless(0 < self.width, "width", "must be at least 1 pixel")
///     }
/// }
/// ```
pub trait Payload: Serialize + DeserializeOwned + Send + 'static {
    /// `snake_case` verb and object; the same word names the processor's file and the metric label.
    const KIND: &'static str;
    /// Queue that carries it unless the caller says otherwise.
    const QUEUE: &'static str;
    /// What is hidden from those who may not see payloads: everything, unless a kind says what is harmless.
    const SECRET: SecretFields = SecretFields::ALL;

    /// Checks what can be known before the job runs. Called on enqueue, and again by the worker, since
    /// other languages may write jobs too.
    fn validate(&self) -> Result<(), Invalid>;

    /// JSON Schema of the payload, for producers in other languages; `None` where nobody has written one.
    fn schema() -> Option<serde_json::Value> {
        None
    }
}

/// Parts of a payload, and of the result that its job leaves, which only some people may see: names of members from the
/// top down, with dots between them. A list on the way stands for each of its elements, and `*` for any name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretFields {
    /// Of the payload.
    pub payload: &'static [&'static str],
    /// Of the result.
    pub result: &'static [&'static str],
}

impl SecretFields {
    /// Everything.
    pub const ALL: Self = Self { payload: &["*"], result: &["*"] };
}

/// The schema of a type, made from its code, for readers who write in any language.
#[cfg(feature = "schema")]
pub(crate) fn schema_of<T: schemars::JsonSchema>() -> serde_json::Value {
    let mut schema = schemars::schema_for!(T).to_value();
    leave_out_examples(&mut schema);
    schema
}

/// Takes the blocks of code out of every description: they are examples in Rust, and tests.
#[cfg(feature = "schema")]
fn leave_out_examples(schema: &mut serde_json::Value) {
    use serde_json::Value;
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(description)) = members.get_mut("description") {
                // Every other part is between two fences.
                let prose: Vec<&str> = description.split("```").step_by(2).map(str::trim).collect();
                prose.join("\n\n").trim_end().clone_into(description);
            }
            members.values_mut().for_each(leave_out_examples);
        }
        Value::Array(elements) => elements.iter_mut().for_each(leave_out_examples),
        _ => {}
    }
}

/// Reads a payload. It is not checked yet; see [`Payload::validate`].
///
/// # Errors
/// When it has another form: names the field by its path.
pub fn read_payload<P: Payload>(payload: &RawValue) -> Result<P, Invalid> {
    serde_json::from_str(payload.get()).or_else(|_| {
        // Keeping the path costs time, so it is kept only for a payload that is known to be wrong.
        let reader = &mut serde_json::Deserializer::from_str(payload.get());
        serde_path_to_error::deserialize(reader)
            .map_err(|error| unreadable(&error.path().to_string(), &error.inner().to_string()))
    })
}

/// Makes the sentence of `serde` one that starts with the field. For a member that is missing, the path is that of the
/// object around it.
fn unreadable(path: &str, said: &str) -> Invalid {
    let said = said.rsplit_once(" at line ").map_or(said, |(said, _)| said);
    let quoted = |before: &str| said.strip_prefix(before)?.split_once('`');
    let within = |name: &str| if path == "." { name.to_owned() } else { format!("{path}.{name}") };
    if let Some((name, _)) = quoted("missing field `") {
        return Invalid::new(within(name), "is missing");
    }
    if let Some((_, rest)) = quoted("unknown field `") {
        return Invalid::new(path, format!("is not known{}", rest.replacen(", expected", "; expected", 1)));
    }
    let field = if path == "." { WHOLE } else { path };
    Invalid::new(field, format!("cannot be read: {}", without_value(said)))
}

/// What stands in the wrong place is not repeated: it may be for few eyes, and this goes into logs and errors. Only what should
/// be a word of ours is, while it looks like one.
fn without_value(said: &str) -> String {
    let Some(at) = said.find(['"', '`']) else { return said.to_owned() };
    let behind = format!("{}, expected ", &said[at..=at]);
    match said[at + 1..].rsplit_once(&behind) {
        Some((text, _)) if said.starts_with("unknown variant") && is_word(text) => said.to_owned(),
        Some((_, expected)) => format!("{}, expected {expected}", said[..at].trim_end()),
        None => said.to_owned(),
    }
}

fn is_word(text: &str) -> bool {
    text.len() <= MOST_WORD && text.chars().all(is_of_word)
}

fn is_of_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "_-".contains(letter)
}

/// A payload that no worker could carry out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct Invalid {
    /// Path of the field, for example `to[1]`.
    pub field: String,
    /// What is wrong, as the rest of a sentence that starts with the field.
    pub problem: String,
}

impl Invalid {
    /// Names the field and what is wrong with it.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    /// `Ok` when the condition holds.
    pub fn unless(condition: bool, field: &str, problem: &str) -> Result<(), Self> {
        if condition { Ok(()) } else { Err(Self::new(field, problem)) }
    }
}

#[cfg(test)]
mod tests {
    use crate::payloads::{CompleteChat, DeliverWebhook, SendEmail, SendSms, SendWhatsapp};

    use super::*;

    fn told<P: Payload>(payload: &str) -> String {
        let payload = RawValue::from_string(payload.to_owned()).unwrap();
        read_payload::<P>(&payload).map(drop).unwrap_err().to_string()
    }

    #[cfg(feature = "schema")]
    #[test]
    fn a_schema_speaks_to_every_language_and_says_how_long_texts_may_be() {
        use crate::payloads::{ReadImage, SendPush, TranscribeAudio};

        let schemas = [
            SendEmail::schema(),
            SendSms::schema(),
            SendWhatsapp::schema(),
            SendPush::schema(),
            DeliverWebhook::schema(),
            CompleteChat::schema(),
            ReadImage::schema(),
            TranscribeAudio::schema(),
        ];

        for schema in schemas.into_iter().flatten() {
            let text = schema.to_string();
            assert!(!text.contains("```") && !text.contains("[`") && !text.contains("::"), "{text}");
            assert!(text.contains("maxLength"), "{text}");
        }
        let sms = SendSms::schema().unwrap();
        assert_eq!(sms["description"], "Sends one text message from the fleet's number.");
        assert_eq!(sms["properties"]["text"]["maxLength"], 1_600);
    }

    #[test]
    fn an_email_says_it_one_way() {
        let told = told::<SendEmail>(
            r#"{"to": ["ana@example.com"], "body": {"template": "welcome", "variables": {}, "subject": "Hi", "text": "Hello"}}"#,
        );

        assert!(
            told.starts_with("`body` cannot be read: ") && told.ends_with("not with fields of both"),
            "{told}"
        );
    }

    #[test]
    fn what_cannot_be_read_is_told_by_its_path() {
        let text = r#""body": {"subject": "Hi", "text": "Hello"}"#;
        let cases = [
            (told::<SendEmail>(&format!(r#"{{"to": "ana@example.com", {text}}}"#)), "`to` cannot be read: "),
            (told::<SendEmail>(&format!(r#"{{"to": ["a@b.c", 7], {text}}}"#)), "`to[1]` cannot be read: "),
            (told::<SendEmail>(&format!("{{{text}}}")), "`to` is missing"),
            (told::<SendEmail>(r#"{"to": []}"#), "`body` is missing"),
            (told::<SendEmail>(r#"{"to": [], "body": {"text": "Hello"}}"#), "`body` cannot be read: "),
            (
                told::<SendEmail>(&format!(r#"{{"to": [], "form": 1, {text}}}"#)),
                "`form` is not known; expected ",
            ),
            (told::<SendEmail>(r#""ana@example.com""#), "`payload` cannot be read: "),
            (told::<DeliverWebhook>(r#"{"event": "a"}"#), "`data` is missing"),
            (
                told::<CompleteChat>(r#"{"messages": [{"role": "judge", "content": "Hi"}]}"#),
                "`messages[0].role` cannot be read: unknown variant `judge`",
            ),
            (told::<CompleteChat>(r#"{"messages": [{"role": "user"}]}"#), "`messages[0].content` is missing"),
            (
                told::<CompleteChat>(r#"{"messages": [{"role": "user", "content": "Hi", "who": 1}]}"#),
                "`messages[0].who` is not known; expected ",
            ),
            (told::<SendWhatsapp>(r#"{"to": "+52", "body": {"txt": "Hi"}}"#), "`body` "),
        ];

        for (said, expected) in cases {
            assert!(said.starts_with(expected) && !said.contains(" line "), "{said}, not {expected}");
        }
    }

    #[test]
    fn a_text_in_the_wrong_place_is_not_repeated() {
        let cases = [
            r#"{"messages": "my secret"}"#,
            r#"{"messages": "my \", expected secret"}"#,
            r#"{"messages": [{"role": "my secret", "content": "Hi"}]}"#,
            r#"{"messages": [{"role": "my`, expected secret", "content": "Hi"}]}"#,
            r#"{"messages": [{"role": "user", "content": "Hi"}], "max_tokens": "my secret"}"#,
            r#""my secret""#,
            r#"{"messages": [{"role": "my string \"secret\", expected", "content": "Hi"}]}"#,
        ];

        for payload in cases {
            let said = told::<CompleteChat>(payload);
            let (_, expected) = said.rsplit_once(", expected ").unwrap();
            assert!(!said.contains("secret") && !expected.is_empty(), "{said}");
        }
    }

    #[test]
    fn a_number_in_the_wrong_place_is_not_repeated() {
        let said = told::<SendSms>(r#"{"to": "+525512345678", "text": 482913}"#);

        assert_eq!(said, "`text` cannot be read: invalid type: integer, expected a string");
    }
}
