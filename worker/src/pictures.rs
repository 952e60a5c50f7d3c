//! The pictures of a job, one after the other: opened, searched for barcodes, and sent in batches to whoever reads text.
//!
//! Pictures lie on the disk and are read there: when they are looked at, when they are searched, and when their batch is
//! sent. A picture that cannot be read has an error in the result while the others keep theirs; the job fails when it is its
//! only picture, when none could be read, or when a repeat helps: the service is away, or met trouble with some of the
//! pictures. The repeat reads only those that have not been (`kept.rs`); at the last of [`TRIES`] what is still in trouble
//! keeps its error.

mod kept;

use std::time::Instant;

use flota_engine::{ErrorClass, Failure, Job, Remedy};
use flota_producer::{MediaSource, ReadImage, clock};
use flota_providers::{
    barcode,
    content::HELD,
    ocr::{self, Batch, TextReaders, Wanted},
    picture::{MOST_BYTES, Picture},
    pipeline::PASSED_OVER,
    price_tag::PriceTag,
};
use serde_json::{Map, Value, json};

pub use self::kept::ReadPictures;
use crate::{
    failure::Error,
    files,
    results::{self, Kept},
    service_settings,
    services::Services,
};

/// At this try of a job the pictures that met trouble keep their error, so that the others are not lost with them: tries of
/// `server_error` as queues.toml comes.
const TRIES: u32 = 3;
/// Most of each text that is left when several do not fit into the outcome, in characters of all texts together.
const MOST_SHORTENED: usize = 1_600;
/// Largest list of shortened results, in bytes.
const MOST_LISTED: usize = 10 * 1024;

/// A job's pictures while they are being read.
struct Reading<'a> {
    asked: &'a ReadImage,
    job: &'a Job,
    services: &'a Services,
    /// Who reads text; none when no text is asked for.
    readers: Option<&'a TextReaders>,
    /// What is asked of every batch.
    batch: Batch,
    /// The pictures of the next batch, each with its place.
    waiting: Vec<(usize, Picture)>,
    /// By picture.
    results: Vec<Map<String, Value>>,
    first_failure: Option<Failure>,
    /// The first trouble with a picture that a repeat may overcome.
    trouble: Option<Failure>,
    provider: &'static str,
    /// Who should have read the text of any batch, and failed.
    passed_over: Vec<Value>,
}

/// Reads the pictures of a job. Answers who did it last, and the result.
pub(crate) async fn read(
    asked: &ReadImage,
    job: &Job,
    services: &Services,
) -> Result<(&'static str, Value), Failure> {
    let mut reading = Reading::new(asked, job, services)?;
    for (place, source) in asked.sources().enumerate() {
        match services.read_pictures.of(job.id, place) {
            Some(kept) => reading.results[place] = kept,
            None => reading.look(place, source).await?,
        }
    }
    reading.flush().await?;
    if let Some(trouble) = reading.trouble.take_if(|_| job.attempt < TRIES) {
        return Err(trouble);
    }
    services.read_pictures.forget(job.id);
    reading.finish()
}

impl<'a> Reading<'a> {
    fn new(asked: &'a ReadImage, job: &'a Job, services: &'a Services) -> Result<Self, Failure> {
        let missing = service_settings::TEXT_READER.missing();
        let wants_reader = asked.text || asked.labels;
        let readers = wants_reader.then(|| services.text_readers.as_ref().ok_or(missing)).transpose()?;
        let batch = Batch {
            pictures: Vec::new(),
            wanted: Wanted {
                text: asked.text,
                sparse: asked.sparse,
                labels: asked.labels,
                languages: asked.languages.clone(),
            },
            tenant: job.envelope.tenant.clone(),
            ticket: job.id.to_string().into(),
            now_unix: clock::unix_now().as_secs() as i64,
        };
        let results = vec![Map::new(); asked.sources().count()];
        let (waiting, first_failure, trouble, provider) = (Vec::new(), None, None, barcode::PROVIDER);
        let passed_over = Vec::new();
        Ok(Self {
            asked,
            job,
            services,
            readers,
            batch,
            waiting,
            results,
            first_failure,
            trouble,
            provider,
            passed_over,
        })
    }

    /// Fetches one picture, searches it for barcodes and puts it into the batch.
    async fn look(&mut self, place: usize, source: &MediaSource) -> Result<(), Failure> {
        let picture = match self.open(source).await {
            Ok(picture) => picture,
            Err(error) => return self.note(&[place], error.into()),
        };
        if self.asked.barcodes {
            match self.services.barcodes.read(picture.clone()).await {
                Ok(codes) => _ = self.results[place].insert("barcodes".to_owned(), json!(codes)),
                Err(error) => return self.note(&[place], Error::from(error).into()),
            }
        }
        if self.readers.is_some() {
            let waiting = self.waiting.iter().map(|(_, picture)| picture.content().length());
            if !ocr::fits(waiting, picture.content().length()) {
                self.flush().await?;
            }
            self.waiting.push((place, picture));
        }
        Ok(())
    }

    async fn open(&self, source: &MediaSource) -> Result<Picture, Error> {
        let held: usize = self.waiting.iter().map(|(_, picture)| picture.content().held()).sum();
        let file = self.services.spool.gather(MOST_BYTES).holding(HELD - held);
        Ok(Picture::open(files::fetch(source, file, self.job, self.services).await?).await?)
    }

