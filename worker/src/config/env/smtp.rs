//! The mail server: where it is, how the connection is protected, and who the messages come from.

use std::{net::IpAddr, path::PathBuf};

use secrecy::SecretString;

use super::{
    error::{EnvironmentError, EnvironmentWarning},
    reader::Reader,
};

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpMode {
    /// Starts in the clear and must switch to TLS before anything is said.
    StartTls,
    /// TLS from the first byte.
    Implicit,
    /// No protection.
    None,
}

/// What the environment says of the mail server, checked.
#[derive(Debug, Clone)]
pub struct SmtpVariables {
    /// Its name; its certificate must be for this name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// User name, when it asks for one. Set together with `password`.
    pub username: Option<String>,
    /// Password, when it asks for one.
    pub password: Option<SecretString>,
    /// How the connection is protected.
    pub tls: SmtpMode,
    /// Address that messages come from.
    pub from_email: String,
    /// Name that messages come from.
    pub from_name: Option<String>,
    /// File of certificates (PEM) to trust besides those of the system; it could be read.
    pub ca_file: Option<PathBuf>,
}

impl SmtpMode {
    /// The port that servers usually use: RFC 6409 (submission), RFC 8314 (implicit TLS), RFC 5321.
    pub fn usual_port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Implicit => 465,
            Self::None => 25,
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "starttls" => Ok(Self::StartTls),
            "implicit" => Ok(Self::Implicit),
            "none" => Ok(Self::None),
            other => Err(format!("\"{other}\" is not one of its words; write starttls, implicit or none")),
        }
    }
}

/// Variables that mean nothing without `SMTP_HOST`. The address, and only the address, may stay set: other ways of
/// sending share it in many deployments.
const IDLE_WITHOUT_HOST: [&str; 6] =
    ["SMTP_PORT", "SMTP_USERNAME", "SMTP_PASSWORD", "SMTP_TLS", "SMTP_FROM_NAME", "SMTP_CA_FILE"];

/// Reads the settings; `None` when `SMTP_HOST` is not set, or when something was refused.
pub(super) fn read(reader: &mut Reader<'_>, production: bool) -> Option<SmtpVariables> {
    if reader.text("SMTP_HOST").is_none() {
        warn_of_idle(reader);
        return None;
    }
    let host = reader.parse("SMTP_HOST", host);
    let tls = reader.parse("SMTP_TLS", SmtpMode::parse).unwrap_or(SmtpMode::StartTls);
    let port = reader.parse("SMTP_PORT", port).unwrap_or_else(|| tls.usual_port());
    let (username, password) = login(reader);
    let from_email = from_email(reader);
    let (from_name, ca_file) = (reader.text("SMTP_FROM_NAME"), reader.file("SMTP_CA_FILE"));
    let host = host?;
    if tls == SmtpMode::None && production && !is_this_machine(&host) {
        reader.refuse(
            "SMTP_TLS",
            format!("none would send mail and password to {host} in the clear, which FLOTA_ENV=production does not allow; write starttls or implicit"),
        );
    }
    Some(SmtpVariables { host, port, username, password, tls, from_email: from_email?, from_name, ca_file })
}

fn warn_of_idle(reader: &mut Reader<'_>) {
    for name in IDLE_WITHOUT_HOST {
        if reader.text(name).is_some() {
            reader.warnings.push(EnvironmentWarning::Idle { name, without: "SMTP_HOST" });
        }
    }
}

fn login(reader: &mut Reader<'_>) -> (Option<String>, Option<SecretString>) {
    let (username, password) = (reader.text("SMTP_USERNAME"), reader.text("SMTP_PASSWORD"));
    let missing = |name, because| EnvironmentError::Missing { name, because };
    match (&username, &password) {
        (Some(_), None) => reader.problems.push(missing("SMTP_PASSWORD", "SMTP_USERNAME is")),
        (None, Some(_)) => reader.problems.push(missing("SMTP_USERNAME", "SMTP_PASSWORD is")),
        _ => {}
    }
    (username, password.map(Into::into))
}

fn from_email(reader: &mut Reader<'_>) -> Option<String> {
    if reader.text("SMTP_FROM_EMAIL").is_none() {
        let because = "SMTP_HOST is";
        reader.problems.push(EnvironmentError::Missing { name: "SMTP_FROM_EMAIL", because });
    }
    reader.parse("SMTP_FROM_EMAIL", |text| address(text, "SMTP_FROM_NAME"))
}

fn host(text: &str) -> Result<String, String> {
    let is_host = text.parse::<IpAddr>().is_ok() || url::Host::parse(text).is_ok();
    if is_host && !text.contains(['/', '[', '@']) {
        return Ok(text.to_owned());
    }
    Err(format!("\"{text}\" is not a host; write a name such as smtp.example.com, without scheme or port"))
}

fn port(text: &str) -> Result<u16, String> {
    let number = text.parse().ok().filter(|port| *port != 0);
    number.ok_or_else(|| format!("\"{text}\" is not a port; write a number from 1 to 65535"))
}

/// Only a slip is caught here; whether the address exists is known to its server. A name belongs into `name`.
pub(super) fn address(text: &str, name: &str) -> Result<String, String> {
    let plain = !text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ','));
    match text.split_once('@') {
        Some((local, domain))
            if plain && !local.is_empty() && !domain.is_empty() && !domain.contains('@') =>
        {
            Ok(text.to_owned())
        }
        _ => Err(format!(
            "\"{}\" is not an address; write one such as noreply@example.com, and the name into {name}",
            text.escape_debug()
        )),
    }
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
