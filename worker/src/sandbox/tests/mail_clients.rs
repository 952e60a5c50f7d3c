//! E-mail through our own clients: what the vendors' specifications accept, what each failure is called, and who steps in.

use std::sync::Mutex;

use base64::{Engine, prelude::BASE64_STANDARD};
use flota_providers::{
    ErrorClass, ProviderError, Receipt,
    api::ApiSettings,
    email::{
        Attachment, Carriers, CarriersBuilder, Email, Letter, Sender, SmtpMailer, SmtpSettings, SmtpTls,
        sendgrid::{SendgridClient, SendgridSettings},
        ses::{SesClient, SesSettings},
    },
    pipeline::{CallEvent, CallObserver, CircuitPolicy, NoLimits, Pipeline, Provider},
};

use super::*;

fn now() -> i64 {
    flota_producer::clock::unix_now().as_secs() as i64
}

fn sender() -> Sender {
    Sender::new("noreply@flota.example", Some("Flota ñ")).unwrap()
}

fn sendgrid(stage: &Stage, key: &str, sandbox_mode: bool) -> SendgridClient {
    let api = ApiSettings::new(stage.sandbox.url("/sendgrid"), SOON);
    SendgridClient::new(SendgridSettings { api, api_key: key.into(), sender: sender(), sandbox_mode })
        .unwrap()
}

fn ses(stage: &Stage, key: &str, secret: &str) -> SesClient {
    let settings = SesSettings {
        api: ApiSettings::new(stage.sandbox.url("/ses"), SOON),
        access_key_id: key.into(),
        secret_access_key: secret.into(),
        region: "eu-west-1".into(),
        sender: sender(),
    };
    SesClient::new(settings).unwrap()
}

fn smtp(stage: &Stage) -> SmtpMailer {
    let settings = SmtpSettings {
        host: "127.0.0.1".into(),
        port: stage.sandbox.smtp().port(),
        username: None,
        password: None,
        tls: SmtpTls::None,
        from_email: "noreply@flota.example".into(),
        from_name: None,
        timeout: SOON,
        pool_size: 1,
        extra_root_ca_pem: None,
    };
    SmtpMailer::new(settings).unwrap()
}

/// An e-mail with everything.
fn email() -> Email {
    let file = |name: &str, content_id: Option<&str>| Attachment {
        name: name.into(),
        content_id: content_id.map(str::to_owned),
        content: b"%PDF-\0\r\n.\r\n".as_slice().into(),
        ..Attachment::default()
    };
    Email {
        to: vec!["Ana Díaz <ana@example.com>".into(), "ANA@example.com".into()],
        cc: vec!["copy@example.com".into()],
        bcc: vec!["hidden@example.com".into(), "copy@example.com".into()],
        reply_to: Some("help@example.com".into()),
        subject: "¡Factura 42!".into(),
        text: Some("Hola\n.\nAna".into()),
        html: Some("<p>Hola</p><img src=\"cid:logo\">".into()),
        attachments: vec![file("logo.png", Some("logo")), file("Factura ñ.pdf", None)],
        tenant: Some("acme".into()),
        message_key: "0198-ab".into(),
        message_domain: None,
    }
}

/// What one call says of an ordered fault.
async fn of_sendgrid(fault: Fault) -> Result<Receipt, ProviderError> {
    let stage = Stage::set().await;
    stage.sandbox.fault(fault).unwrap();
    sendgrid(&stage, credential::SENDGRID, false).send(&email(), now()).await
}

async fn of_ses(fault: Fault) -> Result<Receipt, ProviderError> {
    let stage = Stage::set().await;
    stage.sandbox.fault(fault).unwrap();
    ses(&stage, credential::AWS_KEY, credential::AWS_SECRET).send(&email(), now()).await
}

#[tokio::test]
async fn sendgrid_takes_a_mail_with_everything() {
    let stage = Stage::set().await;

    let receipt = sendgrid(&stage, credential::SENDGRID, false).send(&email(), now()).await.unwrap();

    assert!(receipt.provider_ref.is_some_and(|id| id.len() == 32));
    assert_eq!(receipt.detail.unwrap()["message_id"], "<job-0198-ab@flota.example>");
    let entry = stage.sandbox.journal(Some("sendgrid")).remove(0);
    assert_eq!((&entry.summary["recipients"], &entry.summary["attachments"]), (&json!(3), &json!(2)));
    let mail: Value = serde_json::from_slice(&stage.sandbox.received("sendgrid")[0].body).unwrap();
    let person = &mail["personalizations"][0];
    assert_eq!(person["to"], json!([{ "email": "ana@example.com", "name": "Ana Díaz" }]), "once each");
    assert_eq!(person["custom_args"], json!({ "job_id": "0198-ab", "tenant_id": "acme" }));
    assert_eq!(mail["headers"]["Message-ID"], "<job-0198-ab@flota.example>");
    assert_eq!(mail["attachments"][0]["content_id"], "logo");
    assert_eq!(mail["from"]["name"], "Flota ñ");
}

