//! Uploads as a server sees them: those to Amazon S3 are checked from end to end, those to other services carry no checksum
//! at all, and large ones go in parts.
//!
//! The server of these tests remembers what it was asked and refuses what Amazon refuses (S3 API reference, `UploadPart` and
//! `CompleteMultipartUpload`): checksums of parts that were not announced, and their lack when they were.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, Method, Uri},
    response::{IntoResponse, Response},
};
use flota_providers::{
    Receipt,
    storage::{PART_BYTES, StorageClient, StoragePlace, StorageSettings},
};
use tokio::net::TcpListener;

const ANNOUNCED: &str = "x-amz-checksum-algorithm";
const CRC32: &str = "x-amz-checksum-crc32";
/// What the server says of every part, whether it was sent or not.
const TOLD: &str = "AAAAAA==";
const MIB: usize = 1024 * 1024;

/// One request as it came.
#[derive(Debug, Clone)]
struct Asked {
    what: &'static str,
    headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }

    /// What in it is about checksums.
    fn checksums(&self) -> Vec<String> {
        let headers = self.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        let document = (self.what == "complete").then(|| String::from_utf8(self.body.to_vec()).unwrap());
        headers.chain(document).filter(|text| text.to_ascii_lowercase().contains("checksum")).collect()
    }
}

/// A server that speaks of S3 what an upload needs.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Vec<Asked>>>);

