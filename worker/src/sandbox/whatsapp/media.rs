//! Media of the WhatsApp Cloud API: upload, where it is, download.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Bytes;
use serde_json::json;

use super::{MISSING, authorize, refuse};
use crate::sandbox::{
    call::{Answer, Call, Done, Outcome},
    form,
    house::{lock, new_id},
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// Media types that are taken, and their largest size
/// (<https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media#supported-media-types>).
const TAKEN: [(&str, usize); 22] = [
    ("audio/aac", 16 * MIB),
    ("audio/amr", 16 * MIB),
    ("audio/mpeg", 16 * MIB),
    ("audio/mp4", 16 * MIB),
    ("audio/ogg", 16 * MIB),
    ("image/jpeg", 5 * MIB),
    ("image/png", 5 * MIB),
    ("image/webp", 500 * KIB),
    ("video/mp4", 16 * MIB),
    ("video/3gpp", 16 * MIB),
    ("video/3gp", 16 * MIB),
    ("text/plain", 100 * MIB),
    ("application/pdf", 100 * MIB),
    ("application/msword", 100 * MIB),
    ("application/vnd.ms-excel", 100 * MIB),
    ("application/vnd.ms-powerpoint", 100 * MIB),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", 100 * MIB),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", 100 * MIB),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", 100 * MIB),
    ("application/zip", 100 * MIB),
    ("text/csv", 100 * MIB),
    ("audio/opus", 16 * MIB),
];

/// Everything that was uploaded, by id.
#[derive(Default)]
pub(in crate::sandbox) struct MediaStore(HashMap<String, Media>);

#[derive(Clone)]
struct Media {
    media_type: String,
    content: Bytes,
}

impl MediaStore {
    /// True when there is media with this id.
    pub(in crate::sandbox) fn has(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// Keeps media, as if a user had sent it or the client had uploaded it, and answers its id.
    pub(in crate::sandbox) fn keep(&mut self, media_type: &str, content: Bytes) -> String {
        let id: String = new_id().bytes().map(|byte| char::from(b'0' + byte % 10)).take(16).collect();
        self.0.insert(id.clone(), Media { media_type: media_type.to_owned(), content });
        id
    }
}

/// `POST /{phone-number-id}/media`.
pub(in crate::sandbox) fn upload(call: &Call<'_>) -> Outcome {
    authorize(call)?;
    let bad = |what: &str| refuse(400, 100, &format!("(#100) {what}"), what);
    let parts = form::parts(call.header("content-type"), &call.request.body)
        .ok_or_else(|| bad("The body is not multipart/form-data."))?;
    let find = |name: &str| parts.iter().find(|part| part.name == name);
    if find("messaging_product").is_none_or(|part| part.text() != "whatsapp") {
        return Err(bad("The parameter messaging_product is required."));
    }
    let file = find("file")
        .filter(|part| part.file_name.is_some())
        .ok_or_else(|| bad("The parameter file is required."))?;
    let told = file.media_type.clone().or_else(|| find("type").map(form::Part::text)).unwrap_or_default();
    let media_type = told.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some((_, most)) = TAKEN.iter().find(|(taken, _)| *taken == media_type) else {
        return Err(bad("Param file must be a file with one of the supported types."));
    };
    if *most < file.content.len() {
        let message = "(#131053) Media upload error";
        return Err(refuse(400, 131_053, message, "the file is larger than its type may be"));
    }
    let (bytes, sha256) = (file.content.len(), hex::encode(digest(&SHA256, &file.content)));
    let id = lock(&call.house.media).keep(&media_type, file.content.clone());
    let summary = json!({ "type": media_type, "file_bytes": bytes, "sha256": sha256 });
    Ok(Done::new(Answer::json(200, &json!({ "id": id })), summary))
}

/// `GET /{media-id}`: where it is, for five minutes with Meta and for good here.
pub(in crate::sandbox) fn describe(call: &Call<'_>) -> Outcome {
    authorize(call)?;
    let id = call.argument(1);
    let media = find(call, id)?;
    let body = json!({
        "messaging_product": "whatsapp", "id": id,
        "url": format!("{}/whatsapp/attachments/{id}", call.house.origin),
        "mime_type": media.media_type, "file_size": media.content.len(),
        "sha256": hex::encode(digest(&SHA256, &media.content)),
    });
    Ok(Done::new(Answer::json(200, &body), json!({ "type": media.media_type })))
}

/// The address of [`describe`], with the token again.
pub(in crate::sandbox) fn download(call: &Call<'_>) -> Outcome {
    authorize(call)?;
    let media = find(call, call.argument(0))?;
    let summary = json!({ "type": media.media_type, "file_bytes": media.content.len() });
    Ok(Done::new(Answer::of(200, &media.media_type, media.content), summary))
}

fn find(call: &Call<'_>, id: &str) -> Result<Media, crate::sandbox::call::Refusal> {
    let missing = || refuse(404, 100, MISSING, "there is no media with this id");
    lock(&call.house.media).0.get(id).cloned().ok_or_else(missing)
}
