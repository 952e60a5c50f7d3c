//! The built-in e-mails: a name, a language and variables become subject, text and HTML.
//!
//! Templates are compiled into the binary and never come from users; variables are data and never templates. Each
//! template declares what it needs in `catalogue`, and every variable is checked before rendering, so a
//! mistake is a sentence about a variable and not a half-filled letter. HTML values are escaped, links must be
//! `http`, `https` or `mailto`, and rendering has a step limit.

mod catalogue;

use std::{collections::BTreeMap, fmt::Write, sync::OnceLock};

use minijinja::{AutoEscape, Environment, Output, State, UndefinedBehavior, Value, escape_formatter};
use serde_json::Map;

use self::catalogue::LAYOUT;
pub use self::catalogue::{Locale, TEMPLATES, Template, Variable, VariableKind};

/// Most steps of one rendering; our largest template takes about a hundred.
const MOST_STEPS: u64 = 20_000;
/// Longest text of a variable, in bytes; long links are the largest honest ones.
const MOST_VALUE_BYTES: usize = 2048;

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
    /// A variable that the template needs is not there.
    #[error("The e-mail template `{template}` needs the variable `{variable}`; it needs {required}.")]
    MissingVariable {
        /// The template.
        template: &'static str,
        /// The variable that is not there.
        variable: &'static str,
        /// All that it needs.
        required: String,
    },
    /// A variable is there but cannot be used. Its value is not repeated, because it may be personal.
    #[error("The variable `{variable}` of the e-mail template `{template}` cannot be used: {reason}.")]
    BadVariable {
        /// The template.
        template: &'static str,
        /// The variable.
        variable: &'static str,
        /// What it should be.
        reason: &'static str,
    },
    /// The template itself failed, which the tests of this crate should have prevented.
    #[error("The e-mail template `{template}` could not be rendered; this is a defect, please report it.")]
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
/// Variables that the template does not know are ignored.
pub fn render(
    template: &str,
    locale: &str,
    variables: &Map<String, serde_json::Value>,
) -> Result<Rendered, TemplateError> {
    let template = find(template)?;
    let locale = language(locale)?;
    let mut values = checked(template, variables)?;
    values.insert("locale", Value::from(locale.code()));
    let fill = |part: &str| {
        let name = format!("{}.{}.{part}", template.name, locale.code());
        environment()
            .get_template(&name)
            .and_then(|compiled| compiled.render(Value::from(values.clone())))
            .map_err(|source| TemplateError::Broken { template: template.name, source })
    };
    Ok(Rendered { subject: fill("subject.txt")?, text: fill("txt")?, html: fill("html")? })
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

fn checked(
    template: &'static Template,
    variables: &Map<String, serde_json::Value>,
) -> Result<BTreeMap<&'static str, Value>, TemplateError> {
    let mut values = BTreeMap::new();
    for variable in template.variables {
        let given = variables.get(variable.name).filter(|value| !value.is_null());
        let Some(given) = given else {
            return Err(TemplateError::MissingVariable {
                template: template.name,
                variable: variable.name,
                required: listed(template.variables.iter().map(|variable| variable.name)),
            });
        };
        let value = usable(variable.kind, given).map_err(|reason| TemplateError::BadVariable {
            template: template.name,
            variable: variable.name,
            reason,
        })?;
        values.insert(variable.name, value);
    }
    Ok(values)
}

fn usable(kind: VariableKind, given: &serde_json::Value) -> Result<Value, &'static str> {
    match kind {
        VariableKind::Text => one_line(given).map(Value::from),
        VariableKind::Link => link(one_line(given)?).map(Value::from),
        VariableKind::Count => {
            given.as_u64().map(Value::from).ok_or("it must be a whole number, not negative")
        }
    }
}

fn one_line(given: &serde_json::Value) -> Result<&str, &'static str> {
    let text = given.as_str().ok_or("it must be a text")?;
    if text.trim().is_empty() {
        return Err("it is empty");
    }
    if text.len() > MOST_VALUE_BYTES {
        return Err("it is longer than 2,048 bytes");
    }
    // A line break would end the subject line, and others change what a mail client shows.
    if text.chars().any(char::is_control) {
        return Err("it holds a line break or another control character");
    }
    Ok(text)
}

/// Returns the link as a parser writes it, so that what was checked is what a mail client opens.
fn link(text: &str) -> Result<String, &'static str> {
    let url =
        url::Url::parse(text).map_err(|_| "it must be a complete link, like https://example.com/page")?;
    match url.scheme() {
        "http" | "https" | "mailto" => Ok(url.into()),
        _ => Err("it must be a link that starts with https, http or mailto"),
    }
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
