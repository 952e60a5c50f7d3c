//! Variables of outside services: e-mail, webhooks, notifications, models, recordings, pictures, storage.

use crate::config::env::variable::{Variable, plain, secret};

const EMAIL_ORDER: &str = "E-mail";
const SENDGRID: &str = "E-mail (SendGrid)";
const SES: &str = "E-mail (Amazon SES)";
const EMAIL: &str = "E-mail (SMTP)";
const WEBHOOKS: &str = "Webhooks";
const PUSH: &str = "Push notifications (VAPID)";
const WHATSAPP: &str = "WhatsApp";
const SMS: &str = "SMS (Twilio)";
const LLM: &str = "Language models (OpenRouter or compatible)";
const WHISPER: &str = "Transcription (OpenAI or compatible)";
const VISION: &str = "Pictures (Google Vision, Tesseract)";
const STORAGE: &str = "Storage (S3, R2, MinIO)";

/// Those of outside services, group by group.
pub(super) const PROVIDERS: &[Variable] = &[
    plain(
        EMAIL_ORDER,
        "FLOTA_EMAIL_PROVIDERS",
        Some("those that are configured, in the order sendgrid,ses,smtp"),
        "sendgrid,ses,smtp",
        "Ways of sending e-mail, in the order in which they are tried: sendgrid, ses, smtp. Each one that is named must be \
         configured. Without any, e-mail jobs wait.",
    ),
    secret(
        SENDGRID,
        "SENDGRID_API_KEY",
        "SG.REPLACE_ME",
        "Key of the API, with the right to send mail. Needs SENDGRID_FROM_EMAIL.",
    ),
    plain(
        SENDGRID,
        "SENDGRID_FROM_EMAIL",
        None,
        "noreply@example.com",
        "Address that messages come from: a verified sender, or one of an authenticated domain.",
    ),
    plain(SENDGRID, "SENDGRID_FROM_NAME", None, "ERP Core", "Name that messages come from."),
    plain(
        SENDGRID,
        "SENDGRID_SANDBOX",
        Some("false"),
        "true",
        "true to let SendGrid check every message without sending it (its sandbox mode): nothing arrives, nothing is charged.",
    ),
    plain(
        SENDGRID,
        "SENDGRID_BASE_URL",
        Some("https://api.sendgrid.com"),
        "https://api.eu.sendgrid.com",
        "Where the API is; accounts in the European Union have one of their own.",
    ),
    plain(
        SES,
        "AWS_SES_ACCESS_KEY_ID",
        None,
        "AKIAXXXXXXXXXXXXXXXX",
        "Id of an access key that may send (ses:SendEmail, ses:SendRawEmail). Needs the three below.",
    ),
    secret(SES, "AWS_SES_SECRET_ACCESS_KEY", "REPLACE_ME", "Secret of that key."),
    plain(SES, "AWS_SES_REGION", None, "us-east-1", "Region of the account's identities."),
    plain(
        SES,
        "AWS_SES_FROM_EMAIL",
        None,
        "noreply@example.com",
        "Address that messages come from: a verified identity, or one of a verified domain.",
    ),
    plain(
        SES,
        "AWS_SES_BASE_URL",
        Some("https://email.REGION.amazonaws.com"),
        "https://email.us-east-1.amazonaws.com",
        "Where the API is, when not at the region's own address.",
    ),
    plain(
        EMAIL,
        "SMTP_HOST",
        None,
        "smtp.example.com",
        "Name of the mail server. Without it no e-mail goes by SMTP.",
    ),
    plain(
        EMAIL,
        "SMTP_PORT",
        Some("587, with SMTP_TLS=implicit 465, with SMTP_TLS=none 25"),
        "587",
        "Port of the mail server.",
    ),
    plain(EMAIL, "SMTP_USERNAME", None, "apikey", "User name at the mail server. Needs SMTP_PASSWORD."),
    secret(EMAIL, "SMTP_PASSWORD", "REPLACE_ME", "Password at the mail server. Needs SMTP_USERNAME."),
    plain(
        EMAIL,
        "SMTP_TLS",
        Some("starttls"),
        "starttls",
        "starttls (never falls back to plain text), implicit (TLS from the first byte), or none. In production none \
         is refused unless the mail server is on this machine.",
    ),
    plain(
        EMAIL,
        "SMTP_FROM_EMAIL",
        None,
        "noreply@example.com",
        "Address that messages come from. Required with SMTP_HOST.",
    ),
    plain(EMAIL, "SMTP_FROM_NAME", None, "Example", "Name that messages come from."),
    plain(
        EMAIL,
        "SMTP_CA_FILE",
        None,
        "/etc/flota/mail-ca.pem",
        "File of certificates (PEM) to trust for the mail server besides those of the system.",
    ),
    secret(
        WEBHOOKS,
        "WEBHOOK_SECRET",
        "whsec_REPLACE_ME",
        "Secret that signs webhooks sent to a URL (Standard Webhooks): whsec_ and base64 of 24 to 64 bytes. Make one \
         with `flota keys webhook`.",
    ),
    plain(
        WEBHOOKS,
        "FLOTA_WEBHOOK_ALLOW_CIDRS",
        None,
        "10.20.0.0/16,fd00:20::/32",
        "Networks that registered webhook endpoints may be in although they are private, separated by commas. Whoever may \
         register an endpoint reaches them; URLs that a job names never do.",
    ),
    plain(
        PUSH,
        "VAPID_PUBLIC_KEY",
        None,
        "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs",
        "Public key that browsers subscribe with: base64url, 65 bytes. Make a pair with `flota keys vapid`.",
    ),
    secret(
        PUSH,
        "VAPID_PRIVATE_KEY",
        "REPLACE_ME",
        "Private key of the pair: base64url, 32 bytes. Without it push notifications wait.",
    ),
    plain(
        PUSH,
        "VAPID_SUBJECT",
        None,
        "mailto:admin@example.com",
        "Whom a push service may ask about us: mailto: and an address, or an https URL.",
    ),
    secret(
        WHATSAPP,
        "WHATSAPP_ACCESS_TOKEN",
        "REPLACE_ME",
        "Token of a system user. Without it WhatsApp messages wait.",
    ),
    plain(
        WHATSAPP,
        "WHATSAPP_PHONE_NUMBER_ID",
        None,
        "123456789",
        "Id of the number that messages come from. Required with the token.",
    ),
    plain(
        WHATSAPP,
        "WHATSAPP_BASE_URL",
        Some("https://graph.facebook.com/v23.0"),
        "https://graph.facebook.com/v23.0",
        "Where the Graph API is.",
    ),
    plain(SMS, "TWILIO_ACCOUNT_SID", None, "ACxxxxx", "Id of the account."),
    secret(SMS, "TWILIO_AUTH_TOKEN", "REPLACE_ME", "Its token. Without it text messages wait."),
    plain(SMS, "TWILIO_PHONE_NUMBER", None, "+15005550006", "Number that messages come from."),
    plain(
        SMS,
        "TWILIO_MESSAGING_SERVICE_SID",
        None,
        "MGxxxxx",
        "Messaging service that chooses the number; used instead of TWILIO_PHONE_NUMBER.",
    ),
    plain(
        SMS,
        "TWILIO_STATUS_CALLBACK_URL",
        None,
        "https://example.com/webhooks/twilio",
        "Where Twilio tells what becomes of each message.",
    ),
    plain(
        SMS,
        "TWILIO_BASE_URL",
        Some("https://api.twilio.com/2010-04-01"),
        "https://api.twilio.com/2010-04-01",
        "Where the API is.",
    ),
    secret(LLM, "OPENROUTER_API_KEY", "REPLACE_ME", "Key of the API. Without it chat jobs wait."),
    plain(
        LLM,
        "LLM_BASE_URL",
        Some("https://openrouter.ai/api/v1"),
        "https://openrouter.ai/api/v1",
        "Where the chat completions are.",
    ),
    plain(
        LLM,
        "LLM_MODEL_DEFAULT",
        Some("anthropic/claude-3-haiku"),
        "anthropic/claude-3-haiku",
        "Model of tier `default`, in place of what queues.toml says.",
    ),
    plain(
        LLM,
        "LLM_MODEL_FALLBACK",
        None,
        "openai/gpt-3.5-turbo",
        "Model of tier `fallback`, in place of what queues.toml says; it is asked when the first cannot answer.",
    ),
    plain(
        LLM,
        "LLM_MAX_TOKENS",
        Some("1000"),
        "1000",
        "Longest answer of jobs that do not say, in tokens, at most 8192.",
    ),
    plain(LLM, "LLM_TEMPERATURE", Some("0.7"), "0.7", "Temperature of jobs that do not say, 0 to 2."),
    secret(WHISPER, "OPENAI_API_KEY", "REPLACE_ME", "Key of the API. Without it transcriptions wait."),
    plain(
        WHISPER,
        "OPENAI_BASE_URL",
        Some("https://api.openai.com/v1"),
        "https://api.openai.com/v1",
        "Where the transcriptions are.",
    ),
    plain(WHISPER, "WHISPER_MODEL", Some("whisper-1"), "whisper-1", "Model."),
    plain(
        VISION,
        "GOOGLE_APPLICATION_CREDENTIALS",
        None,
        "/etc/flota/service-account.json",
        "Key file of a service account. Without it, without GOOGLE_VISION_API_KEY and without Tesseract, pictures whose \
         text is asked for wait.",
    ),
    secret(VISION, "GOOGLE_VISION_API_KEY", "REPLACE_ME", "An API key instead of a service account."),
    plain(
        VISION,
        "GOOGLE_VISION_PROJECT_ID",
        None,
        "my-project",
        "Project that is billed, when it is not the credential's own.",
    ),
    plain(
        VISION,
        "GOOGLE_VISION_BASE_URL",
        Some("https://vision.googleapis.com/v1"),
        "https://vision.googleapis.com/v1",
        "Where the API is.",
    ),
    plain(
        VISION,
        "FLOTA_OCR_PROVIDERS",
        Some("google_vision,tesseract"),
        "google_vision",
        "Who reads text on pictures, in the order in which they are asked: google_vision, tesseract (a program on this \
         machine, found through PATH). The next is asked when one is not accepted, has no allowance or is away. What is \
         not there is passed over, unless this is set. Barcodes need neither.",
    ),
    plain(
        STORAGE,
        "STORAGE_PROVIDER",
        Some("the one that is configured"),
        "minio",
        "Who keeps files: s3, r2 or minio. Needed only when several are configured. Without any, jobs that name a stored \
         file wait, and long results go to FLOTA_FILES_DIR.",
    ),
    plain(STORAGE, "AWS_ACCESS_KEY_ID", None, "AKIAXXXXXXXXXXXXXXXX", "Id of S3's access key."),
    secret(STORAGE, "AWS_SECRET_ACCESS_KEY", "REPLACE_ME", "Secret of that key."),
    plain(STORAGE, "AWS_REGION", None, "us-east-1", "Region of S3's bucket."),
    plain(
        STORAGE,
        "AWS_S3_BUCKET",
        None,
        "erp-core-files",
        "Name of S3's bucket. Needs the three above; without it they are not looked at.",
    ),
    plain(
        STORAGE,
        "AWS_S3_BASE_URL",
        Some("https://s3.REGION.amazonaws.com"),
        "https://s3.us-east-1.amazonaws.com",
        "Where S3 is, when not at the region's own address.",
    ),
    plain(STORAGE, "R2_ACCESS_KEY_ID", None, "0123456789abcdef0123456789abcdef", "Id of R2's access key."),
    secret(STORAGE, "R2_SECRET_ACCESS_KEY", "REPLACE_ME", "Secret of that key."),
    plain(
        STORAGE,
        "R2_ENDPOINT",
        None,
        "https://ACCOUNT.r2.cloudflarestorage.com",
        "Where R2 is: the account's address, without the bucket.",
    ),
    plain(STORAGE, "R2_BUCKET", None, "erp-core-files", "Name of R2's bucket."),
    plain(
        STORAGE,
        "MINIO_ENDPOINT",
        None,
        "http://localhost:9000",
        "Where MinIO is, or another service that speaks S3. In production http:// is refused unless it is on this machine.",
    ),
    plain(STORAGE, "MINIO_ACCESS_KEY", None, "minioadmin", "MinIO's access key."),
    secret(STORAGE, "MINIO_SECRET_KEY", "REPLACE_ME", "Secret of that key."),
    plain(STORAGE, "MINIO_BUCKET", None, "erp-core-files", "Name of MinIO's bucket."),
];