#[tokio::test]
async fn sendgrids_own_sandbox_mode_sends_nothing_and_succeeds() {
    let stage = Stage::set().await;

    let receipt = sendgrid(&stage, credential::SENDGRID, true).send(&email(), now()).await.unwrap();

    assert_eq!(receipt.detail.unwrap()["sandbox_mode"], true);
    assert_eq!(stage.sandbox.journal(Some("sendgrid"))[0].summary["sandbox_mode"], true);
}

#[tokio::test]
async fn ses_takes_a_signed_mail_with_everything() {
    let stage = Stage::set().await;
    let client = ses(&stage, credential::AWS_KEY, credential::AWS_SECRET);

    let receipt = client.send(&email(), now()).await.unwrap();

    assert!(receipt.provider_ref.is_some_and(|id| id.starts_with("0100-")));
    let mail: Value = serde_json::from_slice(&stage.sandbox.received("ses")[0].body).unwrap();
    assert_eq!(mail["Destination"]["BccAddresses"], json!(["hidden@example.com"]));
    assert_eq!(mail["EmailTags"][0], json!({ "Name": "job_id", "Value": "0198-ab" }));
    let raw = BASE64_STANDARD.decode(mail["Content"]["Raw"]["Data"].as_str().unwrap()).unwrap();
    let raw = String::from_utf8(raw).unwrap();
    assert!(raw.contains("Message-ID: <job-0198-ab@flota.example>\r\n") && !raw.contains("hidden@"), "{raw}");
    for part in ["multipart/mixed", "multipart/related", "multipart/alternative", "Content-ID: <logo>"] {
        assert!(raw.contains(part), "{part} is not in\n{raw}");
    }
}

#[tokio::test]
async fn credentials_that_are_refused_are_no_fault_of_the_mail_and_are_not_repeated_in_words() {
    let stage = Stage::set().await;
    let revoked = format!("{}revoked_key", credential::MARK);

    let by_sendgrid = sendgrid(&stage, &revoked, false).send(&email(), now()).await.unwrap_err();
    let by_ses = ses(&stage, &revoked, credential::AWS_SECRET).send(&email(), now()).await.unwrap_err();
    let signature = ses(&stage, credential::AWS_KEY, "another").send(&email(), now()).await.unwrap_err();
    let clock = ses(&stage, credential::AWS_KEY, credential::AWS_SECRET)
        .send(&email(), now() - 900)
        .await
        .unwrap_err();

    for error in [&by_sendgrid, &by_ses, &signature, &clock] {
        assert_eq!(error.class, ErrorClass::Auth, "{error}");
        assert!(!error.to_string().contains(&revoked), "{error}");
    }
    assert_eq!(signature.code.as_deref(), Some("SignatureDoesNotMatch"));
    assert!(clock.code.as_deref() == Some("RequestExpired") && clock.message.contains("clock"), "{clock}");
}

