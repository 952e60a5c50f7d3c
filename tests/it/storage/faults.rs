//! What goes wrong between us and the storage, and what is left afterwards.

use std::time::Duration;

use flota_providers::{
    ErrorClass, ProviderError,
    storage::{StorageClient, StoragePlace, StorageSettings},
};
use flota_tests::{PATIENCE, fleet::eventually};
use flota_worker::sandbox::{Fault, Reset, Sandbox, credential};
use tokio::io::AsyncReadExt;

use super::{MIB, OGG, content, key, leftovers, operations, sandbox_and_client, settings, whole};

/// More often than anything is tried.
const ALWAYS: u32 = 30;

fn on(operation: &str, fault: Fault) -> Fault {
    Fault { operation: Some(operation.to_owned()), ..fault }
}

fn reset(when: Reset) -> Fault {
    Fault { reset: Some(when), ..Fault::of("storage") }
}

fn class_and_code(error: &ProviderError) -> (&'static str, &str) {
    (error.class.name(), error.code.as_deref().unwrap_or_default())
}

/// Nothing of an upload is left.
fn assert_nothing_left(sandbox: &Sandbox, key: &str) {
    assert_eq!(leftovers(sandbox), Vec::<String>::new());
    assert!(!sandbox.bucket().join(key).exists(), "half a file has its key");
}

#[tokio::test]
async fn a_part_that_breaks_once_is_sent_again_and_nobody_notices() {
    let (sandbox, client) = sandbox_and_client().await;
    let (sent, key) = (content(20 * MIB), key());
    sandbox.fault(on("part", reset(Reset::Before))).unwrap();
    sandbox.fault(on("part", Fault::status("storage", 503))).unwrap();
    sandbox.fault(on("complete", Fault { ok_with_error: true, ..Fault::of("storage") })).unwrap();

    client.put_stream(&key, OGG, &sent[..], |_| ()).await.unwrap();

    assert!(whole(&client, &key, sent.len()).await.unwrap() == sent);
    assert_eq!(operations(&sandbox).iter().filter(|operation| **operation == "part").count(), 3 + 2);
}

#[tokio::test]
async fn what_arrives_damaged_is_sent_once_more_and_not_a_third_time() {
    let damaged = || Fault {
        body: Some("<Error><Code>BadDigest</Code><Message>told to</Message></Error>".into()),
        ..Fault::status("storage", 400)
    };
    let (sandbox, client) = sandbox_and_client().await;
    let (once, twice, in_parts) = (key(), key(), key());

    sandbox.fault(on("put", damaged())).unwrap();
    client.put_bytes(&once, OGG, content(10)).await.unwrap();
    sandbox.fault(on("put", damaged()).times(2)).unwrap();
    let error = client.put_bytes(&twice, OGG, content(10)).await.unwrap_err();
    sandbox.fault(on("part", damaged())).unwrap();
    client.put_stream(&in_parts, OGG, &content(20 * MIB)[..], |_| ()).await.unwrap();

    assert_eq!(class_and_code(&error), ("permanent", "BadDigest"));
    let puts = operations(&sandbox).iter().filter(|operation| **operation == "put").count();
    assert_eq!(puts, 2 + 2);
}

#[tokio::test]
async fn an_upload_that_breaks_for_good_is_taken_back_whole() {
    for (fault, expected) in [
        (on("part", reset(Reset::Before)), ("network", "")),
        (on("part", Fault::status("storage", 500)), ("server_error", "InternalError")),
        (on("part", Fault::status("storage", 403)), ("auth", "AccessDenied")),
        (on("complete", Fault::status("storage", 500)), ("server_error", "InternalError")),
        (
            on("complete", Fault { ok_with_error: true, ..Fault::of("storage") }),
            ("server_error", "InternalError"),
        ),
    ] {
        let (sandbox, client) = sandbox_and_client().await;
        let key = key();
        sandbox.fault(fault.clone().times(ALWAYS)).unwrap();

        let error = client.put_stream(&key, OGG, &content(20 * MIB)[..], |_| ()).await.unwrap_err();

        assert_eq!(class_and_code(&error), expected, "{fault:?}: {error:?}");
        assert!(operations(&sandbox).contains(&"abort"), "{fault:?}");
        assert_nothing_left(&sandbox, &key);
    }
}

#[tokio::test]
async fn a_reader_that_fails_in_the_middle_leaves_nothing_behind() {
    let (sandbox, client) = sandbox_and_client().await;
    let (sent, key) = (content(20 * MIB), key());
    let broken = tokio_util::io::StreamReader::new(futures_util::stream::iter([
        Ok(sent),
        Err(std::io::Error::other("the disk went away")),
    ]));

    let error = client.put_stream(&key, OGG, broken, |_| ()).await.unwrap_err();

    assert_eq!(class_and_code(&error), ("permanent", "read"));
    assert_nothing_left(&sandbox, &key);
}

