//! What a failed SMTP conversation means.
//!
//! Reply codes after RFC 5321 4.2 and RFC 4954 6: 4yz is "not now", 5yz is "not like this". What matters most is
//! whether the message had been handed over: before that nobody can have received it, after that they may have.
//! A 5yz greeting or login refuses us and not this message, so it is `Auth`: it would refuse every message alike.

use std::{fmt, io, time::Duration};

use super::super::SMTP as PROVIDER;
use crate::{ErrorClass, ProviderError, Standing, causes, error::TOO_LARGE, secrets::Secrets};

/// How long a server that asks to come back is left alone with this message: greylisting lets it through after some
/// minutes, and a repeat within seconds only tells that we are in a hurry (RFC 6647 section 2).
const COME_BACK: Duration = Duration::from_mins(5);
/// Longest reply that is quoted, in bytes.
pub(super) const MOST_QUOTED_BYTES: usize = 300;

/// The steps of a conversation, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Connect,
    Greeting,
    Tls,
    Login,
    Mail,
    Recipient,
    Data,
    /// The message itself and the server's answer to it.
    Message,
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Connect => "connecting",
            Self::Greeting => "the greeting",
            Self::Tls => "the switch to TLS",
            Self::Login => "the login",
            Self::Mail => "naming the sender",
            Self::Recipient => "naming a recipient",
            Self::Data => "announcing the message",
            Self::Message => "handing over the message",
        })
    }
}

/// Why a step failed.
#[derive(Debug)]
pub(super) enum Cause {
    /// A negative reply, a broken connection or a TLS problem, as lettre reports it.
    Smtp(lettre::transport::smtp::Error),
    /// The TCP connection could not be opened.
    Tcp(io::Error),
    TimedOut(Duration),
    /// STARTTLS is wanted and the server does not offer it.
    NoStartTls,
    /// An address needs SMTPUTF8 and the server does not offer it.
    NoSmtpUtf8,
    /// The message has more bytes than the server takes; it was not handed over.
    TooLarge {
        bytes: u64,
        most: u64,
    },
    /// A file of the message could not be read, and the server was not told that the message has ended.
    Unread(io::Error),
    /// A positive reply that does not fit the command.
    OutOfOrder,
}

impl From<lettre::transport::smtp::Error> for Cause {
    fn from(error: lettre::transport::smtp::Error) -> Self {
        Self::Smtp(error)
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        Self::Tcp(error)
    }
}

/// A failed step.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) stage: Stage,
    pub(super) cause: Cause,
}

impl Failure {
    /// The server's negative reply code, when there was one.
    fn code(&self) -> Option<u16> {
        match &self.cause {
            Cause::Smtp(error) => error.status().map(u16::from),
            _ => None,
        }
    }

    /// The server's words after the code, whole. lettre keeps them as the source of its error.
    fn words(&self) -> String {
        match &self.cause {
            Cause::Smtp(error) => {
                std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
            }
            _ => String::new(),
        }
    }

    /// The whole reply when it refuses this one recipient for good, and says nothing about us or the others.
    pub(super) fn refusal_of_a_recipient(&self) -> Option<String> {
        let code = self.code().filter(|code| reply_class(self.stage, *code) == ErrorClass::Permanent)?;
        (self.stage == Stage::Recipient).then(|| format!("{code} {}", self.words()))
    }

    /// Whether a connection that had been waiting was dead before the message was handed over.
    pub(super) fn shows_a_stale_connection(&self) -> bool {
        let lost = match &self.cause {
            Cause::Smtp(error) => error.status().is_none() && !error.is_client(),
            Cause::TimedOut(_) => true,
            Cause::Tcp(_)
            | Cause::NoStartTls
            | Cause::NoSmtpUtf8
            | Cause::TooLarge { .. }
            | Cause::Unread(_)
            | Cause::OutOfOrder => false,
        };
        // 421 is how a server says that it closes a connection that was idle for too long.
        self.stage < Stage::Message && (lost || self.code() == Some(421))
    }

    /// Whether the server still listens on this connection.
    pub(super) fn connection_survives(&self) -> bool {
        self.code().is_some_and(|code| code != 421)
            || matches!(self.cause, Cause::NoSmtpUtf8 | Cause::TooLarge { .. })
    }
}

