//! What is in the bucket, page by page, and the end of single files.

use super::StorageClient;
use crate::ProviderError;

/// Most keys of one page (`ListObjectsV2`).
const PAGE: i32 = 1_000;

/// A file as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// Its key.
    pub key: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was stored, in seconds since the Unix epoch.
    pub stored_unix: i64,
}

impl StorageClient {
    /// Up to `most` files whose keys begin with `prefix`, in the order of their keys.
    ///
    /// # Errors
    /// When the storage does not answer, or refuses (it needs `s3:ListBucket`).
    pub async fn list(&self, prefix: &str, most: usize) -> Result<Vec<ListedObject>, ProviderError> {
        let (mut found, mut next) = (Vec::new(), None);
        loop {
            let left = i32::try_from(most - found.len()).unwrap_or(PAGE).min(PAGE);
            let request = self.s3.list_objects_v2().bucket(&self.bucket).prefix(prefix).max_keys(left);
            let request = request.set_continuation_token(next.take());
            let page = Box::pin(request.send()).await.map_err(|error| self.failed("list", &error))?;
            next = page.next_continuation_token;
            found.extend(page.contents.unwrap_or_default().into_iter().map(|object| ListedObject {
                key: object.key.unwrap_or_default(),
                bytes: object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
                stored_unix: object.last_modified.map(|time| time.secs()).unwrap_or_default(),
            }));
            if next.is_none() || most <= found.len() {
                found.truncate(most);
                return Ok(found);
            }
        }
    }

    /// Removes the file with this key; nothing happens when there is none.
    ///
    /// # Errors
    /// When the storage does not answer, or refuses.
    pub async fn remove(&self, key: &str) -> Result<(), ProviderError> {
        let request = self.s3.delete_object().bucket(&self.bucket).key(key);
        Box::pin(request.send()).await.map_err(|error| self.failed("remove", &error))?;
        Ok(())
    }
}
