//! Exit codes, and the one sentence that comes with each: what happened, why, and what to do next.

use std::process::Stdio;

use flota_tests::{program::Installation, servers};
use futures_util::future::join_all;

use super::mail;

/// Nothing listens here.
const CLOSED_REDIS: &str = "redis://127.0.0.1:1/";
const CLOSED_POSTGRES: &str = "postgres://flota@127.0.0.1:1/flota";
/// An id that no job has.
const NOBODY: &str = "0192f0c0-0000-7000-8000-000000000000";

#[tokio::test]
async fn wrong_usage_is_2_and_names_what_is_wrong() {
    let flota = Installation::new().await;
    let no_recipient = r#"{"to":[],"body":{"subject":"Hi","text":"x"}}"#;
    let bad_address = r#"{"to":["ana@example.com","ana"],"body":{"subject":"Hi","text":"x"}}"#;
    let misspelt = r#"{"too":["ana@example.com"],"body":{"subject":"Hi","text":"x"}}"#;
    let bad_event = r#"{"endpoint":"ep_1","event":"a b","data":1}"#;
    let good = mail().to_string();
    let cases: &[(&[&str], &[&str])] = &[
        (
            &["enqueue", "send_emial", "--data", "{}"],
            &["`send_emial`", "deliver_webhook, read_image, send_email"],
        ),
        (&["enqueue", "send_email", "--data", no_recipient], &["send_email", "`to`", "at least one"]),
        (&["enqueue", "send_email", "--data", bad_address], &["`to[1]`", "is not an email address"]),
        (&["enqueue", "send_email", "--data", misspelt], &["send_email", "`too`", "`to`"]),
        (&["enqueue", "deliver_webhook", "--data", bad_event], &["deliver_webhook", "`event`", "letters"]),
        (&["enqueue", "send_email", "--data", "{"], &["not JSON", "line 1"]),
        (&["enqueue", "send_email", "--data", "@/no/such/file"], &["/no/such/file", "No such file"]),
        (&["enqueue", "send_email", "--data", &good, "--tenant", "a:b"], &["`tenant`", "letters"]),
        (
            &["enqueue", "send_email", "--data", &good, "--max-attempts", "0"],
            &["`max_attempts`", "at least 1"],
        ),
        (&["job", "get", "42"], &["`42`", "looks like 0"]),
        (&["job", "cancel", "42"], &["`42`", "looks like 0"]),
        (
            &["worker", "--queue", "nope"],
            &["--queue nope", "email, llm, notification, ocr, transcription, webhook"],
        ),
    ];

    for (arguments, fragments) in cases {
        let said = flota.flota(arguments).await.expect(2);
        for fragment in *fragments {
            assert!(said.refusal().contains(fragment), "{fragment:?} is missing: {said:?}");
        }
    }
}

#[tokio::test]
async fn a_filter_on_what_nobody_has_heard_of_is_3_and_names_what_there_is() {
    let mut flota = Installation::new().await;
    let lists =
        [&["job", "list"][..], &["job", "list", "--state", "parked"], &["dead", "list"], &["dead", "groups"]];
    let (queue, kind) = (["--queue", "emial"], ["--kind", "send_emial"]);

    for list in lists.into_iter().chain([&["dead", "export"][..], &["dead", "replay"], &["dead", "discard"]])
    {
        let no_queue = flota.flota(&[list, &queue].concat()).await.expect(3);
        let no_kind = flota.flota(&[list, &kind].concat()).await.expect(3);

        assert!(no_queue.refusal().contains("no queue `emial`; known queues: email"), "{no_queue:?}");
        assert!(no_kind.refusal().contains("no kind `send_emial`; this release knows"), "{no_kind:?}");
    }
    for list in lists {
        let known =
            flota.flota(&[list, &["--queue", "email", "--kind", "send_email"]].concat()).await.expect(0);
        assert_eq!(known.json(), serde_json::json!([]), "{list:?}");
    }
    // Nobody can say then whether a worker knows the queue.
    flota.set("REDIS_URL", "redis://127.0.0.1:1/");
    flota.flota(&["job", "list", "--queue", "emial"]).await.expect(0);
}