impl Server {
    async fn start() -> (Self, String) {
        let (server, listener) = (Self::default(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).layer(DefaultBodyLimit::disable());
        let router = router.with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (server, format!("http://{address}"))
    }

    fn asked(&self, what: &str) -> Vec<Asked> {
        self.all().into_iter().filter(|asked| asked.what == what).collect()
    }

    fn all(&self) -> Vec<Asked> {
        self.0.lock().unwrap().clone()
    }
}

async fn answer(
    State(server): State<Server>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let query = uri.query().unwrap_or_default();
    let what = match (method, query) {
        (Method::POST, "uploads") => "begin",
        (Method::PUT, query) if query.contains("partNumber") => "part",
        (Method::POST, _) => "complete",
        (Method::DELETE, _) => "abort",
        (Method::PUT, _) => "put",
        _ => "other",
    };
    let announced = server.asked("begin").iter().any(|begun| begun.headers.contains_key(ANNOUNCED));
    let asked = Asked { what, headers, body };
    server.0.lock().unwrap().push(asked.clone());
    let carries = !asked.checksums().is_empty();
    match what {
        "begin" => "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
            .into_response(),
        "part" | "complete" if announced != carries => refused().into_response(),
        "part" => {
            let checksum = asked.header(CRC32).unwrap_or(TOLD).to_owned();
            [("etag", "\"e\"".to_owned()), (CRC32, checksum)].into_response()
        }
        "complete" => {
            "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>".into_response()
        }
        "put" => [("etag", "\"e\"")].into_response(),
        _ => axum::http::StatusCode::NOT_FOUND.into_response(),
    }
}

fn refused() -> impl IntoResponse {
    let document =
        "<Error><Code>InvalidRequest</Code><Message>Checksum type mismatch occurred.</Message></Error>";
    (axum::http::StatusCode::BAD_REQUEST, document)
}

fn client(place: StoragePlace) -> StorageClient {
    StorageClient::new(StorageSettings {
        place,
        region: "us-east-1".to_owned(),
        bucket: "files".to_owned(),
        access_key_id: "id".to_owned(),
        secret_access_key: "secret".into(),
        timeout: Duration::from_secs(20),
    })
}

/// Stores so many bytes as a stream of unknown length; no part is like another.
async fn put_stream(client: &StorageClient, length: usize) -> Receipt {
    let content: Vec<u8> = (0..length).map(|at| (at / PART_BYTES) as u8).collect();
    client.put_stream("a/key", "audio/ogg", &content[..], |_| ()).await.expect("it is stored")
}

#[tokio::test]
async fn parts_for_amazon_are_announced_checked_and_named_with_their_checksum() {
    let (server, url) = Server::start().await;
    let client = client(StoragePlace::Aws { base_url: Some(url) });

    put_stream(&client, 2 * PART_BYTES + 1).await;

    let [begun] = &server.asked("begin")[..] else { panic!("one upload") };
    assert_eq!(begun.header(ANNOUNCED), Some("CRC32"));
    let parts = server.asked("part");
    let checksums: BTreeSet<&str> =
        parts.iter().map(|part| part.header(CRC32).expect("a checksum")).collect();
    assert_eq!((parts.len(), checksums.len()), (3, 3), "each part has its own");
    let [completed] = &server.asked("complete")[..] else { panic!("one end") };
    let document = String::from_utf8(completed.body.to_vec()).unwrap();
    assert_eq!(document.matches("<ChecksumCRC32>").count(), 3, "{document}");
    for checksum in checksums {
        assert!(document.contains(&format!("<ChecksumCRC32>{checksum}</ChecksumCRC32>")), "{document}");
    }
}

#[tokio::test]
async fn parts_for_another_service_carry_no_checksum_whatever_that_says_of_them() {
    let (server, url) = Server::start().await;
    let client = client(StoragePlace::Compatible { base_url: url });

    put_stream(&client, 2 * PART_BYTES + 1).await;

    let what: Vec<&str> = server.all().iter().map(|asked| asked.what).collect();
    assert_eq!(what, ["begin", "part", "part", "part", "complete"]);
    for asked in server.all() {
        assert_eq!(asked.checksums(), Vec::<String>::new(), "{}", asked.what);
    }
}

#[tokio::test]
async fn what_goes_in_one_piece_is_checked_by_amazon_only() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![7; 9 * MIB]).unwrap();
    let (amazon, amazons_url) = Server::start().await;
    let (other, others_url) = Server::start().await;

    for place in
        [StoragePlace::Aws { base_url: Some(amazons_url) }, StoragePlace::Compatible { base_url: others_url }]
    {
        let client = client(place);
        put_stream(&client, 10).await;
        client.put_file("a/file", "audio/ogg", file.path(), |_| ()).await.unwrap();
    }

    let [small, large] = &amazon.asked("put")[..] else { panic!("two files") };
    assert!(small.header(CRC32).is_some(), "{small:?}");
    assert_eq!(large.header("x-amz-trailer"), Some(CRC32));
    assert_eq!(other.all().len(), 2);
    for asked in other.all() {
        assert_eq!(asked.checksums(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_file_goes_in_parts_only_beyond_sixteen_mebibytes_and_what_is_not_on_the_disk_from_eight_on() {
    let (server, url) = Server::start().await;
    let client = client(StoragePlace::Compatible { base_url: url });
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut seen = 0;
    let mut news = || {
        let all: Vec<&str> = server.all()[seen..].iter().map(|asked| asked.what).collect();
        seen += all.len();
        all
    };

    for (length, expected) in [
        (8 * MIB - 1, vec!["put"]),
        (8 * MIB, vec!["put"]),
        (16 * MIB, vec!["put"]),
        (16 * MIB + 1, vec!["begin", "part", "part", "part", "complete"]),
    ] {
        file.as_file().set_len(length as u64).unwrap();
        client.put_file("a/file", "audio/ogg", file.path(), |_| ()).await.unwrap();
        assert_eq!(news(), expected, "a file of {length} bytes");
    }
    for (length, expected) in [(8 * MIB - 1, vec!["put"]), (8 * MIB, vec!["begin", "part", "complete"])] {
        put_stream(&client, length).await;
        assert_eq!(news(), expected, "a stream of {length} bytes");
        client.put_bytes("a/key", "audio/ogg", vec![7; length].into()).await.unwrap();
        assert_eq!(news(), expected, "{length} bytes in memory");
    }
}
