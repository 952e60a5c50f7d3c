//! One conversation with one client, command by command (RFC 5321 section 4).
//!
//! Each command first asks whether a fault is queued for its step. Replies are written at once, so a client that
//! pipelines its commands reads them in order.

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::TcpStream,
};

use super::{
    Mail, Shared, SmtpFault, SmtpStep,
    content::{Content, LONGEST_LINE_ON_THE_WIRE},
    line::{Line, read_line},
    path::{announced_size, parse_path},
};

/// RFC 5321 section 4.5.3.1.4 says 512 and lets extensions add to it; AUTH (RFC 4954 section 4) needs 12288.
pub(super) const LONGEST_COMMAND: usize = 12_288;

/// RFC 5321 section 4.5.3.1.8 asks for at least 100 recipients.
const MOST_RECIPIENTS: usize = 1000;

/// Why a conversation is over.
pub(super) enum Ending {
    /// Said good-bye, or the client went away.
    Closed,
    /// To be cut off with a reset.
    Reset,
}

impl From<io::Error> for Ending {
    /// A client that breaks the connection has ended the conversation; nobody else needs to know.
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// Speaks with one client until either side ends it.
pub(super) async fn converse(stream: TcpStream, shared: Arc<Shared>) {
    let mut session = Session {
        stream: BufReader::new(stream),
        shared,
        greeted: false,
        authenticated: false,
        from: None,
        to: Vec::new(),
    };
    if let Err(Ending::Reset) = session.run().await {
        // With a linger of zero, closing sends RST. If that cannot be set, closing is what remains.
        let _ = session.stream.get_ref().set_zero_linger();
    }
}

pub(super) struct Session {
    pub(super) stream: BufReader<TcpStream>,
    pub(super) shared: Arc<Shared>,
    greeted: bool,
    pub(super) authenticated: bool,
    pub(super) from: Option<String>,
    to: Vec<String>,
}

impl Session {
    async fn run(&mut self) -> Result<(), Ending> {
        if !self.fault_at(SmtpStep::Greeting).await? {
            self.reply("220 flota.invalid ESMTP sink").await?;
        }
        loop {
            match read_line(&mut self.stream, LONGEST_COMMAND).await? {
                Line::Proper(line) => self.obey(&String::from_utf8_lossy(&line)).await?,
                Line::BareLineFeed(_) => self.reply("500 5.5.2 commands end with CRLF").await?,
                Line::TooLong => self.reply("500 5.5.2 line too long").await?,
                Line::Closed => return Err(Ending::Closed),
            }
        }
    }

