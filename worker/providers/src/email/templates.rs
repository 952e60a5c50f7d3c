//! The built-in e-mails: a name, a language and variables become subject, text and HTML.
//!
//! Templates are compiled into the binary and never come from users; variables are data and never templates. The caller
//! has checked them: each is there, of its kind, on one line, and links are `http`, `https` or `mailto`. Here HTML values
//! are escaped, what is missing is an error and never a half-filled letter, and rendering has a step limit.

mod catalogue;

use std::{collections::BTreeMap, fmt::Write, sync::OnceLock};

use minijinja::{AutoEscape, Environment, Output, State, UndefinedBehavior, Value, escape_formatter};
use serde_json::Map;

use self::catalogue::LAYOUT;
pub use self::catalogue::{Locale, TEMPLATES, Template};

/// Most steps of one rendering; our largest template takes about a hundred.
const MOST_STEPS: u64 = 20_000;

/// A filled-in e-mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// The plain part.
    pub text: String,
    /// The HTML part.
    pub html: String,
}

/// Why nothing was rendered. Every kind is permanent: the same job fails the same way again.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// There is no such template.
    #[error("There is no e-mail template named `{name}`; use one of {known}.")]
    UnknownTemplate {
        /// What was asked for.
        name: String,
        /// What exists.
        known: String,
    },
    /// There is no such language.
    #[error("There are no e-mail templates for the language `{locale}`; use one of {known}.")]
    UnknownLocale {
        /// What was asked for.
        locale: String,
        /// What exists.
        known: String,
    },
    /// The template could not be filled: a variable is not there, or the template is wrong.
    #[error("The e-mail template `{template}` could not be filled; this is a defect, please report it.")]
    Broken {
        /// The template.
        template: &'static str,
        /// What the template engine said.
        #[source]
        source: minijinja::Error,
    },
}

/// Renders `template` in the language of `locale` (`es`, `en`, or with a region such as `es-MX`).
///
/// `variables` are checked ones. Those that the template does not know are ignored.
///
/// # Errors
/// When there is no such template or language, or when a variable is not there.
pub fn render(
    template: &str,
    locale: &str,
    variables: &Map<String, serde_json::Value>,
) -> Result<Rendered, TemplateError> {
    let template = find(template)?;
    let locale = language(locale)?;
    let mut values: BTreeMap<&str, Value> =
        variables.iter().filter_map(|(name, given)| Some((name.as_str(), value(given)?))).collect();
    values.insert("locale", locale.code().into());
    let values = Value::from(values);
    let fill = |part: &str| {
        let name = format!("{}.{}.{part}", template.name, locale.code());
        environment()
            .get_template(&name)
            .and_then(|compiled| compiled.render(&values))
            .map_err(|source| TemplateError::Broken { template: template.name, source })
    };
    Ok(Rendered { subject: fill("subject.txt")?, text: fill("txt")?, html: fill("html")? })
}

/// Texts and whole numbers; nothing else can be a variable.
fn value(given: &serde_json::Value) -> Option<Value> {
    given.as_str().map(Value::from).or_else(|| given.as_u64().map(Value::from))
}

fn find(name: &str) -> Result<&'static Template, TemplateError> {
    TEMPLATES.iter().find(|template| template.name == name).ok_or_else(|| TemplateError::UnknownTemplate {
        name: name.to_owned(),
        known: listed(TEMPLATES.iter().map(|template| template.name)),
    })
}

fn language(locale: &str) -> Result<Locale, TemplateError> {
    let language = locale.split(['-', '_']).next().unwrap_or_default();
    Locale::ALL.into_iter().find(|known| known.code().eq_ignore_ascii_case(language)).ok_or_else(|| {
        TemplateError::UnknownLocale {
            locale: locale.to_owned(),
            known: listed(Locale::ALL.into_iter().map(Locale::code)),
        }
    })
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// All templates, compiled on first use. A template that does not compile is missing here and fails as `Broken`.
fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(MOST_STEPS));
        environment.set_formatter(format_value);
        let mut add = |name: String, source: &'static str| {
            if let Err(error) = environment.add_template_owned(name, source) {
                tracing::error!(%error, "A built-in e-mail template does not compile.");
            }
        };
        add("layout.html".to_owned(), LAYOUT);
        for template in TEMPLATES {
            for (locale, sources) in Locale::ALL.into_iter().zip(&template.sources) {
                let stem = format!("{}.{}", template.name, locale.code());
                add(format!("{stem}.subject.txt"), sources.subject);
                add(format!("{stem}.txt"), sources.text);
                add(format!("{stem}.html"), sources.html);
            }
        }
        environment
    })
}

/// The engine's own escaping also turns `/` into `&#x2f;`, and links written like that look forged to spam filters.
fn format_value(
    output: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), minijinja::Error> {
    match value.as_str() {
        Some(text) if *state.auto_escape() == AutoEscape::Html && !value.is_safe() => {
            text.chars().try_for_each(|character| match character {
                '&' => output.write_str("&amp;"),
                '<' => output.write_str("&lt;"),
                '>' => output.write_str("&gt;"),
                '"' => output.write_str("&quot;"),
                '\'' => output.write_str("&#39;"),
                other => output.write_char(other),
            })?;
            Ok(())
        }
        _ => escape_formatter(output, state, value),
    }
}

#[cfg(test)]
mod tests;
