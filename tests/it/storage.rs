//! Storage against an S3 server of other people (`s3s-fs`), with faults between it and the client.

mod commands;
mod faults;
mod links;

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use flota_producer::StorageKey;
use flota_providers::{
    ProviderError,
    content::{FetchError, HELD, Spool},
    storage::{StorageClient, StoragePlace, StorageSettings},
};
use flota_tests::PATIENCE;
use flota_worker::sandbox::{Sandbox, credential};

const MIB: usize = 1024 * 1024;
const OGG: &str = "audio/ogg";

/// The storage of a sandbox, as its environment says.
fn settings(sandbox: &Sandbox) -> StorageSettings {
    let environment: BTreeMap<&str, String> = sandbox.environment().into_iter().collect();
    StorageSettings {
        place: StoragePlace::Compatible { base_url: environment["MINIO_ENDPOINT"].clone() },
        region: "us-east-1".to_owned(),
        bucket: environment["MINIO_BUCKET"].clone(),
        access_key_id: credential::STORAGE.to_owned(),
        secret_access_key: credential::STORAGE_SECRET.into(),
        timeout: PATIENCE,
    }
}

/// A client of a sandbox's storage.
pub(super) fn client_of(sandbox: &Sandbox) -> StorageClient {
    StorageClient::new(settings(sandbox))
}

async fn sandbox_and_client() -> (Sandbox, StorageClient) {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let client = client_of(&sandbox);
    (sandbox, client)
}

fn key() -> String {
    StorageKey::mint(Some("acme")).expect("a key").to_string()
}

/// Bytes that no compression or repetition makes alike.
fn content(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// All of a stored file.
async fn whole(client: &StorageClient, key: &str, most_bytes: usize) -> Result<Bytes, ProviderError> {
    let got = client.get(key, Spool::default().gather(most_bytes)).await;
    let stored = FetchError::apart(got)?.expect("room on the disk");
    Ok(stored.content.whole().await.expect("it lies on the disk"))
}

/// What has been asked of the storage.
fn operations(sandbox: &Sandbox) -> Vec<&'static str> {
    sandbox.journal(Some("storage")).iter().map(|entry| entry.operation).collect()
}