/// Turns a failure into the crate's error. `server` is `host:port`; none of `secrets` is quoted.
pub(super) fn classify(failure: Failure, server: &str, secrets: &Secrets) -> ProviderError {
    if let Some(code) = failure.code() {
        return refused(&failure, code, server, secrets);
    }
    let Failure { stage, cause } = failure;
    match cause {
        Cause::NoStartTls => mended_by_a_person(
            "starttls_missing",
            format!(
                "{server} does not offer STARTTLS, so nothing was sent. Set TLS to implicit (usually port 465), or to none if this is a relay on your own machine."
            ),
        ),
        Cause::NoSmtpUtf8 => permanent(
            "smtputf8_missing",
            format!(
                "An address has characters beyond ASCII before its @, and {server} does not take those (no SMTPUTF8). Use another address or server."
            ),
        ),
        Cause::TooLarge { bytes, most } => permanent(
            TOO_LARGE,
            format!(
                "The message has {bytes} bytes as it would be sent, and {server} takes at most {most}, so nothing was sent. Send smaller files, or links to them."
            ),
        ),
        Cause::Unread(source) => ProviderError::unread(PROVIDER, "send", source),
        Cause::OutOfOrder => error(
            ErrorClass::ServerError,
            format!("{server} gave an answer that does not fit at {stage}; the message was not sent."),
        ),
        Cause::TimedOut(limit) => lost(stage, format!("{server} did not answer within {limit:?} at {stage}")),
        Cause::Tcp(source) => {
            lost(stage, format!("{server} could not be reached; check the host and port")).with_source(source)
        }
        Cause::Smtp(source) => without_reply(stage, source, server, secrets),
    }
}

/// The class of a negative reply. Pure.
fn reply_class(stage: Stage, code: u16) -> ErrorClass {
    match code {
        421 if stage <= Stage::Greeting => ErrorClass::RateLimited { retry_after: None },
        400..=499 => ErrorClass::ServerError,
        530 | 534 | 535 | 538 => ErrorClass::Auth,
        _ if matches!(stage, Stage::Connect | Stage::Greeting | Stage::Login) => ErrorClass::Auth,
        _ => ErrorClass::Permanent,
    }
}

/// The wait that goes with a reply. Those that put a message off for minutes do not say so themselves: RFC 5321 section
/// 4.2.2 has a busy mailbox (450, greylisting too), an error of the server (451) and too little room (452).
fn wait(code: u16) -> Option<Duration> {
    matches!(code, 450..=452).then_some(COME_BACK)
}

fn refused(failure: &Failure, code: u16, server: &str, secrets: &Secrets) -> ProviderError {
    let class = reply_class(failure.stage, code);
    let advice = match class {
        ErrorClass::RateLimited { .. } => "It takes no more connections for now.",
        ErrorClass::Auth => {
            "It does not accept us; check the user name, the password and whether this machine may send."
        }
        ErrorClass::ServerError => "It asks to try again later.",
        _ => "It will not take this message; correct what it names, then replay the job.",
    };
    let words = secrets.quote(&failure.words(), MOST_QUOTED_BYTES);
    let message = format!("{server} answered {code} at {}: \"{words}\". {advice}", failure.stage);
    let error = error(class, message).with_code(code.to_string()).with_server_wait(wait(code));
    // Of a recipient who is put off, the server says nothing about itself.
    let is_about_one = class == ErrorClass::ServerError && failure.stage == Stage::Recipient && code != 421;
    if is_about_one { error.with_standing(Standing::OneRecipient) } else { error }
}

