//! Mails whose files are read from the disk while they are sent: they arrive whole, or as nothing.

use std::{fs::File, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use flota_providers::{
    ErrorClass, ProviderError, Receipt, Standing,
    api::ApiSettings,
    content::Content,
    email::{
        Attachment, Email, Sender, SmtpMailer, SmtpSettings, SmtpTls,
        sendgrid::{SendgridClient, SendgridSettings},
        ses::{SesClient, SesSettings},
    },
};
use serde_json::Value;

use crate::{
    receiver::{Answer, Receiver},
    smtp,
    smtp_server::{Protection, SmtpServer},
};

const NOW: i64 = 784_111_777;
/// More than the buffers between two programs hold, so that sending it has begun long before its end is read.
const LENGTH: usize = 5_000_000;
const DEADLINE: Duration = Duration::from_secs(20);

fn bytes() -> Vec<u8> {
    (0..LENGTH).map(|at| (at >> 8) as u8 ^ at as u8).collect()
}

/// A mail with a file on the disk, and that file.
fn mail() -> (Email, File) {
    let file = tempfile::tempfile().unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes(), 0).unwrap();
    (mail_with(Content::of_file(file.try_clone().unwrap()).unwrap()), file)
}

pub(crate) fn mail_with(content: Content) -> Email {
    let film = Attachment { name: "film.pdf".to_owned(), content, ..Attachment::default() };
    Email {
        to: vec!["ada@example.org".to_owned()],
        subject: "Hello".to_owned(),
        text: Some("Hello".to_owned()),
        message_key: "0192".to_owned(),
        attachments: vec![film],
        ..Email::default()
    }
}

fn mailer(server: &SmtpServer, tls: SmtpTls) -> SmtpMailer {
    SmtpMailer::new(SmtpSettings { timeout: DEADLINE, pool_size: 1, ..smtp::settings(server, tls) }).unwrap()
}

const PROTECTIONS: [(Protection, SmtpTls); 3] = [
    (Protection::None, SmtpTls::None),
    (Protection::StartTls, SmtpTls::StartTls),
    (Protection::Implicit, SmtpTls::Implicit),
];

/// The file in a message.
fn file_in(message: &str) -> Vec<u8> {
    let (_, file) = message.split_once("filename=\"film.pdf\"").unwrap();
    let (_, file) = file.split_once("\r\n\r\n").unwrap();
    let (file, _) = file.split_once("\r\n--").unwrap();
    BASE64_STANDARD.decode(file.replace("\r\n", "")).unwrap()
}

fn is_about_the_file(error: &ProviderError) -> bool {
    (error.class, error.code.as_deref(), error.standing)
        == (ErrorClass::ServerError, Some("disk"), Standing::OneRecipient)
}

#[tokio::test]
async fn a_file_arrives_whole_at_a_mail_server_whatever_protects_the_way() {
    for (protection, tls) in PROTECTIONS {
        let server = SmtpServer::start(protection, &[]);
        let mailer = mailer(&server, tls);
        let (email, _file) = mail();

        for _ in 0..2 {
            mailer.send(&email, NOW).await.unwrap();
        }

        let mails = server.mails();
        assert!(mails.len() == 2 && mails.iter().all(|mail| file_in(&mail.data) == bytes()), "{tls:?}");
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn a_mail_whose_file_is_cut_off_while_it_is_sent_is_not_taken_by_a_mail_server() {
    for (protection, tls) in PROTECTIONS {
        let server = SmtpServer::start(protection, &[]);
        let mailer = mailer(&server, tls);
        let (email, file) = mail();
        file.set_len(LENGTH as u64 - 1).unwrap();

        let error = mailer.send(&email, NOW).await.unwrap_err();

        assert!(is_about_the_file(&error), "{tls:?}: {error:?}");
        let over = async {
            while server.ended() < server.connections() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(DEADLINE, over).await.expect("the connection is dropped");
        assert!(server.mails().is_empty(), "{tls:?}: the server has taken a part for the whole");
        let (email, _file) = mail();
        mailer.send(&email, NOW).await.unwrap();
        assert_eq!((server.mails().len(), server.connections()), (1, 2));
    }
}

fn sender() -> Sender {
    Sender::new("noreply@example.com", None).unwrap()
}

async fn by_sendgrid(receiver: &Receiver, email: &Email) -> Result<Receipt, ProviderError> {
    let api = ApiSettings::new(format!("http://{}", receiver.address), DEADLINE);
    let (api_key, sender) = ("SG.key".into(), sender());
    let client = SendgridClient::new(SendgridSettings { api, api_key, sender, sandbox_mode: false }).unwrap();
    client.send(email, NOW).await
}

async fn by_ses(receiver: &Receiver, email: &Email) -> Result<Receipt, ProviderError> {
    let api = ApiSettings::new(format!("http://{}", receiver.address), DEADLINE);
    let (region, sender) = ("us-east-1".to_owned(), sender());
    let access_key_id = "AKIAEXAMPLE".to_owned();
    let settings = SesSettings { api, access_key_id, secret_access_key: "secret".into(), region, sender };
    SesClient::new(settings).unwrap().send(email, NOW).await
}

async fn receiver() -> Receiver {
    Receiver::start(Answer { status: 200, body: br#"{"MessageId":"1"}"#.to_vec(), ..Answer::default() }).await
}

#[tokio::test]
async fn a_file_arrives_whole_at_an_api_that_is_told_the_length_of_the_request() {
    let (receiver, (email, _file)) = (receiver().await, mail());

    by_sendgrid(&receiver, &email).await.unwrap();
    by_ses(&receiver, &email).await.unwrap();

    let received = receiver.received();
    let json = |at: usize| serde_json::from_slice::<Value>(&received[at].body).unwrap();
    let decoded = |text: &Value| BASE64_STANDARD.decode(text.as_str().unwrap()).unwrap();
    assert!(decoded(&json(0)["attachments"][0]["content"]) == bytes());
    let raw = decoded(&json(1)["Content"]["Raw"]["Data"]);
    assert!(file_in(&String::from_utf8(raw).unwrap()) == bytes());
    for request in &received {
        assert_eq!(request.header("content-length"), request.body.len().to_string());
    }
}

#[tokio::test]
async fn a_request_whose_file_is_cut_off_is_not_taken_by_an_api() {
    let (receiver, (email, file)) = (receiver().await, mail());
    file.set_len(LENGTH as u64 - 1).unwrap();

    let by_sendgrid = by_sendgrid(&receiver, &email).await.unwrap_err();
    let by_ses = by_ses(&receiver, &email).await.unwrap_err();

    assert!(is_about_the_file(&by_sendgrid), "{by_sendgrid:?}");
    assert!(is_about_the_file(&by_ses), "{by_ses:?}");
    assert!(receiver.received().is_empty(), "a part was taken for the whole");
}
