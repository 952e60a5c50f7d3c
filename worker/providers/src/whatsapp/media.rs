//! Files of WhatsApp messages: up, to be sent by id, and down, when a user sent them.
//!
//! A client of its own beside that of messages, because its calls take longer and a repeat of them is harmless. A download
//! has two steps: the API says where the file is for the next five minutes, and the file is fetched from there with our
//! token. The token goes to Meta's hosts only, whatever address the answer names.

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::multipart::Form;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::{WhatsappSettings, answer::refused};
use crate::{
    ErrorClass, ProviderError, Receipt,
    api::Api,
    content::{Content, FetchError, Gathering},
    error::TOO_LARGE,
    exchange::{HttpAnswer, Repeat},
    pipeline::{Client, Target},
};

/// The name of this provider in errors and metrics. Its calls have an allowance of their own: a message with a file would
/// otherwise need two turns in one run.
pub const PROVIDER: &str = "whatsapp_media";
const MEDIA: &str = "media";
const UPLOAD: &str = "upload";
const DOWNLOAD: &str = "download";
/// Where Meta keeps files.
const HOSTS: [&str; 4] = ["fbsbx.com", "fbcdn.net", "whatsapp.net", "facebook.com"];
/// Largest sticker that does not move, in bytes.
const MOST_STILL: u64 = 100 * 1024;
/// Beginning of a file that is looked at, in bytes.
const START: usize = 64;

/// Moves files of one number.
#[derive(Debug)]
pub struct WhatsappMediaClient {
    api: Api,
    base_url: String,
    phone_number_id: String,
    access_token: SecretString,
}

#[derive(Deserialize)]
struct Uploaded {
    id: String,
}

/// Where a file is.
#[derive(Deserialize)]
struct Described {
    url: String,
    #[serde(default)]
    mime_type: String,
    #[serde(default)]
    sha256: String,
    #[serde(default)]
    file_size: Option<u64>,
}

/// A file that came from WhatsApp.
#[derive(Debug, Clone)]
pub struct Downloaded {
    /// Its content.
    pub content: Content,
    /// Its media type, as WhatsApp names it.
    pub media_type: String,
}

impl WhatsappMediaClient {
    /// Builds the client. Its calls take longer than messages, so its settings allow more time.
    ///
    /// # Errors
    /// When the TLS stack cannot be set up.
    pub fn new(settings: WhatsappSettings) -> Result<Self, ProviderError> {
        let WhatsappSettings { api, phone_number_id, access_token } = settings;
        let base_url = api.base_url.clone();
        let api = Api::new(PROVIDER, api, access_token.clone())?;
        Ok(Self { api, base_url, phone_number_id, access_token })
    }

    /// Uploads a file, to be sent by its id within 30 days. `name` is what the file is called, without folders.
    ///
    /// The receipt's `provider_ref` is the id.
    ///
    /// # Errors
    /// `Permanent` for what WhatsApp does not take.
    pub async fn upload(
        &self,
        content: &Content,
        name: &str,
        media_type: &'static str,
    ) -> Result<Receipt, ProviderError> {
        let start = content.start(START).await.map_err(|error| unread(UPLOAD, error))?;
        check(content.length(), &start, media_type)?;
        let (file, broke_off) = content.part();
        let file = file.file_name(name.to_owned()).mime_str(media_type);
        let file =
            file.map_err(|_| permanent(UPLOAD, "type", "The media type of the file cannot be named."))?;
        let form =
            Form::new().text("messaging_product", "whatsapp").text("type", media_type).part("file", file);
        let path = format!("/{}/media", self.phone_number_id);
        let request = self.api.post(&path).bearer_auth(self.access_token.expose_secret()).multipart(form);
        let answer = self.api.call_with(UPLOAD, request, &broke_off, Repeat::Safe).await?;
        match answer.is_success().then(|| answer.json::<Uploaded>()).flatten() {
            Some(Uploaded { id }) => Ok(Receipt { provider: PROVIDER, provider_ref: Some(id), detail: None }),
            None => Err(refused(&self.api, UPLOAD, &answer, ErrorClass::ServerError)),
        }
    }