fn without_reply(
    stage: Stage,
    source: lettre::transport::smtp::Error,
    server: &str,
    secrets: &Secrets,
) -> ProviderError {
    if let Some(rustls::Error::InvalidCertificate(reason)) = causes::find::<rustls::Error>(&source) {
        let message = format!(
            "The certificate of {server} was not accepted ({reason:?}), so nothing was sent. Set the host to the name in the certificate, or give its CA as the extra root CA."
        );
        return mended_by_a_person("certificate", message).with_source(source);
    }
    if source.is_client() && stage == Stage::Login {
        let message = format!(
            "{server} offers no login that we know (PLAIN, LOGIN); check the port and the TLS setting, or remove the user name."
        );
        return error(ErrorClass::Auth, message).with_code("no_login").with_source(source);
    }
    if causes::find::<rustls::Error>(&source).is_some() {
        return lost(
            stage,
            format!("TLS with {server} failed; check that its port and the TLS setting fit together"),
        )
        .with_source(source);
    }
    let lost = lost(stage, format!("The connection to {server} broke at {stage}"));
    // lettre quotes a reply that it cannot read.
    if source.is_response() {
        return lost.with_source(secrets.quote(&source.to_string(), MOST_QUOTED_BYTES));
    }
    lost.with_source(source)
}

/// No reply came: harmless before the message was handed over, ambiguous from then on.
fn lost(stage: Stage, what: String) -> ProviderError {
    if stage == Stage::Message {
        let message = format!(
            "{what}. The message may have been delivered; look for its Message-ID before sending it again."
        );
        return error(ErrorClass::Ambiguous, message);
    }
    error(ErrorClass::Network, format!("{what}. The message was not sent."))
}

/// Nothing was wrong with the message: a server or a setting has to be mended, and a backlog waits for it as it does for
/// a refused login.
fn mended_by_a_person(code: &str, message: String) -> ProviderError {
    error(ErrorClass::Auth, message).with_code(code)
}

fn permanent(code: &str, message: String) -> ProviderError {
    error(ErrorClass::Permanent, message).with_code(code)
}

fn error(class: ErrorClass, message: String) -> ProviderError {
    ProviderError::new(PROVIDER, "send", class, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_codes_are_sorted_by_code_and_stage() {
        let limited = ErrorClass::RateLimited { retry_after: None };
        let cases = [
            (Stage::Greeting, 421, limited),
            (Stage::Greeting, 554, ErrorClass::Auth),
            (Stage::Login, 454, ErrorClass::ServerError),
            (Stage::Login, 535, ErrorClass::Auth),
            (Stage::Login, 504, ErrorClass::Auth),
            (Stage::Mail, 421, ErrorClass::ServerError),
            (Stage::Mail, 530, ErrorClass::Auth),
            (Stage::Mail, 534, ErrorClass::Auth),
            (Stage::Mail, 538, ErrorClass::Auth),
            (Stage::Mail, 452, ErrorClass::ServerError),
            (Stage::Mail, 553, ErrorClass::Permanent),
            (Stage::Recipient, 450, ErrorClass::ServerError),
            (Stage::Recipient, 451, ErrorClass::ServerError),
            (Stage::Recipient, 550, ErrorClass::Permanent),
            (Stage::Data, 554, ErrorClass::Permanent),
            (Stage::Message, 451, ErrorClass::ServerError),
            (Stage::Message, 552, ErrorClass::Permanent),
        ];

        for (stage, code, class) in cases {
            assert_eq!(reply_class(stage, code), class, "{code} at {stage}");
        }
    }

    #[test]
    fn who_puts_a_message_off_is_asked_again_after_minutes() {
        for code in [450, 451, 452] {
            assert_eq!(wait(code), Some(Duration::from_mins(5)), "{code}");
        }
        for code in [421, 432, 454, 550] {
            assert_eq!(wait(code), None, "{code}");
        }
    }

    #[test]
    fn silence_is_ambiguous_only_once_the_message_was_handed_over() {
        for stage in [
            Stage::Connect,
            Stage::Greeting,
            Stage::Tls,
            Stage::Login,
            Stage::Mail,
            Stage::Recipient,
            Stage::Data,
        ] {
            let failure = Failure { stage, cause: Cause::TimedOut(Duration::from_secs(1)) };

            assert_eq!(
                classify(failure, "mail:25", &Secrets::default()).class,
                ErrorClass::Network,
                "at {stage}"
            );
        }
        let failure = Failure { stage: Stage::Message, cause: Cause::TimedOut(Duration::from_secs(1)) };

        assert_eq!(classify(failure, "mail:25", &Secrets::default()).class, ErrorClass::Ambiguous);
    }
}
