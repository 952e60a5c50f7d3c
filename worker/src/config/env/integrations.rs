//! The other outside services: push, WhatsApp, SMS, language models, transcription, pictures.
//!
//! A service is configured when its credential is set; what it needs besides is then required, and told when missing.
//! Nothing set leaves it out, and jobs that need it wait.

use std::{net::IpAddr, path::PathBuf};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use flota_producer::payloads::check_public_url;
use flota_providers::ffmpeg;
use secrecy::SecretString;
use url::Url;

pub use super::ocr::{OcrProvider, OcrVariables};
use super::{
    error::EnvironmentError,
    ocr, programs,
    reader::Reader,
    spool,
    storage::{self, StorageVariables},
};

/// What the environment says of them, checked.
#[derive(Debug, Clone, Default)]
pub struct Integrations {
    /// `VAPID_*`.
    pub push: Option<PushVariables>,
    /// `WHATSAPP_*`.
    pub whatsapp: Option<WhatsappVariables>,
    /// `TWILIO_*`.
    pub sms: Option<SmsVariables>,
    /// `OPENROUTER_API_KEY` and `LLM_*`.
    pub chat: Option<ChatVariables>,
    /// `OPENAI_*` and `WHISPER_MODEL`.
    pub transcription: Option<TranscriptionVariables>,
    /// `GOOGLE_*`.
    pub vision: Option<VisionVariables>,
    /// `FLOTA_OCR_PROVIDERS`.
    pub ocr: OcrVariables,
    /// `STORAGE_PROVIDER`, and `AWS_*`, `R2_*` or `MINIO_*`.
    pub storage: Option<StorageVariables>,
    /// `FLOTA_FILES_DIR`: the only directory that jobs may read files from.
    pub files_dir: Option<PathBuf>,
    /// `FLOTA_SPOOL_DIR`: where files lie while jobs work with them.
    pub spool_dir: Option<PathBuf>,
}

/// Our key pair towards push services.
#[derive(Debug, Clone)]
pub struct PushVariables {
    /// Base64url, 65 bytes.
    pub public_key: String,
    /// Base64url, 32 bytes.
    pub private_key: SecretString,
    /// `mailto:…` or an https URL.
    pub subject: String,
}

/// The WhatsApp number that sends.
#[derive(Debug, Clone)]
pub struct WhatsappVariables {
    /// Where the Graph API is.
    pub base_url: String,
    /// Id of the number.
    pub phone_number_id: String,
    /// Token of a system user.
    pub access_token: SecretString,
}

/// The Twilio account that sends.
#[derive(Debug, Clone)]
pub struct SmsVariables {
    /// Where the API is.
    pub base_url: String,
    /// `AC…`.
    pub account_sid: String,
    /// Its token.
    pub auth_token: SecretString,
    /// What messages come from.
    pub from: SmsFrom,
    /// Where Twilio tells what becomes of each message.
    pub status_callback: Option<String>,
}

/// What text messages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmsFrom {
    /// `TWILIO_PHONE_NUMBER`.
    Number(String),
    /// `TWILIO_MESSAGING_SERVICE_SID`, which stands before a number.
    Service(String),
}

/// The language models.
#[derive(Debug, Clone)]
pub struct ChatVariables {
    /// Where the API is.
    pub base_url: String,
    /// Its key.
    pub api_key: SecretString,
    /// The model of tier `default`, in place of what queues.toml says.
    pub model: Option<String>,
    /// The model of tier `fallback`, likewise.
    pub fallback: Option<String>,
    /// Longest answer of jobs that do not say.
    pub max_tokens: u32,
    /// Temperature of jobs that do not say.
    pub temperature: f64,
}

/// The transcription API.
#[derive(Debug, Clone)]
pub struct TranscriptionVariables {
    /// Where the API is.
    pub base_url: String,
    /// Its key.
    pub api_key: SecretString,
    /// Model.
    pub model: String,
    /// ffmpeg, when `PATH` leads to it.
    pub ffmpeg: Option<PathBuf>,
}

