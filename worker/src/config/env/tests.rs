//! What the environment accepts, what it refuses with which sentence, and that documents say the same.

mod services;

use std::{collections::BTreeMap, io};

use flota_producer::SettingsError;
use insta::assert_snapshot;
use secrecy::ExposeSecret;

use super::*;
use crate::config::generated_text;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const SIGNING: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Variables as in a process: `X_FILE=…` stands for a file with this content, unless `X` is there too.
fn from(variables: &[(&str, &str)]) -> Result<Environment, EnvironmentErrors> {
    let variables: BTreeMap<&str, &str> =
        variables.iter().copied().filter(|(_, value)| !value.is_empty()).collect();
    let lookup = |name: &str| -> Result<Option<String>, SettingsError> {
        let file = variables.get(&*format!("{name}_FILE")).filter(|_| name != "SMTP_CA");
        if file.is_some_and(|content| *content == "unreadable") && !variables.contains_key(name) {
            let (name, path) = (name.to_owned(), "/run/secrets/x".to_owned());
            return Err(SettingsError::File { name, path, source: io::ErrorKind::NotFound.into() });
        }
        Ok(variables.get(name).or(file).map(|value| (*value).to_owned()))
    };
    Environment::from_lookup(&lookup, variables.keys().copied())
}

fn refused(variables: &[(&str, &str)]) -> String {
    from(variables).unwrap_err().to_string()
}

fn row(environment: &Environment, name: &str) -> (Option<String>, ValueSource) {
    let row = environment.summary().iter().find(|row| row.name == name).unwrap();
    (row.value.clone(), row.source)
}

#[test]
fn an_empty_environment_is_good_for_development() {
    let environment = from(&[("REDIS_PASSWORD", ""), ("SMTP_HOST", "")]).unwrap();

    assert_eq!(environment.redis.address(), "redis://localhost:6379/");
    assert_eq!(environment.deployment, Deployment::Development);
    assert!(!environment.is_production());
    assert_eq!(environment.warnings, []);
    assert!(environment.smtp.is_none() && environment.database_url.is_none());
}

#[test]
fn a_full_environment_is_read() {
    let environment = from(&[
        ("REDIS_URL", "rediss://:hunter2@cache:6380/1"),
        ("DATABASE_URL", "postgres://flota:hunter2@db/flota"),
        ("SMTP_HOST", "smtp.example.com"),
        ("SMTP_USERNAME", "apikey"),
        ("SMTP_PASSWORD_FILE", "hunter2"),
        ("SMTP_TLS", "implicit"),
        ("SMTP_FROM_EMAIL", "noreply@example.com"),
        ("WEBHOOK_SECRET", SIGNING),
        ("FLOTA_WEBHOOK_ALLOW_CIDRS", "10.20.3.4/16, fd00::/8"),
        ("FLOTA_ENCRYPTION_KEYS", &format!("new:{KEY},old:{KEY}")),
        ("FLOTA_ENV", "production"),
        ("FLOTA_ADMIN_ADDR", "[::1]:9464"),
        ("LOG_FORMAT", "json"),
        ("RUST_LOG", "debug"),
        ("NO_COLOR", "1"),
    ])
    .unwrap();

    let smtp = environment.smtp.clone().unwrap();
    assert_eq!((smtp.host.as_str(), smtp.port, smtp.tls), ("smtp.example.com", 465, SmtpMode::Implicit));
    assert_eq!(smtp.password.unwrap().expose_secret(), "hunter2");
    assert_eq!(
        environment.webhook_allow,
        ["10.20.0.0/16".parse().unwrap(), "fd00::/8".parse::<IpNet>().unwrap()]
    );
    assert!(environment.encryption_keys.as_ref().unwrap().expose_secret().starts_with("new:"));
    assert_eq!(environment.log_format, Some(LogFormat::Json));
    assert_eq!(environment.log_filter.as_deref(), Some("debug"));
    assert!(environment.is_production());
    let shown = format!("{environment:?}");
    assert!(!shown.contains("hunter2") && !shown.contains(KEY), "{shown}");
}

