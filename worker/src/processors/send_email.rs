//! Sends one transactional email by the first of the configured providers that takes it.
//!
//! Every attempt carries the same Message-ID, made from the job's id, so a mail that went out twice after a fault can
//! be recognised as one. What cannot work anywhere (a suppressed recipient, a template) is told before a turn at a provider
//! is taken; files are fetched after that, and before anything is sent. They are read while it is sent, and are never whole in
//! memory.

use std::{convert::Infallible, time::Duration};

use flota_engine::{IfRepeated, Job, Processor, Receipt};
use flota_producer::{EmailAttachment, EmailBody, EmailTemplate, SendEmail, clock};
use flota_providers::{
    ErrorClass, ProviderError, Standing,
    content::{Content, HELD},
    email::{self, Attachment, Email, Letter, templates},
    outbound,
};
use serde_json::json;
use tokio::{select, time::timeout};

use crate::{
    failure::Error,
    files, service_settings,
    services::Services,
    suppressions::{Channel, Suppressions},
};

/// Language of a template when the job names none.
const DEFAULT_LOCALE: &str = "es";
/// Most bytes of all attachments together: more than any provider takes, so that each can say its own limit.
const MOST_ATTACHED: usize = 32_000_000;
/// How long a mail is put off by a mail server without being charged for it: greylisting takes minutes, rarely an hour.
/// From then on each refusal counts as a try.
const PUT_OFF: Duration = Duration::from_hours(4);
/// Most time to fetch all attachments of a mail.
pub(crate) const FETCHING: Duration = Duration::from_mins(1);

impl Processor<Services> for SendEmail {
    const IF_REPEATED: IfRepeated = IfRepeated {
        at_worst: "The mail arrives twice.",
        key: "`Message-ID`, made from the job's id: the same in every run, for ever. SES writes its own.",
        receiver: "Nothing: many mail systems show or keep a mail with a known Message-ID once.",
    };

    const CUT_OFF: flota_engine::ErrorClass = flota_engine::ErrorClass::Ambiguous;

    type Error = Error;

    async fn run(mut self, job: &Job, services: &Services) -> Result<Receipt, Error> {
        let carriers = services.email.as_ref().ok_or(service_settings::EMAIL.missing())?;
        let tenant = job.envelope.tenant.as_deref();
        let left_out = leave_out(&mut self, tenant, &services.suppressions)?;
        let attached = std::mem::take(&mut self.attachments);
        let mut email = compose(self, job.id.to_string(), job.envelope.tenant.clone())?;
        email.message_domain = carriers.message_domain().map(str::to_owned);
        let letter = Letter::new(email, &job.id.to_string(), clock::unix_now().as_secs() as i64);
        // Files are fetched when it is the job's turn to send, and meanwhile the call waits for them.
        let mut sent = select! {
            answer = carriers.send(letter.clone()) => answer.map_err(|error| put_off(error, job, clock::unix_now_ms()))?,
            Err(error) = enclose(&letter, attached, job, services) => return Err(error),
        };
        if 0 < left_out {
            sent.detail.get_or_insert_with(|| json!({}))["suppressed"] = json!(left_out);
        }
        Ok(super::receipt(sent))
    }
}

/// Takes those off the message who are not to be written to, and answers how many. A copy of a mail that reaches none of
/// its main recipients is no copy, so then nothing is sent.
fn leave_out(
    mail: &mut SendEmail,
    tenant: Option<&str>,
    suppressions: &Suppressions,
) -> Result<usize, Error> {
    let main = mail.to.len();
    let mut left_out = 0;
    for list in [&mut mail.to, &mut mail.cc, &mut mail.bcc] {
        let mut kept = Vec::with_capacity(list.len());
        for address in list.drain(..) {
            if suppressions.holds(Channel::Email, tenant, &address)? {
                left_out += 1;
            } else {
                kept.push(address);
            }
        }
        *list = kept;
    }
    if mail.to.is_empty() {
        let who =
            if main == 1 { "the main recipient".into() } else { format!("each of {main} main recipients") };
        return Err(Error::Suppressed { channel: Channel::Email, who });
    }
    Ok(left_out)
}

