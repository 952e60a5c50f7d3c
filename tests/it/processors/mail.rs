//! `send_email`: templates arrive in both languages, and what cannot be sent says why.

use base64::{Engine, engine::general_purpose::STANDARD};
use flota_tests::program::Installation;
use flota_worker::dev::{Mail, SmtpFault, SmtpSink, SmtpStep};
use serde_json::{Value, json};

use super::{PATIENCE, cause_of_death};

fn welcome(locale: &str) -> Value {
    let variables =
        json!({ "user_name": "Begoña", "app_name": "ERP", "login_url": "https://example.com/start?a=1" });
    json!({
        "to": ["Begoña Díaz <ana@example.com>"],
        "bcc": ["archive@example.com"],
        "body": { "template": "welcome", "locale": locale, "variables": variables },
    })
}

/// The parts of a mail with two alternatives, text and HTML, as a reader shows them.
fn parts(mail: &Mail) -> [String; 2] {
    let kind = mail.header("Content-Type").expect("a type");
    let boundary = kind.strip_prefix("multipart/alternative; boundary=\"").expect("two alternatives");
    let boundary = format!("--{}", boundary.trim_end_matches('"'));
    let body = mail.body();
    let mut parts = body.split(&boundary).skip(1).map(|part| {
        let (head, content) = part.split_once("\r\n\r\n").unwrap_or((part, ""));
        if head.contains("base64") { from_base64(content) } else { from_quoted_printable(content) }
    });
    [parts.next().expect("a text"), parts.next().expect("HTML")]
}

fn from_base64(content: &str) -> String {
    let bytes = STANDARD.decode(content.replace("\r\n", "")).expect("base64");
    String::from_utf8(bytes).expect("UTF-8")
}

/// RFC 2045 section 6.7.
fn from_quoted_printable(content: &str) -> String {
    let unfolded = content.replace("=\r\n", "");
    let mut pieces = unfolded.split('=');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(&piece[..2], 16).expect("two hexadecimal digits"));
        bytes.extend(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).expect("UTF-8")
}

#[tokio::test]
async fn a_template_arrives_in_the_language_that_was_asked_for() {
    let (mut flota, sink) = (Installation::new().await, SmtpSink::start().await.unwrap());
    let worker = flota.mail_to(&sink).set("SMTP_FROM_NAME", "Flota").start(&["worker"]).await;
    let languages = [
        ("es", "Te damos la bienvenida a ERP", "Hola, Begoña:", "Tu cuenta en ERP está lista."),
        ("en", "Welcome to ERP", "Hello Begoña,", "Your ERP account is ready."),
    ];

    for (locale, subject, greeting, sentence) in languages {
        let id = flota.enqueue("send_email", &welcome(locale), &["--wait"]).await;

        let mail: Mail = sink.mails().pop().unwrap();
        assert_eq!(mail.from, "noreply@flota.example");
        assert_eq!(mail.to, ["ana@example.com", "archive@example.com"], "the envelope has everybody");
        assert_eq!(mail.header("Subject").as_deref(), Some(subject));
        assert_eq!(mail.header("From").as_deref(), Some("Flota <noreply@flota.example>"));
        assert!(!String::from_utf8_lossy(&mail.data).contains("archive@"), "a hidden copy stays hidden");
        let expected_id = format!("<job-{id}@flota.example>");
        assert_eq!(mail.header("Message-ID"), Some(expected_id.clone()));
        assert_eq!(flota.job(&id).await["outcome"]["provider_ref"], expected_id);
        let [text, html] = parts(&mail);
        for part in [&text, &html] {
            assert!(part.contains(greeting) && part.contains(sentence), "{part}");
        }
        assert!(text.contains("https://example.com/start?a=1\r\n"), "{text}");
    }
    worker.stop().await;
}

