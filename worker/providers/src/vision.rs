//! Text and labels of pictures through Google Vision's `images:annotate`, up to sixteen in one call.
//!
//! Each picture has an error of its own while the HTTP status is 200, so that is looked at first; those that failed on
//! Google's side are asked for once more, alone. A refused token is renewed once. A call only reads, so a lost answer is
//! asked for again. Pictures are encoded while they are sent, and anew for each of these.

mod annotation;

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use reqwest::{RequestBuilder, header::CONTENT_TYPE};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use self::annotation::{Annotated, Annotation, RpcError};
use crate::{
    ErrorClass, ProviderError, Receipt,
    api::{Api, ApiSettings, advice},
    content::{Pieces, Sending, json},
    error::TOO_LARGE,
    exchange::{HttpAnswer, Repeat},
    google_token::{Credential, TokenSource},
    ocr::{Reading, Wanted, gathered},
    picture::Picture,
    pipeline::{Client, Target},
    probe::{PROBE, Probe, Probed},
    secrets::Secrets,
};

/// The name of this provider in receipts, errors and metrics.
pub const PROVIDER: &str = "google_vision";
/// Where the API is.
pub const BASE_URL: &str = "https://vision.googleapis.com/v1";
/// Largest picture, and most of all pictures of one call, in bytes: a request may have 10 MB of JSON, and base64 makes
/// four bytes of three.
pub const MOST_IMAGE_BYTES: usize = 7_300_000;
/// The reason of a refused API key (<https://cloud.google.com/apis/design/errors>, `google.api.ErrorReason`).
const BAD_KEY: &str = "API_KEY_INVALID";
const ANNOTATE: &str = "annotate";
const JSON: &str = "application/json";
/// What a request is refused with whose credential is good and whose content is not.
const NOTHING_ASKED: &str = "INVALID_ARGUMENT";
/// Most pictures of one call (<https://cloud.google.com/vision/quotas>).
pub const MOST_IMAGES: usize = 16;
/// Labels that are asked for.
const MOST_LABELS: u32 = 10;

/// The project that asks.
#[derive(Clone)]
pub struct VisionSettings {
    /// Where the API is.
    pub api: ApiSettings,
    /// Who we are.
    pub tokens: Arc<dyn TokenSource>,
    /// The project that is billed, when it is not the credential's own.
    pub project: Option<String>,
}

/// Asks one API.
pub struct VisionClient {
    api: Api,
    tokens: Arc<dyn TokenSource>,
    project: Option<String>,
}

impl fmt::Debug for VisionClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("VisionClient").field("api", &self.api).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Refused {
    error: RpcError,
}

impl VisionClient {
    /// Builds the client.
    ///
    /// # Errors
    /// When the TLS stack cannot be set up.
    pub fn new(settings: VisionSettings) -> Result<Self, ProviderError> {
        let VisionSettings { api, tokens, project } = settings;
        Ok(Self { api: Api::new(PROVIDER, api, SecretString::default())?, tokens, project })
    }

    /// Reads pictures, at most sixteen of together at most [`MOST_IMAGE_BYTES`].
    ///
    /// The receipt's detail is `{"images": […]}` in the order of the pictures: `text` (empty when there is none) and
    /// `labels` with their scores, or the picture's own `error`.
    ///
    /// # Errors
    /// When no picture could be read.
    pub async fn read(
        &self,
        pictures: &[Picture],
        wanted: &Wanted,
        now_unix: i64,
    ) -> Result<Receipt, ProviderError> {
        let mut readings: Vec<Reading> = pictures.iter().map(check).collect();
        let sent: Vec<usize> = (0..pictures.len()).filter(|at| readings[*at].is_ok()).collect();
        self.fill(&mut readings, &sent, pictures, wanted, now_unix).await?;
        let is_troubled =
            |at: &usize| readings[*at].as_ref().is_err_and(|error| error.class == ErrorClass::ServerError);
        let again: Vec<usize> = sent.into_iter().filter(is_troubled).collect();
        // Where nothing was read, the whole job is repeated later, with a wait.
        if !again.is_empty() && readings.iter().any(Result::is_ok) {
            // What the first answer brought is kept, whatever comes of the second.
            let _ = self.fill(&mut readings, &again, pictures, wanted, now_unix).await;
        }
        gathered(PROVIDER, ANNOTATE, readings)
    }

    /// Asks for the pictures at these places.
    async fn fill(
        &self,
        readings: &mut [Reading],
        places: &[usize],
        pictures: &[Picture],
        wanted: &Wanted,
        now_unix: i64,
    ) -> Result<(), ProviderError> {
        if places.is_empty() {
            return Ok(());
        }
        let body = body(places.iter().map(|at| &pictures[*at]), wanted);
        let mut credential = self.tokens.credential(now_unix).await?;
        let mut answer = self.ask(ANNOTATE, &body, &credential).await?;
        if answer.status == 401 && self.tokens.forget(&credential).await {
            credential = self.tokens.credential(now_unix).await?;
            answer = self.ask(ANNOTATE, &body, &credential).await?;
        }
        if !answer.is_success() {
            return Err(self.refused(ANNOTATE, &answer, &credential, now_unix));
        }
        let mut annotations = answer.json::<Annotated>().unwrap_or_default().responses.into_iter();
        for at in places {
            readings[*at] = match annotations.next().map(Annotation::into_reading) {
                Some(Ok(reading)) => Ok(reading),
                Some(Err(error)) => Err(self.refused_image(&error, &credential)),
                None => Err(no_result()),
            };
        }
        Ok(())
    }