    async fn obey(&mut self, command: &str) -> Result<(), Ending> {
        let (verb, argument) = command.split_once(' ').unwrap_or((command, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" | "HELO" if argument.trim().is_empty() => self.reply("501 5.5.4 say who you are").await,
            "EHLO" => self.hello(true).await,
            "HELO" => self.hello(false).await,
            "AUTH" => self.auth(argument).await,
            "MAIL" => self.mail(argument).await,
            "RCPT" => self.rcpt(argument).await,
            "DATA" => self.data().await,
            "RSET" => {
                self.forget_mail();
                self.reply("250 2.0.0 forgotten").await
            }
            "NOOP" => self.reply("250 2.0.0 ok").await,
            "VRFY" => self.reply("252 2.1.5 try to send it something").await,
            "QUIT" => self.quit().await,
            _ => self.reply("500 5.5.1 unknown command").await,
        }
    }

    async fn hello(&mut self, extended: bool) -> Result<(), Ending> {
        if self.fault_at(SmtpStep::Hello).await? {
            return Ok(());
        }
        self.greeted = true;
        self.forget_mail();
        if !extended {
            return self.reply("250 flota.invalid").await;
        }
        let auth = if self.shared.options.credentials.is_some() { "250-AUTH PLAIN LOGIN\r\n" } else { "" };
        let size = self.shared.options.max_message_bytes;
        self.reply(&format!(
            "250-flota.invalid\r\n250-PIPELINING\r\n250-SIZE {size}\r\n{auth}250-8BITMIME\r\n250 ENHANCEDSTATUSCODES"
        ))
        .await
    }

    async fn mail(&mut self, argument: &str) -> Result<(), Ending> {
        if self.fault_at(SmtpStep::MailFrom).await? {
            return Ok(());
        }
        if !self.greeted || self.from.is_some() {
            return self.reply("503 5.5.1 EHLO first, then one MAIL at a time").await;
        }
        if self.shared.options.credentials.is_some() && !self.authenticated {
            return self.reply("530 5.7.0 authenticate first").await;
        }
        let Some(path) = parse_path(argument, "FROM:") else {
            return self.reply("501 5.1.7 write MAIL FROM:<address>").await;
        };
        if announced_size(&path.parameters).is_some_and(|size| size > self.shared.options.max_message_bytes) {
            return self.reply("552 5.3.4 the message is larger than the SIZE that was announced").await;
        }
        if let Some(unknown) = path.parameters.iter().find(|parameter| !is_known(parameter)) {
            return self.reply(&format!("555 5.5.4 unknown parameter {unknown}")).await;
        }
        self.from = Some(path.address);
        self.reply("250 2.1.0 sender ok").await
    }

    async fn rcpt(&mut self, argument: &str) -> Result<(), Ending> {
        if self.fault_at(SmtpStep::RcptTo).await? {
            return Ok(());
        }
        if self.from.is_none() {
            return self.reply("503 5.5.1 MAIL first").await;
        }
        if self.to.len() >= MOST_RECIPIENTS {
            return self.reply("452 4.5.3 too many recipients").await;
        }
        match parse_path(argument, "TO:") {
            Some(path) if !path.parameters.is_empty() => self.reply("555 5.5.4 unknown parameter").await,
            Some(path) if !path.address.is_empty() => {
                self.to.push(path.address);
                self.reply("250 2.1.5 recipient ok").await
            }
            _ => self.reply("501 5.1.3 write RCPT TO:<address>").await,
        }
    }

    async fn data(&mut self) -> Result<(), Ending> {
        if self.fault_at(SmtpStep::Data).await? {
            return Ok(());
        }
        if self.from.is_none() {
            return self.reply("503 5.5.1 MAIL first").await;
        }
        if self.to.is_empty() {
            return self.reply("554 5.5.1 no valid recipients").await;
        }
        self.reply("354 end with a dot on a line of its own").await?;
        let content = self.receive().await?;
        self.finish_mail(content).await
    }

    async fn receive(&mut self) -> Result<Content, Ending> {
        let mut content = Content::new(self.shared.options.max_message_bytes);
        loop {
            match read_line(&mut self.stream, LONGEST_LINE_ON_THE_WIRE).await? {
                Line::Closed => return Err(Ending::Closed),
                line if content.take(&line) => return Ok(content),
                _ => {}
            }
        }
    }

    async fn finish_mail(&mut self, content: Content) -> Result<(), Ending> {
        let mail = content.finish().map(|data| Mail {
            from: self.from.take().unwrap_or_default(),
            to: std::mem::take(&mut self.to),
            data,
        });
        self.forget_mail();
        match (self.next_fault(SmtpStep::Content).await, mail) {
            (Some(SmtpFault::KeepAndReset), Ok(mail)) => {
                self.shared.keep(mail);
                Err(Ending::Reset)
            }
            (Some(SmtpFault::KeepAndReply(reply)), Ok(mail)) => {
                self.shared.keep(mail);
                self.reply(&reply).await
            }
            (Some(fault), _) => self.suffer(fault).await,
            (None, Ok(mail)) => {
                self.shared.keep(mail);
                self.reply("250 2.0.0 kept").await
            }
            (None, Err(refusal)) => self.reply(refusal).await,
        }
    }

    async fn quit(&mut self) -> Result<(), Ending> {
        if self.fault_at(SmtpStep::Quit).await? {
            return Ok(());
        }
        self.reply("221 2.0.0 bye").await?;
        Err(Ending::Closed)
    }

    fn forget_mail(&mut self) {
        self.from = None;
        self.to.clear();
    }

    /// Lets the queued fault happen, if one is queued for this step: true when the step has been refused.
    pub(super) async fn fault_at(&mut self, step: SmtpStep) -> Result<bool, Ending> {
        match self.next_fault(step).await {
            Some(fault) => self.suffer(fault).await.map(|()| true),
            None => Ok(false),
        }
    }

    /// The queued fault of this step, after the delays that stand before it.
    async fn next_fault(&self, step: SmtpStep) -> Option<SmtpFault> {
        loop {
            match self.shared.take_fault(step)? {
                SmtpFault::Late(delay) => tokio::time::sleep(delay).await,
                fault => return Some(fault),
            }
        }
    }

    async fn suffer(&mut self, fault: SmtpFault) -> Result<(), Ending> {
        match fault {
            SmtpFault::Reply(reply) | SmtpFault::KeepAndReply(reply) => {
                self.reply(&reply).await?;
                // RFC 5321 section 3.8: whoever says 421 closes the connection.
                if reply.starts_with("421") { Err(Ending::Closed) } else { Ok(()) }
            }
            SmtpFault::Hang => {
                tokio::io::copy(&mut self.stream, &mut tokio::io::sink()).await?;
                Err(Ending::Closed)
            }
            SmtpFault::Reset | SmtpFault::KeepAndReset => Err(Ending::Reset),
            // Waited for in `next_fault`.
            SmtpFault::Late(_) => Ok(()),
        }
    }

    pub(super) async fn reply(&mut self, reply: &str) -> Result<(), Ending> {
        self.stream.get_mut().write_all(format!("{reply}\r\n").as_bytes()).await?;
        Ok(())
    }
}

fn is_known(parameter: &str) -> bool {
    let parameter = parameter.to_ascii_uppercase();
    parameter.starts_with("SIZE=") || parameter == "BODY=8BITMIME" || parameter == "BODY=7BIT"
}
