//! Pictures, and the tokens of service accounts.

use super::*;

#[tokio::test]
async fn a_picture_goes_out_inline_and_comes_back_as_text_and_labels() {
    let read = json!({ "responses": [{ "fullTextAnnotation": { "text": "TOTAL 42.00" },
        "labelAnnotations": [{ "description": "Receipt", "score": 0.9 }] }] });
    let (receiver, result) = answered(Api::Vision, 200, read).await;
    let (_empty, nothing) = answered(Api::Vision, 200, json!({ "responses": [{}] })).await;

    let got = &receiver.received()[0];
    let sent: Value = serde_json::from_slice(&got.body).unwrap();
    let detail = result.unwrap().detail.unwrap();
    assert_eq!(got.path, "/v1/images:annotate");
    assert_eq!((got.header("x-goog-api-key"), got.header("x-goog-user-project")), (SECRET, "my-project"));
    assert_eq!(sent["requests"][0]["image"]["content"], "R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs=");
    assert_eq!(sent["requests"][0]["features"][0]["type"], "DOCUMENT_TEXT_DETECTION");
    assert_eq!(sent["requests"][0]["imageContext"]["languageHints"], json!(["es"]));
    let read = json!({ "text": "TOTAL 42.00", "labels": [{ "label": "Receipt", "score": 0.9 }] });
    assert_eq!(detail, json!({ "images": [read] }));
    assert_eq!(nothing.unwrap().detail.unwrap()["images"][0]["text"], "");
}

#[tokio::test]
async fn every_answer_of_vision_has_its_class() {
    let rpc = |status: &str| json!({ "error": { "code": 400, "message": "no", "status": status } });
    let image = |code: i64| json!({ "responses": [{ "error": { "code": code, "message": "no" } }] });
    let rows = [
        (400, rpc("INVALID_ARGUMENT"), ErrorClass::Permanent),
        (401, rpc("UNAUTHENTICATED"), ErrorClass::Auth),
        (403, rpc("PERMISSION_DENIED"), ErrorClass::Auth),
        (404, rpc("NOT_FOUND"), ErrorClass::Permanent),
        (413, Value::Null, ErrorClass::Permanent),
        (429, rpc("RESOURCE_EXHAUSTED"), LIMITED),
        (499, Value::Null, ErrorClass::ServerError),
        (500, rpc("INTERNAL"), ErrorClass::ServerError),
        (503, rpc("UNAVAILABLE"), ErrorClass::ServerError),
        (504, rpc("DEADLINE_EXCEEDED"), ErrorClass::ServerError),
        // The HTTP status says 200, the picture's own error does not.
        (200, image(3), ErrorClass::Permanent),
        (200, image(5), ErrorClass::Permanent),
        (200, image(7), ErrorClass::Permanent),
        (200, image(8), LIMITED),
        (200, image(4), ErrorClass::ServerError),
        (200, image(13), ErrorClass::ServerError),
        (200, image(14), ErrorClass::ServerError),
        (200, json!({ "responses": [] }), ErrorClass::ServerError),
    ];

    for (status, body, class) in rows {
        check(Api::Vision, status, body, class).await;
    }
}

#[tokio::test]
async fn a_service_account_signs_once_and_a_refused_token_is_renewed_once() {
    let granted = json!({ "access_token": SECRET, "expires_in": 3600, "token_type": "Bearer" });
    let google =
        Receiver::start(Answer { status: 200, body: granted.to_string().into(), ..Answer::default() }).await;
    let fine = json!({ "responses": [{}] }).to_string();
    let good = Receiver::start(Answer { status: 200, body: fine.into(), ..Answer::default() }).await;
    let bad = Receiver::start(Answer { status: 401, ..Answer::default() }).await;
    let key = String::from_utf8(include_bytes!("../../data/service_account.key.pem").to_vec()).unwrap();
    let file = json!({ "type": "service_account", "client_email": "flota@my-project.iam.gserviceaccount.com",
        "private_key": key, "private_key_id": "k1", "token_uri": google.url() });
    let account = Arc::new(ServiceAccount::from_json(&file.to_string(), Duration::from_secs(5)).unwrap());
    let client = |receiver: &Receiver| {
        let api = ApiSettings::new(format!("http://{}", receiver.address), Duration::from_secs(5));
        vision(api, Arc::clone(&account) as Arc<dyn TokenSource>)
    };

    for _ in 0..2 {
        client(&good).read(&[pixel()], &Wanted::default(), NOW).await.unwrap();
    }
    let exchanges_before = google.received().len();
    let error = client(&bad).read(&[pixel()], &Wanted::default(), NOW).await.unwrap_err();

    assert_eq!(exchanges_before, 1);
    assert_eq!((google.received().len(), bad.received().len(), error.class), (2, 2, ErrorClass::Auth));
    assert_eq!(good.received()[0].header("authorization"), format!("Bearer {SECRET}"));
    let form = String::from_utf8(google.received()[0].body.to_vec()).unwrap();
    assert!(
        form.starts_with("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=ey"),
        "{form}"
    );
}

#[tokio::test]
async fn a_refused_service_account_waits_for_a_person_and_trouble_at_google_does_not() {
    let key = String::from_utf8(include_bytes!("../../data/service_account.key.pem").to_vec()).unwrap();
    let rows = [
        (
            400,
            json!({ "error": "invalid_grant", "error_description": "Invalid JWT" }),
            (ErrorClass::Auth, "invalid_grant"),
        ),
        (400, json!({ "error": "invalid_client" }), (ErrorClass::Auth, "invalid_client")),
        (400, json!({ "error": "" }), (ErrorClass::Auth, "400")),
        (
            400,
            json!({ "error": "temporarily_unavailable" }),
            (ErrorClass::ServerError, "temporarily_unavailable"),
        ),
        (408, Value::Null, (ErrorClass::ServerError, "408")),
        (429, Value::Null, (LIMITED, "429")),
        (503, Value::Null, (ErrorClass::ServerError, "503")),
    ];

    for (status, body, expected) in rows {
        let google =
            Receiver::start(Answer { status, body: body.to_string().into(), ..Answer::default() }).await;
        let file = json!({ "client_email": "a@b", "private_key": key, "token_uri": google.url() });
        let account = ServiceAccount::from_json(&file.to_string(), Duration::from_secs(5)).unwrap();
        let error = account.credential(NOW).await.unwrap_err();
        assert_eq!((error.class, error.code.as_deref().unwrap_or_default()), expected, "{status} {body}");
    }
}
