//! The bucket as jobs use it: each reads files of its own tenant and keeps its long results there.
//!
//! Whose file a job names is seen by its key, before anything is asked of the storage: what belongs to another tenant is
//! refused in the same words whether it is there or not.

pub mod lifetime;

use bytes::Bytes;
use flota_engine::Job;
use flota_producer::StorageKey;
use flota_providers::{
    Receipt,
    content::{FetchError, Gathering},
    storage::{PROVIDER, Stored, TAKEN},
};

use crate::{failure::Error, files::FileError, processors::caller, services::Services};

/// What results are stored as.
const RESULT: &str = "application/json";

/// The stored file with this key, for a job of its tenant.
pub(crate) async fn fetch(
    key: &str,
    file: Gathering,
    job: &Job,
    services: &Services,
) -> Result<Stored, Error> {
    let key = own(key, job.envelope.tenant.as_deref())?.to_string();
    let missing = Error::NotConfigured { what: "Storage", variable: "STORAGE_PROVIDER" };
    let storage = services.storage.as_ref().ok_or(missing)?;
    let mut stored = Ok(Stored::default());
    let found = &mut stored;
    let get = storage.call(caller(job), |client| async move {
        *found = FetchError::apart(client.get(&key, file).await)?;
        Ok(Receipt { provider: PROVIDER, provider_ref: Some(key), detail: None })
    });
    get.await?;
    Ok(stored.map_err(FileError::Spool)?)
}

/// Keeps a job's result, a JSON document, and answers its key; `None` without a bucket. The key is made from the job's id, so a repeat of
/// the job that comes to the same result finds it kept; another result gets a key of its own.
pub(crate) async fn keep(job: &Job, result: Bytes, services: &Services) -> Result<Option<String>, Error> {
    let Some(storage) = &services.storage else { return Ok(None) };
    let tenant = job.envelope.tenant.as_deref();
    let key = StorageKey::new(tenant, job.id.uuid()).map_err(FileError::NoKey)?.to_string();
    let other = StorageKey::mint(tenant).map_err(FileError::NoKey)?.to_string();
    let put = storage.call(caller(job), |client| async move {
        match client.put_bytes(&key, RESULT, result.clone()).await {
            Err(error) if error.code.as_deref() == Some(TAKEN) => {
                client.put_bytes(&other, RESULT, result).await
            }
            answer => answer,
        }
    });
    Ok(put.await?.provider_ref)
}

/// The key, when it is one of a file of this tenant.
fn own(key: &str, tenant: Option<&str>) -> Result<StorageKey, FileError> {
    let parsed: StorageKey = key.parse()?;
    if parsed.tenant() == tenant { Ok(parsed) } else { Err(FileError::Foreign(key.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_reads_files_of_its_own_tenant_only() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let (acme, nobodys) = (format!("acme/{id}"), id.to_owned());

        assert!(own(&acme, Some("acme")).is_ok() && own(&nobodys, None).is_ok());
        for (key, tenant) in
            [(&acme, Some("acme2")), (&acme, Some("Acme")), (&acme, None), (&nobodys, Some("acme"))]
        {
            assert!(matches!(own(key, tenant), Err(FileError::Foreign(_))), "{key} for {tenant:?}");
        }
        for key in ["acme/../other", "acme", &format!("../acme/{id}"), &format!("acme/{id}?versionId=1")] {
            assert!(matches!(own(key, Some("acme")), Err(FileError::NoKey(_))), "{key}");
        }
    }
}
