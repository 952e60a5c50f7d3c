//! Files from servers that lie about their size: none is taken beyond its limit, and none is left on the disk.

use std::{net::SocketAddr, path::Path, time::Duration};

use axum::{Router, routing::get};
use flota_providers::{
    ErrorClass, ProviderError,
    api::ApiSettings,
    content::{Content, FetchError, Spool},
    outbound::{OutboundClient, OutboundSettings},
    webhook::UrlRules,
    whatsapp::{WhatsappSettings, media::WhatsappMediaClient},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::receiver::{Answer, Receiver, RudeServer, Rudeness};

const MIB: usize = 1024 * 1024;
const NOW: i64 = 784_111_777;

/// A directory that files are set aside in.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn spool(&self) -> Spool {
        Spool::new(Some(self.0.path().to_owned()))
    }

    fn is_empty(&self) -> bool {
        let path: &Path = self.0.path();
        std::fs::read_dir(path).unwrap().next().is_none()
    }
}

fn client() -> OutboundClient {
    let mut settings = OutboundSettings::new(std::sync::Arc::new(|_| true));
    settings.rules = UrlRules { allow_http: true, allowed_ports: None };
    settings.timeout = Duration::from_secs(20);
    OutboundClient::new(settings).unwrap()
}

async fn download(url: &str, disk: &Disk, most_bytes: usize) -> Result<Content, ProviderError> {
    let fetched = client().download(url, disk.spool().gather(most_bytes), NOW).await;
    FetchError::apart(fetched).map(|content| content.expect("there is room"))
}

/// Answers every request with these headers and then with so many mebibytes, and closes.
async fn liar(headers: &'static str, mebibytes: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(lie(stream, headers, mebibytes));
        }
    });
    address
}

async fn lie(mut stream: TcpStream, headers: &str, mebibytes: usize) -> std::io::Result<()> {
    let mut request = [0; 4_096];
    let _ = stream.read(&mut request).await?;
    stream.write_all(format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n").as_bytes()).await?;
    let piece = vec![b'x'; MIB];
    for _ in 0..mebibytes {
        if headers.contains("chunked") {
            stream.write_all(format!("{MIB:x}\r\n").as_bytes()).await?;
        }
        stream.write_all(&piece).await?;
        if headers.contains("chunked") {
            stream.write_all(b"\r\n").await?;
        }
    }
    stream.shutdown().await
}

#[tokio::test]
async fn a_large_file_goes_to_the_disk_and_comes_back_whole() {
    let (disk, body) = (Disk::new(), vec![b'x'; 3 * MIB]);
    let server = Receiver::start(Answer { status: 200, body: body.clone(), ..Answer::default() }).await;

    let content = download(&server.url(), &disk, 3 * MIB).await.unwrap();

    assert_eq!((content.held(), content.length()), (0, 3 * MIB as u64));
    assert!(content.whole().await.unwrap() == body && disk.is_empty());
}

#[tokio::test]
async fn a_file_that_ends_before_its_length_is_not_taken_for_whole() {
    let disk = Disk::new();
    let address = liar("content-length: 4194304", 2).await;

    let error = download(&format!("http://{address}/file"), &disk, 8 * MIB).await.unwrap_err();

    assert!(error.class == ErrorClass::Network && disk.is_empty(), "{error}");
}

#[tokio::test]
async fn a_file_that_does_not_say_how_long_it_is_ends_at_its_limit() {
    let disk = Disk::new();
    for headers in ["transfer-encoding: chunked", "connection: close"] {
        let address = liar(headers, 64).await;

        let error = download(&format!("http://{address}/file"), &disk, 2 * MIB).await.unwrap_err();

        assert_eq!(
            (error.class, error.code.as_deref()),
            (ErrorClass::Permanent, Some("too_long")),
            "{headers}"
        );
        assert!(disk.is_empty());
    }
}

#[tokio::test]
async fn a_file_that_says_it_is_too_large_is_not_read() {
    let (disk, server) = (Disk::new(), RudeServer::start(Rudeness::Flood).await);

    let error = download(&server.url(), &disk, MIB).await.unwrap_err();

    let sent = server.sent.load(std::sync::atomic::Ordering::SeqCst);
    assert!(error.code.as_deref() == Some("too_long") && sent < 9 * MIB, "{sent} bytes were sent: {error}");
}

#[tokio::test]
async fn media_that_is_larger_than_whatsapp_says_ends_at_its_limit() {
    let (disk, api) = (Disk::new(), whatsapp_that_lies().await);
    let fetched = media(api).download("42", disk.spool().gather(2 * MIB)).await;

    let error = FetchError::apart(fetched).unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Permanent, Some("too_long")), "{error}");
    assert!(disk.is_empty());
}

/// WhatsApp's files at this address.
fn media(api: SocketAddr) -> WhatsappMediaClient {
    WhatsappMediaClient::new(WhatsappSettings {
        api: ApiSettings::new(format!("http://{api}"), Duration::from_secs(20)),
        phone_number_id: "1".into(),
        access_token: "EAAtoken".into(),
    })
    .unwrap()
}

#[tokio::test]
async fn a_file_that_cannot_even_be_begun_is_sent_to_nobody_and_costs_its_job_a_try() {
    let whatsapp = Receiver::start(Answer { status: 200, ..Answer::default() }).await;
    let file = tempfile::tempfile().unwrap();
    file.set_len(1_000).unwrap();
    let content = Content::of_file(file.try_clone().unwrap()).unwrap();

    file.set_len(0).unwrap();
    let error = media(whatsapp.address).upload(&content, "a.png", "image/png").await.unwrap_err();

    assert_eq!(
        (error.class, error.code.as_deref(), error.operation),
        (ErrorClass::ServerError, Some("disk"), "upload")
    );
    assert!(!error.was_not_sent() && whatsapp.received().is_empty(), "{error:?}");
}

/// An API that describes every file as one of three bytes, where it sends four mebibytes.
async fn whatsapp_that_lies() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let described =
        format!(r#"{{"url":"http://{address}/file","mime_type":"application/pdf","file_size":3}}"#);
    let router = Router::new()
        .route("/file", get(|| async { vec![b'x'; 4 * MIB] }))
        .fallback(move || std::future::ready(described.clone()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}
