//! Answers of a certain form: a JSON Schema that the model is told, and that its answer is held to.

use serde_json::{Value, json};

/// Violations that a model is told; more would not make it wiser.
const MOST_TOLD: usize = 5;

/// A schema for answers, ready to be used.
pub struct Form {
    schema: Value,
    validator: jsonschema::Validator,
}

/// How an answer does not fit.
#[derive(Debug)]
pub struct Misfit {
    /// For the model: places, which its own words may name, and rules.
    pub wrong: String,
    /// For everybody: the rules alone, as places in the schema, and no word of the answer.
    pub rules: String,
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
    /// When it does not fit.
    pub fn check(&self, answer: &str) -> Result<String, Misfit> {
        let inside = answer.trim().trim_start_matches("```json").trim_matches('`').trim();
        let value: Value = serde_json::from_str(inside).map_err(|error| Misfit {
            wrong: format!("it is not JSON: {error}"),
            rules: "it is not JSON".to_owned(),
        })?;
        let errors: Vec<_> = self.validator.iter_errors(&value).take(MOST_TOLD).collect();
        if errors.is_empty() {
            return Ok(value.to_string());
        }
        let wrong = |error: &jsonschema::ValidationError<'_>| {
            format!("{} {}", place(&error.instance_path().to_string()), error.masked())
        };
        let rule = |error: &jsonschema::ValidationError<'_>| error.schema_path().to_string();
        let (wrong, rules): (Vec<_>, Vec<_>) = errors.iter().map(|error| (wrong(error), rule(error))).unzip();
        Err(Misfit { wrong: wrong.join("; "), rules: format!("it breaks {}", rules.join(", ")) })
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
            assert_eq!(form().check(answer).unwrap(), "{\"price\":3}", "{answer}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_by_the_rules_without_a_word_of_the_answer() {
        let cases = [
            ("Sure! The price is secret.", "it is not JSON", "it is not JSON"),
            ("{}", "required", "/required"),
            ("{\"price\":\"a secret\"}", "/price", "/properties/price/type"),
            ("{\"price\":-1}", "/price", "/properties/price/minimum"),
            ("{\"price\":1,\"secret\":1}", "secret", "/additionalProperties"),
        ];
        for (answer, for_the_model, rule) in cases {
            let Misfit { wrong, rules } = form().check(answer).unwrap_err();

            assert!(wrong.contains(for_the_model), "{answer}: {wrong}");
            assert!(rules.contains(rule) && !rules.contains("secret"), "{answer}: {rules}");
        }
    }

    #[test]
    fn the_api_is_not_asked_to_be_strict_which_takes_few_schemas() {
        assert_eq!(form().response_format()["json_schema"]["strict"], false);
    }

    #[test]
    fn a_schema_that_is_none_or_leads_outside_is_refused() {
        for schema in [json!({ "type": "numbr" }), json!({ "$ref": "https://example.com/schema.json" })] {
            assert!(Form::new(schema.clone()).is_err(), "{schema}");
        }
    }
}
