//! JSON with files inside: written around them, so that no file has to be a text in memory.

use serde_json::Value;

use super::{Lines, Pieces};

/// These fields and one more. `fields` is an object.
pub(crate) fn with_field(fields: &Value, name: &str, value: Pieces) -> Pieces {
    let fields = fields.to_string();
    let open = fields.strip_suffix('}').unwrap_or("{");
    let comma = if open.ends_with('{') { "" } else { "," };
    Pieces::from(format!("{open}{comma}{}:", Value::from(name))).then(value).then("}")
}

/// A list of these.
pub(crate) fn list(items: impl IntoIterator<Item = Pieces>) -> Pieces {
    let mut all = Pieces::from("[");
    for (position, item) in items.into_iter().enumerate() {
        all = if position == 0 { all } else { all.then(",") }.then(item);
    }
    all.then("]")
}

/// A text: the base64 of this.
pub(crate) fn base64(content: impl Into<Pieces>) -> Pieces {
    Pieces::from("\"").then(content.into().base64(Lines::One)).then("\"")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_inside_read_like_any_other_json() {
        let empty = with_field(&json!({}), "content", base64("a?"));
        let other = with_field(&json!({ "name": "}\"" }), "con\"tent", base64(""));

        let all = with_field(&json!({ "n": [{}] }), "files", list([empty, other])).joined();
        let none = list([]).joined();

        let read = |all: &Pieces| serde_json::from_slice::<Value>(all.as_bytes().unwrap()).unwrap();
        let expected =
            json!({ "n": [{}], "files": [{ "content": "YT8=" }, { "name": "}\"", "con\"tent": "" }] });
        assert_eq!((read(&all), read(&none)), (expected, json!([])));
    }
}
