//! WhatsApp and SMS.

use flota_providers::{Standing, whatsapp::MediaPlace};

use super::*;

#[tokio::test]
async fn a_whatsapp_text_and_a_template_go_out_as_meta_documents_them() {
    let sent = json!({ "messaging_product": "whatsapp", "messages": [{ "id": "wamid.1" }] });
    let (receiver, result) = answered(Api::Whatsapp, 200, sent).await;
    let template =
        WhatsappContent::Template { name: "hello".into(), language: "es_MX".into(), components: vec![] };
    let base = format!("http://{}/v1", receiver.address);
    let client = whatsapp(ApiSettings::new(base, Duration::from_secs(5)));
    client.send("+525512345678", &template, "job-2").await.unwrap();

    let got = receiver.received();
    let bodies: Vec<Value> = got.iter().map(|got| serde_json::from_slice(&got.body).unwrap()).collect();
    assert_eq!(result.unwrap().provider_ref.as_deref(), Some("wamid.1"));
    assert_eq!(got[0].path, "/v1/123456789/messages");
    assert_eq!(got[0].header("authorization"), format!("Bearer {SECRET}"));
    assert_eq!(
        bodies[0],
        json!({ "messaging_product": "whatsapp", "recipient_type": "individual", "to": "+525512345678",
            "biz_opaque_callback_data": "job-1", "type": "text", "text": { "body": "Hola", "preview_url": false } })
    );
    assert_eq!(bodies[1]["template"], json!({ "name": "hello", "language": { "code": "es_MX" } }));
}

#[tokio::test]
async fn whatsapp_is_judged_by_its_code_and_not_by_its_status() {
    let minute = ErrorClass::RateLimited { retry_after: Some(Duration::from_mins(1)) };
    let pair = ErrorClass::RateLimited { retry_after: Some(Duration::from_secs(4)) };
    let rows: [(ErrorClass, &[i64]); 7] = [
        (ErrorClass::Auth, &[0, 190, 3, 10, 200, 299, 131_005, 131_031, 131_037, 131_045, 133_010, 368]),
        (
            ErrorClass::Permanent,
            &[
                1, 33, 100, 131_008, 131_009, 135_000, 131_026, 131_047, 131_050, 130_403, 130_472, 131_021,
                131_030, 131_051, 131_053, 130_497, 132_000, 132_001, 132_005, 132_007, 132_012, 132_015,
                132_016, 132_018, 132_068,
            ],
        ),
        (ErrorClass::ServerError, &[2, 131_000, 131_016, 131_057, 133_004, 131_049, 131_052]),
        (minute, &[4, 80_007, 80_008]),
        (LIMITED, &[130_429, 132_069]),
        (pair, &[131_056]),
        (ErrorClass::Quota, &[131_048, 131_042]),
    ];

    for (class, codes) in rows {
        for code in codes {
            check(Api::Whatsapp, 400, json!({ "error": { "message": "no", "code": code } }), class).await;
        }
    }
    let error = |code: i64, transient: bool| json!({ "error": { "code": code, "is_transient": transient } });
    check(Api::Whatsapp, 400, error(999_999, false), ErrorClass::Permanent).await;
    check(Api::Whatsapp, 400, error(999_999, true), ErrorClass::ServerError).await;
    check(Api::Whatsapp, 503, error(999_999, false), ErrorClass::ServerError).await;
    check(Api::Whatsapp, 200, json!({ "surprise": true }), ErrorClass::Ambiguous).await;
}