    /// Downloads the media with this id, which came with a webhook or an upload.
    ///
    /// # Errors
    /// `Permanent` when there is no such media any more, or it is larger than it may be.
    pub async fn download(&self, id: &str, file: Gathering) -> Result<Downloaded, FetchError> {
        let mut described = self.describe(id).await?;
        let (mut answer, mut content) = self.fetch(&described, file.again()).await?;
        if matches!(answer.status, 401 | 403 | 404 | 410) {
            // The address holds for five minutes; a new one is asked for once.
            described = self.describe(id).await?;
            (answer, content) = self.fetch(&described, file).await?;
        }
        if answer.status != 200 {
            return Err(refused(&self.api, DOWNLOAD, &answer, ErrorClass::ServerError).into());
        }
        let digest = content.sha256().await.map_err(|error| unread(DOWNLOAD, error))?;
        if !is_digest(&described.sha256, digest) {
            let message = "What was downloaded is not what WhatsApp described; the call is repeated later.";
            let error = ProviderError::new(PROVIDER, DOWNLOAD, ErrorClass::ServerError, message);
            return Err(error.with_code("sha256").into());
        }
        Ok(Downloaded { content, media_type: described.mime_type })
    }

    async fn describe(&self, id: &str) -> Result<Described, ProviderError> {
        let plain = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        if !plain {
            return Err(permanent(
                DOWNLOAD,
                "id",
                "The id of the media is not a number; give that of the webhook.",
            ));
        }
        let path = format!("/{id}?phone_number_id={}", self.phone_number_id);
        let request = self.api.get(&path).bearer_auth(self.access_token.expose_secret());
        let answer = self.api.call(DOWNLOAD, request, Repeat::Safe).await?;
        let described = answer.is_success().then(|| answer.json()).flatten();
        described.ok_or_else(|| refused(&self.api, DOWNLOAD, &answer, ErrorClass::ServerError))
    }

    async fn fetch(&self, place: &Described, file: Gathering) -> Result<(HttpAnswer, Content), FetchError> {
        let most_bytes = file.most_bytes();
        if place.file_size.is_some_and(|size| (most_bytes as u64) < size) {
            let message =
                format!("The media is larger than {most_bytes} bytes, which is more than is taken.");
            return Err(permanent(DOWNLOAD, "too_long", &message).into());
        }
        let url = token_may_go(&place.url, &self.base_url).ok_or_else(|| {
            let message = "The media lies at a host that is not Meta's, and our token is not sent there.";
            permanent(DOWNLOAD, "address_refused", message)
        })?;
        let request = self.api.get_url(url).bearer_auth(self.access_token.expose_secret());
        self.api.fetch(DOWNLOAD, request, file).await
    }
}

impl Client for WhatsappMediaClient {
    fn target(&self) -> Target {
        // A download asks where the file is and fetches it, and does both again when the address has run out.
        let once = self.api.target(MEDIA, Repeat::Safe);
        Target { deadline: once.deadline.map(|timeout| timeout * 4), ..once }
    }
}

/// The address, when it is one of Meta's over TLS, or that of the API itself (a proxy, a sandbox).
fn token_may_go(address: &str, base_url: &str) -> Option<Url> {
    let url = Url::parse(address).ok()?;
    let is_the_api = Url::parse(base_url).is_ok_and(|base| base.origin() == url.origin());
    let host = url.host_str()?;
    let is_within =
        |name: &str| host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let is_metas = url.scheme() == "https" && HOSTS.iter().any(|name| is_within(name));
    (is_the_api || is_metas).then_some(url)
}

/// WhatsApp writes digests in hexadecimal here and in base64 in webhooks. Without one there is nothing to compare.
fn is_digest(told: &str, own: [u8; 32]) -> bool {
    told.is_empty() || told.eq_ignore_ascii_case(&hex::encode(own)) || told == STANDARD.encode(own)
}

