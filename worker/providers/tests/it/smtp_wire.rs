//! What 10,000 hostile messages look like on the wire: not one bare CR or LF, and each arrives whole.
//!
//! The server here is a few lines over a raw socket and takes nothing for granted: every line of every conversation is
//! held to RFC 5321 section 2.3.8 (CRLF and nothing else), and what it received is compared byte by byte.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use flota_providers::{
    ErrorClass,
    email::{Attachment, Email, Sender, SmtpMailer, SmtpSettings, SmtpTls},
};
use futures_util::{StreamExt, stream};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

const NOW: i64 = 784_111_777;
const MESSAGES: u64 = 10_000;
/// The longest line without its CRLF (RFC 5321 section 4.5.3.1.6).
const LONGEST_LINE: usize = 998;
const FROM: &str = "noreply@example.com";

/// Pieces that have meant something to some server or reader.
const PIECES: [&str; 40] = [
    "\r",
    "\n",
    "\r\n",
    "\n\r",
    "\r\r\n",
    ".",
    "..",
    "\r\n.\r\n",
    "\n.\n",
    "\r.\r",
    "\n.\r\n",
    "\r\n.\n",
    ".\r\n",
    "\0",
    "\u{1a}",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{fffd}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{ffff}",
    "\u{feff}",
    "ñ",
    "日本語",
    "😀",
    "=",
    "=3D",
    "=\r\n",
    "--",
    "--flota-alternative",
    "--flota-alternative--\r\n",
    "From ",
    "MAIL FROM:<eve@example.com>\r\n",
    "\r\nBcc: eve@example.com\r\n",
    "Content-Type: text/html\r\n\r\n",
    "\t",
    " ",
    "DATA\r\n",
    "QUIT\r\n",
];

/// A sequence of numbers that is the same on every run (xorshift64*, Vigna 2016).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most as u64) as usize
    }

    fn text(&mut self, most_pieces: usize) -> String {
        let mut text = String::new();
        for _ in 0..=self.below(most_pieces) {
            match self.below(4) {
                0 => text.extend((0..self.below(1_500)).map(|_| 'x')),
                1 => text.extend(char::from_u32(self.next() as u32 % 0x11_0000)),
                _ => text.push_str(PIECES[self.below(PIECES.len())]),
            }
        }
        text
    }
}

fn hostile(n: u64) -> Email {
    let mut numbers = Numbers(n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    // Most header fields are harmless, or hardly any message would get as far as the wire.
    let is_bold = numbers.below(8) == 0;
    let subject =
        if is_bold { numbers.text(3) } else { format!("Hello ñ. {}", "y".repeat(numbers.below(300))) };
    let name = if is_bold { numbers.text(2) } else { "\"Ada\" .\\ <Löve>".replace(['<', '>'], "") };
    let attachments = match numbers.below(8) {
        0 => vec![Attachment {
            name: "a .ñ\"; x=y.bin".to_owned(),
            content: numbers.text(6).into_bytes().into(),
            ..Attachment::default()
        }],
        _ => Vec::new(),
    };
    Email {
        to: vec![format!("{name} <ada@example.org>")],
        subject,
        text: Some(numbers.text(6)),
        html: (numbers.below(2) == 0).then(|| numbers.text(6)),
        attachments,
        message_key: n.to_string(),
        ..Email::default()
    }
}

/// What arrived: contents without the dots of transport, and lines that should not be.
#[derive(Default)]
struct Arrived {
    messages: Vec<Vec<u8>>,
    bad_lines: Vec<String>,
}

/// Serves every connection until the test ends.
async fn serve(listener: TcpListener, arrived: Arc<Mutex<Arrived>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(stream, Arc::clone(&arrived)));
    }
}

async fn converse(stream: TcpStream, arrived: Arc<Mutex<Arrived>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 raw\r\n").await?;
    loop {
        let command = line(&mut stream, &arrived).await?;
        let reply: &[u8] = match command.split(|byte| *byte == b' ').next().unwrap_or_default() {
            b"" => return Ok(()),
            b"EHLO" => b"250-raw\r\n250 8BITMIME\r\n",
            b"DATA" => {
                stream.write_all(b"354 go\r\n").await?;
                let mut content = Vec::new();
                loop {
                    let line = line(&mut stream, &arrived).await?;
                    if line == b"." {
                        break;
                    }
                    content.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
                    content.extend_from_slice(b"\r\n");
                }
                arrived.lock().unwrap().messages.push(content);
                b"250 taken\r\n"
            }
            b"MAIL" | b"RCPT" | b"RSET" | b"NOOP" => b"250 fine\r\n",
            b"QUIT" => b"221 bye\r\n",
            _ => b"500 what\r\n",
        };
        stream.write_all(reply).await?;
    }
}

