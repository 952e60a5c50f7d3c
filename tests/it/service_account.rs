//! A service account that Google does not accept, on a job: it waits without being charged, says what a person has to do, and
//! runs once that is done. The worker is the real program.

use flota_tests::{
    chaos::shims::{self, Preload},
    program::{Installation, Running},
};
use flota_worker::sandbox::{Fault, Sandbox};
use serde_json::{Value, json};

/// A whole GIF of one pixel.
const PIXEL: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\xff\xff\xff\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
/// More often than a job is tried.
const ALWAYS: u32 = 100;
/// How far a wrong clock is ahead, in seconds: more than Google puts up with, less than a day.
const SKEWED_BY: i64 = 3_600;
/// What Google says of a clock that is wrong.
const SKEW: &str = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.";

/// A worker's settings that lead to the sandbox, where a service account reads pictures; and that account's key.
async fn stage() -> (Installation, Sandbox) {
    let (mut flota, sandbox) = (Installation::new().await, Sandbox::start().await.expect("a sandbox"));
    for (name, value) in sandbox.environment() {
        flota.set(name, value);
    }
    let key = sandbox.service_account().expect("a key");
    use_key(&mut flota, &key);
    // Beside the bucket, whose own signatures would not survive a wrong clock either.
    let files = sandbox.storage_directory().to_owned();
    std::fs::write(files.join("receipt.gif"), PIXEL).expect("a picture");
    flota.unset("GOOGLE_VISION_API_KEY").set("FLOTA_FILES_DIR", files.display());
    (flota, sandbox)
}

fn use_key(flota: &mut Installation, key: &str) {
    let file = flota.write("service-account.json", key);
    flota.set("GOOGLE_APPLICATION_CREDENTIALS", file);
}

async fn enqueue(flota: &Installation) -> String {
    flota.enqueue("read_image", &json!({ "image": { "file": "receipt.gif" } }), &[]).await
}

/// Waits until the job is put off, and holds that to what is promised of it.
async fn assert_waits(flota: &Installation, worker: &Running, id: &str, remedy: &str) {
    let waiting = flota.wait_for(id, "delayed").await;

    let reason = waiting["reason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("auth: ") && reason.contains(remedy), "{waiting:#}");
    assert_eq!((&waiting["attempt"], &waiting["attempts"]), (&json!(1), &json!([])), "a wait is not charged");
    assert_eq!(flota.flota(&["dead", "list"]).await.expect(0).json(), json!([]));
    assert!(worker.log().contains(r#""code":"invalid_grant""#), "{}", worker.log());
}

/// Goes on with a worker that has not been refused, and lets the job's wait pass. What it was refused for is mended.
async fn assert_runs(flota: &Installation, refused: Running, id: &str) {
    refused.stop().await;
    flota.end_waits_of_providers().await;
    let worker = flota.start(&["worker"]).await;
    flota.make_due("ocr").await;

    let job = flota.wait_for(id, "succeeded").await;

    let runs = job["attempts"].as_array().map_or(0, Vec::len);
    assert_eq!((&job["attempt"], runs), (&json!(1), 1), "{job:#}");
    worker.stop().await;
}

#[tokio::test]
async fn a_job_waits_uncharged_until_google_takes_the_account_again() {
    let (flota, sandbox) = stage().await;
    for (said, remedy) in [
        ("Invalid JWT Signature.", "make a new one and put it in its place"),
        ("Invalid grant: account not found", "enable it, or use another"),
        (SKEW, "set the clock"),
    ] {
        let refusal = json!({ "error": "invalid_grant", "error_description": said });
        let fault = Fault { body: Some(refusal), ..Fault::status("google_token", 400) };
        sandbox.fault(fault.times(ALWAYS)).unwrap();
        let worker = flota.start(&["worker"]).await;
        let id = enqueue(&flota).await;

        assert_waits(&flota, &worker, &id, remedy).await;
        sandbox.clear_faults();

        assert_runs(&flota, worker, &id).await;
    }
}

#[tokio::test]
async fn a_key_that_was_revoked_is_replaced_and_the_job_that_waits_for_it_runs() {
    let (mut flota, sandbox) = stage().await;
    let good = sandbox.service_account().unwrap();
    // The same account with a key that Google does not have any more.
    let mut revoked: Value = serde_json::from_str(&good).unwrap();
    let other = Sandbox::start().await.unwrap().service_account().unwrap();
    revoked["private_key"] = serde_json::from_str::<Value>(&other).unwrap()["private_key"].clone();
    use_key(&mut flota, &revoked.to_string());
    let worker = flota.start(&["worker"]).await;
    let id = enqueue(&flota).await;

    assert_waits(&flota, &worker, &id, "make a new one and put it in its place").await;
    use_key(&mut flota, &good);

    assert_runs(&flota, worker, &id).await;
}

#[tokio::test]
async fn a_clock_that_is_wrong_makes_the_job_wait_until_it_is_set() {
    let (mut flota, _sandbox) = stage().await;
    let directory = tempfile::tempdir().unwrap();
    let clock = Preload::clock(directory.path()).await.unwrap();
    clock.jump(SKEWED_BY).unwrap();
    let shim = shims::environment(&[clock.preload()]);
    for (name, value) in &shim {
        flota.set(name, value);
    }
    let worker = flota.start(&["worker"]).await;
    // The commands and the next worker keep the time.
    for (name, _) in &shim {
        flota.unset(name);
    }
    let id = enqueue(&flota).await;

    assert_waits(&flota, &worker, &id, "set the clock").await;

    assert_runs(&flota, worker, &id).await;
}
