//! Results that are too long for an outcome: kept in the bucket, or in the directory of files, and cut in the outcome.
//!
//! What the job did has been paid for, so a storage that does not take its result is no reason to do it again: the
//! directory steps in, and without one the outcome has the beginning of the text and says why there is no more.

use bytes::Bytes;
use flota_engine::Job;
use serde_json::{Value, json};
use tracing::warn;

use crate::{
    bucket,
    failure::{Error, chain},
    services::Services,
};

/// Largest result that is kept in the outcome; the engine keeps 16 KiB, and the other fields need some room.
const MOST_INLINE: usize = 12 * 1024;

/// A result that is too long for an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Where the whole of it is.
    pub(crate) place: Place,
    /// How long that is, as JSON.
    pub(crate) bytes: usize,
}

/// Where a result is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the bucket, under this key.
    Storage(String),
    /// In the directory of files, at this path.
    File(String),
    /// Nowhere.
    Nowhere,
}

/// A result that an outcome can hold: itself when it is small, else its beginning and where the whole of it is.
pub(crate) async fn fit(job: &Job, result: Value, field: &str, services: &Services) -> Result<Value, Error> {
    match keep(job, &result, services).await? {
        Some(kept) => Ok(cut(result, field, &kept)),
        None => Ok(result),
    }
}

/// Keeps a result that is too long for an outcome where there is a place for it; `None` for one that is not.
pub(crate) async fn keep(job: &Job, result: &Value, services: &Services) -> Result<Option<Kept>, Error> {
    let content = Bytes::from(result.to_string());
    let bytes = content.len();
    if bytes <= MOST_INLINE {
        return Ok(None);
    }
    let place = place(job, content, services).await?;
    Ok(Some(Kept { place, bytes }))
}

/// Keeps it in the bucket, or else in the directory of files.
async fn place(job: &Job, content: Bytes, services: &Services) -> Result<Place, Error> {
    match bucket::keep(job, content.clone(), services).await {
        Ok(Some(key)) => return Ok(Place::Storage(key)),
        Ok(None) => {}
        Err(error) => warn!(job = %job.id, error = chain(&error), "the result of a job was not stored"),
    }
    match &services.files {
        Some(files) => Ok(Place::File(files.keep(job.id, &content).await?)),
        None => Ok(Place::Nowhere),
    }
}

/// The result without most of its text field, and with a note of where the whole is.
pub(crate) fn cut(mut result: Value, field: &str, kept: &Kept) -> Value {
    let whole = result[field].as_str().unwrap_or_default().to_owned();
    let mut text: String = whole.chars().take(MOST_INLINE / 8).collect();
    // Escapes can make text six times longer.
    while MOST_INLINE / 2 < Value::from(text.as_str()).to_string().len() {
        text = text.chars().take(text.chars().count() / 2).collect();
    }
    result[field] = text.into();
    if MOST_INLINE < result.to_string().len() {
        result = json!({ field: result[field] });
    }
    result["truncated"] = json!(true);
    result["bytes"] = json!(whole.len());
    note(&mut result, kept);
    result
}

/// Says where the whole of a result is.
pub(crate) fn note(result: &mut Value, kept: &Kept) {
    result["file"] = Value::Null;
    match &kept.place {
        Place::Storage(key) => result["storage"] = json!(key),
        Place::File(path) => result["file"] = json!(path),
        Place::Nowhere => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_says_so_and_where_the_whole_is() {
        let result = json!({ "text": "\u{1}ñ".repeat(20_000), "model": "whisper-1" });

        for (place, file, storage) in [
            (Place::File("results/1.json".into()), json!("results/1.json"), Value::Null),
            (Place::Storage("acme/1".into()), Value::Null, json!("acme/1")),
            (Place::Nowhere, Value::Null, Value::Null),
        ] {
            let shown = cut(result.clone(), "text", &Kept { place, bytes: 160_030 });

            assert!(shown.to_string().len() <= 16 * 1024 && shown["truncated"] == true);
            assert_eq!((shown["bytes"].as_u64(), &shown["model"]), (Some(60_000), &json!("whisper-1")));
            assert_eq!((&shown["file"], &shown["storage"]), (&file, &storage));
        }
    }
}
