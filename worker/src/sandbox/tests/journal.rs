//! The journal: filters, clears, keeps every secret out, and has a ledger that outlives the process.

use super::*;

/// One for each place where a secret travels.
const CANARY: &str = "flota_sandbox_canary_5Xq";

/// Calls every provider with the canary as its credential, in its body where there is no other place.
async fn sing(stage: &Stage) {
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let bearer = format!("Bearer {CANARY}");
    let bodies = [mail(), question(), json!({ "secret": CANARY }), json!({ "typo": CANARY })];
    for path in [
        "/sendgrid/v3/mail/send",
        "/whatsapp/v23.0/123/messages",
        "/llm/v1/chat/completions",
        "/openai/v1/audio/transcriptions",
        "/vision/v1/images:annotate?key=flota_sandbox_canary_5Xq",
        "/webhooks/flota_sandbox_canary_5Xq",
        "/push/flota_sandbox_canary_5Xq",
        "/nowhere/flota_sandbox_canary_5Xq?token=flota_sandbox_canary_5Xq",
    ] {
        for body in &bodies {
            stage.post(path, CANARY, body).await.unwrap();
        }
    }
    for (name, value) in [
        ("x-goog-api-key", CANARY),
        ("webhook-signature", CANARY),
        ("cookie", CANARY),
        ("x-amz-security-token", CANARY),
        ("authorization", CANARY),
        ("proxy-authorization", &*bearer),
    ] {
        stage.post_text("/vision/v1/images:annotate", &[(name, value)], "{}".into()).await.unwrap();
    }
    let sigv4 = format!(
        "AWS4-HMAC-SHA256 Credential={CANARY}/20260101/r/ses/aws4_request, SignedHeaders=host, Signature={CANARY}"
    );
    stage
        .post_text("/ses/v2/email/outbound-emails", &[("authorization", &sigv4)], "{}".into())
        .await
        .unwrap();
    let assertion = format!("grant_type={CANARY}&assertion={CANARY}");
    stage.post_text("/google/token", &form, assertion).await.unwrap();
    let account = format!("/twilio/2010-04-01/Accounts/{CANARY}/Messages.json");
    let request = stage.http.post(stage.sandbox.url(&account)).basic_auth(CANARY, Some(CANARY));
    request.header("content-type", form[0].1).body(format!("To={CANARY}")).send().await.unwrap();
}

#[tokio::test]
async fn no_credential_reaches_the_journal_or_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger.jsonl");
    let options = SandboxOptions { ledger: Some(ledger.clone()), ..SandboxOptions::default() };
    let stage = Stage { sandbox: Sandbox::start_with(options).await.unwrap(), http: client() };

    sing(&stage).await;

    let journal = stage.call(Method::GET, "/__journal").await.text;
    let ledger = std::fs::read_to_string(ledger).unwrap();
    assert!(stage.sandbox.journal(None).len() > 40);
    assert_eq!(ledger.lines().count(), stage.sandbox.journal(None).len());
    for text in [journal, ledger] {
        assert!(!text.contains("canary"), "{text}");
        assert!(text.contains("Bearer ***") && text.contains("Basic ***"));
    }
}

#[tokio::test]
async fn the_journal_is_filtered_and_cleared() {
    let stage = Stage::set().await;
    stage.ask().await.unwrap();
    stage.sms(&[]).await.unwrap();

    let twilio = stage.call(Method::GET, "/__journal?provider=twilio").await.json();
    let wrong = stage.call(Method::GET, "/__journal?tenant=acme").await;
    let misspelt = stage.call(Method::GET, "/__journal?provider=twlio").await;

    assert_eq!(twilio.as_array().map(Vec::len), Some(1));
    assert_eq!((&twilio[0]["verdict"], &twilio[0]["operation"]), (&json!("refused"), &json!("send")));
    assert_eq!(twilio[0]["why"], "21604 A 'To' phone number is required.");
    assert_eq!((wrong.status, misspelt.status), (400, 400));
    assert!(misspelt.text.contains("write one of sendgrid, ses, twilio"), "{}", misspelt.text);
    assert_eq!(stage.call(Method::DELETE, "/__journal").await.status, 204);
    assert_eq!(stage.call(Method::GET, "/__journal").await.json(), json!([]));
}

#[tokio::test]
async fn the_control_is_not_for_web_pages() {
    let stage = Stage::set().await;

    for header in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        let came = stage.post_text("/__faults", &[header], "{}".into()).await.unwrap();
        assert_eq!(came.status, 403, "{}", came.text);
    }
}

#[tokio::test]
async fn the_front_page_says_what_there_is() {
    let stage = Stage::set().await;

    let index = stage.call(Method::GET, "/").await.json();

    assert!(index["routes"].as_array().is_some_and(|routes| routes.len() >= 13));
    assert_eq!(index["environment"]["LLM_BASE_URL"], stage.sandbox.url("/llm/v1"));
}

#[tokio::test]
async fn only_loopback_is_listened_on() {
    let options = SandboxOptions { listen: "0.0.0.0:9000".parse().unwrap(), ..SandboxOptions::default() };

    let told = Sandbox::start_with(options).await.err().expect("a refusal").to_string();

    assert!(told.contains("0.0.0.0:9000") && told.ends_with("listen on 127.0.0.1:9000"), "{told}");
}
