//! Settings of the storage → its client.

use flota_providers::storage::{PROVIDER, StorageClient, StoragePlace, StorageSettings};

use crate::{
    config::env::{StorageProvider, StorageVariables},
    limits::CallTimeouts,
};

/// The client of the configured storage.
pub fn client(variables: &StorageVariables, timeouts: &CallTimeouts) -> StorageClient {
    let base_url = variables.base_url.clone();
    StorageClient::new(StorageSettings {
        place: match variables.provider {
            StorageProvider::S3 => StoragePlace::Aws { base_url },
            // The address of these was checked to be there.
            StorageProvider::R2 => StoragePlace::Compatible { base_url: base_url.unwrap_or_default() },
            StorageProvider::Minio => StoragePlace::Minio { base_url: base_url.unwrap_or_default() },
        },
        region: variables.region.clone(),
        bucket: variables.bucket.clone(),
        access_key_id: variables.access_key_id.clone(),
        secret_access_key: variables.secret_access_key.clone(),
        timeout: timeouts.of(PROVIDER),
    })
}
