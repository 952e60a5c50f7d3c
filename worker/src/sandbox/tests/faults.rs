//! Each kind of fault happens as ordered, and the journal says whether the work was done.

use super::*;

/// The last entry: verdict, and whether the work was done.
fn last(stage: &Stage) -> (Verdict, bool) {
    let entry = stage.sandbox.journal(None).pop().expect("an entry");
    (entry.verdict, entry.carried_out)
}

#[tokio::test]
async fn a_status_comes_with_the_vendors_body_as_often_as_ordered_and_the_work_is_not_done() {
    let stage = Stage::set().await;
    let fault = json!({ "provider": "llm", "status": 429, "headers": { "retry-after": "7" }, "times": 2 });
    assert_eq!(stage.post("/__faults", "", &fault).await.unwrap().json(), json!({ "waiting": 1 }));

    let (first, second, third) =
        (stage.ask().await.unwrap(), stage.ask().await.unwrap(), stage.ask().await.unwrap());

    assert_eq!((first.status, second.status, third.status), (429, 429, 200));
    assert_eq!(first.headers["retry-after"], "7");
    assert_eq!(first.json()["error"]["metadata"]["error_type"], "rate_limit_exceeded");
    let done: Vec<bool> = stage.sandbox.journal(None).iter().map(|entry| entry.carried_out).collect();
    assert_eq!(done, [false, false, true]);
}

#[tokio::test]
async fn every_provider_has_a_body_for_every_status_and_a_success_that_failed() {
    for provider in routes::PROVIDERS {
        for status in [400, 401, 402, 403, 404, 405, 408, 410, 413, 429, 500, 503] {
            let answer = (provider.error)(status);
            assert_eq!(answer.status, status, "{}", provider.name);
            assert!(serde_json::from_slice::<Value>(&answer.body).is_ok(), "{} {status}", provider.name);
        }
        assert!((200..300).contains(&(provider.ok_with_error)().status), "{}", provider.name);
    }
}

#[tokio::test]
async fn a_body_can_be_ordered_as_text_or_as_json() {
    let stage = Stage::set().await;
    let error = json!({ "error": { "message": "paused", "code": 132_015 } });
    for body in [json!("<html>bad gateway"), error.clone()] {
        stage.sandbox.fault(Fault { body: Some(body), ..Fault::status("whatsapp", 502) }).unwrap();
    }

    let text = stage.post("/whatsapp/v23.0/1/messages", "x", &json!({})).await.unwrap();
    let document = stage.post("/whatsapp/v23.0/1/messages", "x", &json!({})).await.unwrap();

    assert_eq!((text.status, &*text.text, document.json()), (502, "<html>bad gateway", error));
}

#[tokio::test]
async fn a_reset_before_the_work_leaves_nothing_and_one_after_it_leaves_all() {
    let stage = Stage::set().await;
    for (reset, expected) in
        [(Reset::Before, (Verdict::Fault, false)), (Reset::AfterWork, (Verdict::Fault, true))]
    {
        stage.sandbox.fault(Fault { reset: Some(reset), ..Fault::of("llm") }).unwrap();

        let error = stage.ask().await.err().expect("a reset");

        assert!(error.is_request() && !error.is_timeout() && !error.is_connect(), "{error:?}");
        assert_eq!(last(&stage), expected);
    }
}

#[tokio::test]
async fn what_would_be_refused_is_refused_even_where_the_answer_should_be_spoilt() {
    let stage = Stage::set().await;
    stage.sandbox.fault(Fault { reset: Some(Reset::AfterWork), ..Fault::of("sendgrid") }).unwrap();

    let came = stage.post("/sendgrid/v3/mail/send", credential::SENDGRID, &json!({})).await.unwrap();

    assert_eq!((came.status, last(&stage)), (400, (Verdict::Refused, false)));
}

#[tokio::test]
async fn a_malformed_answer_breaks_off_after_the_work() {
    let stage = Stage::set().await;
    for provider in ["llm", "sendgrid"] {
        stage.sandbox.fault(Fault { malformed: true, ..Fault::of(provider) }).unwrap();
    }

    let answer = stage.ask().await.unwrap();
    let was_empty = stage.post("/sendgrid/v3/mail/send", credential::SENDGRID, &mail()).await.unwrap();

    assert_eq!((answer.status, was_empty.status), (200, 202));
    for text in [answer.text, was_empty.text] {
        assert!(!text.is_empty() && serde_json::from_str::<Value>(&text).is_err(), "{text}");
    }
    assert_eq!(last(&stage), (Verdict::Fault, true));
}

