//! `flota doctor --online`: every configured provider is asked whether it takes our credential.

use std::time::{Duration, Instant};

use flota_tests::program::Installation;
use flota_worker::sandbox::{Fault, Sandbox, Verdict};
use serde_json::{Value, json};

/// Most time for one provider to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A provider: its finding, the variable of its credential, that of its address, and its name in the sandbox.
const PROVIDERS: [(&str, &str, &str, &str); 7] = [
    ("sendgrid login", "SENDGRID_API_KEY", "SENDGRID_BASE_URL", "sendgrid"),
    ("ses login", "AWS_SES_ACCESS_KEY_ID", "AWS_SES_BASE_URL", "ses"),
    ("whatsapp login", "WHATSAPP_ACCESS_TOKEN", "WHATSAPP_BASE_URL", "whatsapp"),
    ("twilio login", "TWILIO_AUTH_TOKEN", "TWILIO_BASE_URL", "twilio"),
    ("llm login", "OPENROUTER_API_KEY", "LLM_BASE_URL", "llm"),
    ("whisper login", "OPENAI_API_KEY", "OPENAI_BASE_URL", "openai"),
    ("google_vision login", "GOOGLE_VISION_API_KEY", "GOOGLE_VISION_BASE_URL", "google_vision"),
];

/// An installation whose providers are all in the sandbox, with keys of its own for push and webhooks.
async fn in_sandbox() -> (Sandbox, Installation) {
    let (sandbox, mut flota) = (Sandbox::start().await.expect("a sandbox"), Installation::new().await);
    for (name, value) in sandbox.environment() {
        flota.set(name, value);
    }
    for command in ["vapid", "webhook"] {
        let keys = flota.flota(&["keys", command, "-o", "json"]).await.expect(0).json();
        for (name, value) in keys.as_object().expect("names and values") {
            flota.set(name, value.as_str().expect("a text"));
        }
    }
    flota.set("VAPID_SUBJECT", "mailto:admin@example.com");
    (sandbox, flota)
}

fn finding<'a>(findings: &'a Value, check: &str) -> &'a Value {
    let mut all = findings.as_array().expect("a list").iter();
    all.find(|finding| finding["check"] == check).unwrap_or_else(|| panic!("no {check} in {findings:#}"))
}

fn text<'a>(finding: &'a Value, field: &str) -> &'a str {
    finding[field].as_str().unwrap_or_default()
}

#[tokio::test]
async fn good_credentials_are_proven_and_nothing_is_sent() {
    let (sandbox, flota) = in_sandbox().await;

    let findings = flota.flota(&["doctor", "--online"]).await.expect(0).json();

    for (check, ..) in PROVIDERS.iter().chain(&[("smtp login", "", "", ""), ("web_push keys", "", "", "")]) {
        assert_eq!(finding(&findings, check)["severity"], "ok", "{findings:#}");
    }
    assert_eq!(finding(&findings, "webhook receivers")["found"], "cannot be checked without sending");
    assert!(text(finding(&findings, "whisper login"), "found").contains("whisper-1"));
    let journal = sandbox.journal(None);
    assert_eq!(journal.len(), PROVIDERS.len() + 1, "one call each, and the bucket's rules: {journal:#?}");
    for entry in journal.into_iter().filter(|entry| entry.provider != "storage") {
        assert_eq!(entry.verdict, Verdict::Accepted, "{entry:?}");
        assert!(entry.method == "GET" || entry.summary == json!({ "pictures": 0, "failed": 0 }), "{entry:?}");
    }
    assert_eq!(sandbox.smtp().mails().len(), 0);
}

#[tokio::test]
async fn a_refused_credential_is_an_error_that_names_its_variable_and_not_its_value() {
    let (sandbox, mut flota) = in_sandbox().await;
    for (_, credential, ..) in PROVIDERS {
        flota.set(credential, format!("flota_sandbox_revoked_{}", credential.to_lowercase()));
    }

    let said = flota.flota(&["doctor", "--online"]).await.expect(1);

    let findings = said.json();
    for (check, credential, ..) in PROVIDERS {
        let finding = finding(&findings, check);
        assert_eq!(finding["severity"], "error", "{finding:#}");
        assert!(
            text(finding, "fix").starts_with("check ") && text(finding, "fix").contains(credential),
            "{finding:#}"
        );
    }
    assert!(!said.stdout.contains("flota_sandbox_revoked") && !said.stderr.contains("flota_sandbox_revoked"));
    assert_eq!(finding(&findings, "smtp login")["severity"], "ok");
    drop(sandbox);
}

