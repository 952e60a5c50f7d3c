//! How long the bucket keeps files: its lifecycle rules, of which two are ours.
//!
//! One removes files after some days, the other takes back uploads that nobody finished. Rules that somebody else made
//! are read and stay as they are. MinIO does the latter by itself after a day, and refuses such rules
//! (<https://github.com/minio/minio/issues/15681>), so there it is not written.

use aws_sdk_s3::{
    error::ProvideErrorMetadata,
    types::{
        AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, ExpirationStatus, LifecycleExpiration,
        LifecycleRule, LifecycleRuleFilter,
    },
};

use super::{PROVIDER, StorageClient};
use crate::{ErrorClass, ProviderError};

/// The names of our rules.
const FILES: &str = "flota-files";
const UPLOADS: &str = "flota-unfinished-uploads";
/// Days after which an upload that was not finished is taken back: longer than any upload takes.
const UNFINISHED_DAYS: i32 = 2;
/// The same of MinIO, unless its operator says otherwise (`MINIO_API_STALE_UPLOADS_EXPIRY`).
const DAYS_OF_MINIO: u32 = 1;

/// A rule that removes files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifetimeRule {
    /// Its name.
    pub id: String,
    /// Days after a file was stored; nothing for a rule that removes on a date.
    pub days: Option<u32>,
    /// The keys that it is for begin with this; empty for all.
    pub prefix: String,
}

impl LifetimeRule {
    /// True for the one that [`StorageClient::set_lifetime`] writes.
    pub fn is_ours(&self) -> bool {
        self.id == FILES
    }
}

/// What the bucket does by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lifetimes {
    /// Every rule in force that removes files.
    pub removing: Vec<LifetimeRule>,
    /// Days after which unfinished uploads of every key are taken back; nothing when they stay.
    pub unfinished_days: Option<u32>,
}

impl StorageClient {
    /// The bucket's rules.
    ///
    /// # Errors
    /// When the storage does not answer, or refuses (it needs `s3:GetLifecycleConfiguration`).
    pub async fn lifetimes(&self) -> Result<Lifetimes, ProviderError> {
        let mut lifetimes = read(&self.rules().await?);
        if self.is_minio {
            lifetimes.unfinished_days.get_or_insert(DAYS_OF_MINIO);
        }
        Ok(lifetimes)
    }

    /// Lets the bucket remove files after so many days, or never, and take back unfinished uploads. Rules of others stay.
    ///
    /// # Errors
    /// When the storage does not answer, or refuses (it needs `s3:PutLifecycleConfiguration`).
    pub async fn set_lifetime(&self, days: Option<u32>) -> Result<(), ProviderError> {
        let mut rules = self.rules().await?;
        rules.retain(|rule| !matches!(rule.id.as_deref(), Some(FILES | UPLOADS)));
        let ours = ours(days).map_err(|error| unbuilt(&error))?;
        rules.extend(ours.into_iter().filter(|rule| !self.is_minio || rule.expiration.is_some()));
        if rules.is_empty() {
            let none = Box::pin(self.s3.delete_bucket_lifecycle().bucket(&self.bucket).send()).await;
            return none.map(drop).map_err(|error| self.failed("set_lifetime", &error));
        }
        let rules = BucketLifecycleConfiguration::builder().set_rules(Some(rules)).build();
        let rules = rules.map_err(|error| unbuilt(&error))?;
        let request = self.s3.put_bucket_lifecycle_configuration().bucket(&self.bucket);
        let sent = Box::pin(request.lifecycle_configuration(rules).send()).await;
        sent.map_err(|error| self.failed("set_lifetime", &error))?;
        Ok(())
    }

    async fn rules(&self) -> Result<Vec<LifecycleRule>, ProviderError> {
        let request = self.s3.get_bucket_lifecycle_configuration().bucket(&self.bucket);
        match Box::pin(request.send()).await {
            Ok(found) => Ok(found.rules.unwrap_or_default()),
            Err(error) if error.code() == Some("NoSuchLifecycleConfiguration") => Ok(Vec::new()),
            Err(error) => Err(self.failed("lifetime", &error)),
        }
    }
}

fn ours(days: Option<u32>) -> Result<Vec<LifecycleRule>, aws_sdk_s3::error::BuildError> {
    let rule = |id: &str| {
        let everything = LifecycleRuleFilter::builder().prefix("").build();
        LifecycleRule::builder().id(id).status(ExpirationStatus::Enabled).filter(everything)
    };
    let abort = AbortIncompleteMultipartUpload::builder().days_after_initiation(UNFINISHED_DAYS).build();
    let mut rules = vec![rule(UPLOADS).abort_incomplete_multipart_upload(abort).build()?];
    if let Some(days) = days {
        let days = i32::try_from(days).unwrap_or(i32::MAX);
        let expiration = LifecycleExpiration::builder().days(days).build();
        rules.push(rule(FILES).expiration(expiration).build()?);
    }
    Ok(rules)
}

/// What rules mean for files of ours, whose keys begin with a tenant.
fn read(rules: &[LifecycleRule]) -> Lifetimes {
    let in_force = rules.iter().filter(|rule| rule.status == ExpirationStatus::Enabled);
    let mut lifetimes = Lifetimes::default();
    for rule in in_force {
        let prefix = prefix(rule);
        let days = |days: Option<i32>| days.and_then(|days| u32::try_from(days).ok());
        if let Some(expiration) = &rule.expiration
            && (expiration.days.is_some() || expiration.date.is_some())
        {
            let id = rule.id.clone().unwrap_or_default();
            lifetimes.removing.push(LifetimeRule { id, days: days(expiration.days), prefix: prefix.clone() });
        }
        let unfinished = rule.abort_incomplete_multipart_upload.as_ref();
        if let (Some(unfinished), true) = (unfinished, prefix.is_empty()) {
            lifetimes.unfinished_days = days(unfinished.days_after_initiation);
        }
    }
    lifetimes
}

#[expect(deprecated, reason = "older rules have their prefix beside the filter")]
fn prefix(rule: &LifecycleRule) -> String {
    let filter = rule.filter.as_ref();
    let inside = filter.and_then(|filter| filter.and.as_ref()).and_then(|and| and.prefix.clone());
    let prefix = filter.and_then(|filter| filter.prefix.clone()).or(inside).or_else(|| rule.prefix.clone());
    prefix.unwrap_or_default()
}

fn unbuilt(error: &aws_sdk_s3::error::BuildError) -> ProviderError {
    let message = "The bucket's rules cannot be written; change them in the storage's own console.";
    ProviderError::new(PROVIDER, "set_lifetime", ErrorClass::Permanent, message)
        .with_source(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rules_in_force_count_and_ours_say_what_was_asked_for() {
        let mut rules = ours(Some(120)).unwrap();
        let off = LifecycleRule::builder().id("off").status(ExpirationStatus::Disabled);
        rules.push(off.expiration(LifecycleExpiration::builder().days(1).build()).build().unwrap());

        let lifetimes = read(&rules);

        let expected = LifetimeRule { id: FILES.to_owned(), days: Some(120), prefix: String::new() };
        assert_eq!(lifetimes, Lifetimes { removing: vec![expected], unfinished_days: Some(2) });
        assert_eq!(read(&ours(None).unwrap()).removing, []);
    }
}
