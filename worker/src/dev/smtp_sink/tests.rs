//! Conversations over real sockets, as a client sees them.

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use super::*;

const SOON: Duration = Duration::from_secs(10);

struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects and reads the greeting.
    async fn greeted(sink: &SmtpSink) -> Self {
        let mut client = Self::connected(sink).await;
        assert!(client.reply().await.unwrap().starts_with("220 "));
        client
    }

    async fn connected(sink: &SmtpSink) -> Self {
        Self(BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, sink.port())).await.unwrap()))
    }

    async fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).await.unwrap();
    }

    /// The next reply, all its lines; empty when the connection was closed.
    async fn reply(&mut self) -> io::Result<String> {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            let read = timeout(SOON, self.0.read_line(&mut reply)).await.expect("a reply")?;
            if read == 0 || reply.as_bytes().get(start + 3) != Some(&b'-') {
                return Ok(reply);
            }
        }
    }

    /// Says something and returns the code of the reply, or the error that the connection ended with.
    async fn ask(&mut self, command: &str) -> io::Result<String> {
        self.say(&format!("{command}\r\n")).await;
        Ok(self.reply().await?.chars().take(3).collect())
    }

    async fn send_mail(&mut self) -> io::Result<String> {
        for command in ["EHLO me", "MAIL FROM:<a@x>", "RCPT TO:<b@y>"] {
            assert_eq!(self.ask(command).await?, "250", "{command}");
        }
        assert_eq!(self.ask("DATA").await?, "354");
        self.ask("Subject: hello\r\n\r\nbody\r\n.").await
    }
}

#[tokio::test]
async fn a_mail_is_kept_as_it_was_sent_with_its_envelope() {
    let sink = SmtpSink::start().await.unwrap();
    let mut client = Client::greeted(&sink).await;

    let capabilities = {
        client.say("EHLO me\r\n").await;
        client.reply().await.unwrap()
    };
    for command in ["MAIL FROM:<a@x> BODY=8BITMIME SIZE=40", "RCPT TO:<b@y>", "RCPT TO:<c@y>"] {
        assert_eq!(client.ask(command).await.unwrap(), "250", "{command}");
    }
    assert_eq!(client.ask("DATA").await.unwrap(), "354");
    assert_eq!(client.ask("Subject: x\r\n\r\n..dotted ñ\r\n.").await.unwrap(), "250");
    assert_eq!(client.ask("QUIT").await.unwrap(), "221");

    let mails = sink.wait_for(1, SOON).await.unwrap();
    assert_eq!(mails[0].from, "a@x");
    assert_eq!(mails[0].to, ["b@y", "c@y"]);
    assert_eq!(mails[0].header("subject").as_deref(), Some("x"));
    assert_eq!(mails[0].body(), ".dotted ñ\r\n");
    for extension in ["PIPELINING", "SIZE 10485760", "8BITMIME", "ENHANCEDSTATUSCODES"] {
        assert!(capabilities.contains(extension), "{extension} in {capabilities}");
    }
    assert!(!capabilities.contains("AUTH"), "{capabilities}");
}

#[tokio::test]
async fn commands_sent_in_one_packet_are_answered_in_order() {
    let sink = SmtpSink::start().await.unwrap();
    let mut client = Client::greeted(&sink).await;

    client.say("HELO me\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n").await;
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(client.reply().await.unwrap()[..3].to_owned());
    }
    client.say("one\r\n.\r\nMAIL FROM:<>\r\nRSET\r\nNOOP\r\nQUIT\r\n").await;
    for _ in 0..5 {
        codes.push(client.reply().await.unwrap()[..3].to_owned());
    }

    assert_eq!(codes, ["250", "250", "250", "354", "250", "250", "250", "250", "221"]);
    assert_eq!(sink.mails().len(), 1);
}

#[tokio::test]
async fn a_command_out_of_turn_is_refused_and_changes_nothing() {
    let sink = SmtpSink::start().await.unwrap();
    let mut client = Client::greeted(&sink).await;

    for (command, expected) in [
        ("MAIL FROM:<a@x>", "503"),
        ("DATA", "503"),
        ("EHLO me", "250"),
        ("RCPT TO:<b@y>", "503"),
        ("MAIL FROM:a@x", "501"),
        ("MAIL FROM:<a@x> SIZE=99999999", "552"),
        ("MAIL FROM:<a@x> COLOUR=blue", "555"),
        ("MAIL FROM:<a@x>", "250"),
        ("RCPT TO:<>", "501"),
        ("DATA", "554"),
        ("AUTH PLAIN AGEAYg==", "502"),
        ("DANCE", "500"),
        ("", "500"),
    ] {
        assert_eq!(client.ask(command).await.unwrap(), expected, "{command}");
    }
}

