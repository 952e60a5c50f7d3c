//! Links that let somebody else read or write one file for a short while, without an account of ours.
//!
//! The link is the permission, so it lives a quarter of an hour unless more is asked for. One for writing cannot replace
//! a file: whoever uses it has to send the headers that come with it.

use std::time::Duration;

use aws_sdk_s3::{error::SdkError, presigning::PresigningConfig};

use super::{PROVIDER, StorageClient, classify::root};
use crate::{ErrorClass, ProviderError};

/// Longest life of a link. SigV4 allows seven days; a link in somebody's mailbox should not.
pub const LONGEST_PRESIGNED: Duration = Duration::from_hours(12);
const PRESIGN: &str = "presign";

/// A link, and what has to be sent with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presigned {
    /// `GET` or `PUT`.
    pub method: &'static str,
    /// The link. It is a secret until it has run out.
    pub url: String,
    /// Headers that the request has to have.
    pub headers: Vec<(String, String)>,
}

impl StorageClient {
    /// A link to read the file with this key. Nothing is asked of the storage, so the file may be missing.
    ///
    /// # Errors
    /// When `life` is not between a second and [`LONGEST_PRESIGNED`].
    pub async fn presign_get(&self, key: &str, life: Duration) -> Result<Presigned, ProviderError> {
        let request = self.s3.get_object().bucket(&self.bucket).key(key);
        let signed = request.presigned(check(life)?).await.map_err(|error| unsigned(&error))?;
        Ok(presigned("GET", &signed))
    }

    /// A link to store a file under this key, once.
    ///
    /// # Errors
    /// When `life` is not between a second and [`LONGEST_PRESIGNED`].
    pub async fn presign_put(&self, key: &str, life: Duration) -> Result<Presigned, ProviderError> {
        let request = self.s3.put_object().bucket(&self.bucket).key(key).if_none_match("*");
        let signed = request.presigned(check(life)?).await.map_err(|error| unsigned(&error))?;
        Ok(presigned("PUT", &signed))
    }
}

fn presigned(method: &'static str, signed: &aws_sdk_s3::presigning::PresignedRequest) -> Presigned {
    let headers = signed.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Presigned { method, url: signed.uri().to_owned(), headers }
}

fn check(life: Duration) -> Result<PresigningConfig, ProviderError> {
    let allowed = Duration::from_secs(1)..=LONGEST_PRESIGNED;
    let config = allowed.contains(&life).then(|| PresigningConfig::expires_in(life).ok()).flatten();
    config.ok_or_else(|| {
        let message = "A link lives between one second and twelve hours; ask for a time in between.";
        ProviderError::new(PROVIDER, PRESIGN, ErrorClass::Permanent, message).with_code("life")
    })
}

fn unsigned<E: std::error::Error + 'static>(error: &SdkError<E>) -> ProviderError {
    let message = "The link could not be signed; check the settings of the storage for stray characters.";
    ProviderError::new(PROVIDER, PRESIGN, ErrorClass::Permanent, message).with_source(root(error))
}