/// Google Vision.
#[derive(Debug, Clone)]
pub struct VisionVariables {
    /// Where the API is.
    pub base_url: String,
    /// Who we are.
    pub credential: VisionCredential,
    /// The project that is billed.
    pub project: Option<String>,
}

/// Who we are to Google.
#[derive(Debug, Clone)]
pub enum VisionCredential {
    /// `GOOGLE_APPLICATION_CREDENTIALS`: the key file of a service account; it could be read.
    ServiceAccount(PathBuf),
    /// `GOOGLE_VISION_API_KEY`.
    ApiKey(SecretString),
}

/// A required variable, and how it is spoken of when it asks for another.
pub(super) type Needed = (&'static str, &'static str);

const VAPID: [Needed; 3] = [
    ("VAPID_PRIVATE_KEY", "VAPID_PRIVATE_KEY is"),
    ("VAPID_PUBLIC_KEY", "VAPID_PUBLIC_KEY is"),
    ("VAPID_SUBJECT", "VAPID_SUBJECT is"),
];
const WHATSAPP: [Needed; 2] = [
    ("WHATSAPP_ACCESS_TOKEN", "WHATSAPP_ACCESS_TOKEN is"),
    ("WHATSAPP_PHONE_NUMBER_ID", "WHATSAPP_PHONE_NUMBER_ID is"),
];
const TWILIO: [Needed; 3] = [
    ("TWILIO_AUTH_TOKEN", "TWILIO_AUTH_TOKEN is"),
    ("TWILIO_ACCOUNT_SID", "TWILIO_ACCOUNT_SID is"),
    ("TWILIO_PHONE_NUMBER", "TWILIO_PHONE_NUMBER is"),
];
/// A messaging service has numbers of its own.
const TWILIO_BY_SERVICE: [Needed; 3] =
    [TWILIO[0], TWILIO[1], ("TWILIO_MESSAGING_SERVICE_SID", "TWILIO_MESSAGING_SERVICE_SID is")];

/// Reads them all, so that every problem is told.
pub(super) fn read(reader: &mut Reader<'_>, production: bool) -> Integrations {
    Integrations {
        push: push(reader),
        whatsapp: whatsapp(reader, production),
        sms: sms(reader, production),
        chat: chat(reader, production),
        transcription: transcription(reader, production),
        vision: vision(reader, production),
        ocr: ocr::read(reader),
        storage: storage::read(reader, production),
        files_dir: reader.parse("FLOTA_FILES_DIR", directory),
        spool_dir: reader.parse("FLOTA_SPOOL_DIR", spool::directory),
    }
}

fn push(reader: &mut Reader<'_>) -> Option<PushVariables> {
    all_or_none(reader, &VAPID)?;
    let public_key = reader.parse("VAPID_PUBLIC_KEY", |text| base64url(text, 65));
    let private_key = reader.parse("VAPID_PRIVATE_KEY", |text| base64url(text, 32));
    let subject = reader.parse("VAPID_SUBJECT", vapid_subject);
    Some(PushVariables { public_key: public_key?, private_key: private_key?.into(), subject: subject? })
}

fn whatsapp(reader: &mut Reader<'_>, production: bool) -> Option<WhatsappVariables> {
    let base_url = base_url(reader, "WHATSAPP_BASE_URL", production);
    all_or_none(reader, &WHATSAPP)?;
    let phone_number_id = reader.parse("WHATSAPP_PHONE_NUMBER_ID", digits);
    let access_token = reader.parse("WHATSAPP_ACCESS_TOKEN", credential);
    Some(WhatsappVariables {
        base_url: base_url?,
        phone_number_id: phone_number_id?,
        access_token: access_token?,
    })
}