/// What the ending of a name does not tell: Ogg has to hold Opus, and WebP to be one, small when it does not move.
fn check(length: u64, start: &[u8], media_type: &str) -> Result<(), ProviderError> {
    match media_type {
        _ if length == 0 => Err(permanent(UPLOAD, "empty", "The file is empty.")),
        "audio/ogg" if !start.windows(8).any(|bytes| bytes == b"OpusHead") => {
            Err(permanent(UPLOAD, "type", "WhatsApp takes Ogg with Opus only; convert the recording."))
        }
        "image/webp"
            if !matches!(start, [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..]) =>
        {
            Err(permanent(UPLOAD, "type", "The sticker is not WebP; convert it."))
        }
        "image/webp" if MOST_STILL < length && !moves(start) => {
            let message =
                "The sticker is larger than 100 KiB, which only those that move may be; make it smaller.";
            Err(permanent(UPLOAD, TOO_LARGE, message))
        }
        _ => Ok(()),
    }
}

/// The animation flag of extended WebP (<https://developers.google.com/speed/webp/docs/riff_container>).
fn moves(webp: &[u8]) -> bool {
    webp.get(12..16) == Some(b"VP8X") && webp.get(20).is_some_and(|flags| flags & 0x02 != 0)
}

fn permanent(operation: &'static str, code: &str, message: &str) -> ProviderError {
    ProviderError::new(PROVIDER, operation, ErrorClass::Permanent, message).with_code(code)
}

/// It was kept on our own disk, which does not give it back now. That says nothing of WhatsApp, and is a try of the job: a
/// disk that never gives it must not keep the job for ever.
fn unread(operation: &'static str, error: std::io::Error) -> ProviderError {
    ProviderError::unread(PROVIDER, operation, error)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA256, digest};

    use super::*;

    #[test]
    fn our_token_goes_to_meta_and_to_the_api_only() {
        let may = |url: &str| token_may_go(url, "http://127.0.0.1:9/v23.0").is_some();

        for url in ["https://lookaside.fbsbx.com/x?y=1", "https://fbsbx.com/", "http://127.0.0.1:9/files/1"] {
            assert!(may(url), "{url}");
        }
        for url in [
            "http://lookaside.fbsbx.com/x",
            "https://evilfbsbx.com/",
            "https://fbsbx.com.evil.net/",
            "http://127.0.0.1:10/files",
            "https://127.0.0.1:9/files",
            "file:///etc/passwd",
            "",
        ] {
            assert!(!may(url), "{url}");
        }
    }

    #[test]
    fn a_digest_is_read_in_both_spellings() {
        let hex = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

        let of = |content: &[u8]| digest(&SHA256, content).as_ref().try_into().unwrap();

        for told in [hex, &hex.to_uppercase(), "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=", ""] {
            assert!(is_digest(told, of(b"hello")), "{told}");
        }
        assert!(!is_digest(hex, of(b"hellO")));
    }

    #[test]
    fn what_the_name_does_not_tell_is_looked_for_inside() {
        let still = b"RIFF\0\0\0\0WEBPVP8 ".as_slice();
        let moving = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x02".as_slice();

        assert!(check(100, b"OggS\0\0\0\0OpusHead", "audio/ogg").is_ok());
        assert!(check(1_000, still, "image/webp").is_ok());
        assert!(check(MOST_STILL + 1, moving, "image/webp").is_ok());
        for (length, start, media_type) in [
            (11, &b"OggS\0vorbis"[..], "audio/ogg"),
            (6, b"GIF89a", "image/webp"),
            (MOST_STILL + 1, still, "image/webp"),
            (0, b"", "image/png"),
        ] {
            let error = check(length, start, media_type).unwrap_err();
            assert_eq!(error.class, ErrorClass::Permanent, "{media_type}");
        }
    }
}
