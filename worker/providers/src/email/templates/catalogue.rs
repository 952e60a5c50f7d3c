//! The table of built-in e-mails: what each is for and what it needs.
//!
//! Tests, error messages and previews read this table, so a template and its description cannot drift apart.

use serde_json::{Map, Value};

/// The frame around every HTML part.
pub(super) const LAYOUT: &str = include_str!("../../../templates/email/layout.html");

/// The languages that every template exists in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locale {
    /// Spanish.
    Es,
    /// English.
    En,
}

impl Locale {
    /// All of them, in the order of `Template::sources`.
    pub const ALL: [Self; 2] = [Self::Es, Self::En];

    /// The language code (ISO 639-1).
    pub const fn code(self) -> &'static str {
        match self {
            Self::Es => "es",
            Self::En => "en",
        }
    }
}

/// What a variable may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VariableKind {
    /// One line of text.
    Text,
    /// A link: `https`, `http` or `mailto`.
    Link,
    /// A whole number, not negative.
    Count,
}

/// Something that a template needs.
#[derive(Debug)]
pub struct Variable {
    /// Its name in the payload.
    pub name: &'static str,
    /// What it may be.
    pub kind: VariableKind,
    /// What it is, for people.
    pub about: &'static str,
    /// A realistic value, as text; see [`Template::example`].
    example: &'static str,
}

impl Variable {
    /// A realistic value.
    pub fn example(&self) -> Value {
        match self.kind {
            VariableKind::Text | VariableKind::Link => self.example.into(),
            VariableKind::Count => self.example.parse::<u64>().unwrap_or_default().into(),
        }
    }
}

/// One built-in e-mail.
#[derive(Debug)]
pub struct Template {
    /// Its name in the payload.
    pub name: &'static str,
    /// When it is sent, for people.
    pub about: &'static str,
    /// Everything it needs; nothing is optional.
    pub variables: &'static [Variable],
    /// One for each of [`Locale::ALL`].
    pub(super) sources: [Sources; 2],
}

impl Template {
    /// A complete set of variables with realistic values, for previews and tests.
    pub fn example(&self) -> Map<String, Value> {
        self.variables.iter().map(|variable| (variable.name.to_owned(), variable.example())).collect()
    }
}

/// The files of one template in one language.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) subject: &'static str,
    pub(super) text: &'static str,
    pub(super) html: &'static str,
}

macro_rules! sources {
    ($name:literal, $locale:literal) => {
        Sources {
            subject: include_str!(concat!("../../../templates/email/", $name, ".", $locale, ".subject.txt")),
            text: include_str!(concat!("../../../templates/email/", $name, ".", $locale, ".txt")),
            html: include_str!(concat!("../../../templates/email/", $name, ".", $locale, ".html")),
        }
    };
}

const fn text(name: &'static str, about: &'static str, example: &'static str) -> Variable {
    Variable { name, kind: VariableKind::Text, about, example }
}

const fn link(name: &'static str, about: &'static str, example: &'static str) -> Variable {
    Variable { name, kind: VariableKind::Link, about, example }
}

const fn count(name: &'static str, about: &'static str, example: &'static str) -> Variable {
    Variable { name, kind: VariableKind::Count, about, example }
}

const APP_NAME: Variable = text("app_name", "Name of the product that writes", "Acme");
const USER_NAME: Variable = text("user_name", "How the reader is addressed", "Ana");

/// Every built-in e-mail.
pub static TEMPLATES: &[Template] = &[
    Template {
        name: "welcome",
        about: "Greets a new user",
        variables: &[
            APP_NAME,
            USER_NAME,
            link("login_url", "Where the user signs in", "https://app.example.com/login"),
        ],
        sources: [sources!("welcome", "es"), sources!("welcome", "en")],
    },
    Template {
        name: "verify_email",
        about: "Asks a user to confirm an address",
        variables: &[
            APP_NAME,
            USER_NAME,
            link(
                "verification_url",
                "Confirms the address",
                "https://app.example.com/verify?token=3f9a&user=7",
            ),
            count("expires_in_hours", "How long the link works, in hours", "24"),
        ],
        sources: [sources!("verify_email", "es"), sources!("verify_email", "en")],
    },
    Template {
        name: "password_reset",
        about: "Lets a user choose a new password",
        variables: &[
            APP_NAME,
            USER_NAME,
            link("reset_url", "Where the password is chosen", "https://app.example.com/reset?token=b71c"),
            count("expires_in_minutes", "How long the link works, in minutes", "30"),
        ],
        sources: [sources!("password_reset", "es"), sources!("password_reset", "en")],
    },
    Template {
        name: "invoice_paid",
        about: "Confirms a payment",
        variables: &[
            APP_NAME,
            USER_NAME,
            text("invoice_number", "Number of the invoice", "F-2026-0042"),
            text("amount", "Amount with currency, already formatted for the reader", "49.90 EUR"),
            text("paid_on", "Date of the payment, already formatted for the reader", "2026-11-21"),
            link(
                "invoice_url",
                "Where the invoice can be read",
                "https://app.example.com/invoices/F-2026-0042",
            ),
        ],
        sources: [sources!("invoice_paid", "es"), sources!("invoice_paid", "en")],
    },
    Template {
        name: "trial_ending",
        about: "Reminds a user that a trial ends soon",
        variables: &[
            APP_NAME,
            USER_NAME,
            text("plan_name", "Name of the plan on trial", "Pro"),
            text("trial_ends_on", "Last day, already formatted for the reader", "2026-11-28"),
            count("days_left", "Days until then", "7"),
            link("upgrade_url", "Where the user subscribes", "https://app.example.com/billing"),
        ],
        sources: [sources!("trial_ending", "es"), sources!("trial_ending", "en")],
    },
];