/// A mail that its server asks to bring again in some minutes waits for that: the server has not taken it, and would use up
/// all tries of a healthy mail.
fn put_off(error: ProviderError, job: &Job, now_ms: u64) -> ProviderError {
    let waits = error.provider == email::SMTP
        && error.class == ErrorClass::ServerError
        && error.retry_after().is_some();
    let is_young = now_ms.saturating_sub(job.envelope.at) < PUT_OFF.as_millis() as u64;
    if waits && is_young { error.with_standing(Standing::NotSent) } else { error }
}

/// Hands in the files of a letter when they are wanted. Ends only when they cannot be had.
async fn enclose(
    letter: &Letter,
    attached: Vec<EmailAttachment>,
    job: &Job,
    services: &Services,
) -> Result<Infallible, Error> {
    letter.files_are_wanted().await;
    let files = timeout(FETCHING, fetch(&attached, job, services)).await;
    let files = files.unwrap_or_else(|_| Err(too_slow().into()))?;
    let enclosed = attached.into_iter().zip(files);
    letter.enclose(enclosed.map(|(file, content)| attachment(file, content)).collect());
    std::future::pending().await
}

fn attachment(file: EmailAttachment, content: Content) -> Attachment {
    let EmailAttachment { name, content_type, content_id, .. } = file;
    Attachment { name, content_type, content_id, content }
}

fn too_slow() -> ProviderError {
    let message = format!(
        "The attachments did not arrive within {FETCHING:?}, so nothing was sent; the job is repeated later. Use fewer or \
         smaller files, or a faster server."
    );
    ProviderError::new(outbound::PROVIDER, "get", ErrorClass::Timeout, message).with_code("slow_files")
}

/// Fetches the files, one after the other.
async fn fetch(attached: &[EmailAttachment], job: &Job, services: &Services) -> Result<Vec<Content>, Error> {
    let (mut files, mut left, mut held) = (Vec::new(), MOST_ATTACHED, HELD);
    for EmailAttachment { source, .. } in attached {
        let file = services.spool.gather(left).holding(held);
        let content = files::fetch(source, file, job, services).await?;
        left -= content.length() as usize;
        held -= content.held();
        files.push(content);
    }
    Ok(files)
}

fn compose(mail: SendEmail, message_key: String, tenant: Option<String>) -> Result<Email, Error> {
    let (subject, text, html) = match mail.body {
        EmailBody::Text { subject, text, html } => (subject, text, html),
        EmailBody::Template { template, locale, variables } => {
            let locale = locale.as_deref().unwrap_or(DEFAULT_LOCALE);
            let values =
                EmailTemplate::named(&template, "body.template")?.values(&variables, "body.variables")?;
            let rendered = templates::render(&template, locale, &values)?;
            (rendered.subject, Some(rendered.text), Some(rendered.html))
        }
    };
    let SendEmail { to, cc, bcc, reply_to, .. } = mail;
    Ok(Email { to, cc, bcc, reply_to, subject, text, html, tenant, message_key, ..Email::default() })
}

#[cfg(test)]
mod tests {
    use flota_producer::{EMAIL_TEMPLATES, EmailVariableKind, Envelope, JobId};
    use flota_providers::email::templates::{Locale, TEMPLATES};
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn a_template_without_a_language_is_spanish() {
        let variables = EmailTemplate::named("welcome", "").unwrap().example();
        let body = EmailBody::Template { template: "welcome".into(), locale: None, variables };

        let email = compose(SendEmail::new("ana@example.com", body), "key".into(), None).unwrap();

        assert!(email.subject.contains("Bienven") || email.subject.contains("bienven"), "{}", email.subject);
        assert!(email.text.is_some() && email.html.is_some());
    }

