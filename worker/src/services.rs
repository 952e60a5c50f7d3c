//! What processors may use: clients of the outside world, built once from the environment.

use std::{net::IpAddr, sync::Arc, time::Duration};

use flota_producer::public_address;
use flota_providers::{
    ProviderError,
    barcode::BarcodeReader,
    content::Spool,
    email::Carriers,
    ocr::TextReaders,
    outbound::{OutboundClient, OutboundSettings},
    pipeline::{Pipeline, Provider},
    push::VapidKey,
    sms::SmsClient,
    storage::StorageClient,
    webhook::{SigningSecret, UrlRules, WebhookClient},
    whatsapp::{WhatsappClient, media::WhatsappMediaClient},
};
use ipnet::IpNet;
use url::Url;

use crate::{
    endpoints::{Endpoints, Places},
    files::Files,
    llm::Llm,
    pictures::ReadPictures,
    suppressions::Suppressions,
    transcription::Transcription,
    uploads::Uploads,
};

/// Everything a processor may use. What is `None` was not configured; jobs that need it wait for it.
pub struct Services {
    /// Knows who is not written to any more.
    pub suppressions: Suppressions,
    /// Every way of sending e-mail, in order.
    pub email: Option<Carriers>,
    /// Delivers webhooks.
    pub webhooks: Webhooks,
    /// Knows registered endpoints.
    pub endpoints: Option<Endpoints>,
    /// Keeps registered endpoints from more deliveries at once than they bear.
    pub places: Places,
    /// Signs webhooks that go to a plain URL.
    pub webhook_secret: Option<SigningSecret>,
    /// Downloads files.
    pub downloads: Outbound,
    /// Calls push services.
    pub push_services: Outbound,
    /// Signs push notifications.
    pub push: Option<Provider<VapidKey>>,
    /// Sends WhatsApp messages.
    pub whatsapp: Option<Provider<WhatsappClient>>,
    /// Moves files to and from WhatsApp.
    pub whatsapp_media: Option<Provider<WhatsappMediaClient>>,
    /// Remembers which files of jobs WhatsApp has already.
    pub uploads: Uploads,
    /// Sends text messages.
    pub sms: Option<Provider<SmsClient>>,
    /// Asks language models.
    pub llm: Option<Llm>,
    /// Transcribes recordings.
    pub transcription: Option<Transcription>,
    /// Reads text on pictures.
    pub text_readers: Option<TextReaders>,
    /// Remembers which pictures of jobs have been read.
    pub read_pictures: ReadPictures,
    /// Reads barcodes on pictures.
    pub barcodes: BarcodeReader,
    /// The bucket with files and long results.
    pub storage: Option<Provider<StorageClient>>,
    /// The directory that jobs may read files from.
    pub files: Option<Files>,
    /// Where files lie while jobs work with them.
    pub spool: Spool,
}

/// Clients that differ in where they may go.
///
/// `open` speaks https to the public internet and to allowed private networks. `inside` also speaks http, on any
/// port, but only to the allowed private networks: a plain-text request never leaves for the internet. Both are for
/// endpoints that an operator registered. `plain` is for URLs that a job names: https to the public internet alone,
/// whatever a name resolves to.
pub struct Webhooks {
    open: Provider<WebhookClient>,
    inside: Provider<WebhookClient>,
    plain: Provider<WebhookClient>,
}

impl Webhooks {
    /// Clients that may also reach these private networks. Calls take at most `timeout`.
    ///
    /// # Errors
    /// When the TLS stack cannot be set up.
    pub fn new(allowed: &[IpNet], timeout: Duration, pipeline: &Pipeline) -> Result<Self, ProviderError> {
        let ((mut open, mut inside), mut plain) = (open_and_inside(allowed), public());
        (open.timeout, inside.timeout, plain.timeout) = (timeout, timeout, timeout);
        Ok(Self {
            open: Provider::global(WebhookClient::new(open)?, pipeline),
            inside: Provider::global(WebhookClient::new(inside)?, pipeline),
            plain: Provider::global(WebhookClient::new(plain)?, pipeline),
        })
    }

    /// The client for the URL of a registered endpoint.
    pub fn for_endpoint(&self, url: &str) -> &Provider<WebhookClient> {
        if is_ordinary(url) { &self.open } else { &self.inside }
    }

    /// The client for a URL that a job names.
    pub fn for_plain_url(&self) -> &Provider<WebhookClient> {
        &self.plain
    }
}

/// The first two for other URLs that jobs name, push services and files, with networks of their own.
pub struct Outbound {
    open: OutboundClient,
    inside: OutboundClient,
}

impl Outbound {
    /// Clients that may also reach these private networks. Calls take at most `timeout`.
    ///
    /// # Errors
    /// When the TLS stack cannot be set up.
    pub fn new(allowed: &[IpNet], timeout: Duration) -> Result<Self, ProviderError> {
        let (mut open, mut inside) = open_and_inside(allowed);
        (open.timeout, inside.timeout) = (timeout, timeout);
        Ok(Self { open: OutboundClient::new(open)?, inside: OutboundClient::new(inside)? })
    }

    /// The client for this URL.
    pub fn client_for(&self, url: &str) -> &OutboundClient {
        if is_ordinary(url) { &self.open } else { &self.inside }
    }
}

fn public() -> OutboundSettings {
    OutboundSettings::new(Arc::new(guard(Vec::new(), true)))
}

fn open_and_inside(allowed: &[IpNet]) -> (OutboundSettings, OutboundSettings) {
    let open = OutboundSettings::new(Arc::new(guard(allowed.to_vec(), true)));
    let mut inside = OutboundSettings::new(Arc::new(guard(allowed.to_vec(), false)));
    inside.rules = inside_rules();
    (open, inside)
}

/// True for https on a port that webhooks usually have: such a request may go to the public internet.
pub fn is_ordinary(url: &str) -> bool {
    Url::parse(url)
        .is_ok_and(|url| url.scheme() == "https" && matches!(url.port_or_known_default(), Some(443 | 8443)))
}

/// What a URL inside an allowed private network may look like.
pub fn inside_rules() -> UrlRules {
    UrlRules { allow_http: true, allowed_ports: None }
}

/// Lets through the listed networks, and the public internet where `public`.
pub fn guard(listed: Vec<IpNet>, public: bool) -> impl Fn(IpAddr) -> bool + Send + Sync {
    move |address| {
        (public && public_address::check(address).is_ok())
            || listed.iter().any(|network| network.contains(&address))
    }
}