#[tokio::test]
async fn a_provider_that_is_away_is_told_with_its_host_and_the_variable_of_its_address() {
    let (_sandbox, mut flota) = in_sandbox().await;
    for (_, _, address, _) in PROVIDERS {
        flota.set(address, "http://127.0.0.1:1");
    }
    flota.set("SMTP_PORT", 1).set("MINIO_ENDPOINT", "http://127.0.0.1:1");

    let findings = flota.flota(&["doctor", "--online"]).await.expect(1).json();

    let others = [("smtp login", "", "SMTP_HOST", ""), ("storage", "", "MINIO_ENDPOINT", "")];
    for (check, _, address, _) in PROVIDERS.iter().chain(&others) {
        let finding = finding(&findings, check);
        assert_eq!(finding["severity"], "error", "{finding:#}");
        assert!(text(finding, "found").starts_with("127.0.0.1:1 cannot be reached"), "{finding:#}");
        let fix = text(finding, "fix");
        assert!(
            fix.starts_with("see that 127.0.0.1:1 can be reached") && fix.contains(address),
            "{finding:#}"
        );
    }
    assert!(text(finding(&findings, "twilio login"), "found").contains("Connection refused"), "{findings:#}");
}

#[tokio::test]
async fn providers_that_do_not_answer_are_given_up_together() {
    let (sandbox, flota) = in_sandbox().await;
    for (_, _, _, name) in PROVIDERS {
        sandbox.fault(Fault { delay_ms: 600_000, ..Fault::of(name) }).unwrap();
    }
    let began = Instant::now();

    let findings = flota.flota(&["doctor", "--online"]).await.expect(1).json();

    let took = began.elapsed();
    assert!(PATIENCE <= took && took < PATIENCE * 3, "{took:?}");
    for (check, _, address, _) in PROVIDERS {
        let finding = finding(&findings, check);
        assert!(text(finding, "found").ends_with("did not answer within 10 s"), "{finding:#}");
        assert!(text(finding, "fix").contains(address), "{finding:#}");
    }
}

#[tokio::test]
async fn what_a_provider_says_beyond_yes_and_no_is_told() {
    let (sandbox, flota) = in_sandbox().await;
    let answers = |provider: &str, status, body: Value| {
        sandbox.fault(Fault { body: Some(body), ..Fault::status(provider, status) }).unwrap();
    };
    answers("sendgrid", 200, json!({ "scopes": ["user.profile.read"] }));
    answers("ses", 200, json!({ "SendingEnabled": true, "ProductionAccessEnabled": false }));
    answers("twilio", 200, json!({ "status": "suspended", "type": "Full" }));
    let missing = json!({ "error": { "message": "Unsupported get request.", "code": 100 } });
    answers("whatsapp", 400, missing);
    answers("llm", 200, json!({ "data": { "limit": 5.0, "limit_remaining": 0.0 } }));
    answers("openai", 200, json!({ "data": [{ "id": "gpt-4o" }] }));
    sandbox.fault(Fault::status("google_vision", 503)).unwrap();

    let findings = flota.flota(&["doctor", "--online"]).await.expect(1).json();

    let table = [
        ("sendgrid login", "error", "may not send", "SENDGRID_API_KEY"),
        ("ses login", "warning", "verified addresses only", "production access"),
        ("twilio login", "error", "suspended", "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"),
        ("whatsapp login", "error", "Unsupported get request", "WHATSAPP_PHONE_NUMBER_ID"),
        ("llm login", "error", "credit limit is used up", "OPENROUTER_API_KEY"),
        ("whisper login", "warning", "no model whisper-1", "WHISPER_MODEL"),
        ("google_vision login", "error", "on the other side", "ask again later"),
    ];
    for (check, severity, found, fix) in table {
        let finding = finding(&findings, check);
        assert_eq!(finding["severity"], severity, "{finding:#}");
        assert!(text(finding, "found").contains(found) && text(finding, "fix").contains(fix), "{finding:#}");
        assert!(!text(finding, "found").contains("job is repeated"), "{finding:#}");
    }
}