    #[tokio::test]
    async fn who_is_suppressed_is_left_out_and_without_a_main_recipient_nothing_is_sent() {
        let list = Suppressions::empty();
        list.learn(Channel::Email, Some("acme"), "ana@example.com", "bounce", "smtp").await;
        list.learn(Channel::Email, None, "copy@example.com", "complaint", "smtp").await;
        let mail = |to: &[&str]| SendEmail {
            to: to.iter().map(|address| (*address).to_owned()).collect(),
            cc: vec!["Copy <copy@example.com>".into()],
            ..SendEmail::new("", EmailBody::text("Hi", "Hello"))
        };
        let mut some = mail(&["Ana <ANA@example.com>", "ben@example.com"]);
        let mut of_another_tenant = mail(&["ana@example.com"]);
        let mut nobody = mail(&["ana@example.com"]);

        let left_out = leave_out(&mut some, Some("acme"), &list).unwrap();
        let error = leave_out(&mut nobody, Some("acme"), &list).unwrap_err();

        assert_eq!((left_out, some.to, some.cc), (2, vec!["ben@example.com".to_owned()], Vec::new()));
        assert_eq!(leave_out(&mut of_another_tenant, Some("other"), &list).unwrap(), 1);
        assert!(matches!(error, Error::Suppressed { .. }) && !error.to_string().contains("ana@"), "{error}");
    }

    #[test]
    fn a_mail_that_is_greylisted_waits_for_free_for_hours_and_not_for_ever() {
        let envelope = Envelope::new("send_email", RawValue::from_string("{}".into()).unwrap(), 1_000);
        let job = Job { id: JobId::mint(), queue: "email".into(), run: 1, attempt: 1, envelope };
        let refusal = |code: &str, wait| {
            let error = ProviderError::new(email::SMTP, "send", ErrorClass::ServerError, "Greylisted.");
            error.with_code(code).with_server_wait(wait)
        };
        let minutes = Some(Duration::from_mins(5));
        let after = |wait: Duration| job.envelope.at + wait.as_millis() as u64;

        let young = put_off(refusal("451", minutes), &job, after(Duration::from_hours(3)));
        let old = put_off(refusal("451", minutes), &job, after(Duration::from_hours(5)));
        let another = put_off(refusal("454", None), &job, after(Duration::ZERO));

        assert!(young.was_not_sent() && young.retry_after() == minutes);
        assert!(!old.was_not_sent() && old.retry_after() == minutes);
        assert!(!another.was_not_sent());
    }

    #[test]
    fn the_texts_need_exactly_the_variables_that_producers_check() {
        let names: Vec<&str> = EMAIL_TEMPLATES.iter().map(|template| template.name).collect();
        assert_eq!(TEMPLATES.iter().map(|template| template.name).collect::<Vec<_>>(), names);

        for template in EMAIL_TEMPLATES {
            for locale in Locale::ALL.map(Locale::code) {
                let example = template.example();
                assert!(templates::render(template.name, locale, &example).is_ok(), "{}", template.name);
                for variable in template.variables {
                    let mut without = example.clone();
                    without.remove(variable.name);

                    let rendered = templates::render(template.name, locale, &without);

                    assert!(rendered.is_err(), "{} is not used by {}", variable.name, template.name);
                }
            }
        }
    }

    #[test]
    fn the_documentation_is_what_the_templates_ask_for() {
        let mut table = String::from("| template | | variables |\n|---|---|---|\n");
        for template in EMAIL_TEMPLATES {
            let variables: Vec<String> = template
                .variables
                .iter()
                .map(|variable| format!("`{}` {}", variable.name, variable.kind.word()))
                .collect();
            let (name, about) = (template.name, template.about);
            table.push_str(&format!("| `{name}` | {about} | {} |\n", variables.join(", ")));
        }
        let kinds = EmailVariableKind::ALL.map(|kind| format!("A *{}* is {}.", kind.word(), kind.rule()));
        table.push_str(&format!("\nEvery variable is required. {}\n", kinds.join(" ")));

        crate::config::generated_text::check_part("docs/kinds.md", "templates", &table);
    }
}
