//! Files in a bucket: Amazon S3, Cloudflare R2 or MinIO, through the SDK of S3.
//!
//! A key is written once: every upload says "only if there is none yet" (`If-None-Match: *`), so that nothing is ever
//! replaced and a repeat does no harm. What is less than 8 MiB is sent from memory, a file of up to 16 MiB in one piece from
//! the disk; a larger file, more bytes, or a stream that goes on, in parts (`upload.rs`). The SDK repeats the steps of an upload, three
//! tries each, because what is kept has often been paid for; everything else is repeated by the queue, which counts. What a
//! failure means is in `classify.rs`.

mod classify;
mod download;
mod lifetime;
mod listing;
mod presign;
mod upload;

use std::{fmt, time::Duration};

use aws_sdk_s3::{
    Client as S3,
    config::{
        BehaviorVersion, Builder, Credentials, Region, RequestChecksumCalculation,
        ResponseChecksumValidation, StalledStreamProtectionConfig,
        retry::RetryConfig,
        timeout::{TimeoutConfig, TimeoutConfigBuilder},
    },
    types::ChecksumAlgorithm,
};
use secrecy::{ExposeSecret, SecretString};
use tokio_util::task::TaskTracker;

pub use self::{
    classify::TAKEN,
    download::{Stored, StoredStream, TransferError},
    lifetime::{LifetimeRule, Lifetimes},
    listing::ListedObject,
    presign::{LONGEST_PRESIGNED, Presigned},
    upload::PART_BYTES,
};
use crate::{
    api::host_and_port,
    pipeline::{Client, Target},
    secrets::Secrets,
};

/// The name of this provider in receipts, errors and metrics.
pub const PROVIDER: &str = "storage";
/// Most time to open a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// A stream that moves nothing for this long has stalled.
const STALL: Duration = Duration::from_secs(20);
/// How often the SDK tries a step of an upload.
const STEP_TRIES: u32 = 3;

/// Whose storage it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoragePlace {
    /// Amazon S3: the bucket is in the host name, checksums (CRC32) are on.
    Aws {
        /// Another address than the region's own.
        base_url: Option<String>,
    },
    /// A service that speaks S3, such as R2: the bucket is in the path, and checksums that such services may not know
    /// are sent only where S3 itself requires them.
    Compatible {
        /// Its address.
        base_url: String,
    },
    /// The same with MinIO's own ways (`lifetime.rs`).
    Minio {
        /// Its address.
        base_url: String,
    },
}

/// Where files are kept, and who we are there.
#[derive(Debug, Clone)]
pub struct StorageSettings {
    /// Whose storage it is.
    pub place: StoragePlace,
    /// Its region; R2 has `auto`.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// Id of the access key.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: SecretString,
    /// Most time for one request; of a stream until its first byte.
    pub timeout: Duration,
}

/// Moves files to and from one bucket. Cheap to clone.
#[derive(Clone)]
pub struct StorageClient {
    s3: S3,
    bucket: String,
    host: Box<str>,
    secrets: std::sync::Arc<Secrets>,
    /// With what the parts of an upload are checked. Without a type of its own S3 takes the checksum of all of them
    /// together (`COMPOSITE`) for this one.
    checksum_of_parts: Option<ChecksumAlgorithm>,
    /// It takes back unfinished uploads by itself (`lifetime.rs`).
    is_minio: bool,
    /// Uploads that are being taken back.
    aborts: TaskTracker,
}

impl fmt::Debug for StorageClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bucket, host, .. } = self;
        formatter
            .debug_struct("StorageClient")
            .field("host", host)
            .field("bucket", bucket)
            .finish_non_exhaustive()
    }
}

impl StorageClient {
    /// Builds the client; nothing is sent.
    pub fn new(settings: StorageSettings) -> Self {
        let host = host(&settings);
        let StorageSettings { place, region, bucket, access_key_id, secret_access_key, timeout } = settings;
        let secrets = Secrets::of(&secret_access_key);
        let secret = secret_access_key.expose_secret().to_owned();
        let stall = StalledStreamProtectionConfig::enabled().upload_enabled(true).grace_period(STALL).build();
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .credentials_provider(Credentials::new(access_key_id, secret, None, None, "flota"))
            .retry_config(RetryConfig::disabled())
            // A clock that is wrong is told: links that are signed by it would not work either.
            .disable_clock_skew_correction(true)
            .timeout_config(timeouts(timeout))
            .stalled_stream_protection(stall);
        let is_aws = matches!(place, StoragePlace::Aws { .. });
        let is_minio = matches!(place, StoragePlace::Minio { .. });
        let checksum_of_parts = is_aws.then_some(ChecksumAlgorithm::Crc32);
        let config = match place {
            StoragePlace::Aws { base_url: None } => config,
            StoragePlace::Aws { base_url: Some(url) } => config.endpoint_url(url),
            StoragePlace::Compatible { base_url } | StoragePlace::Minio { base_url } => config
                .endpoint_url(base_url)
                .force_path_style(true)
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired),
        };
        let s3 = S3::from_conf(config.build());
        let (secrets, aborts) = (std::sync::Arc::new(secrets), TaskTracker::new());
        Self { s3, bucket, host, secrets, checksum_of_parts, is_minio, aborts }
    }

    /// The name of the bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Returns when every upload that was given up has been taken back: before a program ends.
    pub async fn settle(&self) {
        self.aborts.close();
        self.aborts.wait().await;
    }
}

impl Client for StorageClient {
    /// Without a deadline: each request has its own and is repeated within the call, and a stream is ended when it stalls. How
    /// long a whole file takes says nothing but how large it is; the time limit of the run stands behind.
    fn target(&self) -> Target {
        Target {
            provider: PROVIDER,
            operation: "transfer",
            host: self.host.clone(),
            deadline: None,
            // Nothing is replaced, so a repeat finds what the first left.
            may_double: false,
        }
    }
}

fn timeouts(timeout: Duration) -> TimeoutConfig {
    TimeoutConfigBuilder::new().connect_timeout(CONNECT).operation_attempt_timeout(timeout).build()
}

/// Settings of one request that the SDK may repeat.
fn repeated() -> Builder {
    Builder::new().retry_config(RetryConfig::standard().with_max_attempts(STEP_TRIES))
}

fn host(settings: &StorageSettings) -> Box<str> {
    match &settings.place {
        StoragePlace::Aws { base_url: None } => format!("s3.{}.amazonaws.com", settings.region).into(),
        StoragePlace::Aws { base_url: Some(url) }
        | StoragePlace::Compatible { base_url: url }
        | StoragePlace::Minio { base_url: url } => host_and_port(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_may_take_longer_than_one_request() {
        let client = StorageClient::new(StorageSettings {
            place: StoragePlace::Compatible { base_url: "http://127.0.0.1:1".to_owned() },
            region: "auto".to_owned(),
            bucket: "b".to_owned(),
            access_key_id: "id".to_owned(),
            secret_access_key: "secret".into(),
            timeout: Duration::from_secs(60),
        });

        assert_eq!(client.target().deadline, None);
    }
}
