//! What only some tokens may see is taken out of payloads and results, at the last moment: what is stored stays whole,
//! so that a replay is the same job.
//!
//! Each kind marks its own fields (`Payload::SECRET`). Of a kind that this release does not know nothing is shown.
//! Members with the name of a credential are taken out whatever the marks say.

use flota_engine::Registry;
use flota_producer::SecretFields;
use serde_json::Value;

use crate::{outcomes::AttemptRow, view::JobView};

/// What stands in the place of something that is not shown.
pub(super) const HIDDEN: &str = "[redacted]";

/// Names that are never shown, in lower case and without `_` and `-`.
const CREDENTIALS: [&str; 12] = [
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "accesstoken",
    "refreshtoken",
    "authorization",
    "cookie",
    "privatekey",
    "clientsecret",
    "otp",
];

/// What of this kind only some may see.
pub(super) fn secrets_of<S: Send + Sync + 'static>(registry: &Registry<S>, kind: &str) -> SecretFields {
    registry.get(kind).map_or(SecretFields::ALL, |kind| kind.secret)
}

/// A job with its results as the caller may see them.
pub(super) fn job<S: Send + Sync + 'static>(
    mut job: JobView,
    registry: &Registry<S>,
    may_see: bool,
) -> JobView {
    if may_see {
        return job;
    }
    let secret = secrets_of(registry, &job.kind);
    if let Some(result) = job.outcome.as_mut().and_then(|outcome| outcome.get_mut("result")) {
        hide(result, secret.result);
    }
    attempts(&mut job.attempts, secret);
    job
}

/// Takes out what runs left.
pub(super) fn attempts(runs: &mut [AttemptRow], secret: SecretFields) {
    runs.iter_mut().filter_map(|run| run.result.as_mut()).for_each(|result| hide(result, secret.result));
}

/// Takes out what a selection of letters looks for in payloads.
pub(super) fn filter(filter: &mut Value) {
    hide_at(filter, &["text"]);
    hide_at(filter, &["payload", "value"]);
}

/// Takes out what stands at these places, and credentials anywhere.
pub(super) fn hide(value: &mut Value, places: &[&str]) {
    for place in places {
        let path: Vec<&str> = place.split('.').collect();
        hide_at(value, &path);
    }
    hide_credentials(value);
}

fn hide_at(value: &mut Value, path: &[&str]) {
    let Some((name, rest)) = path.split_first() else {
        if !value.is_null() {
            *value = HIDDEN.into();
        }
        return;
    };
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| hide_at(item, path)),
        Value::Object(members) if *name == "*" => {
            members.values_mut().for_each(|member| hide_at(member, rest));
        }
        Value::Object(members) => {
            if let Some(member) = members.get_mut(*name) {
                hide_at(member, rest);
            }
        }
        Value::Null => {}
        // Where members are expected and a plain value stands, nobody knows what it is.
        Value::Bool(_) | Value::Number(_) | Value::String(_) => *value = HIDDEN.into(),
    }
}

fn hide_credentials(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(hide_credentials),
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                let plain: String = name.chars().filter(|c| !matches!(c, '_' | '-')).collect();
                if CREDENTIALS.contains(&plain.to_ascii_lowercase().as_str()) {
                    hide_at(member, &[]);
                } else {
                    hide_credentials(member);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::processors;

    fn hidden(kind: &str, mut payload: Value) -> Value {
        hide(&mut payload, secrets_of(&processors::registry(), kind).payload);
        payload
    }

    #[test]
    fn what_a_kind_marks_is_hidden_and_the_rest_stays() {
        let mail = json!({
            "to": ["ana@example.com"],
            "body": { "template": "password_reset", "variables": { "reset_url": "https://example.com/r/s3cret" } },
            "attachments": [{ "source": { "url": "https://files.example.com/?sig=s3cret" }, "name": "a.pdf" }],
        });
        let chat = json!({ "messages": [{ "role": "user", "content": "s3cret" }], "model": "m" });

        let (mail, chat) = (hidden("send_email", mail), hidden("complete_chat", chat));

        assert_eq!(mail["to"], json!(["ana@example.com"]));
        assert_eq!(
            (&mail["body"]["template"], &mail["body"]["variables"]),
            (&json!("password_reset"), &json!(HIDDEN))
        );
        assert_eq!(mail["attachments"][0], json!({ "source": { "url": HIDDEN }, "name": "a.pdf" }));
        assert_eq!(chat["messages"][0], json!({ "role": "user", "content": HIDDEN }));
    }

    #[test]
    fn of_an_unknown_kind_nothing_is_shown() {
        let payload = json!({ "a": 1, "b": { "c": "s3cret" }, "d": null });

        assert_eq!(hidden("fly_to_the_moon", payload), json!({ "a": HIDDEN, "b": HIDDEN, "d": null }));
        assert_eq!(hidden("fly_to_the_moon", json!(["s3cret"])), json!([HIDDEN]));
    }

    #[test]
    fn credentials_are_hidden_wherever_they_are() {
        let payload =
            json!({ "to": "+52", "extra": [{ "Api-Key": "s3cret", "access_token": { "x": "s3cret" } }] });

        let shown = hidden("send_sms", payload).to_string();

        assert!(!shown.contains("s3cret") && shown.contains("+52"), "{shown}");
    }

    #[test]
    fn of_a_selection_only_what_it_looks_for_in_payloads_is_hidden() {
        let searched = crate::dead::Filter {
            queue: Some("email".to_owned()),
            text: Some("s3cret".to_owned()),
            payload: vec!["payload.to=s3cret".parse().unwrap()],
            ..Default::default()
        };
        let (mut searched, mut plain) = (json!(searched), json!({ "queue": "email" }));

        filter(&mut searched);
        filter(&mut plain);

        assert_eq!((&searched["queue"], &searched["text"]), (&json!("email"), &json!(HIDDEN)));
        assert_eq!(searched["payload"], json!([{ "path": ["to"], "value": HIDDEN }]));
        assert_eq!(plain, json!({ "queue": "email" }));
    }

    #[test]
    fn every_kind_says_what_is_secret_in_it() {
        let registry = processors::registry();
        for kind in registry.names() {
            let secret = secrets_of(&registry, kind);
            assert!(!secret.payload.is_empty() && secret != SecretFields::ALL, "{kind}");
        }
    }
}
