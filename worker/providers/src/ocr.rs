//! Reading text off pictures, whoever does it: what is asked for, what comes back, and the services in their order.
//!
//! Several pictures go in one batch, and each has a result or an error of its own. A batch fails as a whole only when
//! nothing of it could be read.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tower::{Service, ServiceExt};

use crate::{
    ErrorClass, ProviderError, Receipt,
    picture::Picture,
    pipeline::{Answer, Caller, Fallback, PassOn, Pipeline, Provider, Step},
    tesseract::{self, TesseractClient},
    vision::{self, MOST_IMAGE_BYTES, MOST_IMAGES, VisionClient},
};

/// What is looked for on pictures.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The text on them.
    pub text: bool,
    /// Few words on a photo, instead of a page.
    pub sparse: bool,
    /// What is on them.
    pub labels: bool,
    /// Languages of the text, for example `es`.
    pub languages: Vec<String>,
}

impl Default for Wanted {
    /// A page of text in any language.
    fn default() -> Self {
        Self { text: true, sparse: false, labels: false, languages: Vec::new() }
    }
}

/// What was read of one picture, or why nothing was.
pub(crate) type Reading = Result<Value, ProviderError>;

/// The receipt of a batch.
///
/// # Errors
/// When no picture could be read: the first error after which a repeat may help, else the first of all.
pub(crate) fn gathered(
    provider: &'static str,
    operation: &'static str,
    mut readings: Vec<Reading>,
) -> Answer {
    if readings.iter().all(Result::is_err) {
        let may_pass = |reading: &Reading| {
            reading
                .as_ref()
                .is_err_and(|error| !matches!(error.class, ErrorClass::Permanent | ErrorClass::Gone))
        };
        let at = readings.iter().position(may_pass).unwrap_or_default();
        let error = (at < readings.len()).then(|| readings.swap_remove(at)).and_then(Result::err);
        return Err(error.unwrap_or_else(|| {
            let message = "There is no picture to read; name one.";
            ProviderError::new(provider, operation, ErrorClass::Permanent, message).with_code("no_image")
        }));
    }
    let images: Vec<Value> =
        readings.into_iter().map(|reading| reading.unwrap_or_else(|error| failed(&error))).collect();
    Ok(Receipt { provider, provider_ref: None, detail: Some(json!({ "images": images })) })
}

fn failed(error: &ProviderError) -> Value {
    let message = error.to_string();
    json!({ "error": { "class": error.class.name(), "code": error.code, "message": message } })
}

/// Pictures of one call, for one job.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The pictures.
    pub pictures: Vec<Picture>,
    /// What is looked for.
    pub wanted: Wanted,
    /// For whom.
    pub tenant: Option<String>,
    /// Whose turn it is.
    pub ticket: Box<str>,
    /// Unix time, in seconds.
    pub now_unix: i64,
}

impl Batch {
    /// Whether there is room for one more picture. A picture that is too large by itself travels alone.
    pub fn takes(&self, picture: &Picture) -> bool {
        fits(self.pictures.iter().map(length), length(picture))
    }
}

/// Whether a batch of pictures of these lengths, in bytes, has room for one more. Pure.
pub fn fits(batch: impl ExactSizeIterator<Item = u64>, more: u64) -> bool {
    let count = batch.len();
    count == 0 || (count < MOST_IMAGES && batch.sum::<u64>() + more <= MOST_IMAGE_BYTES as u64)
}

fn length(picture: &Picture) -> u64 {
    picture.content().length()
}

/// One service that reads text, with its pipeline.
#[derive(Clone)]
pub enum TextReader {
    /// Google Vision.
    Vision(Arc<Provider<VisionClient>>),
    /// Tesseract on this machine.
    Tesseract(Arc<Provider<TesseractClient>>),
}

impl TextReader {
    fn name(&self) -> &'static str {
        match self {
            Self::Vision(_) => vision::PROVIDER,
            Self::Tesseract(_) => tesseract::PROVIDER,
        }
    }

    async fn read(self, batch: Batch) -> Answer {
        let Batch { pictures, wanted, tenant, ticket, now_unix } = &batch;
        let caller = Caller { tenant: tenant.as_deref(), ticket: ticket.clone(), place: None };
        match self {
            Self::Vision(provider) => {
                let call =
                    |client: Arc<VisionClient>| async move { client.read(pictures, wanted, *now_unix).await };
                provider.call(caller, call).await
            }
            Self::Tesseract(provider) => {
                let call = |client: Arc<TesseractClient>| async move { client.read(pictures, wanted).await };
                provider.call(caller, call).await
            }
        }
    }
}

impl Service<Batch> for TextReader {
    type Response = Receipt;
    type Error = ProviderError;
    type Future = BoxFuture<'static, Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProviderError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, batch: Batch) -> Self::Future {
        Box::pin(self.clone().read(batch))
    }
}

/// The services that read text, in the order in which they are asked.
#[derive(Clone)]
pub struct TextReaders(Fallback<TextReader>);

impl TextReaders {
    /// Asks these in order, and tells the pipeline's observer when the next one is asked; `None` without any. A picture
    /// that is too large for one reader goes to the next.
    pub fn new(readers: Vec<TextReader>, pipeline: &Pipeline) -> Option<Self> {
        let steps: Vec<Step<TextReader>> =
            readers.into_iter().map(|service| Step { name: service.name(), service }).collect();
        (!steps.is_empty()).then(|| Self(Fallback::new(steps, PassOn::DEFAULT, pipeline.observer())))
    }

    /// Reads a batch with the first service that can.
    ///
    /// # Errors
    /// What the last service that was asked answered.
    pub async fn read(&self, batch: Batch) -> Answer {
        self.0.clone().oneshot(batch).await
    }
}
