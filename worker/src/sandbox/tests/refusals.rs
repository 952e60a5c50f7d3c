//! What a vendor would refuse is refused here, with the vendor's status and body.

use flota_providers::{
    push::{VapidKey, browser::Browser, new_vapid_pair},
    webhook::{SigningSecret, sign},
};
use secrecy::ExposeSecret;

use super::*;

/// Changes a body at a JSON pointer's place, or takes the last name away with `null`.
fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap();
    match (value.is_null(), parent) {
        (true, Value::Object(fields)) => drop(fields.remove(name)),
        (_, parent) => parent[name] = value,
    }
    body
}

#[tokio::test]
async fn sendgrid_says_which_field_is_wrong() {
    let stage = Stage::set().await;
    let many: Vec<Value> = (0..1_001).map(|n| json!({ "email": format!("a{n}@example.com") })).collect();
    let twice = json!([{ "email": "ana@example.com" }, { "email": "Ana@example.com" }]);
    let reversed = json!([{ "type": "text/html", "value": "x" }, { "type": "text/plain", "value": "x" }]);
    let cases = [
        ("/from", Value::Null, "from"),
        ("/from/email", json!("nobody"), "from.email"),
        ("/personalizations", json!([]), "personalizations"),
        ("/personalizations/0/to", json!([]), "personalizations.0.to"),
        ("/personalizations/0/to", json!([{ "email": "no" }]), "personalizations.0.to.0.email"),
        ("/personalizations/0/to", twice, "personalizations.0"),
        ("/personalizations/0/to", json!(many), "personalizations"),
        (
            "/personalizations/0/custom_args",
            json!({ "x": "y".repeat(10_001) }),
            "personalizations.0.custom_args",
        ),
        ("/subject", Value::Null, "subject"),
        ("/content", Value::Null, "content"),
        ("/content", reversed, "content"),
        ("/categories", json!(["a", "a"]), "categories"),
        ("/send_at", json!(99_999_999_999_i64), "send_at"),
        ("/headers", json!({ "Received": "x" }), "headers"),
        (
            "/mail_settings",
            json!({ "sandbox_mode": { "enable": "true" } }),
            "mail_settings.sandbox_mode.enable",
        ),
    ];

    for (pointer, value, field) in cases {
        let body = with(mail(), pointer, value);
        let came = stage.post("/sendgrid/v3/mail/send", credential::SENDGRID, &body).await.unwrap();
        let fields: Vec<Value> =
            came.json()["errors"].as_array().into_iter().flatten().map(|one| one["field"].clone()).collect();
        assert_eq!(came.status, 400, "{pointer}: {}", came.text);
        assert!(fields.contains(&json!(field)), "{pointer}: {}", came.text);
    }
    let came = stage.post("/sendgrid/v3/mail/send", "SG.live", &mail()).await.unwrap();
    assert_eq!((came.status, came.json()["errors"][0]["field"].clone()), (401, Value::Null));
    assert!(
        stage
            .sandbox
            .journal(None)
            .iter()
            .all(|entry| entry.verdict == Verdict::Refused && !entry.carried_out)
    );
}

#[tokio::test]
async fn twilio_says_its_numbers() {
    let stage = Stage::set().await;
    let (to, from, body) = (("To", "+525512345678"), ("From", "+15005550006"), ("Body", "Hi"));
    let long = "x".repeat(1_601);
    let cases: [(&[(&str, &str)], u32); 9] = [
        (&[from, body], 21_604),
        (&[("To", "5512345678"), from, body], 21_211),
        (&[to, body], 21_603),
        (&[to, from], 21_602),
        (&[to, from, ("Body", &long)], 21_617),
        (&[("To", "+15005550004"), from, body], 21_610),
        (&[to, ("From", "+15005550007"), body], 21_606),
        (&[to, ("MessagingServiceSid", "MG1"), body], 20_001),
        (&[to, from, body, ("ValidityPeriod", "soon")], 20_001),
    ];

    for (fields, code) in cases {
        let came = stage.sms(fields).await.unwrap();
        assert_eq!((came.status, came.json()["code"].clone()), (400, json!(code)), "{}", came.text);
    }
    let path = "/twilio/2010-04-01/Accounts/AC1/Messages.json";
    let came = stage
        .post_text(path, &[("content-type", "application/x-www-form-urlencoded")], "To=1".into())
        .await
        .unwrap();
    assert_eq!((came.status, came.json()["code"].clone()), (401, json!(20_003)));
}

