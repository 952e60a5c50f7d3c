//! Approved templates: by name, with the parameters of their text.
//!
//! Three templates are known here with their parameters, so that a missing one is told before anything is sent; they have
//! to be registered at Meta with these parameters in this order. Any other template is passed on as it is given.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::payload::Invalid;

/// Longest name of a template (Cloud API reference, template object).
const MAX_NAME: usize = 512;
/// Longest value of a parameter, in characters: the longest text of a template's body.
const MAX_PARAMETER: usize = 1_024;

/// A template whose parameters are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownTemplate {
    /// Its name at Meta.
    pub name: &'static str,
    /// What `{{1}}`, `{{2}}` … of its text are called in a job.
    pub parameters: &'static [&'static str],
}

/// The templates of the integrations catalogue.
pub const KNOWN_TEMPLATES: [KnownTemplate; 3] = [
    KnownTemplate { name: "order_confirmation", parameters: &["customer", "order", "total"] },
    KnownTemplate { name: "payment_reminder", parameters: &["customer", "amount", "due_date"] },
    KnownTemplate { name: "shipping_update", parameters: &["customer", "order", "status"] },
];

/// An approved template and what goes into it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WhatsappTemplate {
    /// Its name.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_NAME)))]
    pub template: String,
    /// Its language, for example `es_MX`.
    #[cfg_attr(feature = "schema", schemars(length(min = 2, max = 16)))]
    pub language: String,
    /// Parameters of its text by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Parameters of header, body and buttons, as the Cloud API defines them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Value>,
}

impl WhatsappTemplate {
    /// Without parameters.
    pub fn new(name: impl Into<String>, language: impl Into<String>) -> Self {
        let (template, language) = (name.into(), language.into());
        Self { template, language, parameters: BTreeMap::new(), components: Vec::new() }
    }

