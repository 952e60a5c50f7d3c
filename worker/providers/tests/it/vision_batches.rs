//! Several pictures in one call to Vision, the token that goes with it, and the order of readers.

use std::{io::Write, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use flota_providers::{
    ErrorClass, Standing,
    api::ApiSettings,
    content::Content,
    google_token::{ApiKey, Credential, ServiceAccount, TokenSource},
    ocr::{Batch, TextReader, TextReaders, Wanted},
    picture::Picture,
    pipeline::{Pipeline, Provider},
    tesseract::{TesseractClient, TesseractSettings},
    vision::{MOST_IMAGE_BYTES, MOST_IMAGES, VisionClient, VisionSettings},
};
use serde_json::{Value, json};

use crate::{
    apis::{PIXEL, pixel},
    pictures_made::on_disk,
    receiver::{Answer, Receiver},
    tesseract::script,
};

const NOW: i64 = 784_111_777;
const SOON: Duration = Duration::from_secs(5);

async fn answering(status: u16, body: &Value) -> Receiver {
    Receiver::start(Answer { status, body: body.to_string().into(), ..Answer::default() }).await
}

fn client(receiver: &Receiver, tokens: Arc<dyn TokenSource>) -> VisionClient {
    let api = ApiSettings::new(format!("http://{}", receiver.address), SOON);
    VisionClient::new(VisionSettings { api, tokens, project: None }).unwrap()
}

fn key() -> Arc<dyn TokenSource> {
    Arc::new(ApiKey("key".into()))
}

fn account(token_uri: &str) -> ServiceAccount {
    let key = String::from_utf8(include_bytes!("../data/service_account.key.pem").to_vec()).unwrap();
    let file = json!({ "client_email": "a@b", "private_key": key, "token_uri": token_uri });
    ServiceAccount::from_json(&file.to_string(), SOON).unwrap()
}

/// A picture of about so many bytes on the disk: a GIF with a long comment.
fn heavy(bytes: usize) -> Picture {
    let comment = [&b"!\xfe"[..], &[&[255][..], &[b' '; 255]].concat().repeat(bytes / 256), b"\0"].concat();
    let mut file = PIXEL.to_vec();
    file.splice(19..19, comment);
    Picture::look_at(on_disk(&file)).unwrap()
}

fn sent(receiver: &Receiver) -> Vec<Value> {
    receiver.received().iter().map(|got| serde_json::from_slice(&got.body).unwrap()).collect()
}

#[tokio::test]
async fn sixteen_pictures_are_one_call_and_a_bad_one_keeps_the_others() {
    let bad = json!({ "error": { "code": 3, "message": "Bad image data." } });
    let mut responses = vec![json!({ "fullTextAnnotation": { "text": "hola" } }); 15];
    responses.insert(4, bad);
    let google = answering(200, &json!({ "responses": responses })).await;
    let wanted = Wanted { sparse: true, languages: vec!["es".into()], ..Wanted::default() };

    let read = client(&google, key()).read(&vec![pixel(); 16], &wanted, NOW).await.unwrap();

    let images = read.detail.unwrap()["images"].as_array().unwrap().clone();
    let requests = sent(&google);
    assert_eq!((requests.len(), requests[0]["requests"].as_array().unwrap().len()), (1, 16));
    assert_eq!(requests[0]["requests"][15]["features"], json!([{ "type": "TEXT_DETECTION" }]));
    assert_eq!(requests[0]["requests"][15]["imageContext"]["languageHints"], json!(["es"]));
    let failed: Vec<usize> = (0..16).filter(|at| images[*at]["error"].is_object()).collect();
    assert_eq!((failed, &images[4]["error"]["code"]), (vec![4], &json!("rpc_3")));
    assert!(images[4]["error"]["message"].as_str().unwrap().contains("Bad image data"));
}

#[tokio::test]
async fn of_pictures_that_all_fail_the_one_that_may_be_read_later_decides() {
    let failed = |code: i64| json!({ "error": { "code": code, "message": "no" } });
    for (codes, class) in [
        ([3, 14], ErrorClass::ServerError),
        ([3, 8], ErrorClass::RateLimited { retry_after: None }),
        ([3, 5], ErrorClass::Permanent),
    ] {
        let google = answering(200, &json!({ "responses": codes.map(failed) })).await;

        let error =
            client(&google, key()).read(&vec![pixel(); 2], &Wanted::default(), NOW).await.unwrap_err();

        assert_eq!(error.class, class, "{codes:?}");
    }
}

#[tokio::test]
async fn only_labels_are_asked_for_when_no_text_is_wanted() {
    let google = answering(200, &json!({ "responses": [{}] })).await;
    let wanted = Wanted { text: false, labels: true, ..Wanted::default() };

    client(&google, key()).read(&[pixel()], &wanted, NOW).await.unwrap();

    let features = json!([{ "type": "LABEL_DETECTION", "maxResults": 10 }]);
    assert_eq!(sent(&google)[0]["requests"][0]["features"], features);
}

#[tokio::test]
async fn a_batch_stays_below_ten_megabytes_and_what_is_too_large_is_not_sent() {
    let google = answering(200, &json!({ "responses": [{}, {}] })).await;
    let mut batch = Batch {
        pictures: Vec::new(),
        wanted: Wanted::default(),
        tenant: None,
        ticket: "job".into(),
        now_unix: NOW,
    };
    let large = heavy(MOST_IMAGE_BYTES / 2 - 1_000);
    while batch.takes(&large) {
        batch.pictures.push(large.clone());
    }
    assert_eq!(batch.pictures.len(), 2);
    let oversized = heavy(MOST_IMAGE_BYTES + 1_000);
    assert!(!batch.takes(&oversized));
    batch.pictures.push(oversized.clone());

    let read = client(&google, key()).read(&batch.pictures, &batch.wanted, NOW).await.unwrap();
    let alone = client(&google, key()).read(&[oversized], &batch.wanted, NOW).await.unwrap_err();

    let body = &google.received()[0].body;
    assert!(body.len() <= 10_000_000, "{}", body.len());
    assert_eq!(google.received().len(), 1);
    assert_eq!(read.detail.unwrap()["images"][2]["error"]["code"], "too_large");
    assert_eq!((alone.class, alone.code.as_deref()), (ErrorClass::Permanent, Some("too_large")));
}

#[tokio::test]
async fn a_picture_on_the_disk_is_sent_whole_with_its_length_and_anew_with_another_token() {
    let granted = json!({ "access_token": "t", "expires_in": 3600, "token_type": "Bearer" });
    let tokens = answering(200, &granted).await;
    let google = answering(401, &json!({ "error": { "status": "UNAUTHENTICATED" } })).await;
    let (large, small) = (heavy(3_000_000), pixel());

    let client = client(&google, Arc::new(account(&tokens.url())));
    let refused = client.read(&[large.clone(), small], &Wanted::default(), NOW).await.unwrap_err();

    let received = google.received();
    assert_eq!((refused.class, received.len()), (ErrorClass::Auth, 2));
    let bytes = large.content().whole().await.unwrap();
    for (got, body) in received.iter().zip(sent(&google)) {
        let content = |at: usize| body["requests"][at]["image"]["content"].as_str().unwrap().to_owned();
        assert!(content(0) == STANDARD.encode(&bytes) && content(1) == STANDARD.encode(PIXEL));
        assert_eq!(got.header("content-length"), got.body.len().to_string());
        assert_eq!(got.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn a_picture_that_gets_shorter_on_the_disk_breaks_the_call_off_and_is_no_fault_of_google() {
    let google = answering(200, &json!({ "responses": [{}] })).await;
    let file = tempfile::tempfile().unwrap();
    let large = heavy(3_000_000).content().whole().await.unwrap();
    (&file).write_all(&large).unwrap();
    let picture = Picture::look_at(Content::of_file(file.try_clone().unwrap()).unwrap()).unwrap();

    file.set_len(2_000_000).unwrap();
    let error = client(&google, key()).read(&[picture], &Wanted::default(), NOW).await.unwrap_err();

    assert_eq!((error.class, error.code.as_deref()), (ErrorClass::ServerError, Some("disk")));
    assert_eq!((error.standing, google.received().len()), (Standing::OneRecipient, 0));
}

#[test]
fn a_batch_takes_as_many_small_pictures_as_a_call() {
    let empty = Batch {
        pictures: vec![],
        wanted: Wanted::default(),
        tenant: None,
        ticket: "job".into(),
        now_unix: NOW,
    };
    let full = Batch { pictures: vec![pixel(); MOST_IMAGES], ..empty.clone() };

    assert!(empty.takes(&heavy(MOST_IMAGE_BYTES + 1_000)) && !full.takes(&pixel()));
}

#[tokio::test]
async fn fifty_calls_at_once_exchange_one_claim() {
    let granted = json!({ "access_token": "t", "expires_in": 3600, "token_type": "Bearer" });
    let google = answering(200, &granted).await;
    let account = Arc::new(account(&google.url()));

    let calls = (0..50).map(|_| {
        let account = Arc::clone(&account);
        tokio::spawn(async move { account.credential(NOW).await.is_ok() })
    });
    for call in calls.collect::<Vec<_>>() {
        assert!(call.await.unwrap());
    }

    assert_eq!(google.received().len(), 1);
    // Five minutes before its end it is renewed, once.
    let (first, second) = tokio::join!(account.credential(NOW + 3_301), account.credential(NOW + 3_301));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(google.received().len(), 2);
}

#[tokio::test]
async fn fifty_calls_at_once_share_a_failed_exchange_and_a_later_one_tries_again() {
    let google = answering(503, &Value::Null).await;
    let account = Arc::new(account(&google.url()));

    let calls = (0..50).map(|_| {
        let account = Arc::clone(&account);
        tokio::spawn(async move { account.credential(NOW).await.unwrap_err() })
    });
    for call in calls.collect::<Vec<_>>() {
        let error = call.await.unwrap();
        assert_eq!((error.class, error.code.as_deref()), (ErrorClass::ServerError, Some("503")));
    }

    assert_eq!(google.received().len(), 1);
    account.credential(NOW + 60).await.unwrap_err();
    assert_eq!(google.received().len(), 2);
}

#[tokio::test]
async fn a_refused_token_is_forgotten_and_one_that_was_renewed_meanwhile_stays() {
    let granted = json!({ "access_token": "new", "expires_in": 3600, "token_type": "Bearer" });
    let google = answering(200, &granted).await;
    let account = account(&google.url());
    account.credential(NOW).await.unwrap();

    assert!(account.forget(&Credential::Bearer("old".into())).await);
    account.credential(NOW).await.unwrap();
    let kept = google.received().len();
    assert!(account.forget(&Credential::Bearer("new".into())).await);
    account.credential(NOW).await.unwrap();

    assert_eq!((kept, google.received().len()), (1, 2));
}

#[tokio::test]
async fn a_refused_account_says_what_to_do() {
    let skew = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.";
    let rows = [
        (skew, "set the clock"),
        ("Invalid JWT Signature.", "make a new one"),
        ("Invalid grant: account not found", "enable it"),
        ("something new", "check its key"),
    ];

    for (said, remedy) in rows {
        let google = answering(400, &json!({ "error": "invalid_grant", "error_description": said })).await;
        let error = account(&google.url()).credential(NOW).await.unwrap_err();

        assert_eq!(error.class, ErrorClass::Auth);
        assert!(error.message.contains(remedy), "{error}");
    }
}

#[tokio::test]
async fn the_next_reader_is_asked_when_google_does_not_accept_us_and_not_for_a_bad_picture() {
    let folder = tempfile::tempdir().unwrap();
    let program = script(folder.path(), "cat > /dev/null; echo leido");
    let readers = |receiver: &Receiver| {
        let settings = TesseractSettings { program: program.clone(), timeout: SOON, cores: 1 };
        let vision = Provider::global(client(receiver, key()), &Pipeline::bare());
        let tesseract = Provider::global(TesseractClient::new(settings), &Pipeline::bare());
        let order = vec![TextReader::Vision(Arc::new(vision)), TextReader::Tesseract(Arc::new(tesseract))];
        TextReaders::new(order, &Pipeline::bare()).unwrap()
    };
    let batch = Batch {
        pictures: vec![pixel()],
        wanted: Wanted::default(),
        tenant: None,
        ticket: "job".into(),
        now_unix: NOW,
    };
    let refusing = answering(403, &json!({ "error": { "status": "PERMISSION_DENIED" } })).await;
    let bad =
        answering(200, &json!({ "responses": [{ "error": { "code": 3, "message": "Bad image" } }] })).await;

    let large = Batch { pictures: vec![heavy(MOST_IMAGE_BYTES + 1_000)], ..batch.clone() };

    let read = readers(&refusing).read(batch.clone()).await.unwrap();
    let refused = readers(&bad).read(batch).await.unwrap_err();
    let elsewhere = readers(&bad).read(large).await.unwrap();

    assert_eq!((read.provider, &read.detail.unwrap()["images"][0]["text"]), ("tesseract", &json!("leido")));
    assert_eq!((refused.provider, refused.class), ("google_vision", ErrorClass::Permanent));
    assert_eq!((elsewhere.provider, bad.received().len()), ("tesseract", 1));
    assert!(TextReaders::new(Vec::new(), &Pipeline::bare()).is_none());
}

#[test]
fn a_picture_shows_no_bytes_of_itself() {
    let shown = format!("{:?}", Picture::look_at(Bytes::from_static(PIXEL)).unwrap());

    assert_eq!(shown, "GIF of 1 x 1 in 35 bytes");
}
