//! SES: requests are signed here by a few lines of their own, from AWS's description.

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac,
};

use super::*;

const PATH: &str = "/ses/v2/email/outbound-emails";

fn email() -> Value {
    json!({
        "FromEmailAddress": "noreply@flota.example",
        "Destination": { "ToAddresses": ["ana@example.com"] },
        "Content": { "Simple": {
            "Subject": { "Data": "Hello", "Charset": "UTF-8" },
            "Body": { "Text": { "Data": "Hi" }, "Html": { "Data": "<p>Hi</p>" } },
        } },
        "EmailTags": [{ "Name": "job_id", "Value": "0198-ab" }],
    })
}

/// The headers of a request that is signed at this time with this key.
fn sign(
    stage: &Stage,
    body: &str,
    now_unix: i64,
    key: &str,
    secret: &str,
    service: &str,
) -> Vec<(&'static str, String)> {
    let hash = |bytes: &[u8]| hex::encode(digest(&SHA256, bytes));
    let mac = |key: &[u8], text: &str| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
    };
    let time = chrono::DateTime::from_timestamp(now_unix, 0).unwrap().format("%Y%m%dT%H%M%SZ").to_string();
    let (day, host) = (&time[..8], stage.sandbox.url("").replace("http://", ""));
    let canonical = format!(
        "POST\n{PATH}\n\nhost:{host}\nx-amz-date:{time}\n\nhost;x-amz-date\n{}",
        hash(body.as_bytes())
    );
    let scope = format!("{day}/eu-west-1/{service}/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hash(canonical.as_bytes()));
    let key_of_day = mac(format!("AWS4{secret}").as_bytes(), day);
    let signing =
        ["eu-west-1", service, "aws4_request"].into_iter().fold(key_of_day, |key, part| mac(&key, part));
    let signature = hex::encode(mac(&signing, &text));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders=host;x-amz-date, Signature={signature}"
    );
    vec![("authorization", authorization), ("x-amz-date", time), ("content-type", "application/json".into())]
}

async fn send(stage: &Stage, headers: &[(&str, String)], body: &Value) -> Came {
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
    stage.post_text(PATH, &headers, body.to_string()).await.unwrap()
}

/// Status and type of an error.
fn kind(came: &Came) -> (u16, &str) {
    (
        came.status,
        came.headers.get("x-amzn-errortype").and_then(|kind| kind.to_str().ok()).unwrap_or_default(),
    )
}

fn now() -> i64 {
    flota_producer::clock::unix_now().as_secs() as i64
}

#[tokio::test]
async fn a_signed_mail_is_taken_and_gets_its_id() {
    let stage = Stage::set().await;
    let body = email();
    let headers = sign(&stage, &body.to_string(), now(), credential::AWS_KEY, credential::AWS_SECRET, "ses");

    let came = send(&stage, &headers, &body).await;

    assert_eq!(came.status, 200, "{}", came.text);
    assert!(came.json()["MessageId"].as_str().is_some_and(|id| id.len() > 20));
}

#[tokio::test]
async fn a_signature_that_does_not_hold_is_refused_as_aws_does() {
    let stage = Stage::set().await;
    let text = email().to_string();
    let (key, secret) = (credential::AWS_KEY, credential::AWS_SECRET);
    let signed = |now, key, secret, service| sign(&stage, &text, now, key, secret, service);
    let cases = [
        (vec![], (403, "MissingAuthenticationTokenException")),
        (
            vec![("authorization", "AWS4-HMAC-SHA256 Credential=x".to_owned())],
            (400, "IncompleteSignatureException"),
        ),
        (signed(now(), "AKIALIVE", secret, "ses"), (403, "UnrecognizedClientException")),
        (signed(now(), key, "other", "ses"), (403, "SignatureDoesNotMatch")),
        (signed(now(), key, secret, "sesv2"), (403, "SignatureDoesNotMatch")),
        (signed(now() - 400, key, secret, "ses"), (403, "RequestExpired")),
    ];

    for (headers, expected) in cases {
        assert_eq!(kind(&send(&stage, &headers, &email()).await), expected);
    }
    let mut changed = email();
    changed["FromEmailAddress"] = json!("eve@example.com");
    let headers = signed(now(), key, secret, "ses");
    assert_eq!(kind(&send(&stage, &headers, &changed).await), (403, "SignatureDoesNotMatch"));
}

#[tokio::test]
async fn a_mail_against_the_model_is_refused() {
    let stage = Stage::set().await;
    let change = |pointer: &str, value: Value| {
        let mut body = email();
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let many: Vec<String> = (0..51).map(|n| format!("a{n}@example.com")).collect();
    let cases = [
        change("/Content", json!({})),
        change("/Content", json!({ "Simple": email()["Content"]["Simple"], "Raw": { "Data": "eA==" } })),
        change("/Content/Simple/Subject", json!({})),
        change("/Content/Simple/Body", json!({})),
        change("/Destination/ToAddresses", json!([])),
        change("/Destination/ToAddresses", json!(many)),
        change("/Destination/ToAddresses/0", json!("nobody")),
        change("/EmailTags/0/Value", json!("a b")),
        change("/FromEmailAddress", json!(42)),
        change("/Destination", json!({ "To": ["ana@example.com"] })),
    ];

    for body in cases {
        let headers =
            sign(&stage, &body.to_string(), now(), credential::AWS_KEY, credential::AWS_SECRET, "ses");
        let came = send(&stage, &headers, &body).await;
        assert_eq!(kind(&came), (400, "BadRequestException"), "{body}: {}", came.text);
    }
}
