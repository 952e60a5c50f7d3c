//! `docs/kinds.md` lists every field of every kind, and tells which are required: what it says is held against what the
//! readers of payloads do.

use flota_worker::processors::registry;
use serde_json::{Map, Value, json, value::RawValue};

/// A field in a row of the page.
#[derive(Debug, PartialEq, Eq)]
struct Field {
    name: String,
    /// Others that may be given in its place, when it is one of several.
    others: Vec<String>,
    required: bool,
}

/// The least that each kind takes.
fn least(kind: &str) -> Map<String, Value> {
    let keys = json!({ "p256dh": "B".repeat(87), "auth": "B".repeat(22) });
    let payload = match kind {
        "send_email" => json!({ "to": ["ana@example.com"], "body": { "subject": "Hi", "text": "Hello" } }),
        "deliver_webhook" => json!({ "endpoint": "ep_1", "event": "order.paid", "data": {} }),
        "send_push" => {
            let subscription = json!({ "endpoint": "https://push.example.com/1", "keys": keys });
            json!({ "subscription": subscription, "title": "Hi", "body": "Hello" })
        }
        "send_whatsapp" => json!({ "to": "+525512345678", "body": { "text": "Hello" } }),
        "send_sms" => json!({ "to": "+525512345678", "text": "Hello" }),
        "complete_chat" => json!({ "messages": [{ "role": "user", "content": "Why?" }] }),
        "transcribe_audio" => json!({ "audio": { "file": "note.ogg" } }),
        "read_image" => json!({ "image": { "file": "page.png" } }),
        other => panic!("the page needs an example of {other} here"),
    };
    payload.as_object().expect("an object").clone()
}

/// The fields in the first table of a kind's section.
fn documented(page: &str, kind: &str) -> Vec<Field> {
    let (_, section) =
        page.split_once(&format!("## `{kind}`")).unwrap_or_else(|| panic!("no section of {kind}"));
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let rows = section.lines().skip_while(|line| !line.starts_with("| field |")).skip(2);
    rows.take_while(|line| line.starts_with('|')).flat_map(fields_of_row).collect()
}

fn fields_of_row(row: &str) -> Vec<Field> {
    let cell = row.split('|').nth(1).unwrap_or_default();
    let names: Vec<String> = cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let is_choice = cell.contains(" or ");
    let field = |name: &String| Field {
        name: name.clone(),
        others: names.iter().filter(|other| is_choice && *other != name).cloned().collect(),
        required: cell.contains(&format!("**`{name}`**")),
    };
    names.iter().map(field).collect()
}

/// What is wrong with a payload: the path of the field and the rest of the sentence.
fn refused(kind: &str, payload: &Map<String, Value>) -> Option<(String, String)> {
    let payload = RawValue::from_string(Value::Object(payload.clone()).to_string()).expect("JSON");
    let registry = registry();
    let kind = registry.get(kind).expect("a kind of this release");
    (kind.check)(&payload).err().map(|error| (error.field, error.problem))
}

#[test]
fn the_page_lists_every_field_and_tells_which_are_required() {
    let page = include_str!("../../docs/kinds.md");

    for kind in registry().names() {
        let (least, fields) = (least(kind), documented(page, kind));
        let mut strange = least.clone();
        strange.insert("strange".to_owned(), Value::Null);
        let (field, problem) = refused(kind, &strange).expect("a strange field is refused");

        assert_eq!((refused(kind, &least), field.as_str()), (None, "strange"), "{kind}");
        let mut read: Vec<&str> =
            problem.split('`').skip(1).step_by(2).filter(|name| *name != "strange").collect();
        let mut listed: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        read.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, read, "the fields of {kind}: on the page, and those that are read");
        for Field { name, others, required } in &fields {
            let mut without = least.clone();
            let given =
                without.remove(name).is_some() || others.iter().any(|other| without.contains_key(other));
            assert_eq!(given, *required, "{name} of {kind} is required exactly if the least payload has it");
            without.retain(|given, _| !others.contains(given));
            let missing = refused(kind, &without).map(|(field, _)| field);
            let named = missing.is_some_and(|field| field == *name || others.contains(&field));
            assert_eq!(named, *required, "{name} of {kind}");
        }
    }
}