#[tokio::test]
async fn whatsapp_says_its_codes() {
    let stage = Stage::set().await;
    let good = json!({
        "messaging_product": "whatsapp", "to": "525512345678", "type": "text", "text": { "body": "Hola" },
    });
    let cases = [
        ("/to", Value::Null, 100),
        ("/to", json!("Ana"), 131_009),
        ("/type", json!("fax"), 100),
        ("/messaging_product", json!("sms"), 100),
        ("/text", json!({ "body": "" }), 100),
        ("/text", json!({ "body": "x".repeat(4_097) }), 100),
        ("/typo", json!(1), 100),
        ("/biz_opaque_callback_data", json!("x".repeat(513)), 100),
    ];

    for (pointer, value, code) in cases {
        let body = with(good.clone(), pointer, value);
        let came = stage.post("/whatsapp/v23.0/123/messages", credential::WHATSAPP, &body).await.unwrap();
        assert_eq!(
            (came.status, came.json()["error"]["code"].clone()),
            (400, json!(code)),
            "{pointer} {}",
            came.text
        );
    }
    let image = json!({ "messaging_product": "whatsapp", "to": "525512345678", "type": "image", "image": { "id": "1" } });
    let unknown = stage.post("/whatsapp/v23.0/123/messages", credential::WHATSAPP, &image).await.unwrap();
    let stranger = stage.post("/whatsapp/v23.0/123/messages", "EAAG", &good).await.unwrap();
    assert_eq!(unknown.json()["error"]["code"], 131_053);
    assert_eq!((stranger.status, stranger.json()["error"]["code"].clone()), (401, json!(190)));
}

#[tokio::test]
async fn a_language_model_says_the_type_of_its_refusal() {
    let stage = Stage::set().await;
    let cases = [
        ("/messages", json!([])),
        ("/messages", Value::Null),
        ("/messages/0/role", json!("king")),
        ("/temperature", json!("hot")),
        ("/max_tokens", json!("many")),
    ];

    for (pointer, value) in cases {
        let body = with(question(), pointer, value);
        let came = stage.post("/llm/v1/chat/completions", credential::LLM, &body).await.unwrap();
        assert_eq!(
            (came.status, came.json()["error"]["code"].clone()),
            (400, json!(400)),
            "{pointer} {}",
            came.text
        );
    }
    let came = stage.post("/llm/v1/chat/completions", "flota_sandbox_revoked", &question()).await.unwrap();
    assert_eq!(came.json()["error"]["metadata"]["error_type"], "authentication");
    let unknown = with(question(), "/model", json!("xyz"));
    let came = stage.post("/llm/v1/chat/completions", credential::LLM, &unknown).await.unwrap();
    assert_eq!(came.json(), json!({ "error": { "message": "xyz is not a valid model ID", "code": 400 } }));
}