#[tokio::test]
async fn an_account_that_may_not_be_read_is_not_taken_for_a_refused_one() {
    let (sandbox, flota) = in_sandbox().await;
    let denied =
        json!({ "__type": "AccessDeniedException", "message": "not authorized to perform: ses:GetAccount" });
    let test = json!({ "code": 20_008, "message": "Resource not accessible with Test Account Credentials" });
    let permission = json!({ "error": { "message": "(#10) no permission", "code": 10 } });
    let restricted =
        json!({ "error": { "message": "Missing scopes: api.model.read", "type": "invalid_request_error" } });
    for (provider, body) in
        [("ses", denied), ("twilio", test), ("whatsapp", permission), ("openai", restricted)]
    {
        sandbox.fault(Fault { body: Some(body), ..Fault::status(provider, 403) }).unwrap();
    }
    sandbox.fault(Fault::status("sendgrid", 429)).unwrap();
    // Another API than OpenRouter's knows no /key.
    sandbox.fault(Fault::status("llm", 404)).unwrap();

    let findings = flota.flota(&["doctor", "--online"]).await.expect(0).json();

    for check in ["ses login", "twilio login", "whatsapp login", "whisper login", "sendgrid login"] {
        let finding = finding(&findings, check);
        assert_eq!(finding["severity"], "warning", "{finding:#}");
        assert_ne!(text(finding, "fix"), "", "{finding:#}");
    }
    assert_eq!(finding(&findings, "llm login")["severity"], "ok");
}

#[tokio::test]
async fn a_service_account_has_to_get_a_token_first() {
    let (sandbox, mut flota) = in_sandbox().await;
    let key_file = flota.write("service-account.json", &sandbox.service_account().unwrap());
    flota.unset("GOOGLE_VISION_API_KEY").set("GOOGLE_APPLICATION_CREDENTIALS", key_file);

    let good = flota.flota(&["doctor", "--online"]).await.expect(0).json();
    sandbox.fault(Fault::status("google_token", 400)).unwrap();
    let bad = flota.flota(&["doctor", "--online"]).await.expect(1).json();

    assert!(text(finding(&good, "google_vision login"), "found").contains("got a token"), "{good:#}");
    assert_eq!(finding(&bad, "google_vision login")["fix"], "check GOOGLE_APPLICATION_CREDENTIALS");
}

#[tokio::test]
async fn a_provider_that_is_not_configured_is_not_asked() {
    let mut flota = Installation::new().await;
    flota.make_keys().await;

    let findings = flota.flota(&["doctor", "--online"]).await.expect(0).json();

    let asked = |finding: &&Value| text(finding, "check").ends_with(" login");
    assert_eq!(findings.as_array().unwrap().iter().filter(asked).count(), 0, "{findings:#}");
}

#[tokio::test]
async fn a_question_takes_no_turn_and_opens_no_circuit() {
    let (sandbox, mut flota) = in_sandbox().await;
    flota.set("FLOTA_EMAIL_PROVIDERS", "sendgrid").set("FLOTA_ADMIN_ADDR", "127.0.0.1:0");
    sandbox.fault(Fault::status("sendgrid", 401).times(20)).unwrap();
    let worker = flota.start(&["worker"]).await;
    for _ in 0..10 {
        flota.flota(&["doctor", "--online"]).await.expect(1);
    }
    sandbox.clear_faults();

    let mail = json!({ "to": ["ana@example.com"], "body": { "subject": "Hi", "text": "Hello" } });
    let id = flota.enqueue("send_email", &mail, &[]).await;

    assert_eq!(flota.wait_for(&id, "succeeded").await["attempt"], 1);
    let metrics =
        reqwest::get(format!("{}/metrics", worker.address().await)).await.unwrap().text().await.unwrap();
    let calls: Vec<&str> =
        metrics.lines().filter(|line| line.starts_with("flota_provider_calls_total")).collect();
    assert!(calls.iter().all(|line| line.ends_with(" 1")) && calls.len() == 1, "{calls:?}");
    worker.stop().await;
}
