//! Links that stand for themselves, and how long the bucket keeps files.

use std::time::Duration;

use flota_providers::storage::{Presigned, StorageClient, StoragePlace, StorageSettings};
use flota_tests::{PATIENCE, fleet::eventually};

use super::{OGG, content, key, sandbox_and_client, settings};

const LIFE: Duration = Duration::from_mins(1);

/// The status and the body that somebody with this link gets.
async fn follow(link: &Presigned, body: &'static str, with_headers: bool) -> (u16, Vec<u8>) {
    let method = link.method.parse().expect("a method");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let request = http.request(method, &link.url).body(body);
    let headers = link.headers.iter().filter(|_| with_headers);
    let request = headers.fold(request, |request, (name, value)| request.header(name, value));
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.bytes().await.expect("a body").to_vec())
}

#[tokio::test]
async fn a_link_reads_its_file_and_no_other() {
    let (_sandbox, client) = sandbox_and_client().await;
    let (own, other) = (key(), key());
    client.put_bytes(&own, OGG, content(100)).await.unwrap();
    client.put_bytes(&other, OGG, content(100)).await.unwrap();

    let link = client.presign_get(&own, LIFE).await.unwrap();
    let bent = Presigned { url: link.url.replace(&own, &other), ..link.clone() };

    assert_eq!(follow(&link, "", true).await, (200, content(100).to_vec()));
    assert_eq!(follow(&bent, "", true).await.0, 403);
}

#[tokio::test]
async fn a_link_to_store_a_file_stores_one_and_replaces_none() {
    let (_sandbox, client) = sandbox_and_client().await;
    let key = key();

    let link = client.presign_put(&key, LIFE).await.unwrap();

    assert_eq!(follow(&link, "first", false).await.0, 403, "without its headers it is worth nothing");
    assert_eq!(follow(&link, "first", true).await.0, 200);
    assert_eq!(follow(&link, "second", true).await.0, 412);
    assert_eq!(super::whole(&client, &key, 100).await.unwrap(), "first");
}

#[tokio::test]
async fn a_link_ends_when_its_time_is_over_and_none_lives_longer_than_twelve_hours() {
    let (_sandbox, client) = sandbox_and_client().await;
    let key = key();
    client.put_bytes(&key, OGG, content(100)).await.unwrap();

    let link = client.presign_get(&key, Duration::from_secs(1)).await.unwrap();

    eventually(PATIENCE, "it has run out", async || follow(&link, "", true).await.0 == 403).await;
    for life in [Duration::ZERO, Duration::from_millis(999), Duration::from_hours(12) + LIFE] {
        let error = client.presign_get(&key, life).await.unwrap_err();
        assert_eq!(error.code.as_deref(), Some("life"), "{life:?}");
    }
}

#[tokio::test]
async fn a_rule_is_set_changed_and_taken_away() {
    let (_sandbox, client) = sandbox_and_client().await;
    let none = client.lifetimes().await.unwrap();

    client.set_lifetime(Some(120)).await.unwrap();
    let set = client.lifetimes().await.unwrap();
    client.set_lifetime(None).await.unwrap();
    let taken = client.lifetimes().await.unwrap();

    assert_eq!((none.removing.len(), none.unfinished_days), (0, None));
    assert_eq!((set.removing[0].days, set.removing.len(), set.unfinished_days), (Some(120), 1, Some(2)));
    assert_eq!((taken.removing.len(), taken.unfinished_days), (0, Some(2)));
}

#[tokio::test]
async fn minio_is_given_no_rule_that_it_refuses_and_takes_back_uploads_by_itself() {
    let (sandbox, others) = sandbox_and_client().await;
    let StoragePlace::Compatible { base_url } = settings(&sandbox).place else { panic!("it is compatible") };
    let minio =
        StorageClient::new(StorageSettings { place: StoragePlace::Minio { base_url }, ..settings(&sandbox) });

    minio.set_lifetime(Some(120)).await.unwrap();
    let (set, written) = (minio.lifetimes().await.unwrap(), others.lifetimes().await.unwrap());
    minio.set_lifetime(None).await.unwrap();
    let none = others.lifetimes().await.unwrap();

    assert_eq!((set.removing[0].days, set.unfinished_days), (Some(120), Some(1)));
    assert_eq!((written.removing.len(), written.unfinished_days), (1, None));
    assert_eq!((none.removing.len(), none.unfinished_days), (0, None));
}
