//! Sends one transactional email by SMTP.
//!
//! Every attempt carries the same Message-ID, made from the job's id, so a mail that went out twice after a fault can
//! be recognised as one.

use flota_engine::{IfRepeated, Job, Processor, Receipt};
use flota_producer::{EmailBody, SendEmail, clock};
use flota_providers::email::{Email, templates};

use crate::{failure::Error, services::Services};

/// Language of a template when the job names none.
const DEFAULT_LOCALE: &str = "es";

impl Processor<Services> for SendEmail {
    const IF_REPEATED: IfRepeated = IfRepeated {
        at_worst: "The mail arrives twice.",
        key: "`Message-ID`, made from the job's id: the same in every run, for ever.",
        receiver: "Nothing: many mail systems show or keep a mail with a known Message-ID once.",
    };

    type Error = Error;

    async fn run(self, job: &Job, services: &Services) -> Result<Receipt, Error> {
        let missing = Error::NotConfigured { what: "A mail server", variable: "SMTP_HOST" };
        let mailer = services.mailer.as_ref().ok_or(missing)?;
        let email = compose(self, job.id.to_string())?;
        let (email, now) = (&email, clock::unix_now().as_secs() as i64);
        let sent =
            mailer.call(super::caller(job), |mailer| async move { mailer.send(email, now).await }).await?;
        Ok(Receipt {
            provider: Some(sent.provider.into()),
            provider_ref: sent.provider_ref,
            result: sent.detail,
        })
    }
}

fn compose(mail: SendEmail, message_key: String) -> Result<Email, Error> {
    let (subject, text, html) = match mail.body {
        EmailBody::Text { subject, text, html } => (subject, text, html),
        EmailBody::Template { template, locale, variables } => {
            let locale = locale.as_deref().unwrap_or(DEFAULT_LOCALE);
            let rendered = templates::render(&template, locale, &variables)?;
            (rendered.subject, Some(rendered.text), Some(rendered.html))
        }
    };
    let SendEmail { to, cc, bcc, reply_to, .. } = mail;
    Ok(Email { to, cc, bcc, reply_to, subject, text, html, message_key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_without_a_language_is_spanish() {
        let variables =
            templates::TEMPLATES.iter().find(|template| template.name == "welcome").unwrap().example();
        let body = EmailBody::Template { template: "welcome".into(), locale: None, variables };

        let email = compose(SendEmail::new("ana@example.com", body), "key".into()).unwrap();

        assert!(email.subject.contains("Bienven") || email.subject.contains("bienven"), "{}", email.subject);
        assert!(email.text.is_some() && email.html.is_some());
    }

    #[test]
    fn the_documentation_is_what_the_templates_ask_for() {
        let mut table = String::from("| template | | variables |\n|---|---|---|\n");
        for template in templates::TEMPLATES {
            let names: Vec<String> =
                template.variables.iter().map(|variable| format!("`{}`", variable.name)).collect();
            table.push_str(&format!("| `{}` | {} | {} |\n", template.name, template.about, names.join(", ")));
        }

        crate::config::generated_text::check_part("docs/kinds.md", "templates", &table);
    }

    #[test]
    fn an_unknown_template_is_a_template_error() {
        let body = EmailBody::template("birthday", "es", serde_json::Map::new());

        let error = compose(SendEmail::new("ana@example.com", body), "key".into()).unwrap_err();

        assert!(matches!(error, Error::Template(_)) && error.to_string().contains("welcome"), "{error}");
    }
}
