//! Sending over SMTP: what arrives, and what each way of failing is called.

use std::time::Duration;

use flota_providers::{
    ErrorClass, ProviderError, Receipt,
    email::{Attachment, Email, SmtpMailer, SmtpSettings, SmtpTls},
};

use crate::smtp_server::{CA, CERTIFICATE, Fault, PASSWORD, Protection, SmtpServer, Step, USER};

const NOW: i64 = 784_111_777;

pub(crate) fn settings(server: &SmtpServer, tls: SmtpTls) -> SmtpSettings {
    SmtpSettings {
        host: "localhost".to_owned(),
        port: server.port,
        username: None,
        password: None,
        tls,
        from_email: "noreply@example.com".to_owned(),
        from_name: Some("Flota".to_owned()),
        timeout: Duration::from_secs(5),
        pool_size: 2,
        extra_root_ca_pem: Some(CA.to_vec()),
    }
}

fn with_login(settings: SmtpSettings, password: &str) -> SmtpSettings {
    SmtpSettings { username: Some(USER.to_owned()), password: Some(password.into()), ..settings }
}

fn email() -> Email {
    Email {
        to: vec!["ada@example.org".to_owned()],
        subject: "Hello".to_owned(),
        text: Some("Hello,\r.\n.\nAda".to_owned()),
        html: Some("<p>Hello</p>".to_owned()),
        message_key: "0192".to_owned(),
        ..Email::default()
    }
}

/// Starts a server with faults, sends one message in the clear, and returns both.
async fn send_through(
    faults: &[(Step, Fault)],
    email: &Email,
) -> (SmtpServer, Result<Receipt, ProviderError>) {
    let server = SmtpServer::start(Protection::None, faults);
    let mailer = SmtpMailer::new(settings(&server, SmtpTls::None)).unwrap();
    let result = mailer.send(email, NOW).await;
    (server, result)
}

#[tokio::test]
async fn a_message_arrives_over_starttls_with_login() {
    let server = SmtpServer::start(Protection::StartTls, &[]);
    let mailer = SmtpMailer::new(with_login(settings(&server, SmtpTls::StartTls), PASSWORD)).unwrap();

    let receipt = mailer.send(&email(), NOW).await.unwrap();

    let mails = server.mails();
    assert_eq!(receipt.provider_ref.as_deref(), Some("<job-0192@example.com>"));
    assert_eq!(receipt.detail.unwrap()["reply"], "250 2.0.0 Ok: queued as TEST1");
    assert_eq!((mails.len(), mails[0].user.as_deref()), (1, Some(USER)));
    assert_eq!((mails[0].from.as_str(), mails[0].to[0].as_str()), ("noreply@example.com", "ada@example.org"));
    assert!(mails[0].data.contains("Message-ID: <job-0192@example.com>\r\n"));
}

#[tokio::test]
async fn a_body_cannot_smuggle_a_second_message() {
    let smuggled = "MAIL FROM:<a@example.com>\nRCPT TO:<b@example.com>\nDATA\nx\n.\n";
    let ends =
        ["\r\n.\r\n", "\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r\n.\r", "\r\n\0.\r\n", "\r\r\n.\r\r\n"];

    for end in ends {
        let text = format!("Hello{end}{smuggled}{}", smuggled.replace('\n', "\r\n"));
        let (server, result) =
            send_through(&[], &Email { html: Some(text.clone()), text: Some(text), ..email() }).await;

        result.unwrap();
        assert_eq!(server.mails().len(), 1, "after {end:?}");
        assert_eq!(server.mails()[0].to, ["ada@example.org"]);
    }
}

