//! Uploads files of ours to WhatsApp, once for all runs of a job.

use std::{path::Path, time::Instant};

use flota_engine::Job;
use flota_producer::{MediaSource, WhatsappMedia};
use flota_providers::content::Content;

use super::{FileError, NO_WHATSAPP, local};
use crate::{bucket, failure::Error, processors::caller, services::Services};

/// Uploads a file of the directory or the bucket to WhatsApp, unless an earlier run of the job has, and answers its id
/// there.
pub(crate) async fn to_whatsapp(
    source: &MediaSource,
    media: WhatsappMedia,
    job: &Job,
    services: &Services,
) -> Result<String, Error> {
    let client = services.whatsapp_media.as_ref().ok_or(NO_WHATSAPP)?;
    if let Some(id) = services.uploads.of(job.id, Instant::now()) {
        return Ok(id);
    }
    let Upload { content, name, media_type } = match &source.storage {
        Some(key) => stored_upload(key, media, job, services).await?,
        None => local_upload(source.file.as_deref().unwrap_or_default(), media, services).await?,
    };
    let upload =
        client.call(caller(job), |client| async move { client.upload(&content, &name, media_type).await });
    let id = upload.await?.provider_ref.unwrap_or_default();
    services.uploads.keep(job.id, &id, Instant::now());
    Ok(id)
}

/// What is uploaded.
struct Upload {
    content: Content,
    name: String,
    media_type: &'static str,
}

async fn local_upload(path: &str, media: WhatsappMedia, services: &Services) -> Result<Upload, Error> {
    // The payload was checked, so there is a type.
    let media_type = media.media_type(path).unwrap_or("application/octet-stream");
    let content = local(path, media.most_bytes(), services).await?;
    let name = Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or("file").to_owned();
    Ok(Upload { content, name, media_type })
}

/// A key says nothing of what the file is; what it was stored as does.
async fn stored_upload(
    key: &str,
    media: WhatsappMedia,
    job: &Job,
    services: &Services,
) -> Result<Upload, Error> {
    let file = services.spool.gather(media.most_bytes());
    let stored = bucket::fetch(key, file, job, services).await?;
    let kept_as = stored.media_type.unwrap_or_default();
    let Some((media_type, ending)) = media.of_type(&kept_as) else {
        let (key, media) = (key.to_owned(), media.word());
        return Err(FileError::NotTaken { key, media_type: kept_as, media }.into());
    };
    Ok(Upload { content: stored.content, name: format!("file.{ending}"), media_type })
}
