//! Answers of a certain form: a JSON Schema that the model is told, and that its answer is held to.

use serde_json::{Value, json};

/// Violations that a model is told; more would not make it wiser.
const MOST_TOLD: usize = 5;

/// A schema for answers, ready to be used.
pub struct Form {
    schema: Value,
    validator: jsonschema::Validator,
}

/// A schema that is none.
#[derive(Debug, thiserror::Error)]
#[error("answer_schema is no JSON Schema: {0}")]
pub struct BadSchema(String);

impl Form {
    /// # Errors
    /// When it is no schema, or refers to something outside itself.
    pub fn new(schema: Value) -> Result<Self, BadSchema> {
        let validator = jsonschema::validator_for(&schema).map_err(|error| BadSchema(error.to_string()))?;
        Ok(Self { schema, validator })
    }

    /// How the API is told of it. Not as `strict`, which takes only schemas that ask for every property and allow no other:
    /// the answer is checked here, against any schema.
    pub fn response_format(&self) -> Value {
        let schema = json!({ "name": "answer", "strict": false, "schema": self.schema });
        json!({ "type": "json_schema", "json_schema": schema })
    }

    /// The answer as compact JSON, without the fence that some models put around it.
    ///
    /// # Errors
    /// What is wrong with it, in words for the model. They name places and rules, and repeat no value.
    pub fn check(&self, answer: &str) -> Result<String, String> {
        let inside = answer.trim().trim_start_matches("```json").trim_matches('`').trim();
        let value: Value =
            serde_json::from_str(inside).map_err(|error| format!("it is not JSON: {error}"))?;
        let wrong: Vec<String> = self
            .validator
            .iter_errors(&value)
            .take(MOST_TOLD)
            .map(|error| format!("{} {}", place(&error.instance_path().to_string()), error.masked()))
            .collect();
        if wrong.is_empty() { Ok(value.to_string()) } else { Err(wrong.join("; ")) }
    }

    /// What a model is told whose answer does not fit. The schema is repeated, because an API passes it over for models that
    /// know nothing of such formats.
    pub fn repair(&self, wrong: &str) -> String {
        let schema = &self.schema;
        format!(
            "Your answer does not fit this JSON Schema: {schema}\nWhat is wrong: {wrong}.\nAnswer again with the corrected JSON \
             alone."
        )
    }
}

fn place(path: &str) -> &str {
    if path.is_empty() { "the whole" } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Form {
        let price = json!({ "type": "number", "minimum": 0 });
        let schema = json!({
            "type": "object", "properties": { "price": price }, "required": ["price"], "additionalProperties": false,
        });
        Form::new(schema).unwrap()
    }

    #[test]
    fn an_answer_that_fits_is_taken_with_or_without_a_fence() {
        for answer in ["{\"price\": 3}", "```json\n{\"price\": 3}\n```", "  {\"price\":3}\n"] {
            assert_eq!(form().check(answer).as_deref(), Ok("{\"price\":3}"), "{answer}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_without_its_values() {
        let cases = [
            ("Sure! The price is 3.", "it is not JSON"),
            ("{}", "required"),
            ("{\"price\":\"a secret\"}", "/price"),
            ("{\"price\":-1}", "/price"),
        ];
        for (answer, part) in cases {
            let wrong = form().check(answer).unwrap_err();

            assert!(wrong.contains(part) && !wrong.contains("secret"), "{answer}: {wrong}");
        }
    }

    #[test]
    fn a_schema_that_is_none_or_leads_outside_is_refused() {
        for schema in [json!({ "type": "numbr" }), json!({ "$ref": "https://example.com/schema.json" })] {
            assert!(Form::new(schema.clone()).is_err(), "{schema}");
        }
    }
}