#[tokio::test]
async fn what_is_found_under_a_queue_that_is_no_more_is_shown() {
    let flota = Installation::new().await;
    let sql = "INSERT INTO dead_letters (job_id, queue, kind, error_class, error, attempts, fingerprint, envelope, \
               payload, died_at) VALUES ($1, 'gone', 'old_kind', 'permanent', 'no', 1, 'f1', '\\x7b7d', '{}', now())";
    sqlx::query(sql).bind(uuid::Uuid::now_v7()).execute(&flota.pool()).await.unwrap();

    let letters =
        flota.flota(&["dead", "list", "--queue", "gone", "--kind", "old_kind"]).await.expect(0).json();

    assert_eq!(letters.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_flag_that_is_not_there_is_2_and_the_nearest_one_is_named() {
    let flota = Installation::new().await;
    let cases: &[(&[&str], &str)] = &[
        (&["enqueue", "send_email", "--dat", "{}"], "'--data'"),
        (&["enqueue", "send_email"], "--data <DATA>"),
        (&["enqueue", "send_email", "--data", "{}", "--delay", "5x"], "5x"),
        (&["enqueue", "send_email", "--data", "{}", "--delay", "5m", "--at", "2030-01-01T00:00:00Z"], "--at"),
        (&["enqueue", "send_email", "--data", "{}", "--at", "tomorrow"], "2026-12-24T18:00:00Z"),
        (&["enqueue", "send_email", "--data", "{}", "--priority", "urgent"], "high, normal, low"),
        (&["queue", "lst"], "'list'"),
        (&["jobs"], "'job'"),
        (&["queue", "list", "-o", "xml"], "table, json, jsonl, id"),
    ];

    for (arguments, fragment) in cases {
        let said = flota.flota(arguments).await.expect(2);
        assert!(said.stderr.contains(fragment), "{fragment:?} is missing: {said:?}");
    }
}

#[tokio::test]
async fn a_bad_queues_file_is_2_with_file_line_key_and_fix() {
    let flota = Installation::new().await;
    let text =
        "[queues.email]\nlease = \"3s\"\n\n[queues.webhook]\nconcurency = 5\ntimeout = \"30 lightyears\"\n";
    let file = flota.write("bad.toml", text);

    for arguments in [&["config", "check"][..], &["worker"], &["queue", "list"], &["serve"]] {
        let said = flota.flota(&[&["--queues", &file], arguments].concat()).await.expect(2);

        let lines: Vec<&str> = said.stderr.lines().collect();
        assert_eq!(lines.len(), 3, "{said:?}");
        let begins = |line: &str, number: u8| line.starts_with(&format!("flota: {file}:{number}: queues."));
        assert!(begins(lines[0], 2) && lines[0].contains("email.lease = \"3s\""), "{said:?}");
        assert!(lines[0].contains("write at least \"10s\""), "{said:?}");
        assert!(begins(lines[1], 5) && lines[1].contains("concurrency"), "the nearest key: {said:?}");
        assert!(begins(lines[2], 6) && lines[2].contains("timeout = \"30 lightyears\""), "{said:?}");
    }
    let missing = flota.flota(&["--queues", "/no/such.toml", "config", "check"]).await.expect(2);
    assert!(missing.refusal().contains("/no/such.toml cannot be read; set FLOTA_QUEUES_FILE"), "{missing:?}");
}

#[tokio::test]
async fn settings_that_contradict_each_other_are_2_and_all_are_told() {
    let mut flota = Installation::new().await;
    flota
        .set("REDIS_HOST", "elsewhere.example")
        .set("FLOTA_ENV", "prod")
        .set("SMTP_HOST", "mail.example.com");

    let said = flota.flota(&["queue", "list"]).await.expect(2);

    let lines: Vec<&str> = said.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{said:?}");
    for sentence in [
        "flota: REDIS_URL and REDIS_HOST do not agree; unset one of them",
        "flota: FLOTA_ENV is not usable: \"prod\" is not one of its words; write development or production",
        "flota: SMTP_FROM_EMAIL is not set, but SMTP_HOST is; set both or neither",
    ] {
        assert!(lines.contains(&sentence), "{sentence:?} is missing: {said:?}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_3() {
    let flota = Installation::new().await;
    let good = mail().to_string();
    let cases: &[(&[&str], &str)] = &[
        (
            &["enqueue", "send_email", "--data", &good, "--queue", "nope"],
            "no queue `nope`; known queues: email",
        ),
        (&["job", "get", NOBODY], "there is no job"),
        (&["job", "cancel", NOBODY], "no live job"),
        (&["endpoint", "disable", "ep_nobody"], "no endpoint `ep_nobody`; see `flota endpoint list`"),
        (
            &["queue", "pause", "nope"],
            "no queue `nope`; known queues: email, llm, notification, ocr, transcription, webhook",
        ),
        (
            &["queue", "resume", "nope"],
            "no queue `nope`; known queues: email, llm, notification, ocr, transcription, webhook",
        ),
    ];

    for (arguments, fragment) in cases {
        let said = flota.flota(arguments).await.expect(3);
        assert!(said.refusal().contains(fragment), "{fragment:?} is missing: {said:?}");
    }
}

#[tokio::test]
async fn an_unreachable_redis_is_6_and_says_what_to_set() {
    let mut flota = Installation::new().await;
    flota.set("REDIS_URL", CLOSED_REDIS);
    let good = mail().to_string();
    let cases: &[&[&str]] = &[
        &["queue", "list"],
        &["queue", "pause", "email"],
        &["job", "get", NOBODY],
        &["job", "cancel", NOBODY],
        &["enqueue", "send_email", "--data", &good],
        &["worker"],
    ];

    for arguments in cases {
        let said = flota.flota(arguments).await.expect(6);
        assert!(said.refusal().contains("REDIS_URL"), "{said:?}");
        assert!(said.refusal().contains("Connection refused"), "{said:?}");
    }
}

#[tokio::test]
async fn an_unreachable_postgres_is_6_and_says_what_to_set() {
    let mut flota = Installation::new().await;
    flota.make_keys().await.set("DATABASE_URL", CLOSED_POSTGRES);
    let cases: &[&[&str]] = &[
        &["job", "list"],
        &["job", "get", NOBODY],
        &["endpoint", "list"],
        &["endpoint", "add", "--url", "https://example.com/"],
        &["db", "migrate"],
        &["db", "status"],
    ];

    // Each of them waits two seconds for a connection, so they wait together.
    for said in join_all(cases.iter().map(|arguments| flota.flota(arguments))).await {
        let said = said.expect(6);
        let sentence = said.refusal();
        assert!(sentence.contains("Postgres") && sentence.contains("DATABASE_URL"), "{said:?}");
    }
}

#[tokio::test]
async fn a_command_that_needs_postgres_is_6_without_its_address() {
    let mut flota = Installation::new().await;
    flota.unset("DATABASE_URL");
    let good = mail().to_string();
    let cases: &[&[&str]] = &[
        &["job", "list"],
        &["endpoint", "list"],
        &["db", "migrate"],
        &["db", "status"],
        &["worker"],
        &["enqueue", "send_email", "--wait", "--data", &good],
    ];

    for arguments in cases {
        let said = flota.flota(arguments).await.expect(6);
        assert!(said.refusal().contains("set DATABASE_URL, for example postgres://"), "{said:?}");
    }
    let unseen = flota.flota(&["job", "get", NOBODY]).await.expect(3);
    assert!(unseen.refusal().contains("set DATABASE_URL to look there"), "{unseen:?}");
}

#[tokio::test]
async fn a_database_that_does_not_let_us_in_is_7() {
    let mut flota = Installation::new().await;
    let nowhere = servers::postgres().await.url("no_such_database");
    flota.set("DATABASE_URL", nowhere);

    let said = flota.flota(&["job", "list"]).await.expect(7);

    assert!(said.refusal().contains("correct the user, password or database in DATABASE_URL"), "{said:?}");
}

#[tokio::test]
async fn a_closed_pipe_ends_a_command_quietly() {
    let flota = Installation::new().await;
    let cases: &[&[&str]] = &[
        &["config", "env-example"],
        &["completion", "bash"],
        &["queue", "list"],
        &["queue", "list", "-o", "table"],
        &["config", "show", "-o", "jsonl"],
        &["keys", "webhook"],
        &["--help"],
    ];

    for arguments in cases {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = flota.command(arguments).stdout(Stdio::from(writer)).output().await.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*stderr), (Some(0), ""), "{arguments:?}");
    }
}
