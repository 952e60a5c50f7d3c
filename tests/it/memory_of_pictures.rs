//! A worker process that sends several large pictures at once, or searches them, holds none of their files in memory.

use flota_tests::{
    program::Installation,
    resident_memory::{MIB, allocated, most_allocated},
};
use serde_json::{Value, json};

use crate::memory_of_files::{stage, store};

/// How much more a worker may allocate while it works with large files than after it has worked with small ones.
const MOST_GROWN: usize = 16 * MIB;
/// Pictures that are read at once, as the queue `ocr` comes.
const AT_ONCE: usize = 4;
/// The largest that is sent to Vision, and the largest that is searched, in bytes.
const SENT: usize = 7_000_000;
const SEARCHED: usize = 19_000_000;
const GIF: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\xff\xff\xff\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
const FIXTURES: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../worker/providers/tests/fixtures/ocr/barcodes/");

/// A picture with a code in so many bytes: in most of them there is text. They stand before the pixels of a JPEG or PNG.
fn commented(fixture: &str, bytes: usize) -> Vec<u8> {
    let mut file = std::fs::read(format!("{FIXTURES}{fixture}")).expect("a fixture");
    let more = bytes - file.len();
    if fixture.ends_with("png") {
        // Behind the header. A text whose checksum is wrong is passed over as well.
        let text = [&(more as u32 - 12).to_be_bytes()[..], b"tEXt", &vec![b'x'; more - 12], b"    "].concat();
        file.splice(33..33, text);
    } else {
        let comment = [&[0xff, 0xfe, 0xff, 0xff][..], &vec![b'x'; 0xfffd]].concat();
        file.splice(2..2, comment.repeat(more / comment.len()));
    }
    file
}

/// Reads them all at once, and answers the results.
async fn read(flota: &Installation, jobs: &[Value]) -> Vec<Value> {
    let mut ids = Vec::new();
    flota.flota(&["queue", "pause", "ocr"]).await.expect(0);
    for payload in jobs {
        ids.push(flota.enqueue("read_image", payload, &[]).await);
    }
    flota.flota(&["queue", "resume", "ocr"]).await.expect(0);
    let mut results = Vec::new();
    for id in ids {
        results.push(flota.wait_for(&id, "succeeded").await["outcome"]["result"].clone());
    }
    results
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_seven_megabytes_go_to_vision_at_once_and_none_is_held_in_memory() {
    let (sandbox, flota) = stage().await;
    let folder = tempfile::tempdir().expect("a directory");
    let file = |bytes: usize| [GIF, &vec![7; bytes]].concat();
    let small = store(&sandbox, folder.path(), "image/gif", &file(100)).await;
    let large = store(&sandbox, folder.path(), "image/gif", &file(SENT)).await;
    let jobs = |key: &str| vec![json!({ "image": { "storage": key } }); AT_ONCE];
    let worker = flota.start(&["worker"]).await;
    let process = worker.process.pid();
    let known = read(&flota, &jobs(&small)).await;
    let before = allocated(process).expect("it runs");

    let (results, most) = most_allocated(process, read(&flota, &jobs(&large))).await.expect("it runs");

    let grown = most.saturating_sub(before);
    println!(
        "{AT_ONCE} pictures of 7 MB to Vision at once: {:.1} MiB more than before",
        grown as f64 / MIB as f64
    );
    assert!(grown <= MOST_GROWN, "{grown} bytes more");
    assert_eq!((&results[0]["text"], &results), (&json!("TOTAL 42.00"), &known));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_nineteen_megabytes_are_searched_at_once_and_only_their_pixels_are_held_in_memory() {
    let (sandbox, flota) = stage().await;
    let folder = tempfile::tempdir().expect("a directory");
    let mut keys = Vec::new();
    for fixture in ["ean_13-plain.png", "ean_13-photo.jpg"] {
        let small = std::fs::read(format!("{FIXTURES}{fixture}")).expect("a fixture");
        let media_type = if fixture.ends_with("png") { "image/png" } else { "image/jpeg" };
        let small = store(&sandbox, folder.path(), media_type, &small).await;
        let large = store(&sandbox, folder.path(), media_type, &commented(fixture, SEARCHED)).await;
        keys.push([small, large]);
    }
    let job = |key: &str| json!({ "image": { "storage": key }, "text": false, "barcodes": true });
    let jobs = |at: usize| -> Vec<Value> {
        (0..AT_ONCE).map(|number| job(&keys[number % keys.len()][at])).collect()
    };
    let worker = flota.start(&["worker"]).await;
    let process = worker.process.pid();
    let known = read(&flota, &jobs(0)).await;
    let before = allocated(process).expect("it runs");

    let (results, most) = most_allocated(process, read(&flota, &jobs(1))).await.expect("it runs");

    let grown = most.saturating_sub(before);
    println!(
        "{AT_ONCE} pictures of 19 MB searched at once: {:.1} MiB more than before",
        grown as f64 / MIB as f64
    );
    assert!(grown <= MOST_GROWN, "{grown} bytes more");
    assert_eq!((&results[0]["barcodes"][0]["symbology"], &results), (&json!("ean_13"), &known));
    worker.stop().await;
}
