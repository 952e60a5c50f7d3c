//! The e-mail templates that come with Flota: what each is for, and what it has to be given.
//!
//! This table is the one place that knows. Producers check a mail against it before it is sent, the worker checks again
//! and renders with exactly these variables, and `docs/kinds.md` and previews are written from it. The texts themselves lie
//! in the worker; its tests hold them against this table.

use serde_json::{Map, Value};
use url::Url;

use crate::payload::Invalid;

/// Longest text of a variable, in bytes; long links are the largest honest ones.
const MAX_VALUE: usize = 2_048;

/// What a variable may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailVariableKind {
    /// One line of text.
    Text,
    /// A link: `https`, `http` or `mailto`.
    Link,
    /// A whole number, not negative.
    Count,
}

/// Something that a template needs.
#[derive(Debug)]
pub struct EmailVariable {
    /// Its name in the payload.
    pub name: &'static str,
    /// What it may be.
    pub kind: EmailVariableKind,
    /// What it is, for people.
    pub about: &'static str,
    /// A realistic value, as text; see [`EmailTemplate::example`].
    example: &'static str,
}

/// One template.
#[derive(Debug)]
pub struct EmailTemplate {
    /// Its name in the payload.
    pub name: &'static str,
    /// When it is sent, for people.
    pub about: &'static str,
    /// Everything it needs; nothing is optional.
    pub variables: &'static [EmailVariable],
}

impl EmailVariableKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Text, Self::Link, Self::Count];

    /// The word for it in documentation.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Link => "link",
            Self::Count => "number",
        }
    }

    /// What such a value has to be, for people.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Text => "one line of 1 to 2,048 bytes, without control characters",
            Self::Link => "a text that is a whole `https`, `http` or `mailto` link",
            Self::Count => "a whole number, not negative, and not in quotes",
        }
    }

    /// The value as a template is given it: a link as a parser writes it, so that what was checked is what a mail client
    /// opens. A value is never repeated in an error, because it may be personal.
    fn checked(self, field: &str, given: &Value) -> Result<Value, Invalid> {
        match self {
            Self::Text => line(field, given).map(Value::from),
            Self::Link => link(field, line(field, given)?).map(Value::from),
            Self::Count => given
                .as_u64()
                .map(Value::from)
                .ok_or_else(|| Invalid::new(field, "must be a whole number, not negative")),
        }
    }
}

impl EmailVariable {
    /// A realistic value.
    pub fn example(&self) -> Value {
        match self.kind {
            EmailVariableKind::Text | EmailVariableKind::Link => self.example.into(),
            EmailVariableKind::Count => self.example.parse::<u64>().unwrap_or_default().into(),
        }
    }
}

impl EmailTemplate {
    /// The template with this name.
    ///
    /// # Errors
    /// When there is none: says under `field` which there are.
    pub fn named(name: &str, field: &str) -> Result<&'static Self, Invalid> {
        EMAIL_TEMPLATES.iter().find(|template| template.name == name).ok_or_else(|| {
            let known: Vec<&str> = EMAIL_TEMPLATES.iter().map(|template| template.name).collect();
            Invalid::new(field, format!("must be one of {}", known.join(", ")))
        })
    }

    /// What the template is filled with. Variables that it does not know are left out.
    ///
    /// # Errors
    /// When one is missing or cannot be used: names it behind `field`, the place of the variables in their payload.
    pub fn values(&self, given: &Map<String, Value>, field: &str) -> Result<Map<String, Value>, Invalid> {
        let value = |variable: &EmailVariable| {
            let field = format!("{field}.{}", variable.name);
            let given = given.get(variable.name).filter(|value| !value.is_null());
            let given = given.ok_or_else(|| Invalid::new(&field, self.needs()))?;
            Ok((variable.name.to_owned(), variable.kind.checked(&field, given)?))
        };
        self.variables.iter().map(value).collect()
    }

    /// A complete set of variables with realistic values, for previews and tests.
    pub fn example(&self) -> Map<String, Value> {
        self.variables.iter().map(|variable| (variable.name.to_owned(), variable.example())).collect()
    }

    fn needs(&self) -> String {
        let names: Vec<&str> = self.variables.iter().map(|variable| variable.name).collect();
        format!("is missing; the template {} needs {}", self.name, names.join(", "))
    }
}

fn line<'a>(field: &str, given: &'a Value) -> Result<&'a str, Invalid> {
    let text = given.as_str().ok_or_else(|| Invalid::new(field, "must be a text"))?;
    Invalid::unless(!text.trim().is_empty(), field, "must not be empty")?;
    Invalid::unless(text.len() <= MAX_VALUE, field, "must not be longer than 2,048 bytes")?;
    // A line break would end the subject line, and others change what a mail client shows.
    super::one_line(field, text)?;
    Ok(text)
}

fn link(field: &str, text: &str) -> Result<String, Invalid> {
    let url = Url::parse(text)
        .map_err(|_| Invalid::new(field, "must be a complete link, like https://example.com/page"))?;
    let opens = matches!(url.scheme(), "http" | "https" | "mailto");
    Invalid::unless(opens, field, "must be a link that starts with https, http or mailto")?;
    Ok(url.into())
}

const fn text(name: &'static str, about: &'static str, example: &'static str) -> EmailVariable {
    EmailVariable { name, kind: EmailVariableKind::Text, about, example }
}

