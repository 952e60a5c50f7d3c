//! Where files are kept: Amazon S3, Cloudflare R2 or MinIO.
//!
//! One of them is used. Of R2 and MinIO any variable says that they are meant; S3's credentials have names that other
//! programs use too, so there it is the bucket.

use secrecy::SecretString;

use super::{
    error::EnvironmentError,
    integrations::{Needed, all_or_none, check_base_url, credential},
    reader::Reader,
};

const PROVIDER: &str = "STORAGE_PROVIDER";

/// A storage that speaks S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageProvider {
    /// Amazon S3.
    S3,
    /// Cloudflare R2.
    R2,
    /// MinIO, or another service of one's own.
    Minio,
}

/// What the environment says of it, checked.
#[derive(Debug, Clone)]
pub struct StorageVariables {
    /// Whose it is.
    pub provider: StorageProvider,
    /// Its address; `None` for the region's own.
    pub base_url: Option<String>,
    /// Its region.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// Id of the access key.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: SecretString,
}

/// The variables of one storage.
struct Names {
    provider: StorageProvider,
    word: &'static str,
    bucket: &'static str,
    access_key_id: &'static str,
    secret: &'static str,
    address: &'static str,
    /// Each must be set, the bucket first.
    needed: [Needed; 4],
}

const fn names(
    provider: StorageProvider,
    word: &'static str,
    needed: [Needed; 4],
    address: &'static str,
) -> Names {
    let [(bucket, _), (access_key_id, _), (secret, _), _] = needed;
    Names { provider, word, bucket, access_key_id, secret, address, needed }
}

const ALL: [Names; 3] = [
    names(
        StorageProvider::S3,
        "s3",
        [
            ("AWS_S3_BUCKET", "AWS_S3_BUCKET is"),
            ("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID is"),
            ("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY is"),
            ("AWS_REGION", "AWS_REGION is"),
        ],
        "AWS_S3_BASE_URL",
    ),
    names(
        StorageProvider::R2,
        "r2",
        [
            ("R2_BUCKET", "R2_BUCKET is"),
            ("R2_ACCESS_KEY_ID", "R2_ACCESS_KEY_ID is"),
            ("R2_SECRET_ACCESS_KEY", "R2_SECRET_ACCESS_KEY is"),
            ("R2_ENDPOINT", "R2_ENDPOINT is"),
        ],
        "R2_ENDPOINT",
    ),
    names(
        StorageProvider::Minio,
        "minio",
        [
            ("MINIO_BUCKET", "MINIO_BUCKET is"),
            ("MINIO_ACCESS_KEY", "MINIO_ACCESS_KEY is"),
            ("MINIO_SECRET_KEY", "MINIO_SECRET_KEY is"),
            ("MINIO_ENDPOINT", "MINIO_ENDPOINT is"),
        ],
        "MINIO_ENDPOINT",
    ),
];

pub(super) fn read(reader: &mut Reader<'_>, production: bool) -> Option<StorageVariables> {
    let names = chosen(reader)?;
    // When some are set, `all_or_none` tells of the others.
    if names.needed.iter().all(|(name, _)| reader.text(name).is_none()) {
        let because = "STORAGE_PROVIDER says that it is used";
        reader.problems.push(EnvironmentError::Missing { name: names.bucket, because });
    }
    let base_url = reader.parse(names.address, |text| {
        check_base_url(text, production).map(|()| text.trim_end_matches('/').to_owned())
    });
    all_or_none(reader, &names.needed)?;
    let bucket = reader.parse(names.bucket, bucket);
    let access_key_id = reader.parse(names.access_key_id, |text| {
        credential(text)?;
        Ok(text.to_owned())
    });
    let secret_access_key = reader.parse(names.secret, credential);
    let region = match names.provider {
        StorageProvider::S3 => reader.parse("AWS_REGION", region),
        // Cloudflare's word, and the region of a MinIO that was told none.
        StorageProvider::R2 => Some("auto".to_owned()),
        StorageProvider::Minio => Some("us-east-1".to_owned()),
    };
    if names.provider != StorageProvider::S3 && base_url.is_none() {
        return None;
    }
    Some(StorageVariables {
        provider: names.provider,
        base_url,
        region: region?,
        bucket: bucket?,
        access_key_id: access_key_id?,
        secret_access_key: secret_access_key?,
    })
}