#[tokio::test]
async fn an_upload_that_is_given_up_in_the_middle_is_taken_back() {
    let (sandbox, client) = sandbox_and_client().await;
    let (sent, key) = (content(20 * MIB), key());
    // After its bytes this reader has nothing to say for a minute.
    let endless = (&sent[..]).chain(tokio_util::io::StreamReader::new(futures_util::stream::pending::<
        std::io::Result<bytes::Bytes>,
    >()));

    let put = client.put_stream(&key, OGG, endless, |_| ());
    tokio::select! {
        ended = put => panic!("it waits for its reader: {ended:?}"),
        () = eventually(PATIENCE, "two parts are up", async || {
            operations(&sandbox).iter().filter(|operation| **operation == "part").count() == 2
        }) => {}
    }
    client.settle().await;

    assert!(operations(&sandbox).ends_with(&["abort"]), "{:?}", operations(&sandbox));
    assert_nothing_left(&sandbox, &key);
}

#[tokio::test]
async fn an_upload_whose_answer_was_lost_is_known_as_done() {
    for (operation, length) in [("put", 10), ("complete", 20 * MIB)] {
        let (sandbox, client) = sandbox_and_client().await;
        let (sent, key) = (content(length), key());
        sandbox.fault(on(operation, reset(Reset::AfterWork))).unwrap();

        client.put_stream(&key, OGG, &sent[..], |_| ()).await.unwrap();

        assert!(whole(&client, &key, length).await.unwrap() == sent, "{operation}");
    }
}

#[tokio::test]
async fn a_download_that_breaks_off_is_no_file() {
    let (sandbox, client) = sandbox_and_client().await;
    let key = key();
    client.put_bytes(&key, OGG, content(MIB)).await.unwrap();
    sandbox.fault(on("get", Fault { malformed: true, ..Fault::of("storage") })).unwrap();

    let error = whole(&client, &key, MIB).await.unwrap_err();

    assert_eq!(class_and_code(&error), ("network", "cut_off"));
}

#[tokio::test]
async fn settings_that_are_wrong_are_told_as_such_by_the_server_itself() {
    let sandbox = Sandbox::start().await.unwrap();
    let right = settings(&sandbox);
    let nobody = StoragePlace::Compatible { base_url: "http://127.0.0.1:1".to_owned() };
    let wrong: [(StorageSettings, _, _); 4] = [
        (StorageSettings { bucket: "nowhere".into(), ..right.clone() }, "auth", "NoSuchBucket"),
        (
            StorageSettings { secret_access_key: "flota_sandbox_other".into(), ..right.clone() },
            "auth",
            "SignatureDoesNotMatch",
        ),
        (
            StorageSettings { access_key_id: "flota_sandbox_revoked".into(), ..right.clone() },
            "auth",
            "InvalidAccessKeyId",
        ),
        (StorageSettings { place: nobody, ..right.clone() }, "network", ""),
    ];

    for (settings, class, code) in wrong {
        let client = StorageClient::new(settings);
        let put = client.put_bytes(&key(), OGG, content(10)).await.unwrap_err();
        let get = whole(&client, &key(), 10).await.unwrap_err();

        for error in [put, get] {
            assert_eq!(class_and_code(&error), (class, code), "{error:?}");
            assert!(!format!("{error:?}").contains(credential::STORAGE_SECRET), "{error:?}");
        }
    }
}

#[tokio::test]
async fn answers_of_the_manual_have_their_class_and_their_wait() {
    let (sandbox, client) = sandbox_and_client().await;
    let key = key();
    client.put_bytes(&key, OGG, content(10)).await.unwrap();
    let says = |status, word: &str| Fault {
        body: Some(format!("<Error><Code>{word}</Code><Message>told to</Message></Error>").into()),
        ..Fault::status("storage", status)
    };

    for (fault, class, wait) in [
        (says(503, "SlowDown").header("retry-after", "7"), "rate_limited", Some(7)),
        (says(503, "ServiceUnavailable").header("retry-after", "7"), "server_error", Some(7)),
        (says(403, "RequestTimeTooSkewed"), "auth", None),
        (says(400, "ExpiredToken"), "auth", None),
        (says(301, "PermanentRedirect"), "auth", None),
        (says(507, "XMinioStorageFull"), "quota", None),
        (says(404, "NoSuchKey"), "permanent", None),
        (Fault { body: Some("<html>".into()), ..Fault::status("storage", 502) }, "server_error", None),
    ] {
        sandbox.fault(fault.clone()).unwrap();

        let error = whole(&client, &key, 10).await.unwrap_err();

        assert_eq!(
            (error.class.name(), error.retry_after().map(|wait| wait.as_secs())),
            (class, wait),
            "{fault:?}"
        );
    }
    sandbox.fault(Fault { delay_ms: 60_000, ..Fault::of("storage") }).unwrap();
    let hasty = StorageClient::new(StorageSettings { timeout: Duration::from_secs(3), ..settings(&sandbox) });
    assert_eq!(whole(&hasty, &key, 10).await.unwrap_err().class, ErrorClass::Timeout);
}
