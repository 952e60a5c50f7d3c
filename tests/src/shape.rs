//! The shape of a JSON value: which keys it has, and what sort of value each of them holds.
//!
//! Scripts rely on shapes and not on values, so tests of what commands print compare shapes as text.

use serde_json::Value;

/// The keys of an object in the order of the alphabet, each with the sort of its value: `dead: count, queue: text`.
/// Of an array the shapes of its elements, each once.
pub fn shape(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<String> =
                members.iter().map(|(name, value)| format!("{name}: {}", sort(value))).collect();
            members.sort_unstable();
            members.join(", ")
        }
        Value::Array(items) => {
            let mut shapes: Vec<String> = items.iter().map(shape).collect();
            shapes.sort_unstable();
            shapes.dedup();
            format!("[{}]", shapes.join(" | "))
        }
        simple => sort(simple).to_owned(),
    }
}

fn sort(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_u64() => "count",
        Value::Number(_) => "number",
        Value::String(text) if uuid::Uuid::parse_str(text).is_ok() => "id",
        Value::String(text) if chrono::DateTime::parse_from_rfc3339(text).is_ok() => "time",
        Value::String(_) => "text",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_shape_has_every_key_once_and_in_order() {
        let value = json!([
            {"b": 1, "a": null, "c": "x"},
            {"c": "2026-11-21T20:46:36.379Z", "a": true, "b": 0.5},
            {"b": 7, "a": null, "c": "y"},
        ]);

        assert_eq!(shape(&value), "[a: bool, b: number, c: time | a: null, b: count, c: text]");
    }
}
