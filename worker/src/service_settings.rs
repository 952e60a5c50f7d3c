//! What each outside service has to be given, in one table.
//!
//! A job whose service is not configured, a job whose credential is refused, and `flota doctor` all name the variables of
//! this table, so that the same trouble is mended by the same sentence. Reading the variables is for `config/env`.

use flota_providers::{
    chat,
    email::{SMTP, sendgrid, ses},
    google_token, push, sms, transcription, vision,
    whatsapp::{self, media},
};

use crate::{
    checks::{Finding, Severity},
    config::{
        Environment,
        env::{OcrProvider, StorageProvider},
    },
    failure::Error,
};

/// A service that a kind of job cannot do without.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// The kind.
    pub kind: &'static str,
    /// What it is, at the beginning of a sentence.
    pub what: &'static str,
    /// What to set, as the rest of a sentence that begins with "set".
    pub variables: &'static str,
    is_configured: fn(&Environment) -> bool,
}

/// Sends e-mail.
pub const EMAIL: Service = Service {
    kind: "send_email",
    what: "E-mail",
    variables: "SENDGRID_API_KEY, AWS_SES_ACCESS_KEY_ID or SMTP_HOST",
    is_configured: |environment| !environment.email.order.is_empty(),
};

/// Reaches browsers.
pub const PUSH: Service = Service {
    kind: "send_push",
    what: "Web Push",
    variables: "VAPID_PUBLIC_KEY, VAPID_PRIVATE_KEY and VAPID_SUBJECT, made by `flota keys vapid`",
    is_configured: |environment| environment.integrations.push.is_some(),
};

/// Sends WhatsApp messages, and reads what users sent.
pub const WHATSAPP: Service = Service {
    kind: "send_whatsapp",
    what: "WhatsApp",
    variables: "WHATSAPP_ACCESS_TOKEN and WHATSAPP_PHONE_NUMBER_ID",
    is_configured: |environment| environment.integrations.whatsapp.is_some(),
};

/// Sends text messages.
pub const SMS: Service = Service {
    kind: "send_sms",
    what: "SMS",
    variables: "TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, and TWILIO_PHONE_NUMBER or TWILIO_MESSAGING_SERVICE_SID",
    is_configured: |environment| environment.integrations.sms.is_some(),
};

/// Answers questions.
pub const LLM: Service = Service {
    kind: "complete_chat",
    what: "The language model",
    variables: "OPENROUTER_API_KEY",
    is_configured: |environment| environment.integrations.chat.is_some(),
};

/// Writes down what was said.
pub const TRANSCRIPTION: Service = Service {
    kind: "transcribe_audio",
    what: "Transcription",
    variables: "OPENAI_API_KEY",
    is_configured: |environment| environment.integrations.transcription.is_some(),
};

/// Reads text on pictures; barcodes need nobody.
pub const TEXT_READER: Service = Service {
    kind: "read_image",
    what: "A reader of text (Google Vision or Tesseract)",
    variables: "GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_VISION_API_KEY, or install Tesseract",
    is_configured: |environment| {
        let more = &environment.integrations;
        let is_there = |provider: &OcrProvider| match provider {
            OcrProvider::GoogleVision => more.vision.is_some(),
            OcrProvider::Tesseract => more.ocr.tesseract.is_some(),
        };
        more.ocr.order.iter().any(is_there)
    },
};

/// Those that the doctor tells of here. E-mail and webhooks have findings of their own, which say more.
const TOLD: [Service; 6] = [PUSH, WHATSAPP, SMS, LLM, TRANSCRIPTION, TEXT_READER];

/// By provider, as errors and metrics name it: the variables that hold its credential.
const CREDENTIALS: [(&str, &[&str]); 11] = [
    (sendgrid::PROVIDER, &["SENDGRID_API_KEY"]),
    (ses::PROVIDER, &["AWS_SES_ACCESS_KEY_ID", "AWS_SES_SECRET_ACCESS_KEY"]),
    (SMTP, &["SMTP_USERNAME", "SMTP_PASSWORD"]),
    (push::PROVIDER, &["VAPID_PUBLIC_KEY", "VAPID_PRIVATE_KEY"]),
    (whatsapp::PROVIDER, &["WHATSAPP_ACCESS_TOKEN", "WHATSAPP_PHONE_NUMBER_ID"]),
    (media::PROVIDER, &["WHATSAPP_ACCESS_TOKEN"]),
    (sms::PROVIDER, &["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"]),
    (chat::PROVIDER, &["OPENROUTER_API_KEY"]),
    (transcription::PROVIDER, &["OPENAI_API_KEY"]),
    (vision::PROVIDER, &["GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_VISION_API_KEY"]),
    (google_token::PROVIDER, &["GOOGLE_APPLICATION_CREDENTIALS"]),
];

/// By provider, as above: the variables that say where it is.
const ADDRESSES: [(&str, &[&str]); 9] = [
    (sendgrid::PROVIDER, &["SENDGRID_BASE_URL"]),
    (ses::PROVIDER, &["AWS_SES_REGION", "AWS_SES_BASE_URL"]),
    (SMTP, &["SMTP_HOST", "SMTP_PORT", "SMTP_TLS"]),
    (whatsapp::PROVIDER, &["WHATSAPP_BASE_URL"]),
    (sms::PROVIDER, &["TWILIO_BASE_URL"]),
    (chat::PROVIDER, &["LLM_BASE_URL"]),
    (transcription::PROVIDER, &["OPENAI_BASE_URL"]),
    (vision::PROVIDER, &["GOOGLE_VISION_BASE_URL"]),
    // The key file says where tokens are given.
    (google_token::PROVIDER, &["GOOGLE_APPLICATION_CREDENTIALS"]),
];