#[tokio::test]
async fn what_no_template_can_say_is_refused_by_path_at_once_and_again_by_the_worker() {
    let (mut flota, sink) = (Installation::new().await, SmtpSink::start().await.unwrap());
    let worker = flota.mail_to(&sink).start(&["worker"]).await;
    let with = |name: &str, value: Value| {
        let mut mail = welcome("en");
        mail["body"]["variables"][name] = value;
        mail
    };
    let unknown = json!({ "to": ["ana@example.com"], "body": { "template": "birthday", "locale": "es" } });
    let cases = [
        (unknown, ["`body.template` must be one of", "welcome"]),
        (with("user_name", Value::Null), ["`body.variables.user_name` is missing", "login_url"]),
        (with("login_url", json!("javascript:x")), ["`body.variables.login_url`", "https"]),
    ];

    for (payload, names) in &cases {
        let enqueue = ["enqueue", "send_email", "--data", &payload.to_string()];
        let refused = flota.flota(&enqueue).await.expect(2);
        let id = flota.enqueue_unchecked("send_email", "email", payload).await;

        let job = flota.wait_for(&id, "dead").await;
        let (class, error) = cause_of_death(&job);
        assert_eq!(
            (class, &job["attempt"]),
            ("undecodable", &json!(1)),
            "no try is spent on what cannot work"
        );
        for said in [refused.refusal(), error] {
            assert!(names.iter().all(|name| said.contains(name)), "{said}");
        }
    }
    let dead = flota.flota(&["job", "list", "--state", "dead"]).await.expect(0).json();
    let codes: Vec<&Value> = dead.as_array().unwrap().iter().map(|row| &row["code"]).collect();
    assert!(codes.len() == cases.len() && codes.iter().all(|code| *code == "invalid_payload"), "{dead:#}");
    assert_eq!(sink.mails().len(), 0);
    worker.stop().await;
}

#[tokio::test]
async fn a_mail_that_was_cut_off_by_the_time_limit_of_its_run_may_have_been_sent() {
    let (mut flota, sink) = (Installation::new().await, SmtpSink::start().await.unwrap());
    sink.fault(SmtpStep::Content, SmtpFault::Hang);
    let worker = flota.mail_to(&sink).start(&["worker"]).await;
    let enqueue = ["enqueue", "send_email", "--timeout", "2s", "--max-attempts", "1", "--wait", "--data"];

    let job = flota.flota(&[&enqueue[..], &[&welcome("en").to_string()]].concat()).await.expect(1).json();

    let (class, error) = cause_of_death(&job);
    assert_eq!((class, sink.faults_left()), ("ambiguous", 0));
    assert!(error.contains("limit of 2s; it may have done its work"), "{error}");
    worker.stop().await;
}

#[tokio::test]
async fn without_a_mail_server_a_mail_waits_uncharged_until_there_is_one() {
    let mut flota = Installation::new().await;
    let worker = flota.start(&["worker"]).await;

    let id = flota.enqueue("send_email", &welcome("en"), &[]).await;

    let job = flota.wait_for(&id, "delayed").await;
    assert_eq!((&job["attempt"], &job["attempts"], &job["outcome"]), (&json!(1), &json!([]), &Value::Null));
    let reason = "auth: E-mail is not configured: set SENDGRID_API_KEY, AWS_SES_ACCESS_KEY_ID or SMTP_HOST";
    assert_eq!(job["reason"], reason);
    let due = job["due_in_ms"].as_u64().unwrap();
    assert!((240_000..=360_000).contains(&due), "a person has time to mend it: {job:#}");
    let told = flota.flota(&["job", "get", &id, "-o", "table"]).await.expect(0).stdout;
    assert!(told.contains(&format!("delayed, attempt 1 ({reason}), due in")), "{told}");
    worker.stop().await;
    // Due now instead of in five minutes; the next worker has the setting.
    let sink = SmtpSink::start().await.unwrap();
    flota.make_due("email").await;
    let next = flota.mail_to(&sink).start(&["worker"]).await;
    sink.wait_for(1, PATIENCE).await.unwrap();
    assert_eq!(flota.wait_for(&id, "succeeded").await["attempt"], 1);
    next.stop().await;
}