#[tokio::test]
async fn with_credentials_a_mail_is_taken_only_after_plain_or_login() {
    let options =
        SmtpSinkOptions { credentials: Some(("user".into(), "secret".into())), ..SmtpSinkOptions::default() };
    let sink = SmtpSink::start_with(options).await.unwrap();

    for conversation in [
        // AUTH PLAIN with the message in the command, after a wrong password ("user", "wrong").
        vec![("AUTH PLAIN AHVzZXIAd3Jvbmc=", "535"), ("AUTH PLAIN AHVzZXIAc2VjcmV0", "235")],
        vec![("AUTH PLAIN", "334"), ("AHVzZXIAc2VjcmV0", "235")],
        vec![("AUTH LOGIN", "334"), ("dXNlcg==", "334"), ("c2VjcmV0", "235")],
        // A cancelled attempt is no attempt.
        vec![("AUTH LOGIN", "334"), ("*", "501"), ("AUTH PLAIN AHVzZXIAc2VjcmV0", "235")],
    ] {
        let mut client = Client::greeted(&sink).await;
        assert_eq!(client.ask("EHLO me").await.unwrap(), "250");
        assert_eq!(client.ask("MAIL FROM:<a@x>").await.unwrap(), "530");
        for (line, expected) in conversation {
            assert_eq!(client.ask(line).await.unwrap(), expected, "{line}");
        }
        assert_eq!(client.send_mail().await.unwrap(), "250");
    }
    assert_eq!(sink.mails().len(), 4);
}

#[tokio::test]
async fn faults_happen_in_the_order_they_were_queued_each_at_its_step() {
    let sink = SmtpSink::start().await.unwrap();
    sink.fault(SmtpStep::Content, SmtpFault::reply(550));
    sink.fault(SmtpStep::RcptTo, SmtpFault::reply(450));
    sink.fault(SmtpStep::MailFrom, SmtpFault::reply(421));
    let mut client = Client::greeted(&sink).await;

    // The fault for RCPT waits until the one in front of it has happened.
    assert_eq!(client.send_mail().await.unwrap(), "550");
    assert_eq!(client.ask("MAIL FROM:<a@x>").await.unwrap(), "250");
    assert_eq!(client.ask("RCPT TO:<b@y>").await.unwrap(), "450");
    assert_eq!(client.ask("RCPT TO:<b@y>").await.unwrap(), "250");
    assert_eq!(client.ask("RSET").await.unwrap(), "250");
    assert_eq!(client.ask("MAIL FROM:<a@x>").await.unwrap(), "421");

    assert_eq!(client.reply().await.unwrap(), "", "421 closes the connection");
    assert_eq!(sink.faults_left(), 0);
    assert_eq!(sink.mails(), []);
}

#[tokio::test]
async fn a_reset_after_the_content_loses_the_answer_and_only_then_maybe_the_mail() {
    let sink = SmtpSink::start().await.unwrap();
    sink.fault(SmtpStep::Content, SmtpFault::Reset);
    sink.fault(SmtpStep::Content, SmtpFault::KeepAndReset);

    let lost = Client::greeted(&sink).await.send_mail().await.unwrap_err();
    let lost_mails = sink.mails().len();
    let kept = Client::greeted(&sink).await.send_mail().await.unwrap_err();

    assert_eq!((lost.kind(), lost_mails), (io::ErrorKind::ConnectionReset, 0));
    assert_eq!((kept.kind(), sink.mails().len()), (io::ErrorKind::ConnectionReset, 1));
}

#[tokio::test]
async fn a_hanging_step_says_nothing_and_ends_with_the_sink() {
    let sink = SmtpSink::start().await.unwrap();
    sink.fault(SmtpStep::Greeting, SmtpFault::Hang);
    let mut client = Client::connected(&sink).await;

    let silence = timeout(Duration::from_millis(50), client.0.read_u8()).await;
    drop(sink);
    let end = timeout(SOON, client.0.read_u8()).await.expect("the connection ends");

    assert!(silence.is_err());
    assert!(end.is_err());
}