/// The variables that a provider is configured with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variables {
    /// Those that hold its credential.
    pub credential: &'static [&'static str],
    /// Those that say where it is.
    pub address: &'static [&'static str],
}

impl Variables {
    /// Those of a provider, as errors name it.
    pub fn of(provider: &str) -> Self {
        let of = |table: &[(&str, &'static [&'static str])]| {
            table.iter().find(|(name, _)| *name == provider).map_or(&[][..], |(_, variables)| *variables)
        };
        Self { credential: of(&CREDENTIALS), address: of(&ADDRESSES) }
    }

    /// Those of a storage, the bucket's name among those that say where it is.
    pub fn of_storage(provider: StorageProvider) -> Self {
        let (credential, address): (&[_], &[_]) = match provider {
            StorageProvider::S3 => (
                &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
                &["AWS_S3_BUCKET", "AWS_REGION", "AWS_S3_BASE_URL"],
            ),
            StorageProvider::R2 => {
                (&["R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY"], &["R2_BUCKET", "R2_ENDPOINT"])
            }
            StorageProvider::Minio => {
                (&["MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"], &["MINIO_BUCKET", "MINIO_ENDPOINT"])
            }
        };
        Self { credential, address }
    }

    /// Those of the credential, for a sentence.
    pub fn credential(self) -> String {
        listed(self.credential, "and")
    }

    /// Those of the address, for a sentence.
    pub fn address(self) -> String {
        listed(self.address, "or")
    }

    /// All of them, for a sentence.
    pub fn any(self) -> String {
        listed(&[self.credential, self.address].concat(), "or")
    }
}

fn listed(names: &[&str], before_last: &str) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} {before_last} {last}", first.join(", ")),
        names => names.concat(),
    }
}

impl Service {
    /// The error of a job that needs it while it is not configured.
    pub(crate) const fn missing(self) -> Error {
        Error::NotConfigured { what: self.what, variable: self.variables }
    }
}

/// What a provider said when it refused our credential, with the variables that hold it. Whoever names one of them already
/// knows better which it is.
pub(crate) fn with_variables(provider: &str, said: String) -> String {
    let known = CREDENTIALS.iter().find(|(name, _)| *name == provider);
    let Some((_, variables)) = known else { return said };
    if variables.iter().any(|variable| said.contains(variable)) {
        return said;
    }
    format!("{}. Check {}.", said.trim_end_matches('.'), variables.join(" and "))
}

/// Tells of each kind whether it can run, and otherwise what to set.
pub fn kinds(environment: &Environment) -> Vec<Finding> {
    let tell = |service: Service| {
        if (service.is_configured)(environment) {
            let found = "configured".to_owned();
            return Finding { check: service.kind, severity: Severity::Ok, found, fix: None };
        }
        let found = format!("cannot run: {} is not configured, so its jobs wait", service.what);
        Finding::warning(service.kind, found, format!("set {}, if you use it", service.variables))
    };
    TOLD.into_iter().map(tell).collect()
}

#[cfg(test)]
mod tests {
    use flota_engine::Failure;
    use flota_providers::{ErrorClass, ProviderError};

    use super::*;
    use crate::config::env::VARIABLES;

    fn named(text: &str) -> impl Iterator<Item = &str> {
        text.split(|c: char| !c.is_ascii_uppercase() && c != '_').filter(|word| word.contains('_'))
    }

    #[test]
    fn every_variable_of_the_tables_is_one_that_is_read() {
        let needed = TOLD.iter().chain([&EMAIL]).flat_map(|service| named(service.variables));
        let credentials =
            CREDENTIALS.iter().chain(&ADDRESSES).flat_map(|(_, variables)| variables.iter().copied());

        for name in needed.chain(credentials) {
            assert!(VARIABLES.iter().any(|variable| variable.name == name), "{name}");
        }
    }

    #[test]
    fn a_refused_credential_is_told_with_the_variables_that_hold_it() {
        for (provider, variables) in CREDENTIALS {
            let error = ProviderError::new(provider, "send", ErrorClass::Auth, "It is not accepted.");

            let said = Failure::from(Error::Provider(error)).message;

            assert!(variables.iter().all(|variable| said.contains(variable)), "{said}");
        }
        let told = with_variables(sms::PROVIDER, "The sender is foreign; check TWILIO_AUTH_TOKEN.".into());
        assert_eq!(told.matches("TWILIO_AUTH_TOKEN").count(), 1, "{told}");
    }

    #[test]
    fn the_doctor_tells_which_kinds_cannot_run_and_what_to_set() {
        let set = [("OPENROUTER_API_KEY", "sk-or-v1-REPLACE_ME"), ("FLOTA_OCR_PROVIDERS", "google_vision")];
        let lookup = |name: &str| {
            Ok(set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        };
        let environment = Environment::from_lookup(&lookup, set.map(|(name, _)| name)).unwrap();

        let findings = kinds(&environment);

        let of = |kind| findings.iter().find(|finding| finding.check == kind).unwrap();
        assert_eq!((of("complete_chat").severity, &of("complete_chat").fix), (Severity::Ok, &None));
        for (kind, variable) in [("send_sms", "TWILIO_AUTH_TOKEN"), ("read_image", "GOOGLE_VISION_API_KEY")] {
            assert_eq!(of(kind).severity, Severity::Warning);
            assert!(of(kind).fix.as_ref().unwrap().contains(variable), "{:?}", of(kind));
        }
    }
}