#[tokio::test]
async fn a_file_is_named_by_its_id_or_its_link() {
    let sent = json!({ "messages": [{ "id": "wamid.1" }] });
    let receiver =
        Receiver::start(Answer { status: 200, body: sent.to_string().into(), ..Answer::default() }).await;
    let client = whatsapp(ApiSettings::new(receiver.url(), Duration::from_secs(5)));
    let file = |media, place, caption: Option<&str>, filename: Option<&str>| WhatsappContent::File {
        media,
        place,
        caption: caption.map(Into::into),
        filename: filename.map(Into::into),
    };
    let link = || MediaPlace::Link("https://example.com/a".into());
    let contents = [
        file("image", link(), Some("Hola"), None),
        file("document", MediaPlace::Id("42".into()), None, Some("Factura.pdf")),
        file("sticker", MediaPlace::Id("43".into()), None, None),
    ];

    for content in &contents {
        client.send("+525512345678", content, "job-1").await.unwrap();
    }

    let bodies: Vec<Value> =
        receiver.received().iter().map(|got| serde_json::from_slice(&got.body).unwrap()).collect();
    let kinds: Vec<&str> = bodies.iter().map(|body| body["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["image", "document", "sticker"]);
    assert_eq!(bodies[0]["image"], json!({ "link": "https://example.com/a", "caption": "Hola" }));
    assert_eq!(bodies[1]["document"], json!({ "id": "42", "filename": "Factura.pdf" }));
    assert_eq!(bodies[2]["sticker"], json!({ "id": "43" }));
}

#[tokio::test]
async fn a_file_goes_up_with_its_name_and_its_type() {
    let (receiver, result) = answered(Api::Upload, 200, json!({ "id": "1234567890" })).await;

    let got = &receiver.received()[0];
    let body = String::from_utf8_lossy(&got.body);
    assert_eq!(result.unwrap().provider_ref.as_deref(), Some("1234567890"));
    assert_eq!(got.path, "/v1/123456789/media");
    assert_eq!(got.header("authorization"), format!("Bearer {SECRET}"));
    for part in ["name=\"messaging_product\"", "filename=\"a.png\"", "Content-Type: image/png", "-pixels-"] {
        assert!(body.contains(part), "{part} in {body}");
    }
}

#[tokio::test]
async fn a_success_of_an_upload_that_says_nothing_is_tried_again() {
    check(Api::Upload, 200, json!({ "surprise": true }), ErrorClass::ServerError).await;
    check(Api::Upload, 400, json!({ "error": { "code": 131_053 } }), ErrorClass::Permanent).await;
    check(Api::Upload, 401, json!({ "error": { "code": 190 } }), ErrorClass::Auth).await;
}

#[tokio::test]
async fn a_recipient_who_was_sent_too_much_is_left_alone_and_others_are_not() {
    let refused = json!({ "error": { "code": 131_056, "message": "Pair rate limit hit" } });
    let body = refused.to_string().into_bytes();
    let receiver = Receiver::start(Answer { status: 400, body, ..Answer::default() }).await;
    let client = whatsapp(ApiSettings::new(receiver.url(), Duration::from_secs(5)));
    let text = WhatsappContent::Text { body: "Hola".into(), preview_url: false };

    let first = client.send("+525512345678", &text, "job-1").await.unwrap_err();
    let second = client.send("+525512345678", &text, "job-2").await.unwrap_err();
    let before_its_turn = client.may_write_to("+525512345678").unwrap_err();
    assert!(client.may_write_to("+525500000000").is_ok());
    let other = client.send("+525500000000", &text, "job-3").await.unwrap_err();

    assert!(before_its_turn.was_not_sent() && before_its_turn.retry_after().is_some(), "{before_its_turn}");
    assert_eq!((first.standing, first.code.as_deref()), (Standing::OneRecipient, Some("131056")));
    assert_eq!((second.standing, second.code.as_deref()), (Standing::NotSent, Some("own_limit")));
    assert_eq!(other.standing, Standing::OneRecipient);
    assert!(second.retry_after().is_some_and(|wait| wait <= Duration::from_secs(4)), "{second}");
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn an_account_waits_as_long_as_its_usage_says() {
    let usage =
        json!({ "42": [{ "type": "whatsapp", "call_count": 100, "estimated_time_to_regain_access": 7 }] });
    let headers = vec![("x-business-use-case-usage", usage.to_string())];
    for (code, minutes) in [(80_007, 7), (130_429, 7)] {
        let body = json!({ "error": { "code": code } }).to_string().into_bytes();
        let answer = Answer { status: 400, headers: headers.clone(), body };

        let error = with(Api::Whatsapp, answer).await.1.unwrap_err();

        assert_eq!(error.retry_after(), Some(Duration::from_mins(minutes)), "{code}");
    }
}

#[tokio::test]
async fn a_user_who_may_not_be_written_to_is_left_alone_for_a_day() {
    let (_receiver, result) = answered(Api::Whatsapp, 400, json!({ "error": { "code": 131_049 } })).await;

    assert_eq!(result.unwrap_err().retry_after(), Some(Duration::from_hours(24)));
}

#[tokio::test]
async fn a_text_message_goes_out_as_a_form_with_basic_login() {
    let sent = json!({ "sid": "SM1", "status": "queued", "num_segments": "1" });
    let (receiver, result) = answered(Api::Sms, 201, sent).await;

    let got = &receiver.received()[0];
    assert_eq!(result.unwrap().provider_ref.as_deref(), Some("SM1"));
    assert_eq!(got.path, "/v1/Accounts/AC1/Messages.json");
    assert!(got.header("authorization").starts_with("Basic "));
    assert_eq!(got.header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(&got.body[..], b"To=%2B525512345678&From=%2B15005550006&Body=C%C3%B3digo+1234+%26+m%C3%A1s");
}

#[tokio::test]
async fn every_answer_of_twilio_has_its_class() {
    let coded = |code: i64| json!({ "code": code, "message": "no", "status": 400 });
    let rows = [
        (400, coded(21_211), ErrorClass::Permanent),
        (400, coded(21_614), ErrorClass::Permanent),
        (400, coded(21_408), ErrorClass::Permanent),
        (400, coded(21_610), ErrorClass::Gone),
        (400, coded(21_602), ErrorClass::Permanent),
        (400, coded(21_608), ErrorClass::Permanent),
        (400, coded(21_612), ErrorClass::Permanent),
        (400, coded(21_617), ErrorClass::Permanent),
        (400, coded(21_212), ErrorClass::Auth),
        (400, coded(21_603), ErrorClass::Auth),
        (400, coded(21_606), ErrorClass::Auth),
        (400, coded(21_609), ErrorClass::Auth),
        (400, coded(21_659), ErrorClass::Auth),
        (400, coded(21_703), ErrorClass::Auth),
        (400, coded(30_002), ErrorClass::Auth),
        (400, coded(30_034), ErrorClass::Auth),
        (400, coded(30_023), ErrorClass::Quota),
        (400, coded(30_037), ErrorClass::Quota),
        (400, coded(21_611), LIMITED),
        (400, coded(30_001), LIMITED),
        (400, coded(30_022), LIMITED),
        (503, coded(20_503), ErrorClass::ServerError),
        (401, coded(20_003), ErrorClass::Auth),
        (403, coded(20_005), ErrorClass::Auth),
        (429, coded(20_429), LIMITED),
        (429, coded(63_038), ErrorClass::Quota),
        (400, coded(14_107), LIMITED),
        (401, Value::Null, ErrorClass::Auth),
        (402, Value::Null, ErrorClass::Quota),
        (403, Value::Null, ErrorClass::Auth),
        (408, Value::Null, ErrorClass::ServerError),
        (400, coded(99_999), ErrorClass::Permanent),
        (404, coded(20_404), ErrorClass::Permanent),
        (429, Value::Null, LIMITED),
        (500, Value::Null, ErrorClass::ServerError),
        (503, Value::Null, ErrorClass::ServerError),
        (200, json!({ "surprise": true }), ErrorClass::Ambiguous),
    ];

    for (status, body, class) in rows {
        check(Api::Sms, status, body, class).await;
    }
}

#[tokio::test]
async fn a_message_that_was_taken_and_has_failed_is_no_success() {
    let failed =
        |code: i64| json!({ "sid": "SM1", "status": "failed", "error_code": code, "error_message": "no" });
    let rows = [
        (30_001, LIMITED),
        (30_003, ErrorClass::Permanent),
        (30_004, ErrorClass::Permanent),
        (30_005, ErrorClass::Permanent),
        (30_006, ErrorClass::Permanent),
        (30_007, ErrorClass::Permanent),
        (30_008, ErrorClass::Permanent),
        (21_610, ErrorClass::Gone),
        (99_999, ErrorClass::Permanent),
    ];

    for (code, class) in rows {
        check(Api::Sms, 201, failed(code), class).await;
    }
}

#[tokio::test]
async fn a_messaging_service_stands_for_a_number_and_reports_go_where_they_are_wanted() {
    let sent = json!({ "sid": "SM1", "status": "accepted", "num_segments": "0" });
    let receiver =
        Receiver::start(Answer { status: 201, body: sent.to_string().into(), ..Answer::default() }).await;
    let api = ApiSettings::new(receiver.url(), Duration::from_secs(5));
    let from = SmsSender::Service("MG1".into());
    let settings = SmsSettings { api, account_sid: "AC1".into(), auth_token: SECRET.into(), from };
    let client =
        SmsClient::new(settings).unwrap().with_status_callback(Some("https://example.com/sms".into()));

    let receipt = client.send("+525512345678", &"á".repeat(71), NOW).await.unwrap();

    let form = String::from_utf8(receiver.received()[0].body.to_vec()).unwrap();
    assert!(form.starts_with("To=%2B525512345678&MessagingServiceSid=MG1&Body="), "{form}");
    assert!(form.ends_with("&StatusCallback=https%3A%2F%2Fexample.com%2Fsms"), "{form}");
    // The service counts later, so it says 0.
    assert_eq!(receipt.detail.unwrap(), json!({ "status": "accepted", "segments": 2, "alphabet": "ucs-2" }));
}

#[tokio::test]
async fn an_overlong_text_is_not_sent() {
    let receiver = Receiver::start(Answer { status: 201, ..Answer::default() }).await;
    let client = sms(ApiSettings::new(receiver.url(), Duration::from_secs(5)));

    let error = client.send("+525512345678", &"x".repeat(1_601), NOW).await.unwrap_err();

    assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Permanent, Some("too_long")));
    assert!(receiver.received().is_empty());
}