#[tokio::test]
async fn a_success_can_say_inside_that_it_failed() {
    let stage = Stage::set().await;
    stage.sandbox.fault(Fault { ok_with_error: true, ..Fault::of("llm") }).unwrap();

    let came = stage.ask().await.unwrap();

    assert_eq!((came.status, came.json()["error"]["code"].clone()), (200, json!(502)));
    assert_eq!(last(&stage), (Verdict::Fault, false));
}

#[tokio::test]
async fn an_answer_can_come_late_and_is_written_down_before() {
    let stage = Stage::set().await;
    stage.sandbox.fault(Fault { delay_ms: 300, ..Fault::of("llm") }).unwrap();

    let (ask, seen) = (stage.ask(), stage.sandbox.wait_for(Some("llm"), 1, SOON));
    let began = std::time::Instant::now();
    let (came, seen) = tokio::join!(ask, seen);

    assert_eq!((came.unwrap().status, seen.unwrap()[0].carried_out), (200, true));
    assert!(Duration::from_millis(300) <= began.elapsed());
}

#[tokio::test]
async fn faults_are_listed_and_taken_back() {
    let stage = Stage::set().await;
    stage.sandbox.fault(Fault::status("llm", 500)).unwrap();
    stage.sandbox.fault(Fault::status("smtp", 450)).unwrap();

    let listed = stage.call(Method::GET, "/__faults").await.json();
    let cleared = stage.call(Method::DELETE, "/__faults").await.status;

    assert_eq!((listed[0]["status"].clone(), cleared), (json!(500), 204));
    assert_eq!((stage.ask().await.unwrap().status, stage.sandbox.smtp().faults_left()), (200, 0));
}

#[tokio::test]
async fn a_fault_that_cannot_be_is_refused_with_what_to_write() {
    let stage = Stage::set().await;
    let cases = [
        (json!({ "provider": "nobody", "status": 500 }), "write one of sendgrid, ses, twilio"),
        (json!({ "provider": "llm" }), "a fault does one thing"),
        (json!({ "provider": "llm", "statsu": 500 }), "unknown field `statsu`"),
        (json!({ "provider": "smtp", "ok_with_error": true }), "cannot be had of smtp"),
        (json!([]), "does not fit"),
    ];

    for (fault, told) in cases {
        let came = stage.post("/__faults", "", &fault).await.unwrap();
        assert!(came.status == 400 && came.text.contains(told), "{} {}", came.status, came.text);
    }
    assert_eq!(stage.call(Method::GET, "/__faults").await.json(), json!([]));
}

mod mail_server {
    use flota_providers::email::{Email, SmtpMailer, SmtpSettings, SmtpTls};

    use super::*;

    fn mailer(stage: &Stage) -> SmtpMailer {
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

    fn email() -> Email {
        Email {
            to: vec!["ana@example.com".into()],
            subject: "Hi".into(),
            text: Some("Hello".into()),
            message_key: "job-1".into(),
            ..Email::default()
        }
    }

    /// Whether the mail was sent as far as its sender knows, and how many mails were kept.
    async fn send(fault: Option<Fault>) -> (bool, usize) {
        let stage = Stage::set().await;
        if let Some(fault) = fault {
            stage.sandbox.fault(fault).unwrap();
        }
        let sent = mailer(&stage).send(&email(), 0).await.is_ok();
        (sent, stage.sandbox.journal(Some("smtp")).len())
    }

    #[tokio::test]
    async fn suffers_the_same_faults_in_its_own_words() {
        let smtp = || Fault::of("smtp");
        let cases = [
            (None, (true, 1)),
            (Some(Fault::status("smtp", 450)), (false, 0)),
            (Some(Fault { operation: Some("mail_from".into()), ..Fault::status("smtp", 550) }), (false, 0)),
            (Some(Fault { reset: Some(Reset::Before), ..smtp() }), (false, 0)),
            (Some(Fault { reset: Some(Reset::AfterWork), ..smtp() }), (false, 1)),
            (Some(Fault { malformed: true, ..smtp() }), (false, 1)),
            (Some(Fault { delay_ms: 100, ..smtp() }), (true, 1)),
        ];

        for (fault, expected) in cases {
            let told = format!("{fault:?}");
            assert_eq!(send(fault).await, expected, "{told}");
        }
    }
}
