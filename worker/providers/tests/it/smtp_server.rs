//! A small SMTP server with faults on order: RFC 5321, AUTH PLAIN, STARTTLS and implicit TLS.
//!
//! One thread for each connection and blocking reads, because that is the plainest way to also speak TLS.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

pub(crate) const CA: &[u8] = include_bytes!("../data/test_ca.pem");
pub(crate) const CERTIFICATE: &[u8] = include_bytes!("../data/localhost.pem");
const KEY: &[u8] = include_bytes!("../data/localhost.key.pem");

pub(crate) const USER: &str = "user@example.com";
pub(crate) const PASSWORD: &str = "correct horse";

/// Longer than any limit in the tests: the client gives up first.
const HANG: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Greeting,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    Message,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Reply(&'static str),
    ReplyAndClose(&'static str),
    Close,
    Hang,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    None,
    StartTls,
    Implicit,
}

#[derive(Debug, Clone)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// After undoing dot-stuffing.
    pub(crate) data: String,
    pub(crate) user: Option<String>,
}

#[derive(Default)]
struct Shared {
    faults: Mutex<VecDeque<(Step, Fault)>>,
    mails: Mutex<Vec<Mail>>,
    connections: AtomicUsize,
    ended: AtomicUsize,
}

pub(crate) struct SmtpServer {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

impl SmtpServer {
    /// Faults are used up in order; each waits for its step.
    pub(crate) fn start(protection: Protection, faults: &[(Step, Fault)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let port = listener.local_addr().expect("a bound socket").port();
        let shared =
            Arc::new(Shared { faults: Mutex::new(faults.iter().copied().collect()), ..Shared::default() });
        let for_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                for_thread.connections.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&for_thread);
                thread::spawn(move || {
                    serve(stream, protection, &shared);
                    shared.ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, shared }
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.shared.mails.lock().expect("no panic while held").clone()
    }

    /// How many conversations are over.
    pub(crate) fn ended(&self) -> usize {
        self.shared.ended.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

pub(crate) trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

struct Conversation<'a> {
    stream: BufReader<Box<dyn Stream>>,
    shared: &'a Shared,
    offers_starttls: bool,
    user: Option<String>,
}

/// Why a conversation ends: the client left, a fault, or QUIT. Nobody looks at it.
struct Ended;

impl From<std::io::Error> for Ended {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

fn serve(tcp: TcpStream, protection: Protection, shared: &Shared) {
    let spare = tcp.try_clone().expect("a second handle");
    let stream: Box<dyn Stream> = if protection == Protection::Implicit { tls(tcp) } else { Box::new(tcp) };
    let offers_starttls = protection == Protection::StartTls;
    let mut talk = Conversation { stream: BufReader::new(stream), shared, offers_starttls, user: None };
    if talk.step(Step::Greeting, "220 test ESMTP").is_ok() && talk.commands() == Outcome::SwitchToTls {
        let mut talk =
            Conversation { stream: BufReader::new(tls(spare)), shared, offers_starttls: false, user: None };
        talk.commands();
    }
}

pub(crate) fn tls(tcp: TcpStream) -> Box<dyn Stream> {
    let connection = ServerConnection::new(Arc::new(tls_settings())).expect("a server connection");
    Box::new(StreamOwned::new(connection, tcp))
}

/// The certificate of localhost, by which [`CA`] stands.
pub(crate) fn tls_settings() -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificates = CertificateDer::pem_slice_iter(CERTIFICATE).flatten().collect();
    let key = PrivateKeyDer::from_pem_slice(KEY).expect("a readable key");
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions that the provider knows")
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .expect("a key that fits its certificate")
}

#[derive(PartialEq, Eq)]
enum Outcome {
    Closed,
    SwitchToTls,
}

impl Conversation<'_> {
    fn commands(&mut self) -> Outcome {
        let mut mail: Option<Mail> = None;
        loop {
            let Ok(line) = self.line() else {
                return Outcome::Closed;
            };
            let word = line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            let result = match word.as_str() {
                "EHLO" => self.say(if self.offers_starttls {
                    "250-test\r\n250-STARTTLS\r\n250 8BITMIME"
                } else {
                    "250-test\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME"
                }),
                "STARTTLS" => match self.step(Step::StartTls, "220 go ahead") {
                    Ok(true) => return Outcome::SwitchToTls,
                    other => other,
                },
                "AUTH" => self.login(&line),
                "MAIL" => {
                    let from = path(&line);
                    mail = Some(Mail { from, to: Vec::new(), data: String::new(), user: self.user.clone() });
                    self.step(Step::Mail, "250 2.1.0 Ok")
                }
                "RCPT" => self.step(Step::Rcpt, "250 2.1.5 Ok").inspect(|accepted| {
                    if let (true, Some(mail)) = (accepted, &mut mail) {
                        mail.to.push(path(&line));
                    }
                }),
                "DATA" => self.data(&mut mail),
                "RSET" => {
                    mail = None;
                    self.say("250 Ok")
                }
                "NOOP" => self.say("250 Ok"),
                "QUIT" => {
                    let _ = self.say("221 Bye");
                    return Outcome::Closed;
                }
                _ => self.say("500 What?"),
            };
            if result.is_err() {
                return Outcome::Closed;
            }
        }
    }

    fn login(&mut self, line: &str) -> Result<bool, Ended> {
        let expected = format!("AUTH PLAIN {}", BASE64_STANDARD.encode(format!("\0{USER}\0{PASSWORD}")));
        if line != expected {
            return self.say("535 5.7.8 Authentication credentials invalid");
        }
        let accepted = self.step(Step::Auth, "235 2.7.0 Accepted")?;
        self.user = accepted.then(|| USER.to_owned());
        Ok(accepted)
    }

    fn data(&mut self, mail: &mut Option<Mail>) -> Result<bool, Ended> {
        if !self.step(Step::Data, "354 Go ahead")? {
            return Ok(false);
        }
        let mut data = String::new();
        loop {
            let line = self.line()?;
            if line == "." {
                break;
            }
            data.push_str(line.strip_prefix('.').unwrap_or(&line));
            data.push_str("\r\n");
        }
        // A server keeps what it has accepted, even when its answer is lost on the way.
        let answered = self.step_with(Step::Message, "250 2.0.0 Ok: queued as TEST1", |shared| {
            if let Some(mut mail) = mail.take() {
                mail.data = data;
                shared.mails.lock().expect("no panic while held").push(mail);
            }
        })?;
        Ok(answered)
    }

    fn step(&mut self, step: Step, reply: &str) -> Result<bool, Ended> {
        self.step_with(step, reply, |_| ())
    }

    /// Answers `reply`, or carries out the next fault if it waits for this step. `accept` runs unless refused.
    fn step_with(&mut self, step: Step, reply: &str, accept: impl FnOnce(&Shared)) -> Result<bool, Ended> {
        let fault = {
            let mut faults = self.shared.faults.lock().expect("no panic while held");
            if faults.front().is_some_and(|(at, _)| *at == step) { faults.pop_front() } else { None }
        };
        match fault.map(|(_, fault)| fault) {
            Some(fault @ (Fault::Reply(text) | Fault::ReplyAndClose(text))) => {
                let positive = text.starts_with(['2', '3']);
                if positive {
                    accept(self.shared);
                }
                self.say(text)?;
                if matches!(fault, Fault::ReplyAndClose(_)) { Err(Ended) } else { Ok(positive) }
            }
            Some(Fault::Close) => {
                accept(self.shared);
                Err(Ended)
            }
            Some(Fault::Hang) => {
                accept(self.shared);
                thread::sleep(HANG);
                Err(Ended)
            }
            None => {
                accept(self.shared);
                self.say(reply)
            }
        }
    }

    fn line(&mut self) -> Result<String, Ended> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(Ended);
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn say(&mut self, text: &str) -> Result<bool, Ended> {
        self.stream.get_mut().write_all(format!("{text}\r\n").as_bytes())?;
        self.stream.get_mut().flush()?;
        Ok(true)
    }
}

fn path(line: &str) -> String {
    let inside = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or_else(String::new, |(path, _)| path.to_owned())
}