    async fn ask(
        &self,
        operation: &'static str,
        body: &Pieces,
        credential: &Credential,
    ) -> Result<HttpAnswer, ProviderError> {
        let mut request: RequestBuilder = self.api.post("/images:annotate").header(CONTENT_TYPE, JSON);
        request = match credential {
            Credential::ApiKey(key) => request.header("x-goog-api-key", key.expose_secret()),
            Credential::Bearer(token) => request.bearer_auth(token.expose_secret()),
        };
        if let Some(project) = &self.project {
            request = request.header("x-goog-user-project", project);
        }
        let Sending { body, broke_off } = body.sending(None);
        self.api.call_with(operation, request.body(body), &broke_off, Repeat::Safe).await
    }

    fn refused(
        &self,
        operation: &'static str,
        answer: &HttpAnswer,
        credential: &Credential,
        now_unix: i64,
    ) -> ProviderError {
        let wait = answer.wait(now_unix);
        let error = answer.json::<Refused>().map(|refused| refused.error).unwrap_or_default();
        // A key that is wrong or has been withdrawn comes as 400, as if the request were at fault.
        let bad_key = error.details.iter().any(|detail| detail.reason == BAD_KEY);
        let class = match by_status(answer.status) {
            _ if bad_key => ErrorClass::Auth,
            ErrorClass::RateLimited { .. } => ErrorClass::RateLimited { retry_after: wait },
            other => other,
        };
        let code = if bad_key {
            BAD_KEY.to_owned()
        } else if error.status.is_empty() {
            answer.status.to_string()
        } else {
            error.status
        };
        let said = Secrets::of(credential.secret()).hide(&error.message);
        let advice = advice(operation, class);
        self.api.error(operation, class, advice, &said).with_code(code).with_server_wait(wait)
    }

    fn refused_image(&self, error: &RpcError, credential: &Credential) -> ProviderError {
        let class = by_rpc_code(error.code);
        let said = Secrets::of(credential.secret()).hide(&error.message);
        let advice = advice(ANNOTATE, class);
        self.api.error(ANNOTATE, class, advice, &said).with_code(format!("rpc_{}", error.code))
    }
}

impl Client for VisionClient {
    fn target(&self) -> Target {
        // A token may be fetched first and once more when it is refused, and some pictures may be asked for again.
        let once = self.api.target(ANNOTATE, Repeat::Safe);
        Target { deadline: once.deadline.map(|timeout| timeout * 4), ..once }
    }
}

impl Probe for VisionClient {
    /// Asks for no picture at all: who asks is looked at before what is asked for, and only pictures are billed
    /// (<https://cloud.google.com/vision/pricing>). Vision has nothing to read that every credential may read.
    fn probe(&self, now_unix: i64) -> BoxFuture<'_, Result<Probed, ProviderError>> {
        Box::pin(async move {
            let credential = self.tokens.credential(now_unix).await?;
            let answer = self.ask(PROBE, &body([].into_iter(), &Wanted::default()), &credential).await?;
            let found = match &credential {
                Credential::ApiKey(_) => "the key is accepted",
                Credential::Bearer(_) => "the service account got a token, which is accepted",
            };
            if answer.is_success() {
                return Ok(Probed::works(found));
            }
            match self.refused(PROBE, &answer, &credential, now_unix) {
                // No picture is what it takes offence at.
                error if error.code.as_deref() == Some(NOTHING_ASKED) => Ok(Probed::works(found)),
                error => Err(error),
            }
        })
    }
}

/// The request, written around its pictures.
fn body<'a>(pictures: impl Iterator<Item = &'a Picture>, wanted: &Wanted) -> Pieces {
    let mut asked = json!({ "features": features(wanted) });
    if !wanted.languages.is_empty() {
        asked["imageContext"] = json!({ "languageHints": wanted.languages });
    }
    let content = |picture: &Picture| json::base64(picture.content().clone());
    let image = |picture| json::with_field(&json!({}), "content", content(picture));
    let requests = pictures.map(|picture| json::with_field(&asked, "image", image(picture)));
    json::with_field(&json!({}), "requests", json::list(requests)).joined()
}

fn features(wanted: &Wanted) -> Vec<Value> {
    let text = if wanted.sparse { "TEXT_DETECTION" } else { "DOCUMENT_TEXT_DETECTION" };
    let mut features = Vec::new();
    if wanted.text {
        features.push(json!({ "type": text }));
    }
    if wanted.labels {
        features.push(json!({ "type": "LABEL_DETECTION", "maxResults": MOST_LABELS }));
    }
    features
}

/// Refuses what the API would refuse after the upload; what is sent has no reading yet.
fn check(picture: &Picture) -> Reading {
    if picture.content().length() <= MOST_IMAGE_BYTES as u64 {
        return Ok(Value::Null);
    }
    let message = "The picture is larger than 7.3 MB, which is what fits into a request; make it smaller.";
    Err(ProviderError::new(PROVIDER, ANNOTATE, ErrorClass::Permanent, message).with_code(TOO_LARGE))
}

fn no_result() -> ProviderError {
    let message = "The answer has no result for the picture; the job is repeated later.";
    ProviderError::new(PROVIDER, ANNOTATE, ErrorClass::ServerError, message).with_code("unreadable")
}

/// What an HTTP status means. Pure; the wait is added by the caller.
fn by_status(status: u16) -> ErrorClass {
    match status {
        401 | 403 => ErrorClass::Auth,
        429 => ErrorClass::RateLimited { retry_after: None },
        408 | 499 | 500.. => ErrorClass::ServerError,
        _ => ErrorClass::Permanent,
    }
}

/// What a code of `google.rpc.Code` means for one picture. Pure.
fn by_rpc_code(code: i64) -> ErrorClass {
    match code {
        8 => ErrorClass::RateLimited { retry_after: None },
        4 | 13 | 14 => ErrorClass::ServerError,
        16 => ErrorClass::Auth,
        _ => ErrorClass::Permanent,
    }
}