fn sms(reader: &mut Reader<'_>, production: bool) -> Option<SmsVariables> {
    let base_url = base_url(reader, "TWILIO_BASE_URL", production);
    let service = reader.parse("TWILIO_MESSAGING_SERVICE_SID", |text| sid(text, "MG", "a messaging service"));
    let status_callback = reader.parse("TWILIO_STATUS_CALLBACK_URL", public_url);
    let by_service = reader.text("TWILIO_MESSAGING_SERVICE_SID").is_some();
    all_or_none(reader, if by_service { &TWILIO_BY_SERVICE } else { &TWILIO })?;
    let account_sid = reader.parse("TWILIO_ACCOUNT_SID", |text| sid(text, "AC", "an account"));
    let auth_token = reader.parse("TWILIO_AUTH_TOKEN", credential);
    let number = reader.parse("TWILIO_PHONE_NUMBER", phone_number);
    let from = service.map(SmsFrom::Service).or(number.map(SmsFrom::Number));
    Some(SmsVariables {
        base_url: base_url?,
        account_sid: account_sid?,
        auth_token: auth_token?,
        from: from?,
        status_callback,
    })
}

fn chat(reader: &mut Reader<'_>, production: bool) -> Option<ChatVariables> {
    let base_url = base_url(reader, "LLM_BASE_URL", production);
    let model = reader.text("LLM_MODEL_DEFAULT");
    let fallback = reader.text("LLM_MODEL_FALLBACK");
    let max_tokens = reader.parse("LLM_MAX_TOKENS", max_tokens).unwrap_or(1_000);
    let temperature = reader.parse("LLM_TEMPERATURE", temperature).unwrap_or(0.7);
    let api_key = reader.parse("OPENROUTER_API_KEY", credential)?;
    Some(ChatVariables { base_url: base_url?, api_key, model, fallback, max_tokens, temperature })
}

fn transcription(reader: &mut Reader<'_>, production: bool) -> Option<TranscriptionVariables> {
    let base_url = base_url(reader, "OPENAI_BASE_URL", production);
    let model = or_default(reader, "WHISPER_MODEL");
    let api_key = reader.parse("OPENAI_API_KEY", credential)?;
    let ffmpeg = programs::in_path(reader, ffmpeg::PROGRAM);
    Some(TranscriptionVariables { base_url: base_url?, api_key, model, ffmpeg })
}

fn vision(reader: &mut Reader<'_>, production: bool) -> Option<VisionVariables> {
    let base_url = base_url(reader, "GOOGLE_VISION_BASE_URL", production);
    let project = reader.text("GOOGLE_VISION_PROJECT_ID");
    let key_file = reader.file("GOOGLE_APPLICATION_CREDENTIALS").map(VisionCredential::ServiceAccount);
    let api_key = reader.parse("GOOGLE_VISION_API_KEY", credential).map(VisionCredential::ApiKey);
    Some(VisionVariables { base_url: base_url?, credential: key_file.or(api_key)?, project })
}

/// `Some` when all are set; when only some are, the missing ones are told.
pub(super) fn all_or_none(reader: &mut Reader<'_>, needed: &[Needed]) -> Option<()> {
    let set: Vec<bool> = needed.iter().map(|(name, _)| reader.text(name).is_some()).collect();
    let (_, because) = needed[set.iter().position(|set| *set)?];
    for ((name, _), _) in needed.iter().zip(&set).filter(|(_, set)| !**set) {
        reader.problems.push(EnvironmentError::Missing { name, because });
    }
    set.iter().all(|set| *set).then_some(())
}

/// The value, or what the table of variables says holds without one.
pub(super) fn or_default(reader: &mut Reader<'_>, name: &'static str) -> String {
    let default = super::variables::find(name).and_then(|variable| variable.default).unwrap_or_default();
    reader.text(name).unwrap_or_else(|| default.to_owned())
}