/// Parts of uploads that nobody finished.
fn leftovers(sandbox: &Sandbox) -> Vec<String> {
    let entries = std::fs::read_dir(sandbox.storage_directory()).expect("the server's directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(".upload") || name.starts_with(".tmp")).collect()
}

#[tokio::test]
async fn files_of_every_size_come_back_as_they_went_and_large_ones_go_in_parts() {
    let (sandbox, client) = sandbox_and_client().await;
    let folder = tempfile::tempdir().unwrap();

    for (length, expected) in [
        (0, vec!["put"]),
        (1, vec!["put"]),
        (10 * MIB, vec!["put"]),
        (17 * MIB, vec!["begin", "part", "part", "part", "complete"]),
    ] {
        let (path, sent, key) = (folder.path().join(length.to_string()), content(length), key());
        std::fs::write(&path, &sent).unwrap();
        let before = operations(&sandbox).len();
        client.put_file(&key, OGG, &path, |_| ()).await.unwrap();
        assert_eq!(operations(&sandbox)[before..], expected, "{length} bytes");

        let stored = client.get(&key, Spool::default().gather(length)).await.unwrap();

        assert_eq!(stored.content.held(), if length <= HELD { length } else { 0 });
        assert!(stored.content.whole().await.unwrap() == sent, "{length} bytes came back otherwise");
        assert_eq!(stored.media_type.as_deref(), Some(OGG), "{length} bytes");
        assert!(std::fs::read(sandbox.bucket().join(&key)).unwrap() == sent);
    }
    assert_eq!(leftovers(&sandbox), Vec::<String>::new());
}

#[tokio::test]
async fn a_stream_of_unknown_length_goes_up_and_down_piece_by_piece() {
    let (sandbox, client) = sandbox_and_client().await;
    let (sent, key) = (content(9 * MIB), key());

    client.put_stream(&key, OGG, &sent[..], |_| ()).await.unwrap();
    let mut came = Vec::new();
    let written = client.open(&key).await.unwrap().write_to(&mut came, |_| ()).await.unwrap();

    assert!(came == sent && written == sent.len() as u64);
    assert_eq!(operations(&sandbox), ["begin", "part", "part", "complete", "get"]);
}

#[tokio::test]
async fn what_amazon_is_sent_with_checksums_comes_back_whole_and_checked() {
    let sandbox = Sandbox::start().await.unwrap();
    let compatible = settings(&sandbox);
    let StoragePlace::Compatible { base_url } = compatible.place.clone() else { panic!("it is no Amazon") };
    let place = StoragePlace::Aws { base_url: Some(base_url) };
    let client = StorageClient::new(StorageSettings { place, ..compatible });
    let file = tempfile::NamedTempFile::new().unwrap();

    for length in [10, 10 * MIB, 17 * MIB] {
        let (sent, key) = (content(length), key());
        std::fs::write(file.path(), &sent).unwrap();
        client.put_file(&key, OGG, file.path(), |_| ()).await.unwrap();

        assert!(whole(&client, &key, length).await.unwrap() == sent, "{length} bytes came back otherwise");
    }
}

#[tokio::test]
async fn a_key_is_written_once_and_the_same_bytes_once_more_do_no_harm() {
    let (sandbox, client) = sandbox_and_client().await;
    let (first, key) = (content(100), key());
    client.put_bytes(&key, OGG, first.clone()).await.unwrap();

    let again = client.put_bytes(&key, OGG, first.clone()).await;
    let other = client.put_bytes(&key, OGG, content(101)).await.unwrap_err();
    let large = client.put_stream(&key, OGG, &content(9 * MIB)[..], |_| ()).await.unwrap_err();

    assert!(again.is_ok());
    for error in [other, large] {
        assert_eq!((error.class.name(), error.code.as_deref()), ("permanent", Some("PreconditionFailed")));
    }
    assert!(whole(&client, &key, 100).await.unwrap() == first);

    let (long, key) = (content(9 * MIB), self::key());
    client.put_bytes(&key, OGG, long.clone()).await.unwrap();
    let again = client.put_bytes(&key, OGG, long.clone()).await;
    let other = client.put_bytes(&key, OGG, content(9 * MIB + 1)).await.unwrap_err();

    assert!(again.is_ok());
    assert_eq!(other.code.as_deref(), Some("PreconditionFailed"));
    assert!(whole(&client, &key, 9 * MIB).await.unwrap() == long);
    assert_eq!(leftovers(&sandbox), Vec::<String>::new());
}

#[tokio::test]
async fn a_file_that_is_longer_than_its_reader_takes_is_refused_before_it_is_read() {
    let (_sandbox, client) = sandbox_and_client().await;
    let key = key();
    client.put_bytes(&key, OGG, content(1_000)).await.unwrap();

    let error = whole(&client, &key, 999).await.unwrap_err();

    assert_eq!((error.class.name(), error.code.as_deref()), ("permanent", Some("too_large")));
    assert_eq!(whole(&client, &key, 1_000).await.unwrap().len(), 1_000);
}

#[tokio::test]
async fn what_is_stored_is_listed_page_by_page_and_removed() {
    let (sandbox, client) = sandbox_and_client().await;
    let folder = sandbox.bucket().join("acme");
    std::fs::create_dir_all(&folder).unwrap();
    let keys: Vec<String> = (0..1_005).map(|_| key()).collect();
    for key in &keys {
        std::fs::write(sandbox.bucket().join(key), b"x").unwrap();
    }

    let all = client.list("acme/", 2_000).await.unwrap();
    let few = client.list("acme/", 3).await.unwrap();
    client.remove(&keys[0]).await.unwrap();

    assert_eq!((all.len(), few.len(), client.list("other/", 10).await.unwrap().len()), (1_005, 3, 0));
    assert!(all.iter().all(|object| object.bytes == 1 && 0 < object.stored_unix));
    assert!(!Path::new(&sandbox.bucket().join(&keys[0])).exists());
}
