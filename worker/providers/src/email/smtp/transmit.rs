//! One mail transaction on an open connection: MAIL, RCPT for each recipient, DATA, the message.
//!
//! A failure carries the step at which it happened. The message is read while it is sent.

use lettre::{
    Address,
    transport::smtp::{
        client::AsyncSmtpConnection,
        commands::{Data, Ehlo, Mail, Rcpt},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
        response::Response,
    },
};

use super::{
    super::message::Outgoing,
    classify::{Cause, Failure, Stage},
    connect::Connection,
    gate::{Gate, Passing},
    patience::Patience,
};
use crate::content::Pieces;

/// A server that takes less than this is not worth a question.
const SURELY_TAKEN: u64 = 1024 * 1024;
/// What servers take that do not say: the common limit of large mail services.
const USUAL_SIZE: u64 = 25_000_000;

/// A message that the server took over.
#[derive(Debug)]
pub(super) struct Sent {
    /// What the server said, whole, for example `250 2.0.0 Ok: queued as 4F3A`.
    pub(super) reply: String,
    /// Recipients that were refused for good, and with which words, as they came. The others get the message.
    pub(super) refused: Vec<(String, String)>,
}

/// Runs the transaction. The connection needs an RSET afterwards when a command was refused.
pub(super) async fn transmit(
    Connection { smtp: connection, gate }: &mut Connection,
    outgoing: &Outgoing,
    hello: &ClientId,
    patience: Patience,
) -> Result<Sent, Failure> {
    refuse_too_large(connection, outgoing.message.length(), hello, patience).await?;
    let mail = Mail::new(outgoing.envelope.from().cloned(), mail_parameters(connection, outgoing)?);
    patience.step(Stage::Mail, connection.command(mail)).await?;
    let refused = name_recipients(connection, outgoing.envelope.to(), patience).await?;
    let go_ahead = patience.step(Stage::Data, connection.command(Data)).await?;
    if !go_ahead.has_code(354) {
        return Err(Failure { stage: Stage::Data, cause: Cause::OutOfOrder });
    }
    let reply = hand_over(connection, gate, &outgoing.message, patience).await?;
    Ok(Sent { reply: reply_text(&reply), refused })
}

async fn hand_over(
    connection: &mut AsyncSmtpConnection,
    gate: &Gate,
    message: &Pieces,
    patience: Patience,
) -> Result<Response, Failure> {
    let mut passing = Passing::new(message, gate);
    let result = patience.step(Stage::Message, connection.message_iter(&mut passing)).await;
    match passing.unread() {
        Some(error) => Err(Failure { stage: Stage::Message, cause: Cause::Unread(error) }),
        None => result,
    }
}

/// Asks a server what it takes before a large message is handed over (SIZE, RFC 1870). It has said so before, but lettre
/// does not keep the number; a second EHLO is allowed at any time (RFC 5321 4.1.4).
async fn refuse_too_large(
    connection: &mut AsyncSmtpConnection,
    bytes: u64,
    hello: &ClientId,
    patience: Patience,
) -> Result<(), Failure> {
    if bytes < SURELY_TAKEN {
        return Ok(());
    }
    let reply = patience.step(Stage::Mail, connection.command(Ehlo::new(hello.clone()))).await?;
    let most = reply.message().find_map(announced_size).unwrap_or(USUAL_SIZE);
    if most < bytes {
        return Err(Failure { stage: Stage::Mail, cause: Cause::TooLarge { bytes, most } });
    }
    Ok(())
}

/// `SIZE 35882577`; 0 and a missing number mean that there is no fixed limit.
fn announced_size(line: &str) -> Option<u64> {
    let (word, number) = line.split_once(' ').unwrap_or((line, ""));
    if !word.eq_ignore_ascii_case("SIZE") {
        return None;
    }
    Some(number.trim().parse().ok().filter(|most| *most != 0).unwrap_or(u64::MAX))
}

/// Addresses with characters beyond ASCII need a server that speaks SMTPUTF8 (RFC 6531).
fn mail_parameters(
    connection: &AsyncSmtpConnection,
    outgoing: &Outgoing,
) -> Result<Vec<MailParameter>, Failure> {
    if outgoing.is_ascii && outgoing.envelope.to().iter().all(is_ascii) {
        return Ok(Vec::new());
    }
    let server = connection.server_info();
    if !server.supports_feature(Extension::SmtpUtfEight) || !server.supports_feature(Extension::EightBitMime)
    {
        return Err(Failure { stage: Stage::Mail, cause: Cause::NoSmtpUtf8 });
    }
    Ok(vec![MailParameter::SmtpUtfEight, MailParameter::Body(MailBodyParameter::EightBitMime)])
}

fn is_ascii(address: &Address) -> bool {
    AsRef::<str>::as_ref(address).is_ascii()
}

/// Returns who was refused for good. Fails when nobody is left, or at the first other problem.
async fn name_recipients(
    connection: &mut AsyncSmtpConnection,
    recipients: &[Address],
    patience: Patience,
) -> Result<Vec<(String, String)>, Failure> {
    let mut refused = Vec::new();
    for (position, recipient) in recipients.iter().enumerate() {
        let rcpt = Rcpt::new(recipient.clone(), Vec::new());
        let Err(failure) = patience.step(Stage::Recipient, connection.command(rcpt)).await else {
            continue;
        };
        let nobody_is_left = position + 1 == recipients.len() && refused.len() == position;
        match failure.refusal_of_a_recipient() {
            Some(reply) if !nobody_is_left => refused.push((recipient.to_string(), reply)),
            _ => return Err(failure),
        }
    }
    Ok(refused)
}

fn reply_text(reply: &Response) -> String {
    let words: Vec<&str> = reply.message().collect();
    format!("{} {}", reply.code(), words.join(" "))
}
