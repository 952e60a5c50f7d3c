//! Opens a connection: TCP, TLS, greeting, login. Every one has a gate in front of its socket.
//!
//! With STARTTLS nothing is said in the clear beyond the greeting, and a server that does not offer it is refused.
//! A password is never sent in the clear to another machine.

use std::{net::IpAddr, time::Duration};

use lettre::transport::smtp::{
    authentication::{Credentials, DEFAULT_MECHANISMS},
    client::{AsyncSmtpConnection, AsyncTokioStream, Certificate, TlsParameters},
    extension::ClientId,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use secrecy::ExposeSecret;
use tokio::net::TcpStream;

use super::{
    super::SMTP as PROVIDER,
    SmtpSettings, SmtpTls,
    classify::{Cause, Failure, Stage},
    gate::Gate,
    inside_tls::InsideTls,
    line_by_line::LineByLine,
    patience::Patience,
};
use crate::{ErrorClass, ProviderError};

/// A connection, and the way out of it.
pub(super) struct Connection {
    pub(super) smtp: AsyncSmtpConnection,
    pub(super) gate: Gate,
}

/// Everything that is needed to open one more connection.
pub(super) struct Connector {
    host: String,
    port: u16,
    timeout: Duration,
    hello: ClientId,
    credentials: Option<Credentials>,
    protection: Protection,
    server: String,
}

enum Protection {
    StartTls(TlsParameters),
    Implicit(TlsParameters),
    None,
}

impl Connector {
    pub(super) fn new(settings: SmtpSettings) -> Result<Self, ProviderError> {
        let credentials = credentials(&settings)?;
        if credentials.is_some() && settings.tls == SmtpTls::None && !is_this_machine(&settings.host) {
            return Err(misconfigured(
                "The SMTP password would travel in the clear; set TLS to starttls (port 587) or implicit (port 465).",
            ));
        }
        let protection = match settings.tls {
            SmtpTls::StartTls => Protection::StartTls(tls_parameters(&settings)?),
            SmtpTls::Implicit => Protection::Implicit(tls_parameters(&settings)?),
            SmtpTls::None => Protection::None,
        };
        let server = format!("{}:{}", settings.host, settings.port);
        let SmtpSettings { host, port, timeout, .. } = settings;
        Ok(Self { host, port, timeout, hello: ClientId::default(), credentials, protection, server })
    }

    /// `host:port`, for messages.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// How we introduce ourselves.
    pub(super) const fn hello(&self) -> &ClientId {
        &self.hello
    }

    /// The limits of a message that begins now.
    pub(super) fn patience(&self) -> Patience {
        Patience::new(self.timeout)
    }

    pub(super) async fn connect(&self, patience: Patience) -> Result<Connection, Failure> {
        let gate = Gate::default();
        let stream = self.dial(&gate, patience).await?;
        let mut smtp = match &self.protection {
            Protection::None => self.greet(Box::new(stream), patience).await?,
            Protection::StartTls(tls) => self.switch_to_tls(stream, tls, patience).await?,
            Protection::Implicit(tls) => {
                let stream = patience.step(Stage::Tls, InsideTls::over(stream, tls.clone())).await?;
                self.greet(Box::new(stream), patience).await?
            }
        };
        if let Some(credentials) = &self.credentials {
            patience.step(Stage::Login, smtp.auth(DEFAULT_MECHANISMS, credentials)).await?;
        }
        Ok(Connection { smtp, gate })
    }

    async fn dial(&self, gate: &Gate, patience: Patience) -> Result<LineByLine, Failure> {
        let dialling = async {
            let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
            // A message and its final dot are two writes; without this the second waits 40 ms for an acknowledgement.
            tcp.set_nodelay(true)?;
            Ok::<_, std::io::Error>(tcp)
        };
        let tcp = patience.step(Stage::Connect, dialling).await?;
        Ok(LineByLine::new(tcp, gate.clone()))
    }

    async fn greet(
        &self,
        stream: Box<dyn AsyncTokioStream>,
        patience: Patience,
    ) -> Result<AsyncSmtpConnection, Failure> {
        patience.step(Stage::Greeting, AsyncSmtpConnection::connect_with_transport(stream, &self.hello)).await
    }

    async fn switch_to_tls(
        &self,
        stream: LineByLine,
        tls: &TlsParameters,
        patience: Patience,
    ) -> Result<AsyncSmtpConnection, Failure> {
        let mut connection = self.greet(Box::new(stream), patience).await?;
        if !connection.can_starttls() {
            return Err(Failure { stage: Stage::Tls, cause: Cause::NoStartTls });
        }
        patience.step(Stage::Tls, connection.starttls(tls.clone(), &self.hello)).await?;
        Ok(connection)
    }
}

fn credentials(settings: &SmtpSettings) -> Result<Option<Credentials>, ProviderError> {
    match (&settings.username, &settings.password) {
        (Some(user), Some(password)) => {
            Ok(Some(Credentials::new(user.clone(), password.expose_secret().to_owned())))
        }
        (None, None) => Ok(None),
        _ => Err(misconfigured(
            "The SMTP user name and password belong together, and only one is set; set both or none.",
        )),
    }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn tls_parameters(settings: &SmtpSettings) -> Result<TlsParameters, ProviderError> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(pem) = &settings.extra_root_ca_pem {
        builder = builder.add_root_certificate(certificate(pem)?);
    }
    builder.build_rustls().map_err(|error| {
        misconfigured(
            "TLS could not be prepared; check the extra CA, or install the package ca-certificates.",
        )
        .with_source(error)
    })
}

/// lettre takes a PEM without any certificate for an empty list, which would silently change nothing.
fn certificate(pem: &[u8]) -> Result<Certificate, ProviderError> {
    let unreadable = || {
        misconfigured("The extra CA for SMTP holds no readable certificate; give PEM with BEGIN CERTIFICATE.")
    };
    if CertificateDer::pem_slice_iter(pem).next().is_none_or(|first| first.is_err()) {
        return Err(unreadable());
    }
    Certificate::from_pem(pem).map_err(|error| unreadable().with_source(error))
}

fn misconfigured(message: &str) -> ProviderError {
    ProviderError::new(PROVIDER, "configure", ErrorClass::Permanent, message).with_code("invalid_settings")
}