const fn address(name: &'static str, about: &'static str, example: &'static str) -> EmailVariable {
    EmailVariable { name, kind: EmailVariableKind::Link, about, example }
}

const fn count(name: &'static str, about: &'static str, example: &'static str) -> EmailVariable {
    EmailVariable { name, kind: EmailVariableKind::Count, about, example }
}

const APP_NAME: EmailVariable = text("app_name", "Name of the product that writes", "Acme");
const USER_NAME: EmailVariable = text("user_name", "How the reader is addressed", "Ana");

/// Every template.
pub static EMAIL_TEMPLATES: &[EmailTemplate] = &[
    EmailTemplate {
        name: "welcome",
        about: "Greets a new user",
        variables: &[
            APP_NAME,
            USER_NAME,
            address("login_url", "Where the user signs in", "https://app.example.com/login"),
        ],
    },
    EmailTemplate {
        name: "verify_email",
        about: "Asks a user to confirm an address",
        variables: &[
            APP_NAME,
            USER_NAME,
            address(
                "verification_url",
                "Confirms the address",
                "https://app.example.com/verify?token=3f9a&user=7",
            ),
            count("expires_in_hours", "How long the link works, in hours", "24"),
        ],
    },
    EmailTemplate {
        name: "password_reset",
        about: "Lets a user choose a new password",
        variables: &[
            APP_NAME,
            USER_NAME,
            address("reset_url", "Where the password is chosen", "https://app.example.com/reset?token=b71c"),
            count("expires_in_minutes", "How long the link works, in minutes", "30"),
        ],
    },
    EmailTemplate {
        name: "invoice_paid",
        about: "Confirms a payment",
        variables: &[
            APP_NAME,
            USER_NAME,
            text("invoice_number", "Number of the invoice", "F-2026-0042"),
            text("amount", "Amount with currency, already formatted for the reader", "49.90 EUR"),
            text("paid_on", "Date of the payment, already formatted for the reader", "2026-11-21"),
            address(
                "invoice_url",
                "Where the invoice can be read",
                "https://app.example.com/invoices/F-2026-0042",
            ),
        ],
    },
    EmailTemplate {
        name: "trial_ending",
        about: "Reminds a user that a trial ends soon",
        variables: &[
            APP_NAME,
            USER_NAME,
            text("plan_name", "Name of the plan on trial", "Pro"),
            text("trial_ends_on", "Last day, already formatted for the reader", "2026-11-28"),
            count("days_left", "Days until then", "7"),
            address("upgrade_url", "Where the user subscribes", "https://app.example.com/billing"),
        ],
    },
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problem_of(template: &str, name: &str, value: Value) -> Invalid {
        let template = EmailTemplate::named(template, "body.template").unwrap();
        let mut variables = template.example();
        variables.insert(name.to_owned(), value);
        template.values(&variables, "body.variables").unwrap_err()
    }

    #[test]
    fn every_example_is_what_its_template_takes() {
        for template in EMAIL_TEMPLATES {
            let example = template.example();

            assert_eq!(template.values(&example, "body.variables"), Ok(example), "{}", template.name);
        }
    }

    #[test]
    fn a_variable_that_is_missing_or_null_is_told_by_its_path_with_all_that_are_needed() {
        for template in EMAIL_TEMPLATES {
            for variable in template.variables {
                let mut without = template.example();
                without.remove(variable.name);

                let error = template.values(&without, "body.variables").unwrap_err();

                assert_eq!(error.field, format!("body.variables.{}", variable.name));
                assert_eq!(error, problem_of(template.name, variable.name, Value::Null));
                assert!(template.variables.iter().all(|one| error.problem.contains(one.name)), "{error}");
            }
        }
    }

    #[test]
    fn links_other_than_web_and_mail_are_refused() {
        let links = [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            " javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "vbscript:x",
            "/login",
            "//example.com",
            "example.com",
            "",
        ];

        for link in links {
            let error = problem_of("welcome", "login_url", json!(link));

            assert_eq!(error.field, "body.variables.login_url", "for {link:?}");
        }
    }

    #[test]
    fn a_link_is_passed_on_as_a_parser_writes_it() {
        let template = EmailTemplate::named("welcome", "body.template").unwrap();
        let mut variables = template.example();
        variables.insert("login_url".to_owned(), json!("HTTPS://example.com/\"><b>"));

        let values = template.values(&variables, "body.variables").unwrap();

        assert_eq!(values["login_url"], "https://example.com/%22%3E%3Cb%3E");
    }

    #[test]
    fn texts_with_line_breaks_and_values_of_the_wrong_kind_are_refused_and_not_repeated() {
        let long = "a".repeat(MAX_VALUE + 1);
        let cases = [
            ("user_name", json!("Eve\r\nBcc: victim@example.net")),
            ("user_name", json!("a\u{0}b")),
            ("user_name", json!("   ")),
            ("user_name", json!(7)),
            ("user_name", json!(["Eve"])),
            ("user_name", json!(long)),
            ("expires_in_hours", json!("24")),
            ("expires_in_hours", json!(-1)),
            ("expires_in_hours", json!(1.5)),
        ];

        for (name, value) in cases {
            let error = problem_of("verify_email", name, value);

            assert_eq!(error.field, format!("body.variables.{name}"));
            assert!(!error.problem.contains("Eve"), "{error}");
        }
    }
}