/// An API's address; `None` when it was refused.
pub(super) fn base_url(reader: &mut Reader<'_>, name: &'static str, production: bool) -> Option<String> {
    let text = or_default(reader, name);
    match check_base_url(&text, production) {
        Ok(()) => Some(text),
        Err(problem) => {
            reader.refuse(name, problem);
            None
        }
    }
}

pub(super) fn check_base_url(text: &str, production: bool) -> Result<(), String> {
    let example = "write one such as https://api.example.com/v1";
    let url = Url::parse(text).map_err(|error| format!("{error}; {example}"))?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !matches!(url.scheme(), "https" | "http") || !url.has_host() || !plain {
        return Err(format!("it is not an address of an API; {example}, without login, `?` or `#`"));
    }
    let host = url.host_str().unwrap_or_default();
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if url.scheme() == "http" && production && !is_here {
        return Err(format!(
            "it would send our credential to {host} in the clear, which FLOTA_ENV=production does not allow; write https://"
        ));
    }
    Ok(())
}

/// Secrets go into HTTP headers, so a stray space or line break is a slip. The value is not repeated.
pub(super) fn credential(text: &str) -> Result<SecretString, String> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.into());
    }
    Err("it holds spaces or other characters that no credential has; copy it again".to_owned())
}

fn base64url(text: &str, bytes: usize) -> Result<String, String> {
    let remedy = "make a pair with `flota keys vapid`";
    let decoded = URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .map_err(|_| format!("it is not base64url; {remedy}"))?;
    if decoded.len() == bytes {
        return Ok(text.trim_end_matches('=').to_owned());
    }
    Err(format!("it holds {} bytes, but {bytes} are needed; {remedy}", decoded.len()))
}

/// `VAPID_SUBJECT`. Apple refuses a subject with spaces, brackets or a name of this machine.
pub(crate) fn vapid_subject(text: &str) -> Result<String, String> {
    let address = text.strip_prefix("mailto:").is_some_and(|address| address.contains('@'));
    let usable = (address || text.starts_with("https://")) && !text.contains([' ', '<', '>']);
    if usable && !text.contains("localhost") {
        return Ok(text.to_owned());
    }
    Err("it is not a contact that push services accept; write one such as mailto:admin@example.com"
        .to_owned())
}

fn digits(text: &str) -> Result<String, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err("it is not an id of digits; write the id of the number, which Meta shows beside it".to_owned())
}

/// An id of Twilio: two letters for what it belongs to, and digits.
fn sid(text: &str, start: &str, of: &str) -> Result<String, String> {
    if text.starts_with(start) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(text.to_owned());
    }
    Err(format!("it is not the id of {of}; write the one that begins with {start}"))
}

fn public_url(text: &str) -> Result<String, String> {
    let problem = |problem| format!("it {problem}; write an https URL that Twilio can reach");
    check_public_url(text).map(String::from).map_err(problem)
}

fn phone_number(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix('+').unwrap_or_default();
    if (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err(format!("\"{}\" is not a full number; write one such as +15005550006", text.escape_debug()))
}

fn max_tokens(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=8_192).contains(number));
    number.ok_or_else(|| format!("\"{}\" is not a number of tokens; write 1 to 8192", text.escape_debug()))
}

fn temperature(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=2.0).contains(number));
    number.ok_or_else(|| format!("\"{}\" is not a temperature; write 0 to 2", text.escape_debug()))
}

/// The real directory, so that links above it do not matter later.
fn directory(text: &str) -> Result<PathBuf, String> {
    match std::fs::canonicalize(text) {
        Ok(path) if path == std::path::Path::new("/") => {
            Err("it is the whole file system; write the directory that jobs may read from".to_owned())
        }
        Ok(path) if path.is_dir() => Ok(path),
        Ok(_) => Err(format!("{text} is not a directory; write the directory that jobs may read from")),
        Err(error) => Err(format!("{text} cannot be opened ({error}); make the directory, or unset it")),
    }
}