    /// Sends the batch, and shares its results out.
    async fn flush(&mut self) -> Result<(), Failure> {
        let (places, pictures): (Vec<usize>, Vec<Picture>) =
            std::mem::take(&mut self.waiting).into_iter().unzip();
        let (Some(readers), false) = (self.readers, places.is_empty()) else { return Ok(()) };
        let answer = readers.read(Batch { pictures, ..self.batch.clone() }).await;
        let receipt = match answer {
            Ok(receipt) => receipt,
            Err(error) => return self.note(&places, Error::from(error).into()),
        };
        self.provider = receipt.provider;
        let mut images = receipt.detail.unwrap_or_default();
        if let Value::Array(passed_over) = images[PASSED_OVER].take() {
            self.passed_over = passed_over;
        }
        for (at, place) in places.into_iter().enumerate() {
            let Value::Object(image) = images["images"][at].take() else { continue };
            if let (true, Some(text)) = (self.asked.price_tag, image.get("text").and_then(Value::as_str)) {
                self.results[place].insert("price_tag".to_owned(), json!(PriceTag::read(text)));
            }
            self.results[place].extend(image);
            self.remember(place);
        }
        Ok(())
    }

    /// Remembers what was read of a picture, for a run that comes back for others, or that there was trouble with it.
    fn remember(&mut self, place: usize) {
        let result = &self.results[place];
        match result.get("error") {
            Some(error) => self.trouble = self.trouble.take().or_else(|| trouble(self.provider, error)),
            None if 1 < self.results.len() => {
                self.services.read_pictures.keep(self.job.id, place, result, Instant::now());
            }
            None => {}
        }
    }

    /// Keeps a failure with its pictures, when it is their own. Any other is the job's.
    fn note(&mut self, places: &[usize], failure: Failure) -> Result<(), Failure> {
        if !matches!(failure.class, ErrorClass::Permanent | ErrorClass::Gone) {
            return Err(failure);
        }
        let shown = json!({ "class": failure.class, "code": failure.code, "message": failure.message });
        for place in places {
            self.results[*place].insert("error".to_owned(), shown.clone());
        }
        self.first_failure.get_or_insert(failure);
        Ok(())
    }

    fn finish(mut self) -> Result<(&'static str, Value), Failure> {
        let failed = self.results.iter().filter(|result| result.contains_key("error")).count();
        if let (true, Some(failure)) = (failed == self.results.len(), self.first_failure) {
            return Err(failure);
        }
        let mut result = match self.results.pop() {
            Some(only) if self.asked.image.is_some() => Value::Object(only),
            last => {
                self.results.extend(last);
                json!({ "images": self.results, "failed": failed })
            }
        };
        if !self.passed_over.is_empty() {
            result[PASSED_OVER] = self.passed_over.into();
        }
        Ok((self.provider, result))
    }
}

/// What the error of one picture means for the job, when a repeat may help.
fn trouble(provider: &'static str, error: &Value) -> Option<Failure> {
    let (class, remedy) = match error["class"].as_str()? {
        "server_error" => (ErrorClass::ServerError, Remedy::Retry { after: None }),
        "rate_limited" => (ErrorClass::RateLimited, Remedy::Park { after: None }),
        _ => return None,
    };
    let said = error["message"].as_str().unwrap_or_default();
    let message = format!("{said} Only the pictures that could not be read are asked for again.");
    let code = error["code"].as_str().map(str::to_owned);
    Some(Failure { code, provider: Some(provider.into()), ..Failure::new(class, remedy, message) })
}

/// A result that an outcome can hold. Too long a list of pictures is written to a file like any other result, and its
/// texts are shortened here, so that each picture still has its codes, its price and its error.
pub(crate) async fn fit(job: &Job, result: Value, services: &Services) -> Value {
    match results::keep(job, &result, services).await {
        Some(kept) => cut(result, &kept),
        None => result,
    }
}

fn cut(result: Value, kept: &Kept) -> Value {
    let Some(images) = result["images"].as_array() else { return results::cut(result, "text", kept) };
    let mut cut = json!({ "images": shortened(images), "truncated": true, "bytes": kept.bytes });
    results::note(&mut cut, kept);
    cut
}

fn shortened(images: &[Value]) -> Vec<Value> {
    let each = MOST_SHORTENED / images.len().max(1);
    let mut room = MOST_LISTED;
    let shorter = |image: &Value| {
        let mut image = image.clone();
        if let Some(text) = image["text"].as_str() {
            image["text"] = text.chars().take(each).collect::<String>().into();
        }
        // What is too long even so (hundreds of codes) is in the file only.
        let length = image.to_string().len();
        if room < length {
            return json!({ "truncated": true });
        }
        room -= length;
        image
    };
    images.iter().map(shorter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Place;

    #[test]
    fn a_long_list_keeps_every_picture_and_says_where_the_whole_is() {
        let image = |at: usize| json!({ "text": "\u{1}ñ".repeat(2_000), "barcodes": [], "number": at });
        let result = json!({ "images": (0..16).map(image).collect::<Vec<_>>(), "failed": 0 });

        let at = |place| Kept { place, bytes: 128_000 };
        let kept = cut(result.clone(), &at(Place::File("results/1.json".into())));
        let lost = cut(result.clone(), &at(Place::Nowhere));

        for shown in [&kept, &lost] {
            assert!(shown.to_string().len() <= 16 * 1024, "{}", shown.to_string().len());
            assert_eq!((&shown["truncated"], shown["images"].as_array().unwrap().len()), (&json!(true), 16));
            assert_eq!((&shown["images"][15]["number"], &shown["bytes"]), (&json!(15), &json!(128_000)));
        }
        assert_eq!((&kept["file"], &lost["file"]), (&json!("results/1.json"), &Value::Null));
    }
}
