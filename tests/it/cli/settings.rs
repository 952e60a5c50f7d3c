//! Commands that prepare and examine: `db`, `config`, `doctor`, `keys`, `completion`.

use flota_tests::{program::Installation, servers, shape::shape};
use flota_worker::dev::{RedisOptions, RedisServer};
use serde_json::{Value, json};

fn finding<'a>(findings: &'a Value, check: &str) -> &'a Value {
    let mut all = findings.as_array().expect("a list").iter();
    all.find(|finding| finding["check"] == check).unwrap_or_else(|| panic!("no {check} in {findings:#}"))
}

#[tokio::test]
async fn db_migrate_may_be_repeated_and_db_status_says_what_is_missing() {
    let mut flota = Installation::new().await;
    flota.set("DATABASE_URL", servers::empty_database().await);

    let before = flota.flota(&["db", "status"]).await.expect(1).json();
    let list = flota.flota(&["job", "list"]).await.expect(1);
    let first = flota.flota(&["db", "migrate"]).await.expect(0).json();
    let second = flota.flota(&["db", "migrate"]).await.expect(0).json();
    let after = flota.flota(&["db", "status"]).await.expect(0).json();

    assert_eq!(shape(&before), "[applied: null, name: text, version: count]");
    assert!(list.refusal().contains("run `flota db migrate`"), "{list:?}");
    assert_eq!(shape(&first), "[applied: time, name: text, version: count]");
    assert_eq!((&second, &after), (&first, &first), "nothing is applied twice");
    assert_eq!(flota.flota(&["job", "list"]).await.expect(0).json(), json!([]));
}

#[tokio::test]
async fn config_check_shows_the_queues_and_config_show_hides_secrets() {
    let mut flota = Installation::new().await;
    flota.make_keys().await.set("DATABASE_URL", "postgres://flota:hunter2@localhost/flota");

    let checked = flota.flota(&["config", "check"]).await.expect(0).json();
    let told = flota.flota(&["config", "check", "-o", "table"]).await.expect(0);
    let shown = flota.flota(&["config", "show"]).await.expect(0);

    assert_eq!(
        shape(&checked),
        "[concurrency: count, heartbeat: text, lease: text, max_attempts: count, max_len: count, queue: text, \
         timeout: text]"
    );
    assert_eq!((&checked[0]["lease"], &checked[0]["heartbeat"]), (&json!("3s"), &json!("500ms")));
    assert!(told.stdout.contains("quick.toml are fine."), "{told:?}");
    let key = flota.variable("FLOTA_ENCRYPTION_KEYS").trim_start_matches("k1:");
    assert!(!shown.stdout.contains("hunter2") && !shown.stdout.contains(key), "{shown:?}");
    assert!(shown.stdout.contains("postgres://flota:***@localhost/flota"), "{shown:?}");
}

#[tokio::test]
async fn config_env_example_is_the_committed_file_and_can_be_used_as_it_is() {
    let flota = Installation::new().await;
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../.env.example")).unwrap();

    let printed = flota.flota(&["config", "env-example"]).await.expect(0).stdout;

    assert_eq!(printed, committed);
    let active: Vec<&str> =
        printed.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    assert_eq!(active, Vec::<&str>::new(), "every line is a comment");
}

#[tokio::test]
async fn doctor_is_content_with_a_good_fleet() {
    let mut flota = Installation::new().await;
    flota.make_keys().await;

    let findings = flota.flota(&["doctor"]).await.expect(0).json();

    for check in
        ["queues file", "redis version", "maxmemory-policy", "appendonly", "postgres", "endpoint secrets"]
    {
        assert_eq!(finding(&findings, check)["severity"], "ok", "{findings:#}");
    }
    let mail = finding(&findings, "email");
    assert_eq!(
        (&mail["severity"], shape(mail)),
        (&json!("warning"), "check: text, fix: text, found: text, severity: text".to_owned())
    );
    assert!(mail["fix"].as_str().unwrap().contains("SMTP_HOST"), "{mail}");
}

#[tokio::test]
async fn doctor_finds_a_redis_that_would_lose_jobs_and_says_how_to_mend_it() {
    let arguments = ["--maxmemory-policy", "allkeys-lru", "--appendonly", "no"].map(String::from).to_vec();
    let options = RedisOptions { extra_arguments: arguments, ..RedisOptions::default() };
    let redis = RedisServer::start(options).await.unwrap();
    let mut flota = Installation::new().await;
    flota.set("REDIS_URL", redis.url());

    let findings = flota.flota(&["doctor"]).await.expect(1).json();
    let table = flota.flota(&["doctor", "-o", "table"]).await.expect(1).stdout;

    let policy = finding(&findings, "maxmemory-policy");
    assert_eq!(policy["severity"], "error");
    assert_eq!(policy["fix"], "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf");
    assert_eq!(finding(&findings, "appendonly")["severity"], "error");
    let line = table.lines().find(|line| line.contains("maxmemory-policy")).unwrap();
    assert!(line.trim_start().starts_with("ERROR"), "{table}");
}

#[tokio::test]
async fn doctor_is_6_where_a_server_is_away() {
    let mut flota = Installation::new().await;
    flota.set("REDIS_URL", "redis://127.0.0.1:1/").set("DATABASE_URL", "postgres://flota@127.0.0.1:1/flota");

    let findings = flota.flota(&["doctor"]).await.expect(6).json();

    let fix = |check: &str| finding(&findings, check)["fix"].as_str().unwrap_or_default().to_owned();
    assert!(fix("redis").contains("REDIS_URL") && fix("postgres").contains("DATABASE_URL"), "{findings:#}");
}

#[tokio::test]
async fn completion_scripts_know_the_commands() {
    let flota = Installation::new().await;

    for shell in ["bash", "zsh", "fish"] {
        let script = flota.flota(&["completion", shell]).await.expect(0).stdout;
        assert!(script.contains("enqueue") && script.contains("env-example"), "{shell}: {script}");
    }
    flota.flota(&["completion", "tcsh"]).await.expect(2);
}

#[tokio::test]
async fn keys_can_be_used_where_they_are_asked_for() {
    let mut flota = Installation::new().await;
    let add = ["endpoint", "add", "--url", "https://example.com/hook"];

    let without = flota.flota(&add).await.expect(2);
    let encryption =
        flota.flota(&["keys", "encryption", "--id", "2026a", "-o", "json"]).await.expect(0).json();
    let webhook = flota.flota(&["keys", "webhook", "-o", "json"]).await.expect(0).json();

    assert!(without.refusal().contains("set FLOTA_ENCRYPTION_KEYS, made by `flota keys encryption`"));
    let key = encryption["FLOTA_ENCRYPTION_KEYS"].as_str().unwrap();
    assert!(key.starts_with("2026a:"), "{encryption}");
    flota
        .set("FLOTA_ENCRYPTION_KEYS", key)
        .set("WEBHOOK_SECRET", webhook["WEBHOOK_SECRET"].as_str().unwrap());
    flota.flota(&add).await.expect(0);
    let findings = flota.flota(&["doctor"]).await.expect(0).json();
    for check in ["endpoint secrets", "webhook secret"] {
        assert_eq!(finding(&findings, check)["severity"], "ok");
    }
}