/// The one that is named, or the only one that is configured.
fn chosen(reader: &mut Reader<'_>) -> Option<&'static Names> {
    if reader.text(PROVIDER).is_some() {
        return reader.parse(PROVIDER, |text| {
            ALL.iter()
                .find(|names| names.word == text)
                .ok_or_else(|| format!("\"{}\" is no storage; write s3, r2 or minio", text.escape_debug()))
        });
    }
    let mut meant = ALL.iter().filter(|names| match names.provider {
        StorageProvider::S3 => reader.text(names.bucket).is_some(),
        _ => names.needed.iter().any(|(name, _)| reader.text(name).is_some()),
    });
    let (first, second) = (meant.next()?, meant.next());
    if let Some(second) = second {
        let (one, other) = (first.word, second.word);
        let problem = format!("both {one} and {other} are configured; write which of them keeps the files");
        reader.refuse(PROVIDER, problem);
        return None;
    }
    Some(first)
}

/// S3 user guide, "Bucket naming rules".
fn bucket(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let edges = text.starts_with(['-', '.']) || text.ends_with(['-', '.']);
    if (3..=63).contains(&text.len()) && text.bytes().all(plain) && !edges {
        return Ok(text.to_owned());
    }
    Err("it is no name of a bucket; write 3 to 63 small letters, digits, hyphens or dots".to_owned())
}

fn region(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err("it is no name of a region; write one such as us-east-1".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::config::Environment;

    use super::*;

    fn storage(variables: &[(&str, &str)]) -> Result<Option<StorageVariables>, String> {
        let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
        let lookup = |name: &str| Ok(variables.get(name).map(|value| (*value).to_owned()));
        Environment::from_lookup(&lookup, variables.keys().copied())
            .map(|environment| environment.integrations.storage)
            .map_err(|errors| errors.to_string())
    }

    const MINIO: [(&str, &str); 4] = [
        ("MINIO_ENDPOINT", "http://localhost:9000/"),
        ("MINIO_ACCESS_KEY", "minioadmin"),
        ("MINIO_SECRET_KEY", "minioadmin"),
        ("MINIO_BUCKET", "erp-core-files"),
    ];
    const S3: [(&str, &str); 4] = [
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_S3_BUCKET", "erp-core-files"),
    ];

    #[test]
    fn the_settings_of_the_catalogue_are_read() {
        let minio = storage(&MINIO).unwrap().unwrap();
        let s3 = storage(&S3).unwrap().unwrap();
        let r2 = storage(&[
            ("R2_ACCESS_KEY_ID", "0123"),
            ("R2_SECRET_ACCESS_KEY", "4567"),
            ("R2_ENDPOINT", "https://xxx.r2.cloudflarestorage.com"),
            ("R2_BUCKET", "erp-core-files"),
        ]);
        let r2 = r2.unwrap().unwrap();

        assert_eq!(
            (minio.provider, minio.base_url.as_deref()),
            (StorageProvider::Minio, Some("http://localhost:9000"))
        );
        assert_eq!((s3.provider, s3.base_url, s3.region.as_str()), (StorageProvider::S3, None, "us-east-1"));
        assert_eq!((r2.provider, r2.region.as_str()), (StorageProvider::R2, "auto"));
    }

    #[test]
    fn two_storages_need_a_choice_and_credentials_of_other_programs_are_none() {
        let both: Vec<_> = MINIO.into_iter().chain(S3).collect();
        let chosen: Vec<_> = both.iter().copied().chain([("STORAGE_PROVIDER", "s3")]).collect();

        assert!(storage(&both).unwrap_err().contains("both s3 and minio are configured"));
        assert_eq!(storage(&chosen).unwrap().unwrap().provider, StorageProvider::S3);
        assert!(storage(&S3[..3]).unwrap().is_none());
    }

    #[test]
    fn what_is_missing_or_cannot_be_is_told_by_name() {
        let with = |name, value| {
            let others = MINIO.into_iter().filter(|(other, _)| *other != name);
            storage(&others.chain([(name, value)]).collect::<Vec<_>>()).unwrap_err()
        };

        assert!(
            storage(&MINIO[..3]).unwrap_err().contains("MINIO_BUCKET is not set, but MINIO_ACCESS_KEY is")
        );
        assert!(storage(&[("STORAGE_PROVIDER", "r2")]).unwrap_err().contains("R2_BUCKET is not set"));
        assert!(with("MINIO_BUCKET", "ERP").contains("MINIO_BUCKET is not usable"));
        assert!(with("MINIO_ENDPOINT", "localhost:9000").contains("MINIO_ENDPOINT is not usable"));
        assert!(with("MINIO_SECRET_KEY", "a b").contains("MINIO_SECRET_KEY is not usable"));
        assert!(with("STORAGE_PROVIDER", "ftp").contains("write s3, r2 or minio"));
    }
}
