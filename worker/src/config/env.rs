//! The environment: addresses and secrets, read once and checked.
//!
//! Every variable is in one table (`variables.rs`). Each `X` may also come as `X_FILE`, a file that holds the value,
//! and an empty variable counts as not set, as everywhere in Flota. All problems are told at once.
//!
//! The structs here say what was configured, in words of this file; the composition root turns them into what
//! providers and servers take.

mod email;
mod error;
mod integrations;
mod live_or_sandbox;
mod ocr;
mod programs;
mod reader;
mod secrets;
mod smtp;
mod spool;
mod storage;
mod summary;
mod text;
mod traces;
mod variable;
mod variables;

#[cfg(test)]
mod tests;

use std::{net::SocketAddr, path::PathBuf};

use flota_producer::settings::{Settings, read_env};
use ipnet::IpNet;
use secrecy::SecretString;
use tracing_subscriber::EnvFilter;
use url::Url;

pub(crate) use self::integrations::vapid_subject;
use self::reader::{Reader, truth};
pub use self::{
    email::{EmailProvider, EmailVariables, SendgridVariables, SesVariables},
    error::{EnvironmentError, EnvironmentErrors, EnvironmentWarning},
    integrations::{
        ChatVariables, Integrations, OcrProvider, OcrVariables, PushVariables, SmsFrom, SmsVariables,
        TranscriptionVariables, VisionCredential, VisionVariables, WhatsappVariables,
    },
    reader::Lookup,
    smtp::{SmtpMode, SmtpVariables},
    storage::{StorageProvider, StorageVariables},
    summary::{SummaryRow, ValueSource},
    text::{example, markdown},
    traces::TraceVariables,
    variable::{Shown, Variable},
    variables::VARIABLES,
};

/// Everything that the environment says.
#[derive(Debug, Clone)]
pub struct Environment {
    /// `REDIS_*` and `FLOTA_KEY_PREFIX`: where Redis is.
    pub redis: Settings,
    /// `DATABASE_URL`: where Postgres is.
    pub database_url: Option<SecretString>,
    /// `SMTP_*`: the mail server; `None` when `SMTP_HOST` is not set.
    pub smtp: Option<SmtpVariables>,
    /// `SENDGRID_*`, `AWS_SES_*` and `FLOTA_EMAIL_PROVIDERS`: the other ways of sending, and the order of all.
    pub email: EmailVariables,
    /// `WEBHOOK_SECRET`: signs webhooks that are sent to a URL, `whsec_…`.
    pub webhook_secret: Option<SecretString>,
    /// `FLOTA_FETCH_ALLOW_CIDRS`: networks that files and push services of jobs may be in although they are private.
    pub fetch_allow: Vec<IpNet>,
    /// `FLOTA_WEBHOOK_ALLOW_CIDRS`: networks that webhooks may reach although they are private.
    pub webhook_allow: Vec<IpNet>,
    /// `FLOTA_ENCRYPTION_KEYS`: `id:base64key[,id:base64key]`, whose form has been checked.
    pub encryption_keys: Option<SecretString>,
    /// Push, WhatsApp, SMS, language models, transcription, pictures, files.
    pub integrations: Integrations,
    /// `FLOTA_ENV`.
    pub deployment: Deployment,
    /// `FLOTA_QUEUES_FILE`: for [`crate::config::Queues::load`].
    pub queues_file: Option<PathBuf>,
    /// `LOG_FORMAT`: for [`crate::telemetry::init`].
    pub log_format: Option<LogFormat>,
    /// `RUST_LOG`: for [`crate::telemetry::init`].
    pub log_filter: Option<String>,
    /// `FLOTA_ADMIN_ADDR`: where this process answers for its health and metrics.
    pub admin_addr: Option<SocketAddr>,
    /// `FLOTA_ADMIN_PUBLIC`: whether that address may be one that other machines reach.
    pub admin_public: bool,
    /// `FLOTA_API_ADDR`: where `flota serve` answers applications and people.
    pub api_addr: Option<SocketAddr>,
    /// `FLOTA_API_RATE`: requests a second that each token may make.
    pub api_rate: u32,
    /// `OTEL_EXPORTER_OTLP_*`: the collector of traces, if there is one.
    pub traces: Option<TraceVariables>,
    /// What was set without effect; to be told once, at start.
    pub warnings: Vec<EnvironmentWarning>,
    summary: Vec<SummaryRow>,
}

/// What this process is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deployment {
    /// Trying things out. The default.
    Development,
    /// The real thing: settings that are only good for trying things out are refused.
    Production,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    Pretty,
    /// One JSON object per line.
    Json,
}

/// What is logged when `RUST_LOG` is not set: what libraries tell of their routine is left out.
pub const DEFAULT_FILTER: &str = "info,sqlx=warn,hyper=warn,reqwest=warn";

/// Requests a second that each token may make unless `FLOTA_API_RATE` says otherwise.
pub const DEFAULT_API_RATE: u32 = 100;

impl Environment {
    /// From the process environment.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn load() -> Result<Self, EnvironmentErrors> {
        let set = std::env::vars_os().filter(|(_, value)| !value.is_empty());
        let names: Vec<String> = set.filter_map(|(name, _)| name.into_string().ok()).collect();
        Self::from_lookup(&read_env, names.iter().map(String::as_str))
    }

    /// From any source of variables. `names` are those that are set and not empty: they tell a value from one that
    /// comes from a file, and which of our names nothing reads.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn from_lookup<'a>(
        lookup: &'a Lookup<'a>,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, EnvironmentErrors> {
        let names = names.into_iter().collect();
        let mut reader = Reader { lookup, names, problems: Vec::new(), warnings: Vec::new() };
        reader.look_at_names();
        match read(&mut reader) {
            Some(environment) if reader.problems.is_empty() => Ok(environment),
            _ => Err(EnvironmentErrors(reader.problems)),
        }
    }

    /// True where settings that are only good for trying things out are refused.
    pub fn is_production(&self) -> bool {
        self.deployment == Deployment::Production
    }

    /// Every variable with its value, secrets masked.
    pub fn summary(&self) -> &[SummaryRow] {
        &self.summary
    }
}

