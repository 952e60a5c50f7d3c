//! Results that are too long for an outcome: kept in the bucket, or in the directory of files, and cut in the outcome.
//!
//! What the job did has been paid for, so a storage that does not take its result is no reason to do it again: the
//! directory steps in, and without one, or when its disk is full, the outcome has the beginning of the text and says that
//! there is no more.

use bytes::Bytes;
use flota_engine::Job;
use flota_producer::JobId;
use serde_json::{Value, json};
use tracing::warn;

use crate::{bucket, failure::chain, files::Files, services::Services};

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
pub(crate) async fn fit(job: &Job, result: Value, field: &str, services: &Services) -> Value {
    match keep(job, &result, services).await {
        Some(kept) => cut(result, field, &kept),
        None => result,
    }
}

/// Keeps a result that is too long for an outcome where there is a place for it; `None` for one that is not.
pub(crate) async fn keep(job: &Job, result: &Value, services: &Services) -> Option<Kept> {
    let content = Bytes::from(result.to_string());
    let bytes = content.len();
    if bytes <= MOST_INLINE {
        return None;
    }
    let place = place(job, content, services).await;
    Some(Kept { place, bytes })
}

/// Keeps it in the bucket, or else in the directory of files.
async fn place(job: &Job, content: Bytes, services: &Services) -> Place {
    match bucket::keep(job, content.clone(), services).await {
        Ok(Some(key)) => return Place::Storage(key),
        Ok(None) => {}
        Err(error) => warn!(job = %job.id, error = chain(&error), "the result of a job was not stored"),
    }
    in_directory(services.files.as_ref(), job.id, &content).await
}

/// Keeps it in the directory of files, when there is one that takes it.
async fn in_directory(files: Option<&Files>, job: JobId, content: &Bytes) -> Place {
    let Some(files) = files else { return Place::Nowhere };
    match files.keep(job, content).await {
        Ok(path) => Place::File(path),
        Err(error) => {
            warn!(%job, error = chain(&error), "the result of a job was not kept; its outcome has the beginning");
            Place::Nowhere
        }
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

    #[tokio::test]
    async fn a_directory_that_takes_no_more_is_no_reason_to_do_the_work_again() {
        let directory = tempfile::tempdir().unwrap();
        let full = directory.path().join("full");
        std::fs::write(&full, "where the directory should be").unwrap();

        let (content, job) = (Bytes::from_static(b"paid for"), JobId::mint());
        let kept = in_directory(Some(&Files::new(directory.path().into())), job, &content).await;
        let lost = in_directory(Some(&Files::new(full)), job, &content).await;

        assert_eq!((kept, lost), (Place::File(format!("results/{job}.json")), Place::Nowhere));
    }

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