#[tokio::test]
async fn a_message_arrives_over_implicit_tls() {
    let server = SmtpServer::start(Protection::Implicit, &[]);
    let mailer = SmtpMailer::new(with_login(settings(&server, SmtpTls::Implicit), PASSWORD)).unwrap();

    mailer.send(&email(), NOW).await.unwrap();

    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn a_server_without_starttls_is_refused_and_hears_nothing() {
    let server = SmtpServer::start(Protection::None, &[]);
    let mailer = SmtpMailer::new(with_login(settings(&server, SmtpTls::StartTls), PASSWORD)).unwrap();

    let error = mailer.send(&email(), NOW).await.unwrap_err();

    assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Auth, Some("starttls_missing")));
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn replies_slipped_in_before_tls_are_not_taken_for_protected_ones() {
    let injected = "220 go ahead\r\n250-test\r\n250 AUTH PLAIN\r\n235 Accepted";
    let server = SmtpServer::start(Protection::StartTls, &[(Step::StartTls, Fault::Reply(injected))]);
    let mailer = SmtpMailer::new(with_login(settings(&server, SmtpTls::StartTls), PASSWORD)).unwrap();

    let error = mailer.send(&email(), NOW).await.unwrap_err();

    assert_eq!(error.class, ErrorClass::Network);
    assert!(error.message.contains("TLS"), "{error}");
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_waits_for_a_person_with_advice() {
    for (protection, tls) in
        [(Protection::StartTls, SmtpTls::StartTls), (Protection::Implicit, SmtpTls::Implicit)]
    {
        let server = SmtpServer::start(protection, &[]);
        // The server's own certificate is not the CA that signed it, so its chain ends nowhere.
        let other_ca =
            SmtpSettings { extra_root_ca_pem: Some(CERTIFICATE.to_vec()), ..settings(&server, tls) };

        let error = SmtpMailer::new(other_ca).unwrap().send(&email(), NOW).await.unwrap_err();

        assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Auth, Some("certificate")));
        assert!(error.message.contains("extra root CA"), "{error}");
        assert!(server.mails().is_empty());
    }
}

#[tokio::test]
async fn a_wrong_password_is_an_auth_error_and_is_not_repeated_in_it() {
    let server = SmtpServer::start(Protection::StartTls, &[]);
    let mailer = SmtpMailer::new(with_login(settings(&server, SmtpTls::StartTls), "wr0ng")).unwrap();

    let error = mailer.send(&email(), NOW).await.unwrap_err();

    assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Auth, Some("535")));
    assert!(!format!("{error:?} {mailer:?}").contains("wr0ng"));
}

#[tokio::test]
async fn every_refusal_is_called_by_its_code_and_its_step() {
    let limited = ErrorClass::RateLimited { retry_after: None };
    let cases = [
        (Step::Greeting, "421 4.3.2 Too many connections", limited),
        (Step::Greeting, "554 5.7.1 Listed", ErrorClass::Auth),
        (Step::Mail, "530 5.7.0 Must issue STARTTLS", ErrorClass::Auth),
        (Step::Mail, "553 5.7.1 Not your address", ErrorClass::Permanent),
        (Step::Mail, "452 4.3.1 Full", ErrorClass::ServerError),
        (Step::Rcpt, "450 4.2.0 Greylisted", ErrorClass::ServerError),
        (Step::Rcpt, "550 5.1.1 No such user", ErrorClass::Permanent),
        (Step::Data, "451 4.3.0 Later", ErrorClass::ServerError),
        (Step::Data, "554 5.5.1 No", ErrorClass::Permanent),
        (Step::Message, "451 4.7.1 Later", ErrorClass::ServerError),
        (Step::Message, "552 5.3.4 Too big", ErrorClass::Permanent),
    ];

    for (step, reply, class) in cases {
        let (server, result) = send_through(&[(step, Fault::Reply(reply))], &email()).await;
        let error = result.unwrap_err();

        assert_eq!(error.class, class, "{reply} at {step:?}");
        assert_eq!(error.code.as_deref(), Some(&reply[..3]));
        assert!(error.message.contains(&reply[4..]), "{error}");
        let minutes = reply.starts_with("45").then(|| Duration::from_mins(5));
        assert_eq!(error.retry_after(), minutes, "{reply} at {step:?}");
        assert!(server.mails().is_empty());
    }
}

#[tokio::test]
async fn a_connection_lost_before_the_message_is_a_network_error() {
    for step in [Step::Greeting, Step::Mail, Step::Rcpt, Step::Data] {
        let (_server, result) = send_through(&[(step, Fault::Close)], &email()).await;

        assert_eq!(result.unwrap_err().class, ErrorClass::Network, "at {step:?}");
    }
}

