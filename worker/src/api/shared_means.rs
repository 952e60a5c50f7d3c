//! What jobs share that all tenants have in common, and which a token of one tenant may therefore not use: the directory of
//! files, and the one secret that signs webhooks to plain URLs.
//!
//! Files in the bucket and registered endpoints belong to a tenant, and are checked where they are used. Producers that reach
//! Redis themselves are the application; it is trusted to know whose files are whose.

use serde_json::{Value, value::RawValue};

use super::problem::{Problem, pointer};

/// Where a payload may name a file, kind by kind, as names of members.
const FILES: [(&str, &[&str]); 4] = [
    ("send_email", &["attachments"]),
    ("send_whatsapp", &["body"]),
    ("transcribe_audio", &["audio"]),
    ("read_image", &["image", "images"]),
];

/// Refuses a payload, whose form has been checked, that uses them.
pub(super) fn refuse(kind: &str, payload: &RawValue) -> Result<(), Problem> {
    let payload: Value = serde_json::from_str(payload.get()).unwrap_or_default();
    if kind == "deliver_webhook" && payload["url"].is_string() {
        let why = "is signed with the secret of the whole fleet; register an endpoint of the tenant and name it in `endpoint`";
        return Err(Problem::invalid("/payload/url", why));
    }
    let members = FILES.iter().find(|(known, _)| *known == kind).map_or(&[][..], |(_, members)| *members);
    for member in members {
        if let Some(path) = file_in(&payload[member], member) {
            let why =
                "is in the directory of the whole fleet; store it for the tenant and name it by `storage`";
            return Err(Problem::invalid(format!("/payload{}", pointer(&path)), why));
        }
    }
    Ok(())
}

/// The path of the first member `file` with a text in it.
fn file_in(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            let path = format!("{path}.{name}");
            if name == "file" && value.is_string() { Some(path) } else { file_in(value, &path) }
        }),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(at, item)| file_in(item, &format!("{path}[{at}]")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(kind: &str, payload: Value) -> bool {
        refuse(kind, &RawValue::from_string(payload.to_string()).unwrap()).is_err()
    }

    #[test]
    fn files_of_the_fleet_and_its_secret_are_refused_and_what_belongs_to_a_tenant_is_not() {
        let attached = |source: Value| json!({ "attachments": [{ "source": source, "name": "a.pdf" }] });

        assert!(refused("send_email", attached(json!({ "file": "invoices/42.pdf" }))));
        assert!(refused(
            "read_image",
            json!({ "images": [{ "url": "https://a.example/1" }, { "file": "1.png" }] })
        ));
        assert!(refused("transcribe_audio", json!({ "audio": { "file": "1.ogg" } })));
        let picture =
            json!({ "to": "+525512345678", "body": { "media": "image", "source": { "file": "1.png" } } });
        assert!(refused("send_whatsapp", picture));
        assert!(refused("deliver_webhook", json!({ "url": "https://a.example", "event": "e", "data": 1 })));
        assert!(!refused("send_email", attached(json!({ "storage": "acme/0199a7c2" }))));
        assert!(!refused(
            "deliver_webhook",
            json!({ "endpoint": "ep", "data": { "url": "x", "file": "y" } })
        ));
        assert!(!refused("send_email", json!({ "body": { "variables": { "file": "report.pdf" } } })));
    }
}