#[test]
fn every_problem_is_told_at_once() {
    let told = refused(&[
        ("REDIS_PORT", "x"),
        ("DATABASE_URL", "mysql://user:hunter2@host/db"),
        ("SMTP_HOST", "smtp://mail"),
        ("SMTP_PORT", "0"),
        ("SMTP_USERNAME", "apikey"),
        ("SMTP_TLS", "yes"),
        ("SMTP_FROM_EMAIL", "Example <noreply@example.com>"),
        ("WEBHOOK_SECRET", "whsec_AAECAwQF"),
        ("FLOTA_WEBHOOK_ALLOW_CIDRS", "10.1.2.3"),
        ("FLOTA_ENCRYPTION_KEYS", "new:AAECAwQF"),
        ("FLOTA_ENV", "staging"),
        ("FLOTA_ADMIN_ADDR", "9464"),
        ("FLOTA_API_ADDR", "localhost"),
        ("FLOTA_API_RATE", "0"),
        ("LOG_FORMAT", "text"),
        ("RUST_LOG", "info,sqlx=loud"),
    ]);

    assert!(!told.contains("hunter2") && !told.contains("AAECAwQF"));
    assert_snapshot!(told, @r#"
    REDIS_PORT is not usable: write a number from 1 to 65535
    FLOTA_ENV is not usable: "staging" is not one of its words; write development or production
    DATABASE_URL is not usable: it is not an address of Postgres; write postgres://user:password@host:5432/database
    SMTP_HOST is not usable: "smtp://mail" is not a host; write a name such as smtp.example.com, without scheme or port
    SMTP_TLS is not usable: "yes" is not one of its words; write starttls, implicit or none
    SMTP_PORT is not usable: "0" is not a port; write a number from 1 to 65535
    SMTP_PASSWORD is not set, but SMTP_USERNAME is; set both or neither
    SMTP_FROM_EMAIL is not usable: "Example <noreply@example.com>" is not an address; write one such as noreply@example.com, and the name into SMTP_FROM_NAME
    WEBHOOK_SECRET is not usable: it holds 6 bytes, but 24 to 64 are needed; make one with `flota keys webhook`
    FLOTA_WEBHOOK_ALLOW_CIDRS is not usable: 10.1.2.3 is an address without a length; write 10.1.2.3/32
    FLOTA_ENCRYPTION_KEYS is not usable: key 1 holds 6 bytes, but 32 are needed; make one with `flota keys encryption`
    LOG_FORMAT is not usable: "text" is not one of its words; write pretty or json
    RUST_LOG is not usable: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5; write levels by module, such as info,sqlx=warn,hyper=warn,reqwest=warn
    FLOTA_ADMIN_ADDR is not usable: "9464" is not an address with a port; write one such as 127.0.0.1:9464
    FLOTA_API_ADDR is not usable: "localhost" is not an address with a port; write one such as 127.0.0.1:8080
    FLOTA_API_RATE is not usable: it is not a number of requests a second; write 1 to 100000
    "#);
}

#[test]
fn forms_of_secrets_are_checked_without_repeating_them() {
    let twice = format!("a:{KEY},a:{KEY}");
    let told: Vec<String> = [
        ("WEBHOOK_SECRET", "hunter2"),
        ("WEBHOOK_SECRET", "whsec_hunter2!"),
        ("FLOTA_ENCRYPTION_KEYS", "hunter2"),
        ("FLOTA_ENCRYPTION_KEYS", "hunter2/:x"),
        ("FLOTA_ENCRYPTION_KEYS", "a:hunter2!"),
        ("FLOTA_ENCRYPTION_KEYS", &twice),
    ]
    .map(|variable| refused(&[variable]))
    .into();

    let told = told.join("\n");
    assert!(!told.to_lowercase().contains("hunter2"));
    assert_snapshot!(told, @r#"
    WEBHOOK_SECRET is not usable: it does not begin with whsec_; make one with `flota keys webhook`
    WEBHOOK_SECRET is not usable: what follows whsec_ is not base64; make one with `flota keys webhook`
    FLOTA_ENCRYPTION_KEYS is not usable: key 1 is not of the form id:base64key; make one with `flota keys encryption`
    FLOTA_ENCRYPTION_KEYS is not usable: the id of key 1 is not usable; write 1 to 64 letters, digits, `_`, `-` or `.` before the colon
    FLOTA_ENCRYPTION_KEYS is not usable: key 1 is not base64; make one with `flota keys encryption`
    FLOTA_ENCRYPTION_KEYS is not usable: key 2 has the id of an earlier one; give each its own
    "#);
}

#[test]
fn networks_that_allow_everything_are_refused() {
    let told = refused(&[("FLOTA_WEBHOOK_ALLOW_CIDRS", "10.0.0.0/8,0.0.0.0/0")]);

    assert_snapshot!(told, @r#"FLOTA_WEBHOOK_ALLOW_CIDRS is not usable: 0.0.0.0/0 would let webhooks reach every address; write only the networks they need"#);
}

#[test]
fn a_sender_is_required_with_a_mail_server() {
    assert_snapshot!(refused(&[("SMTP_HOST", "localhost")]), @r#"SMTP_FROM_EMAIL is not set, but SMTP_HOST is; set both or neither"#);
}

#[test]
fn mail_in_the_clear_leaves_this_machine_only_in_development() {
    let with = |host, deployment| {
        from(&[
            ("SMTP_HOST", host),
            ("SMTP_TLS", "none"),
            ("SMTP_FROM_EMAIL", "a@example.com"),
            ("FLOTA_ENV", deployment),
        ])
    };

    assert!(with("mail.example.com", "development").is_ok());
    assert!(with("localhost", "production").is_ok());
    assert_eq!(with("127.0.0.1", "production").unwrap().smtp.unwrap().port, 25);
    assert_snapshot!(with("mail.example.com", "production").unwrap_err().to_string(), @r#"SMTP_TLS is not usable: none would send mail and password to mail.example.com in the clear, which FLOTA_ENV=production does not allow; write starttls or implicit"#);
}

#[test]
fn a_file_of_certificates_must_be_readable() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    std::fs::write(&path, "certificate").unwrap();
    let with = |path: &std::path::Path| {
        let path = path.display().to_string();
        from(&[("SMTP_HOST", "mail"), ("SMTP_FROM_EMAIL", "a@b"), ("SMTP_CA_FILE", &path)])
    };

    assert_eq!(with(&path).unwrap().smtp.unwrap().ca_file, Some(path));
    let told = with(std::path::Path::new("/no/such/file")).unwrap_err().to_string();
    assert_snapshot!(told, @r#"SMTP_CA_FILE names a file that cannot be read: /no/such/file; correct the path or unset SMTP_CA_FILE: No such file or directory (os error 2)"#);
}

#[test]
fn a_secret_file_that_cannot_be_read_is_told_once() {
    let told =
        refused(&[("SMTP_HOST", "mail"), ("SMTP_FROM_EMAIL", "a@b"), ("WEBHOOK_SECRET_FILE", "unreadable")]);

    assert_snapshot!(told, @r#"WEBHOOK_SECRET_FILE names a file that cannot be read: /run/secrets/x: entity not found"#);
}

#[test]
fn what_has_no_effect_is_worth_a_warning() {
    let environment = from(&[
        ("FLOTA_QUEUE_FILE", "x"),
        ("FLOTA_NONSENSE", "x"),
        ("FLOTA_REDIS_URL", "x"),
        ("SMTP_PORT", "25"),
        ("LOG_FORMAT", "json"),
        ("LOG_FORMAT_FILE", "pretty"),
        ("SOMEBODY_ELSE", "x"),
    ])
    .unwrap();

    let told: Vec<String> = environment.warnings.iter().map(ToString::to_string).collect();
    assert_snapshot!(told.join("\n"), @r#"
    FLOTA_NONSENSE is set, but nothing reads it; `flota config env-example` lists every variable
    FLOTA_QUEUE_FILE is set, but nothing reads it; did you mean FLOTA_QUEUES_FILE?
    FLOTA_REDIS_URL is set, but nothing reads it; did you mean REDIS_URL?
    LOG_FORMAT and LOG_FORMAT_FILE are both set, and only LOG_FORMAT is used; unset one of them
    SMTP_PORT is set, but does nothing without SMTP_HOST; set SMTP_HOST or unset SMTP_PORT
    "#);
}

#[test]
fn the_summary_shows_sources_and_no_secrets() {
    let environment = from(&[
        ("REDIS_URL", "redis://user:hunter2@cache/"),
        ("DATABASE_URL_FILE", "postgres://db/flota?user=a&password=hunter2"),
        ("WEBHOOK_SECRET", SIGNING),
        ("SMTP_HOST", "mail"),
        ("SMTP_TLS", "implicit"),
        ("SMTP_FROM_EMAIL", "a@b"),
    ])
    .unwrap();

    let some = |text: &str| Some(text.to_owned());
    assert_eq!(row(&environment, "REDIS_URL"), (some("redis://user:***@cache/"), ValueSource::Env));
    assert_eq!(row(&environment, "REDIS_HOST"), (None, ValueSource::Unset));
    assert_eq!(row(&environment, "DATABASE_URL"), (some("postgres://db/flota?***"), ValueSource::File));
    assert_eq!(row(&environment, "WEBHOOK_SECRET"), (some("***"), ValueSource::Env));
    assert_eq!(row(&environment, "SMTP_PORT"), (some("465"), ValueSource::Default));
    assert_eq!(row(&environment, "FLOTA_ENV"), (some("development"), ValueSource::Default));
    assert_eq!(row(&environment, "FLOTA_ADMIN_ADDR"), (None, ValueSource::Unset));
    assert_eq!(environment.summary().len(), VARIABLES.len());
}

#[test]
fn examples_can_be_used_once_secrets_are_replaced() {
    let ca = tempfile::NamedTempFile::new().unwrap();
    let ca = ca.path().display().to_string();
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().display().to_string();
    let examples: Vec<(&str, String)> = VARIABLES
        .iter()
        .map(|variable| match variable.name {
            "WEBHOOK_SECRET" => (variable.name, SIGNING.to_owned()),
            "FLOTA_ENCRYPTION_KEYS" => (variable.name, variable.example.replace("REPLACE_ME", KEY)),
            "VAPID_PRIVATE_KEY" => (variable.name, "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw".to_owned()),
            "SMTP_CA_FILE" | "GOOGLE_APPLICATION_CREDENTIALS" => (variable.name, ca.clone()),
            "FLOTA_FILES_DIR" | "FLOTA_SPOOL_DIR" => (variable.name, directory.clone()),
            name => (name, variable.example.to_owned()),
        })
        .collect();
    let examples: Vec<(&str, &str)> = examples.iter().map(|(name, value)| (*name, value.as_str())).collect();

    let environment = from(&examples).unwrap();

    assert_eq!(environment.deployment, Deployment::Production);
    assert_eq!(environment.warnings, []);
}

#[test]
fn the_default_filter_is_the_documented_one() {
    let documented = variables::find("RUST_LOG").unwrap().default;

    assert_eq!(documented, Some(DEFAULT_FILTER));
}

#[test]
fn the_committed_example_is_the_table() {
    generated_text::check_whole(".env.example", &example(), "flota config env-example > .env.example");
}

#[test]
fn the_documentation_is_the_table() {
    generated_text::check_part("docs/configuration.md", "environment", &markdown());
}