#[tokio::test]
async fn a_connection_lost_after_the_message_is_ambiguous() {
    let (server, result) = send_through(&[(Step::Message, Fault::Close)], &email()).await;

    assert_eq!(result.unwrap_err().class, ErrorClass::Ambiguous);
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn a_server_that_repeats_the_login_does_not_bring_it_into_the_error() {
    const ENCODED: &str = "AHVzZXJAZXhhbXBsZS5jb20AY29ycmVjdCBob3JzZQ";
    for reply in [
        "535 5.7.8 rejected: AUTH PLAIN AHVzZXJAZXhhbXBsZS5jb20AY29ycmVjdCBob3JzZQ==",
        "535 5.7.8 the password correct horse is wrong",
        // Not a reply at all, which the library quotes.
        "5x5 AUTH PLAIN AHVzZXJAZXhhbXBsZS5jb20AY29ycmVjdCBob3JzZQ==",
    ] {
        let server = SmtpServer::start(Protection::None, &[(Step::Auth, Fault::Reply(reply))]);
        let mailer = SmtpMailer::new(with_login(settings(&server, SmtpTls::None), PASSWORD)).unwrap();

        let error = mailer.send(&email(), NOW).await.unwrap_err();

        let cause = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
        let told = format!("{error} {cause}");
        assert!(!told.contains(ENCODED) && !told.contains(PASSWORD) && told.contains("***"), "{told}");
    }
}

#[tokio::test]
async fn a_hanging_server_is_left_after_the_time_limit() {
    for (step, class) in [(Step::Greeting, ErrorClass::Network), (Step::Message, ErrorClass::Ambiguous)] {
        let server = SmtpServer::start(Protection::None, &[(step, Fault::Hang)]);
        let impatient = SmtpSettings { timeout: Duration::from_secs(3), ..settings(&server, SmtpTls::None) };
        let mailer = SmtpMailer::new(impatient).unwrap();

        let error = mailer.send(&email(), NOW).await.unwrap_err();

        assert_eq!(error.class, class, "at {step:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_network_error() {
    let server = SmtpServer::start(Protection::None, &[]);
    // Nobody listens at the first of all ports.
    let closed = SmtpSettings { port: 1, host: "127.0.0.1".to_owned(), ..settings(&server, SmtpTls::None) };
    let unknown = SmtpSettings { host: "mail.invalid".to_owned(), ..settings(&server, SmtpTls::None) };

    for settings in [closed, unknown] {
        let error = SmtpMailer::new(settings).unwrap().send(&email(), NOW).await.unwrap_err();

        assert_eq!(error.class, ErrorClass::Network, "{error}");
    }
}

#[tokio::test]
async fn messages_share_a_connection() {
    let server = SmtpServer::start(Protection::None, &[]);
    let mailer = SmtpMailer::new(settings(&server, SmtpTls::None)).unwrap();

    for _ in 0..5 {
        mailer.send(&email(), NOW).await.unwrap();
    }

    assert_eq!((server.mails().len(), server.connections()), (5, 1));
}

#[tokio::test]
async fn a_refused_message_does_not_cost_the_next_one_its_connection() {
    let server = SmtpServer::start(Protection::None, &[(Step::Rcpt, Fault::Reply("550 5.1.1 No such user"))]);
    let mailer = SmtpMailer::new(settings(&server, SmtpTls::None)).unwrap();

    let refused = mailer.send(&email(), NOW).await;
    mailer.send(&email(), NOW).await.unwrap();

    assert!(refused.is_err());
    assert_eq!((server.mails().len(), server.connections()), (1, 1));
}

#[tokio::test]
async fn a_waiting_connection_that_died_is_replaced_at_once() {
    let faults = [
        (Step::Message, Fault::ReplyAndClose("250 2.0.0 Ok")),
        (Step::Message, Fault::Reply("250 2.0.0 Ok")),
        (Step::Mail, Fault::ReplyAndClose("421 4.4.2 Idle for too long")),
    ];
    let server = SmtpServer::start(Protection::None, &faults);
    let mailer = SmtpMailer::new(settings(&server, SmtpTls::None)).unwrap();

    for _ in 0..3 {
        mailer.send(&email(), NOW).await.unwrap();
    }

    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_connection_lost_after_the_message_is_never_replaced() {
    let faults = [(Step::Message, Fault::Reply("250 2.0.0 Ok")), (Step::Message, Fault::Close)];
    let server = SmtpServer::start(Protection::None, &faults);
    let mailer = SmtpMailer::new(settings(&server, SmtpTls::None)).unwrap();
    mailer.send(&email(), NOW).await.unwrap();

    let error = mailer.send(&email(), NOW).await.unwrap_err();

    assert_eq!(error.class, ErrorClass::Ambiguous);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn recipients_refused_for_good_are_reported_and_the_others_get_the_message() {
    let three = Email { cc: vec!["bob@example.org".to_owned(), "eve@example.org".to_owned()], ..email() };

    let (server, result) =
        send_through(&[(Step::Rcpt, Fault::Reply("550 5.1.1 No such user"))], &three).await;

    let detail = result.unwrap().detail.unwrap();
    assert_eq!(server.mails()[0].to, ["bob@example.org", "eve@example.org"]);
    assert_eq!(detail["refused"][0]["address"], "ada@example.org");
    assert_eq!(detail["refused"][0]["reply"], "550 5.1.1 No such user");
}

#[tokio::test]
async fn a_recipient_refused_for_now_stops_the_message_before_anybody_gets_it() {
    let two = Email { cc: vec!["bob@example.org".to_owned()], ..email() };
    let faults = [(Step::Rcpt, Fault::Reply("250 Ok")), (Step::Rcpt, Fault::Reply("450 4.2.0 Greylisted"))];

    let (server, result) = send_through(&faults, &two).await;

    assert_eq!(result.unwrap_err().class, ErrorClass::ServerError);
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn an_address_that_needs_smtputf8_says_so() {
    let international = Email { to: vec!["josé@example.org".to_owned()], ..email() };

    let (_server, result) = send_through(&[], &international).await;

    assert_eq!(result.unwrap_err().code.as_deref(), Some("smtputf8_missing"));
}

#[tokio::test]
async fn a_health_check_logs_in_and_sends_nothing() {
    let server = SmtpServer::start(Protection::StartTls, &[]);
    let mailer = SmtpMailer::new(with_login(settings(&server, SmtpTls::StartTls), PASSWORD)).unwrap();

    mailer.check().await.unwrap();

    assert_eq!((server.connections(), server.mails().len()), (1, 0));
}

#[tokio::test]
async fn a_closed_client_sends_nothing_more() {
    let server = SmtpServer::start(Protection::None, &[]);
    let mailer = SmtpMailer::new(settings(&server, SmtpTls::None)).unwrap();
    mailer.send(&email(), NOW).await.unwrap();

    mailer.close().await;
    let error = mailer.send(&email(), NOW).await.unwrap_err();

    assert_eq!((error.class, server.mails().len()), (ErrorClass::Network, 1));
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_with_the_fix() {
    let server = SmtpServer::start(Protection::None, &[]);
    let base = || settings(&server, SmtpTls::StartTls);
    let in_the_clear = SmtpSettings {
        host: "mail.example.com".to_owned(),
        tls: SmtpTls::None,
        ..with_login(base(), "p4ss")
    };
    let cases = [
        (in_the_clear, "starttls"),
        (SmtpSettings { username: Some("u".to_owned()), ..base() }, "set both or none"),
        (
            SmtpSettings { extra_root_ca_pem: Some(b"not a certificate".to_vec()), ..base() },
            "BEGIN CERTIFICATE",
        ),
        (SmtpSettings { from_email: "nobody".to_owned(), ..base() }, "`from`"),
        (SmtpSettings { from_name: Some("a\r\nBcc: b".to_owned()), ..base() }, "line break"),
    ];

    for (settings, advice) in cases {
        let error = SmtpMailer::new(settings).unwrap_err();

        assert_eq!(error.class, ErrorClass::Permanent);
        assert!(error.to_string().contains(advice) && !error.to_string().contains("p4ss"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_names_no_size_is_given_no_more_than_servers_usually_take() {
    let film = Attachment {
        name: "film.pdf".into(),
        content: vec![b'x'; 19_000_000].into(),
        ..Attachment::default()
    };

    let (server, result) = send_through(&[], &Email { attachments: vec![film], ..email() }).await;

    let error = result.unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Permanent, Some("too_large")));
    assert!(error.message.contains("25000000") && server.mails().is_empty(), "{error}");
}