/// Reads every variable before it gives up, so that all problems are told.
fn read(reader: &mut Reader<'_>) -> Option<Environment> {
    let redis = Settings::from_lookup(reader.lookup).map_err(|error| reader.problems.push(error.into())).ok();
    let deployment = reader.parse("FLOTA_ENV", deployment).unwrap_or(Deployment::Development);
    live_or_sandbox::check(reader, deployment == Deployment::Production);
    let database_url = reader.parse("DATABASE_URL", database_url);
    let smtp = smtp::read(reader, deployment == Deployment::Production);
    let mut environment = Environment {
        database_url,
        email: email::read(reader, smtp.is_some(), deployment == Deployment::Production),
        smtp,
        webhook_secret: reader.parse("WEBHOOK_SECRET", secrets::signing_secret),
        fetch_allow: reader.parse("FLOTA_FETCH_ALLOW_CIDRS", networks).unwrap_or_default(),
        webhook_allow: reader.parse("FLOTA_WEBHOOK_ALLOW_CIDRS", networks).unwrap_or_default(),
        encryption_keys: reader.parse("FLOTA_ENCRYPTION_KEYS", secrets::encryption_keys),
        integrations: integrations::read(reader, deployment == Deployment::Production),
        deployment,
        queues_file: reader.text("FLOTA_QUEUES_FILE").map(PathBuf::from),
        // NO_COLOR is obeyed by the libraries that print; it is in the table so that people find it.
        log_format: reader.parse("LOG_FORMAT", log_format),
        log_filter: reader.parse("RUST_LOG", filter),
        admin_addr: reader.parse("FLOTA_ADMIN_ADDR", |text| address(text, 9464)),
        admin_public: reader.parse("FLOTA_ADMIN_PUBLIC", truth).unwrap_or(false),
        api_addr: reader.parse("FLOTA_API_ADDR", |text| address(text, 8080)),
        api_rate: reader.parse("FLOTA_API_RATE", rate).unwrap_or(DEFAULT_API_RATE),
        traces: traces::read(reader),
        warnings: std::mem::take(&mut reader.warnings),
        summary: summary::rows(reader),
        redis: redis?,
    };
    environment.show_what_holds();
    Some(environment)
}

impl Environment {
    /// A few defaults depend on other variables: the parts of Redis have none beside a URL, and the usual port of a
    /// mail server follows its TLS.
    fn show_what_holds(&mut self) {
        let has_url = self.summary.iter().any(|row| row.name == "REDIS_URL" && row.value.is_some());
        for row in &mut self.summary {
            let is_default = row.source == ValueSource::Default;
            if has_url && is_default && row.name.starts_with("REDIS_") {
                (row.value, row.source) = (None, ValueSource::Unset);
            }
            if let (Some(smtp), "SMTP_PORT") = (&self.smtp, row.name) {
                row.value = Some(smtp.port.to_string());
            }
        }
    }
}

fn deployment(text: &str) -> Result<Deployment, String> {
    match text {
        "development" => Ok(Deployment::Development),
        "production" => Ok(Deployment::Production),
        other => Err(format!("\"{other}\" is not one of its words; write development or production")),
    }
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "pretty" => Ok(LogFormat::Pretty),
        "json" => Ok(LogFormat::Json),
        other => Err(format!("\"{other}\" is not one of its words; write pretty or json")),
    }
}

fn filter(text: &str) -> Result<String, String> {
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{error}; write levels by module, such as {DEFAULT_FILTER}")),
    }
}

/// The address may hold a password, so it is not repeated.
fn database_url(text: &str) -> Result<SecretString, String> {
    let example = "write postgres://user:password@host:5432/database";
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "postgres" | "postgresql") => Ok(text.into()),
        Ok(_) => Err(format!("it is not an address of Postgres; {example}")),
        Err(error) => Err(format!("{error}; {example}, with special characters of the password as %XX")),
    }
}

fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    text.split(',').map(|part| network(part.trim())).collect()
}

fn network(text: &str) -> Result<IpNet, String> {
    match text.parse::<IpNet>() {
        Ok(network) if network.prefix_len() == 0 => {
            Err(format!("{text} would let webhooks reach every address; write only the networks they need"))
        }
        Ok(network) => Ok(network.trunc()),
        Err(_) => Err(match text.parse::<std::net::IpAddr>() {
            Ok(address) => format!("{text} is an address without a length; write {}", IpNet::from(address)),
            Err(_) => format!("\"{text}\" is not a network; write one such as 10.20.0.0/16"),
        }),
    }
}

/// Which addresses may be used is decided where they are: that also depends on options.
fn address(text: &str, usual_port: u16) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("\"{text}\" is not an address with a port; write one such as 127.0.0.1:{usual_port}")
    })
}

fn rate(text: &str) -> Result<u32, String> {
    let rate = text.parse().ok().filter(|rate| (1..=100_000).contains(rate));
    rate.ok_or_else(|| "it is not a number of requests a second; write 1 to 100000".to_owned())
}