    /// With one more parameter of its text.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.insert(name.into(), value.into());
        self
    }

    /// Everything that goes into it, as the Cloud API defines it: parameters of known templates by their place, of others
    /// by their name.
    pub fn all_components(&self) -> Vec<Value> {
        let mut components = self.components.clone();
        if self.parameters.is_empty() {
            return components;
        }
        let parameters: Vec<Value> = if let Some(known) = self.known() {
            let values = known.parameters.iter().filter_map(|name| self.parameters.get(*name));
            values.map(|text| json!({ "type": "text", "text": text })).collect()
        } else {
            let named = |(name, text)| json!({ "type": "text", "parameter_name": name, "text": text });
            self.parameters.iter().map(named).collect()
        };
        components.push(json!({ "type": "body", "parameters": parameters }));
        components
    }

    /// `field` is the name of this template in its payload.
    pub(super) fn validate(&self, field: &str) -> Result<(), Invalid> {
        let Self { template, language, parameters, components } = self;
        let at = |name: &str| format!("{field}.{name}");
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let name = (1..=MAX_NAME).contains(&template.len()) && template.chars().all(plain);
        Invalid::unless(name, &at("template"), "must be lower-case letters, digits and `_`")?;
        let letters = |c: char| c.is_ascii_alphabetic() || c == '_';
        let code = (2..=16).contains(&language.len()) && language.chars().all(letters);
        Invalid::unless(code, &at("language"), "must be a code such as `es_MX`")?;
        let objects = components.iter().all(Value::is_object);
        Invalid::unless(objects, &at("components"), "must be a list of objects")?;
        for (name, value) in parameters {
            check_value(&at(&format!("parameters.{name}")), value)?;
        }
        let twice = !parameters.is_empty() && self.body().is_some();
        Invalid::unless(!twice, &at("components"), "must not have a body beside `parameters`")?;
        self.known().map_or(Ok(()), |known| self.check_known(known, field))
    }

    fn check_known(&self, known: &KnownTemplate, field: &str) -> Result<(), Invalid> {
        let KnownTemplate { name: template, parameters: wanted } = known;
        if let Some(foreign) = self.parameters.keys().find(|name| !wanted.contains(&name.as_str())) {
            let problem = format!("is not one of {template}, which are {}", wanted.join(", "));
            return Err(Invalid::new(format!("{field}.parameters.{foreign}"), problem));
        }
        let given = self.body().and_then(|body| body["parameters"].as_array()).map_or(0, Vec::len);
        let missing = match self.body() {
            Some(_) => wanted.get(given),
            None => wanted.iter().find(|name| !self.parameters.contains_key(**name)),
        };
        let extra = wanted.len() < given;
        let most =
            format!("must give the body no more than {} parameters: {}", wanted.len(), wanted.join(", "));
        Invalid::unless(!extra, &format!("{field}.components"), &most)?;
        missing.map_or(Ok(()), |name| {
            let problem = format!("is missing; {template} needs {}", wanted.join(", "));
            Err(Invalid::new(format!("{field}.parameters.{name}"), problem))
        })
    }

    fn known(&self) -> Option<&'static KnownTemplate> {
        KNOWN_TEMPLATES.iter().find(|known| known.name == self.template)
    }

    fn body(&self) -> Option<&Value> {
        self.components
            .iter()
            .find(|part| part["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("body")))
    }
}

/// Meta refuses line breaks, tabs and more than four spaces in a row in a parameter (error 132018).
fn check_value(field: &str, value: &str) -> Result<(), Invalid> {
    let fits = !value.trim().is_empty() && value.chars().count() <= MAX_PARAMETER;
    Invalid::unless(fits, field, "must have 1 to 1,024 characters")?;
    let plain = !value.contains(['\n', '\r', '\t']) && !value.contains("     ");
    Invalid::unless(plain, field, "must not have line breaks, tabs or more than four spaces in a row")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confirmation() -> WhatsappTemplate {
        WhatsappTemplate::new("order_confirmation", "es_MX")
            .parameter("total", "$120.00")
            .parameter("order", "42")
            .parameter("customer", "Ana")
    }

    fn field(template: &WhatsappTemplate) -> String {
        template.validate("body").unwrap_err().field
    }

    #[test]
    fn parameters_of_a_known_template_stand_in_its_order() {
        let template = confirmation();

        assert_eq!(template.validate("body"), Ok(()));
        let texts: Vec<&str> = ["Ana", "42", "$120.00"].into();
        let components = template.all_components();
        let found: Vec<&str> = components[0]["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|parameter| parameter["text"].as_str().unwrap())
            .collect();
        assert_eq!((components.len(), found), (1, texts));
    }

    #[test]
    fn every_known_template_names_the_parameter_that_is_missing() {
        for known in KNOWN_TEMPLATES {
            for missing in known.parameters {
                let mut template = WhatsappTemplate::new(known.name, "es_MX");
                for name in known.parameters.iter().filter(|name| *name != missing) {
                    template = template.parameter(*name, "x");
                }

                let error = template.validate("body").unwrap_err();

                assert_eq!(error.field, format!("body.parameters.{missing}"));
                assert!(error.problem.contains(known.name), "{error}");
            }
        }
    }

    #[test]
    fn a_known_template_may_also_be_given_as_meta_defines_it_if_nothing_is_missing() {
        let body = |count| {
            let parameters = vec![json!({ "type": "text", "text": "x" }); count];
            let components = vec![json!({ "type": "body", "parameters": parameters })];
            WhatsappTemplate { components, ..WhatsappTemplate::new("shipping_update", "es") }
        };

        assert_eq!(body(3).validate("body"), Ok(()));
        assert_eq!(field(&body(2)), "body.parameters.status");
        assert_eq!(field(&body(4)), "body.components");
        assert_eq!(
            field(&WhatsappTemplate { parameters: confirmation().parameters, ..body(3) }),
            "body.components"
        );
    }

    #[test]
    fn parameters_of_another_template_go_by_their_name() {
        let template = WhatsappTemplate::new("hello", "es").parameter("who", "Ana");

        assert_eq!(template.validate("body"), Ok(()));
        let parameter = &template.all_components()[0]["parameters"][0];
        assert_eq!(*parameter, json!({ "type": "text", "parameter_name": "who", "text": "Ana" }));
    }

    #[test]
    fn values_that_meta_refuses_are_refused_by_name() {
        for value in ["", " ", "a\nb", "a\tb", "a     b", &"x".repeat(1_025)] {
            assert_eq!(
                field(&confirmation().parameter("order", value)),
                "body.parameters.order",
                "{value:?}"
            );
        }
        assert_eq!(field(&confirmation().parameter("colour", "red")), "body.parameters.colour");
    }
}
