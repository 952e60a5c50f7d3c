//! Files that get shorter while they are sent, to servers that speak HTTP/2: the provider is not blamed for them.
//!
//! There an error says no more than that the stream was reset, which is what a provider's own trouble looks like.

use std::{
    fs::File,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::Version,
    serve::Listener,
};
use flota_providers::{
    ErrorClass, ProviderError, Standing,
    api::ApiSettings,
    content::Content,
    email::{
        Sender,
        sendgrid::{SendgridClient, SendgridSettings},
        ses::{SesClient, SesSettings},
    },
    google_token::ApiKey,
    ocr,
    picture::Picture,
    recording::Recording,
    transcription::{TranscriptionClient, TranscriptionSettings, Wanted},
    vision::{VisionClient, VisionSettings},
    whatsapp::{WhatsappSettings, media::WhatsappMediaClient},
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{apis::PIXEL, mails_with_files::mail_with, smtp_server};

const NOW: i64 = 784_111_777;
/// More than the windows of HTTP/2 and the buffers between two programs hold, so that the end is read late; as much as Vision
/// takes.
const LENGTH: usize = 7_000_000;
const SAMPLES_PER_SECOND: u32 = 48_000;

/// TLS on the loopback interface that offers HTTP/2 alone.
struct Http2 {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl Listener for Http2 {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, address) = self.tcp.accept().await.expect("a connection");
            if let Ok(stream) = self.tls.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// Takes requests, and makes a file shorter when it has seen the beginning of one.
#[derive(Clone)]
struct Server {
    file: Arc<File>,
    /// Requests by HTTP/2 that began, and those that came to their end.
    begun: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

impl Server {
    async fn start(file: &File) -> (Self, ApiSettings) {
        let file = Arc::new(file.try_clone().unwrap());
        let server = Self { file, begun: Arc::default(), ended: Arc::default() };
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let mut tls = smtp_server::tls_settings();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let listener = Http2 { tcp, tls: Arc::new(tls).into() };
        let router = Router::new().fallback(take).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut api = ApiSettings::new(format!("https://{address}"), Duration::from_secs(30));
        api.extra_root_ca_pem = Some(smtp_server::CA.to_vec());
        (server, api)
    }
}

async fn take(State(server): State<Server>, request: Request) -> &'static str {
    assert_eq!(request.version(), Version::HTTP_2);
    server.begun.fetch_add(1, Ordering::SeqCst);
    let mut body = request.into_body().into_data_stream();
    let first = body.next().await;
    server.file.set_len(LENGTH as u64 - 1).unwrap();
    let is_whole = first.is_some() && body.all(async |piece| piece.is_ok()).await;
    server.ended.fetch_add(usize::from(is_whole), Ordering::SeqCst);
    "{}"
}

/// A file on the disk that begins like this, and its content.
fn file(start: &[u8]) -> (File, Content) {
    let (file, mut bytes) = (tempfile::tempfile().unwrap(), start.to_vec());
    bytes.resize(LENGTH, 0);
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
    let content = Content::of_file(file.try_clone().unwrap()).unwrap();
    (file, content)
}

/// The head of a WAV file of this length (RIFF, one channel of 16 bits).
fn wav() -> Vec<u8> {
    let number = |number: u32| number.to_le_bytes();
    let format = [[1, 0, 1, 0], number(SAMPLES_PER_SECOND), number(2 * SAMPLES_PER_SECOND), [2, 0, 16, 0]];
    let length = LENGTH as u32;
    [b"RIFF", &number(length - 8), b"WAVE", b"fmt ", &number(16)]
        .into_iter()
        .chain(&format)
        .chain([b"data", &number(length - 44)])
        .flatten()
        .copied()
        .collect()
}

/// Sends a file by one of the clients.
type Send = fn(ApiSettings, Content) -> BoxFuture<'static, Result<(), ProviderError>>;

fn by_sendgrid(api: ApiSettings, content: Content) -> BoxFuture<'static, Result<(), ProviderError>> {
    async move {
        let sender = Sender::new("noreply@example.com", None)?;
        let settings = SendgridSettings { api, api_key: "SG.key".into(), sender, sandbox_mode: false };
        SendgridClient::new(settings)?.send(&mail_with(content), NOW).await.map(drop)
    }
    .boxed()
}

fn by_ses(api: ApiSettings, content: Content) -> BoxFuture<'static, Result<(), ProviderError>> {
    async move {
        let (region, sender) = ("us-east-1".to_owned(), Sender::new("noreply@example.com", None)?);
        let (access_key_id, secret_access_key) = ("AKIAEXAMPLE".to_owned(), "secret".into());
        let settings = SesSettings { api, access_key_id, secret_access_key, region, sender };
        SesClient::new(settings)?.send(&mail_with(content), NOW).await.map(drop)
    }
    .boxed()
}

fn by_whatsapp(api: ApiSettings, content: Content) -> BoxFuture<'static, Result<(), ProviderError>> {
    async move {
        let settings = WhatsappSettings { api, phone_number_id: "1".into(), access_token: "token".into() };
        WhatsappMediaClient::new(settings)?.upload(&content, "film.mp4", "video/mp4").await.map(drop)
    }
    .boxed()
}

fn by_whisper(api: ApiSettings, content: Content) -> BoxFuture<'static, Result<(), ProviderError>> {
    async move {
        let recording = Recording::look_at(content).expect("a recording");
        let settings = TranscriptionSettings { api, api_key: "key".into(), model: "whisper-1".into() };
        TranscriptionClient::new(settings)?.transcribe(&recording, &Wanted::default(), NOW).await.map(drop)
    }
    .boxed()
}

fn by_vision(api: ApiSettings, content: Content) -> BoxFuture<'static, Result<(), ProviderError>> {
    async move {
        let picture = Picture::look_at(content).expect("a picture");
        let settings = VisionSettings { api, tokens: Arc::new(ApiKey("key".into())), project: None };
        VisionClient::new(settings)?.read(&[picture], &ocr::Wanted::default(), NOW).await.map(drop)
    }
    .boxed()
}

#[tokio::test]
async fn a_file_that_gets_shorter_while_it_is_sent_by_http2_is_our_own_trouble() {
    let rows: [(&str, Vec<u8>, Send); 5] = [
        ("sendgrid", b"%PDF-".to_vec(), by_sendgrid),
        ("ses", b"%PDF-".to_vec(), by_ses),
        ("whatsapp", vec![0], by_whatsapp),
        ("whisper", wav(), by_whisper),
        ("vision", PIXEL.to_vec(), by_vision),
    ];
    for (name, start, send) in rows {
        let (file, content) = file(&start);
        let (server, api) = Server::start(&file).await;

        let error = send(api, content).await.expect_err(name);

        assert_eq!(
            (error.class, error.code.as_deref(), error.standing),
            (ErrorClass::ServerError, Some("disk"), Standing::OneRecipient),
            "{name}: {error:?}"
        );
        let [begun, ended] = [&server.begun, &server.ended].map(|count| count.load(Ordering::SeqCst));
        assert_eq!((begun, ended), (1, 0), "{name}");
    }
}
