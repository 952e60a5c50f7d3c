//! Text and labels of a picture through Google Vision's `images:annotate`.
//!
//! Each picture has an error of its own while the HTTP status is 200, so that is looked at first. A refused token is
//! renewed once. A call only reads, so a lost answer is asked for again.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    ErrorClass, ProviderError, Receipt,
    api::{Api, ApiSettings, advice},
    exchange::{HttpAnswer, Repeat},
    google_token::{Credential, TokenSource},
    pipeline::{Client, Target},
    text::without,
};

/// The name of this provider in receipts, errors and metrics.
pub const PROVIDER: &str = "google_vision";
/// Where the API is.
pub const BASE_URL: &str = "https://vision.googleapis.com/v1";
/// Largest picture, in bytes: a request may have 10 MB of JSON, and base64 makes four bytes of three.
pub const MOST_IMAGE_BYTES: usize = 7_300_000;
/// The reason of a refused API key (<https://cloud.google.com/apis/design/errors>, `google.api.ErrorReason`).
const BAD_KEY: &str = "API_KEY_INVALID";
const ANNOTATE: &str = "annotate";
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

/// What is looked for in a picture.
#[derive(Debug, Clone, Default)]
pub struct VisionRequest {
    /// Few words on a photo, instead of a page.
    pub sparse: bool,
    /// What is on it, too.
    pub labels: bool,
    /// Languages of the text, for example `es`.
    pub languages: Vec<String>,
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
struct Annotated {
    responses: Vec<OfPicture>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct OfPicture {
    error: Option<RpcError>,
    full_text_annotation: Option<FullText>,
    text_annotations: Vec<Described>,
    label_annotations: Vec<Described>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct FullText {
    text: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Described {
    description: String,
    score: Option<f64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RpcError {
    code: i64,
    message: String,
    status: String,
    details: Vec<RpcDetail>,
}

/// `google.rpc.ErrorInfo`; other kinds of details have no reason.
#[derive(Deserialize, Default)]
#[serde(default)]
struct RpcDetail {
    reason: String,
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

    /// Reads one picture.
    ///
    /// The receipt's detail holds `text` (empty when there is none) and `labels`, each with its score.
    pub async fn read(
        &self,
        image: &[u8],
        wanted: &VisionRequest,
        now_unix: i64,
    ) -> Result<Receipt, ProviderError> {
        check(image)?;
        let body = body(image, wanted);
        let mut credential = self.tokens.credential(now_unix).await?;
        let mut answer = self.ask(&body, &credential).await?;
        if answer.status == 401 && self.tokens.forget().await {
            credential = self.tokens.credential(now_unix).await?;
            answer = self.ask(&body, &credential).await?;
        }
        if !answer.is_success() {
            return Err(self.refused(&answer, &credential, now_unix));
        }
        let annotation = answer.json::<Annotated>().and_then(|all| all.responses.into_iter().next());
        let Some(annotation) = annotation else {
            let message = "The answer has no result for the picture; the job is repeated later.";
            let error = ProviderError::new(PROVIDER, ANNOTATE, ErrorClass::ServerError, message);
            return Err(error.with_code("unreadable"));
        };
        receipt(annotation).map_err(|error| self.refused_image(&error, &credential))
    }

    async fn ask(&self, body: &Value, credential: &Credential) -> Result<HttpAnswer, ProviderError> {
        let mut request: RequestBuilder = self.api.post("/images:annotate").json(body);
        request = match credential {
            Credential::ApiKey(key) => request.header("x-goog-api-key", key.expose_secret()),
            Credential::Bearer(token) => request.bearer_auth(token.expose_secret()),
        };
        if let Some(project) = &self.project {
            request = request.header("x-goog-user-project", project);
        }
        self.api.call(ANNOTATE, request, Repeat::Safe).await
    }

    fn refused(&self, answer: &HttpAnswer, credential: &Credential, now_unix: i64) -> ProviderError {
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
        let said = without(&error.message, credential.secret());
        self.api.error(ANNOTATE, class, advice(class), &said).with_code(code).with_server_wait(wait)
    }

    fn refused_image(&self, error: &RpcError, credential: &Credential) -> ProviderError {
        let class = by_rpc_code(error.code);
        let said = without(&error.message, credential.secret());
        self.api.error(ANNOTATE, class, advice(class), &said).with_code(format!("rpc_{}", error.code))
    }
}

impl Client for VisionClient {
    fn target(&self) -> Target {
        // A token may be fetched first, and once more when it is refused.
        let once = self.api.target(ANNOTATE, Repeat::Safe);
        Target { deadline: once.deadline.map(|timeout| timeout * 3), ..once }
    }
}

fn body(image: &[u8], wanted: &VisionRequest) -> Value {
    let text = if wanted.sparse { "TEXT_DETECTION" } else { "DOCUMENT_TEXT_DETECTION" };
    let mut features = vec![json!({ "type": text })];
    if wanted.labels {
        features.push(json!({ "type": "LABEL_DETECTION", "maxResults": MOST_LABELS }));
    }
    let mut request = json!({ "image": { "content": STANDARD.encode(image) }, "features": features });
    if !wanted.languages.is_empty() {
        request["imageContext"] = json!({ "languageHints": wanted.languages });
    }
    json!({ "requests": [request] })
}

fn receipt(annotation: OfPicture) -> Result<Receipt, RpcError> {
    if let Some(error) = annotation.error {
        return Err(error);
    }
    let first = annotation.text_annotations.into_iter().next().map(|text| text.description);
    let text = annotation.full_text_annotation.map(|full| full.text).or(first).unwrap_or_default();
    let labels: Vec<Value> = annotation
        .label_annotations
        .into_iter()
        .map(|label| json!({ "label": label.description, "score": label.score }))
        .collect();
    let detail = json!({ "text": text, "labels": labels });
    Ok(Receipt { provider: PROVIDER, provider_ref: None, detail: Some(detail) })
}

/// Refuses what the API would refuse after the upload.
fn check(image: &[u8]) -> Result<(), ProviderError> {
    let permanent = |code: &str, message: &str| {
        ProviderError::new(PROVIDER, ANNOTATE, ErrorClass::Permanent, message).with_code(code)
    };
    if MOST_IMAGE_BYTES < image.len() {
        return Err(permanent("too_large", "The picture is larger than 7.3 MB; make it smaller."));
    }
    if is_picture(image) {
        return Ok(());
    }
    Err(permanent(
        "format",
        "The file is no picture of a known format; use JPEG, PNG, GIF, BMP, WebP, TIFF or ICO.",
    ))
}

/// True for the formats that Vision reads, by their first bytes.
fn is_picture(bytes: &[u8]) -> bool {
    let starts: [&[u8]; 7] =
        [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\0\0\x01\0"];
    let webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    webp || starts.iter().any(|start| bytes.starts_with(start))
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