#[tokio::test]
async fn every_answer_of_sendgrid_has_its_class() {
    let of = Fault::of("sendgrid");
    let status = |status| Fault::status("sendgrid", status);
    let credits =
        json!({ "errors": [{ "message": "Maximum credits exceeded", "field": null, "help": null }] });
    let table = [
        (status(400), ErrorClass::Permanent),
        (status(401), ErrorClass::Auth),
        (Fault { body: Some(credits), ..status(401) }, ErrorClass::Quota),
        (status(403), ErrorClass::Auth),
        (status(404), ErrorClass::Permanent),
        (status(405), ErrorClass::Permanent),
        (status(413), ErrorClass::Permanent),
        (status(500), ErrorClass::ServerError),
        (status(503), ErrorClass::ServerError),
        (Fault { reset: Some(Reset::AfterWork), ..of.clone() }, ErrorClass::Ambiguous),
        (Fault { ok_with_error: true, ..of.clone() }, ErrorClass::Ambiguous),
    ];

    for (fault, class) in table {
        let told = format!("{fault:?}");
        assert_eq!(of_sendgrid(fault).await.unwrap_err().class, class, "{told}");
    }
    let reset = (now() + 30).to_string();
    let limited = of_sendgrid(status(429).header("x-ratelimit-reset", reset)).await.unwrap_err();
    let wait = limited.retry_after().unwrap().as_secs();
    assert!(matches!(limited.class, ErrorClass::RateLimited { .. }) && (25..=30).contains(&wait), "{wait}");
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_ambiguous_and_a_host_that_is_not_there_is_not() {
    let stage = Stage::set().await;
    stage.sandbox.fault(Fault { delay_ms: 5_000, ..Fault::of("sendgrid") }).unwrap();
    let client = |base_url: String, timeout| {
        let api = ApiSettings::new(base_url, timeout);
        let settings = SendgridSettings {
            api,
            api_key: credential::SENDGRID.into(),
            sender: sender(),
            sandbox_mode: false,
        };
        SendgridClient::new(settings).unwrap()
    };

    let late = client(stage.sandbox.url("/sendgrid"), Duration::from_millis(300)).send(&email(), now()).await;
    let nobody = client("http://127.0.0.1:1".into(), SOON).send(&email(), now()).await;

    assert_eq!(late.unwrap_err().class, ErrorClass::Ambiguous);
    assert_eq!(nobody.unwrap_err().class, ErrorClass::Network);
}

#[tokio::test]
async fn every_answer_of_ses_has_its_class() {
    let named = |status, kind: &str, message: &str| {
        let body = Some(json!({ "message": message }));
        Fault { body, ..Fault::status("ses", status).header("x-amzn-errortype", kind) }
    };
    let typed = |status, kind: &str| {
        let body = Some(json!({ "__type": kind, "Message": "said" }));
        Fault { body, ..Fault::status("ses", status) }
    };
    let limited = ErrorClass::RateLimited { retry_after: None };
    let table = [
        (named(429, "TooManyRequestsException", "Maximum sending rate exceeded."), limited),
        (named(400, "ThrottlingException:http://internal.amazon.com/coral/", "Rate exceeded"), limited),
        (named(400, "LimitExceededException", "Daily message quota exceeded"), ErrorClass::Quota),
        (named(400, "SendingPausedException", "Paused"), ErrorClass::Quota),
        (typed(400, "com.amazonaws.sesv2#AccountSuspendedException"), ErrorClass::Auth),
        (typed(400, "MessageRejected"), ErrorClass::Permanent),
        (typed(400, "com.amazonaws.sesv2#BadRequestException:http://x"), ErrorClass::Permanent),
        (typed(400, "MailFromDomainNotVerifiedException"), ErrorClass::Permanent),
        (typed(404, "NotFoundException"), ErrorClass::Permanent),
        (typed(403, "AccessDenied"), ErrorClass::Auth),
        (Fault::status("ses", 500), ErrorClass::ServerError),
        (Fault { reset: Some(Reset::AfterWork), ..Fault::of("ses") }, ErrorClass::Ambiguous),
        (Fault { ok_with_error: true, ..Fault::of("ses") }, ErrorClass::Ambiguous),
        (Fault { malformed: true, ..Fault::of("ses") }, ErrorClass::Ambiguous),
    ];

    for (fault, class) in table {
        let told = format!("{fault:?}");
        assert_eq!(of_ses(fault).await.unwrap_err().class, class, "{told}");
    }
}

#[tokio::test]
async fn what_nobody_could_send_comes_to_no_provider() {
    let stage = Stage::set().await;
    let (sendgrid, ses) = (
        sendgrid(&stage, credential::SENDGRID, false),
        ses(&stage, credential::AWS_KEY, credential::AWS_SECRET),
    );
    let named = |name: &str| Attachment { name: name.into(), ..Attachment::default() };
    let bad = [
        Email { subject: "Hi\r\nBcc: eve@example.com".into(), ..email() },
        Email { to: vec!["ana@example.com\r\nBcc: eve@example.com".into()], ..email() },
        Email { attachments: vec![named("a\r\nX: y")], ..email() },
        Email { text: None, html: None, ..email() },
        Email { message_key: "a b".into(), ..email() },
    ];

    for email in bad {
        for error in [sendgrid.send(&email, now()).await, ses.send(&email, now()).await] {
            assert_eq!(error.unwrap_err().code.as_deref(), Some("invalid_message"), "{email:?}");
        }
    }
    let blocked =
        ses.send(&Email { attachments: vec![named("setup.EXE")], ..email() }, now()).await.unwrap_err();
    assert!(blocked.code.as_deref() == Some("blocked_file") && blocked.may_work_elsewhere(), "{blocked}");
    assert!(stage.sandbox.journal(None).is_empty());
}

/// Keeps who stepped in for whom.
#[derive(Default)]
struct Book(Mutex<Vec<(&'static str, &'static str)>>);

impl CallObserver for Book {
    fn observe(&self, event: &CallEvent<'_>) {
        if let CallEvent::PassedOn { from, to, .. } = event {
            self.0.lock().unwrap().push((from, to));
        }
    }
}

/// SendGrid, then SES, then SMTP.
fn carriers(stage: &Stage) -> (Carriers, Arc<Book>) {
    let book = Arc::new(Book::default());
    let observer: Arc<dyn CallObserver> = Arc::<Book>::clone(&book);
    let pipeline = Pipeline::new(Arc::new(NoLimits), observer, CircuitPolicy::default());
    let carriers = CarriersBuilder::new(&pipeline)
        .then(Provider::global(sendgrid(stage, credential::SENDGRID, false), &pipeline), "sendgrid")
        .then(Provider::global(ses(stage, credential::AWS_KEY, credential::AWS_SECRET), &pipeline), "ses")
        .then(Provider::global(smtp(stage), &pipeline), "smtp");
    (carriers.build().unwrap(), book)
}

fn letter(email: Email) -> Letter {
    let letter = Letter::new(email, "job-1", now());
    letter.enclose(Vec::new());
    letter
}

#[tokio::test]
async fn the_next_provider_steps_in_where_it_can_help_and_the_id_stays_the_same() {
    let status = Fault::status;
    let cases = [
        (vec![], "sendgrid"),
        (vec![status("sendgrid", 503)], "ses"),
        (vec![status("sendgrid", 401)], "ses"),
        (vec![status("sendgrid", 500), status("ses", 500)], "smtp"),
    ];

    for (faults, expected) in cases {
        let stage = Stage::set().await;
        let passed = faults.len();
        for fault in faults {
            stage.sandbox.fault(fault).unwrap();
        }
        let (carriers, book) = carriers(&stage);

        let with_domain = Email { message_domain: Some("acme.example".into()), ..email() };
        let receipt = carriers.send(letter(with_domain)).await.unwrap();

        assert_eq!((receipt.provider, book.0.lock().unwrap().len()), (expected, passed));
        let done = stage.sandbox.journal(None).into_iter().filter(|entry| entry.carried_out).count();
        assert_eq!(done, 1, "one mail went out");
        if expected == "smtp" {
            let id = stage.sandbox.smtp().mails()[0].header("Message-ID");
            assert_eq!(id.as_deref(), Some("<job-0198-ab@acme.example>"));
        }
    }
}

#[tokio::test]
async fn what_may_have_been_sent_or_must_wait_is_never_sent_by_another() {
    let ambiguous = Fault { reset: Some(Reset::AfterWork), ..Fault::of("sendgrid") };
    for fault in [ambiguous, Fault::status("sendgrid", 429), Fault::status("sendgrid", 400)] {
        let stage = Stage::set().await;
        let told = format!("{fault:?}");
        stage.sandbox.fault(fault).unwrap();
        let (carriers, book) = carriers(&stage);

        let error = carriers.send(letter(email())).await.unwrap_err();

        assert_eq!((error.provider, stage.sandbox.journal(None).len()), ("sendgrid", 1), "{told}");
        assert!(book.0.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_mail_too_large_for_one_goes_to_one_that_takes_it_and_for_all_says_every_limit() {
    let stage = Stage::set().await;
    let large = |bytes: usize| {
        let content = vec![b'x'; bytes].into();
        let file = Attachment { name: "film.pdf".into(), content, ..Attachment::default() };
        Email { attachments: vec![file], ..email() }
    };
    let (carriers, _) = carriers(&stage);

    // SendGrid takes 30 MB after base64, which SES gets twice; the mail server here announces 10 MiB.
    let error = carriers.send(letter(large(23_000_000))).await.unwrap_err();

    let said = crate::failure::chain(&error);
    assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Permanent, Some("too_large")));
    for limit in ["30000000", "40000000", "10485760"] {
        assert!(said.contains(limit), "{said}");
    }
    assert!(stage.sandbox.journal(None).is_empty(), "nothing was sent anywhere");
    let receipt = carriers.send(letter(large(1_000_000))).await.unwrap();
    assert_eq!(receipt.provider, "sendgrid");
}
