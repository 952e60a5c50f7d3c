//! Mail through a server that is not ours, with STARTTLS and AUTH.

use flota_tests::{
    foreign_mail_server::{ForeignMailServer, PASSWORD, USER},
    program::Installation,
};
use serde_json::{Value, json};

async fn installation_for(server: &ForeignMailServer, password: &str) -> Installation {
    let mut flota = Installation::new().await;
    flota
        .set("SMTP_HOST", "localhost")
        .set("SMTP_PORT", server.port)
        .set("SMTP_TLS", "starttls")
        .set("SMTP_USERNAME", USER)
        .set("SMTP_PASSWORD", password)
        .set("SMTP_CA_FILE", ForeignMailServer::ca_file())
        .set("SMTP_FROM_EMAIL", "noreply@flota.example")
        .set("SMTP_FROM_NAME", "Flota Ñandú");
    flota
}

fn invoice() -> Value {
    json!({
        "to": ["José Peña <jose@example.com>"],
        "cc": ["ana@example.com"],
        "bcc": ["archive@example.com"],
        "body": { "subject": "¡Factura nº 7!", "text": "Línea uno\n.\nfin — €", "html": "<p>Línea uno</p>" },
    })
}

#[tokio::test]
async fn a_mail_arrives_over_starttls_with_login_and_is_read_as_it_was_meant() {
    let server = ForeignMailServer::start().await.unwrap();
    let flota = installation_for(&server, PASSWORD).await;
    let worker = flota.start(&["worker"]).await;

    let id = flota.enqueue("send_email", &invoice(), &["--wait"]).await;

    let mail = server.first_mail().await.unwrap();
    assert_eq!(mail["from"], "noreply@flota.example");
    assert_eq!(mail["to"], json!(["jose@example.com", "ana@example.com", "archive@example.com"]));
    assert_eq!((&mail["login"], mail["tls"].as_str().unwrap().starts_with("TLSv1.")), (&json!(USER), true));
    assert_eq!(
        mail["headers"],
        json!({
            "From": "Flota Ñandú <noreply@flota.example>",
            "To": "José Peña <jose@example.com>",
            "Subject": "¡Factura nº 7!",
            "Message-ID": format!("<job-{id}@flota.example>"),
        })
    );
    let part = |kind: &str| mail[kind].as_str().unwrap().replace("\r\n", "\n").trim_end().to_owned();
    assert_eq!(part("text"), "Línea uno\n.\nfin — €");
    assert_eq!(part("html"), "<p>Línea uno</p>");
    assert_eq!(mail["defects"], json!([]));
    let said_in_the_clear: Vec<Value> =
        server.told().into_iter().filter(|told| told["tls"] == false && told["heard"] != "EHLO").collect();
    assert_eq!(said_in_the_clear, Vec::<Value>::new());
    worker.stop().await;
}

#[tokio::test]
async fn many_mails_share_connections_and_each_arrives_once() {
    let server = ForeignMailServer::start().await.unwrap();
    let flota = installation_for(&server, PASSWORD).await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(flota.enqueue("send_email", &invoice(), &[]).await);
    }
    let worker = flota.start(&["worker"]).await;

    for id in &ids {
        assert_eq!(flota.wait_for(id, "succeeded").await["attempt"], 1);
    }

    let mut arrived: Vec<String> = server
        .mails()
        .iter()
        .map(|mail| mail["headers"]["Message-ID"].as_str().unwrap().to_owned())
        .collect();
    arrived.sort_unstable();
    let mut expected: Vec<String> = ids.iter().map(|id| format!("<job-{id}@flota.example>")).collect();
    expected.sort_unstable();
    assert_eq!(arrived, expected);
    worker.stop().await;
}

#[tokio::test]
async fn a_wrong_password_makes_mail_wait_uncharged() {
    let server = ForeignMailServer::start().await.unwrap();
    let mut flota = installation_for(&server, "wrong").await;
    let worker = flota.start(&["worker"]).await;

    let id = flota.enqueue("send_email", &invoice(), &[]).await;

    let job = flota.wait_for(&id, "delayed").await;
    assert_eq!((&job["attempt"], &job["attempts"], &job["outcome"]), (&json!(1), &json!([]), &Value::Null));
    let reason = job["reason"].as_str().unwrap();
    assert!(reason.starts_with("auth: ") && reason.contains("535"), "{reason}");
    assert!(reason.contains("check the user name, the password"), "{reason}");
    let logins: Vec<Value> = server.told().into_iter().filter(|told| told.get("login").is_some()).collect();
    assert!(!logins.is_empty() && logins.iter().all(|login| login["accepted"] == false), "{logins:?}");
    assert_eq!(server.mails(), Vec::<Value>::new());
    worker.stop().await;
    // The same finding before any mail is lost in thought about it.
    let doctor = flota.flota(&["doctor", "--online"]).await.expect(1).stdout;
    assert!(doctor.contains("smtp login") && doctor.contains("SMTP_PASSWORD"), "{doctor}");
    // Mended, and due now instead of in five minutes.
    flota.set("SMTP_PASSWORD", PASSWORD).make_due("email").await;
    flota.flota(&["doctor", "--online"]).await.expect(0);
    let next = flota.start(&["worker"]).await;
    assert_eq!(flota.wait_for(&id, "succeeded").await["attempt"], 1);
    assert_eq!(server.mails().len(), 1);
    next.stop().await;
}

#[tokio::test]
async fn nothing_is_sent_to_a_server_that_does_not_offer_starttls() {
    let server = ForeignMailServer::start_without_tls().await.unwrap();
    let flota = installation_for(&server, PASSWORD).await;
    let worker = flota.start(&["worker"]).await;

    let id = flota.enqueue("send_email", &invoice(), &[]).await;

    let job = flota.wait_for(&id, "delayed").await;
    let reason = job["reason"].as_str().unwrap();
    assert!(reason.starts_with("auth: "), "{reason}");
    assert!(reason.contains("does not offer STARTTLS, so nothing was sent"), "{reason}");
    assert_eq!(job["attempt"], 1, "nothing is charged: {job:#}");
    assert_eq!(server.told(), [json!({ "heard": "EHLO", "tls": false })], "neither login nor mail");
    worker.stop().await;
}