#[tokio::test]
async fn a_transcription_needs_a_known_file_and_fitting_fields() {
    let stage = Stage::set().await;
    let form = |fields: &[(&str, &str)], name: &str, content: &[u8]| {
        let field = |(name, value): &(&str, &str)| {
            format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let fields: Vec<String> = fields.iter().map(field).collect();
        let file =
            format!("--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n");
        [fields.concat().as_bytes(), file.as_bytes(), content, b"\r\n--x--\r\n"].concat()
    };
    let model = ("model", "whisper-1");
    let cases = [
        form(&[], "a.ogg", SPEECH),
        form(&[model], "a.txt", SPEECH),
        form(&[model], "a.ogg", b"<html>"),
        form(&[model, ("temperature", "2")], "a.ogg", SPEECH),
        form(&[model, ("response_format", "xml")], "a.ogg", SPEECH),
        form(&[model, ("timestamp_granularities[]", "word")], "a.ogg", SPEECH),
        form(&[model, ("language", "español")], "a.ogg", SPEECH),
        form(&[model], "a.ogg", &SPEECH[..SPEECH.len() / 2]),
        form(&[model, ("colour", "red")], "a.ogg", SPEECH),
        form(&[("model", "gpt-4o-transcribe"), ("response_format", "srt")], "a.ogg", SPEECH),
        b"not a form".to_vec(),
    ];
    let bearer = format!("Bearer {}", credential::OPENAI);
    let headers = [("authorization", &*bearer), ("content-type", "multipart/form-data; boundary=x")];

    for body in cases {
        let came = stage.post_bytes("/openai/v1/audio/transcriptions", &headers, body).await.unwrap();
        assert_eq!(
            (came.status, &came.json()["error"]["type"]),
            (400, &json!("invalid_request_error")),
            "{}",
            came.text
        );
    }
    let srt = form(&[model, ("response_format", "srt")], "a.ogg", SPEECH);
    let came = stage.post_bytes("/openai/v1/audio/transcriptions", &headers, srt).await.unwrap();
    assert!(came.text.starts_with("1\n00:00:00,000 --> "), "{}", came.text);
    let words = [model, ("response_format", "verbose_json"), ("timestamp_granularities[]", "word")];
    let came = stage
        .post_bytes("/openai/v1/audio/transcriptions", &headers, form(&words, "a.ogg", SPEECH))
        .await
        .unwrap();
    let words = [came.json()["words"][0]["word"].clone(), came.json()["words"][1]["word"].clone()];
    assert_eq!(
        (words, &came.json()["segments"]),
        ([json!("Buenos"), json!("días")], &Value::Null),
        "as the vendor has it"
    );
}

#[tokio::test]
async fn vision_refuses_the_request_or_only_its_picture() {
    let stage = Stage::set().await;
    let ask = async |body: Value| {
        let headers = [("x-goog-api-key", credential::GOOGLE), ("content-type", "application/json")];
        stage.post_text("/vision/v1/images:annotate", &headers, body.to_string()).await.unwrap()
    };
    let picture = |content: &str, feature: &str| json!({ "requests": [{ "image": { "content": content }, "features": [{ "type": feature }] }] });

    let barcode = ask(picture("R0lGODlh", "BARCODE_DETECTION")).await;
    let many = ask(json!({ "requests": vec![json!({}); 17] })).await;
    let unknown = ask(json!({ "requests": [{ "picture": {} }] })).await;
    let bad = ask(picture("PGh0bWw+", "TEXT_DETECTION")).await;
    let stranger = stage
        .post("/vision/v1/images:annotate", "ya29.unknown", &picture("R0lGODlh", "TEXT_DETECTION"))
        .await
        .unwrap();

    for came in [barcode, many, unknown] {
        assert_eq!(
            (came.status, &came.json()["error"]["status"]),
            (400, &json!("INVALID_ARGUMENT")),
            "{}",
            came.text
        );
    }
    assert_eq!((bad.status, &bad.json()["responses"][0]["error"]["code"]), (200, &json!(3)));
    assert_eq!((stranger.status, &stranger.json()["error"]["status"]), (401, &json!("UNAUTHENTICATED")));
}

#[tokio::test]
async fn googles_token_endpoint_takes_only_what_the_account_signed() {
    let stage = Stage::set().await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    // {"alg":"RS256"}.{}.AA and {"alg":"none"}.{}.
    let cases = [
        ("grant_type=password".to_owned(), "unsupported_grant_type"),
        (format!("{grant}x"), "invalid_grant"),
        (format!("{grant}eyJhbGciOiJSUzI1NiJ9.e30.AA"), "invalid_grant"),
        (format!("{grant}eyJhbGciOiJub25lIn0.e30."), "invalid_grant"),
    ];

    for (body, word) in cases {
        let came = stage.post_text("/google/token", &form, body).await.unwrap();
        assert_eq!((came.status, came.json()["error"].clone()), (400, json!(word)), "{}", came.text);
    }
}

#[tokio::test]
async fn a_push_service_takes_only_what_the_browser_can_open_from_whom_it_subscribed_with() {
    let stage = Stage::set().await;
    let (public, private) = new_vapid_pair().unwrap();
    let (other, _) = new_vapid_pair().unwrap();
    let key = VapidKey::new(&public, &private, "mailto:admin@flota.example").unwrap();
    let guard = Arc::new(crate::services::guard(vec!["127.0.0.0/8".parse().unwrap()], true));
    let mut settings = flota_providers::outbound::OutboundSettings::new(guard);
    settings.rules.allow_http = true;
    settings.rules.allowed_ports = None;
    let client = flota_providers::outbound::OutboundClient::new(settings).unwrap();
    let now = flota_producer::clock::unix_now().as_secs() as i64;
    let push = |subscription: &BrowserSubscription, p256dh: String| flota_providers::push::Push {
        endpoint: subscription.endpoint.clone(),
        p256dh,
        auth: subscription.keys.auth.clone(),
        content: b"hello".to_vec(),
        ttl: 60,
        urgency: "high".into(),
        topic: "t".into(),
    };
    let mine = stage.sandbox.subscribe(Some(&public)).unwrap();
    let theirs = stage.sandbox.subscribe(Some(&other)).unwrap();

    let good = key.send(&push(&mine, mine.keys.p256dh.clone()), &client, now).await;
    let wrong_key = key.send(&push(&theirs, theirs.keys.p256dh.clone()), &client, now).await.unwrap_err();
    let unreadable =
        key.send(&push(&mine, Browser::new().unwrap().p256dh()), &client, now).await.unwrap_err();
    let id = mine.endpoint.rsplit('/').next().unwrap();
    assert_eq!(stage.call(Method::DELETE, &format!("/__push/subscriptions/{id}")).await.status, 204);
    let ended = key.send(&push(&mine, mine.keys.p256dh.clone()), &client, now).await.unwrap_err();

    assert!(good.is_ok(), "{good:?}");
    assert_eq!(stage.sandbox.notifications(), [b"hello"]);
    let codes = [wrong_key, unreadable, ended].map(|error| error.code.map(String::from));
    assert_eq!(codes, ["vapid_mismatch", "400", "410"].map(|code| Some(code.to_owned())));
}

#[tokio::test]
async fn a_push_without_its_headers_is_refused_with_autopushs_numbers() {
    let stage = Stage::set().await;
    let endpoint = stage.sandbox.subscribe(None).unwrap().endpoint;
    let path = endpoint.strip_prefix(&stage.sandbox.url("")).unwrap();
    let cases = [
        (vec![], 400, 111),
        (vec![("ttl", "2592001")], 400, 112),
        (vec![("ttl", "1"), ("topic", "a b")], 400, 113),
        (vec![("ttl", "1"), ("urgency", "now")], 400, 110),
        (vec![("ttl", "1")], 401, 109),
    ];

    for (headers, status, number) in cases {
        let came = stage.post_text(path, &headers, String::new()).await.unwrap();
        assert_eq!((came.status, came.json()["errno"].clone()), (status, json!(number)), "{}", came.text);
    }
    assert_eq!(stage.post_text("/push/unknown", &[], String::new()).await.unwrap().status, 404);
}

#[tokio::test]
async fn a_webhook_is_taken_only_with_a_signature_of_a_known_secret() {
    let stage = Stage::set().await;
    let secret = SigningSecret::generate().unwrap();
    let now = flota_producer::clock::unix_now().as_secs() as i64;
    let send = async |id: &str, at: i64, signature: String, body: &str| {
        let at = at.to_string();
        let headers = [("webhook-id", id), ("webhook-timestamp", &*at), ("webhook-signature", &*signature)];
        stage.post_text("/webhooks/orders", &headers, body.into()).await.unwrap().status
    };
    let signed = |at: i64, body: &str| sign(std::slice::from_ref(&secret), "msg_1", at, body.as_bytes());

    assert_eq!(send("msg_1", now, signed(now, "{}"), "{}").await, 401);
    let told = json!({ "secret": secret.to_text().expose_secret() });
    assert_eq!(stage.post("/__webhooks", "", &told).await.unwrap().status, 204);

    assert_eq!(send("msg_1", now, signed(now, "{}"), "{}").await, 204);
    assert_eq!(send("msg_1", now, signed(now, "{}"), "{ }").await, 401);
    assert_eq!(send("msg_1", now - 301, signed(now - 301, "{}"), "{}").await, 401);
    assert_eq!(send("", now, signed(now, "{}"), "{}").await, 400);
    assert_eq!(send("msg_1", now, signed(now, "x"), "x").await, 400);
}

#[tokio::test]
async fn an_asymmetric_signature_must_hold_where_its_key_is_known() {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use base64::{Engine, engine::general_purpose::STANDARD};
    let stage = Stage::set().await;
    let key = Ed25519KeyPair::generate().unwrap();
    assert!(
        stage.sandbox.trust_webhook_secret(&format!("whpk_{}", STANDARD.encode(key.public_key().as_ref())))
    );
    let at = flota_producer::clock::unix_now().as_secs().to_string();
    let send = async |content: String| {
        let signature = format!("v1a,{}", STANDARD.encode(key.sign(content.as_bytes()).as_ref()));
        let headers =
            [("webhook-id", "msg_1"), ("webhook-timestamp", &*at), ("webhook-signature", &*signature)];
        stage.post_text("/webhooks/orders", &headers, "{}".into()).await.unwrap().status
    };

    assert_eq!(send(format!("msg_1.{at}.{{}}")).await, 204);
    assert_eq!(send(format!("msg_2.{at}.{{}}")).await, 401);
}

#[tokio::test]
async fn another_method_and_another_path_are_told_apart() {
    let stage = Stage::set().await;

    let method = stage.call(Method::GET, "/sendgrid/v3/mail/send").await;
    let path = stage.call(Method::GET, "/nowhere").await;

    assert_eq!((method.status, &method.json()["errors"][0]["message"]), (405, &json!("method not allowed")));
    assert_eq!(path.status, 404);
}
