//! The files of the built-in e-mails, compiled in.
//!
//! What each is for and what it needs is in the table of producers, who check a mail before it is sent; a test of the
//! worker holds the two together.

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

/// One built-in e-mail.
#[derive(Debug)]
pub struct Template {
    /// Its name in the payload.
    pub name: &'static str,
    /// One for each of [`Locale::ALL`].
    pub(super) sources: [Sources; 2],
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

/// Every built-in e-mail.
pub static TEMPLATES: &[Template] = &[
    Template { name: "welcome", sources: [sources!("welcome", "es"), sources!("welcome", "en")] },
    Template {
        name: "verify_email",
        sources: [sources!("verify_email", "es"), sources!("verify_email", "en")],
    },
    Template {
        name: "password_reset",
        sources: [sources!("password_reset", "es"), sources!("password_reset", "en")],
    },
    Template {
        name: "invoice_paid",
        sources: [sources!("invoice_paid", "es"), sources!("invoice_paid", "en")],
    },
    Template {
        name: "trial_ending",
        sources: [sources!("trial_ending", "es"), sources!("trial_ending", "en")],
    },
];