/// One line without its end; one with any other end, a stray CR, a NUL or too many bytes is noted.
async fn line(stream: &mut BufReader<TcpStream>, arrived: &Mutex<Arrived>) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).await?;
    let inside = line.strip_suffix(b"\r\n");
    let is_bad = inside.is_none_or(|inside| {
        LONGEST_LINE + 1 < inside.len()
            || inside.iter().any(|byte| matches!(byte, b'\r' | 0) || !byte.is_ascii())
    });
    if is_bad && !line.is_empty() {
        arrived.lock().unwrap().bad_lines.push(line.escape_ascii().to_string());
    }
    let length = inside.map_or(line.len(), <[u8]>::len);
    line.truncate(length);
    Ok(line)
}

/// What a reader sees of an encoded part.
fn decoded(part: &str) -> String {
    let (head, body) = part.split_once("\r\n\r\n").unwrap_or((part, ""));
    let bytes = if head.contains("Content-Transfer-Encoding: base64") {
        BASE64_STANDARD.decode(body.replace("\r\n", "")).unwrap()
    } else {
        let body = body.replace("=\r\n", "");
        let mut pieces = body.split('=');
        let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
        for piece in pieces {
            bytes.push(u8::from_str_radix(&piece[..2], 16).unwrap());
            bytes.extend(&piece.as_bytes()[2..]);
        }
        bytes
    };
    String::from_utf8(bytes).unwrap()
}

fn crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n")
}

/// The text part of a message: the first part, or the only one. A line break at its end belongs to the message.
fn text_of(message: &str) -> String {
    let marker = "Content-Type: text/plain";
    let part = &message[message.find(marker).unwrap()..];
    let part = part.split("\r\n--flota-").next().unwrap_or(part);
    decoded(part)
}

#[tokio::test]
async fn ten_thousand_hostile_messages_leave_no_bare_line_end_and_arrive_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let arrived = Arc::new(Mutex::new(Arrived::default()));
    tokio::spawn(serve(listener, Arc::clone(&arrived)));
    let mailer = SmtpMailer::new(SmtpSettings {
        host: "127.0.0.1".to_owned(),
        port,
        username: None,
        password: None,
        tls: SmtpTls::None,
        from_email: FROM.to_owned(),
        from_name: None,
        timeout: Duration::from_secs(20),
        pool_size: 4,
        extra_root_ca_pem: None,
    })
    .unwrap();

    let mailer = &mailer;
    let sent: Vec<bool> = stream::iter(0..MESSAGES)
        .map(|n| async move { mailer.send(&hostile(n), NOW).await })
        .buffered(4)
        .map(|answer| match answer {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.class, ErrorClass::Permanent, "{error}");
                assert_eq!(error.code.as_deref(), Some("invalid_message"), "{error}");
                false
            }
        })
        .collect()
        .await;

    let arrived = std::mem::take(&mut *arrived.lock().unwrap());
    let bad: Vec<&str> = arrived.bad_lines.iter().map(|line| &line[..line.len().min(60)]).take(5).collect();
    assert!(bad.is_empty(), "{} bad lines, such as {bad:?}", arrived.bad_lines.len());
    let sender = Sender::new(FROM, None).unwrap();
    let mut expected: HashMap<Vec<u8>, String> = (0..MESSAGES)
        .zip(&sent)
        .filter(|(_, sent)| **sent)
        .map(|(n, _)| (n, hostile(n)))
        .map(|(_, email)| {
            let message = sender.compose(&email, NOW).unwrap();
            let parts: Vec<_> = message.chunks().map(Result::unwrap).collect();
            (parts.concat(), email.text.unwrap())
        })
        .collect();
    let (taken, refused) = (expected.len(), sent.iter().filter(|sent| !**sent).count());
    assert!(8_500 < taken && 500 < refused, "{taken} sent, {refused} refused");
    assert_eq!(arrived.messages.len(), taken, "nothing was smuggled in, and nothing is missing");
    for message in arrived.messages {
        // The last line break is written by the transport when the message has none.
        let without = message.strip_suffix(b"\r\n").unwrap_or(&message).to_vec();
        let text = expected.remove(&message).or_else(|| expected.remove(&without));
        let (text, message) =
            (text.expect("byte by byte what was composed"), String::from_utf8(message).unwrap());
        assert_eq!(text_of(&message).trim_end_matches("\r\n"), crlf(&text).trim_end_matches("\r\n"));
    }
}
