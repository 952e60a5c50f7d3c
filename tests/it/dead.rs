//! Dead letters from outside: what commands answer, and what survives when they are killed.

use std::process::Output;

use flota_engine::ErrorClass;
use flota_tests::{
    PATIENCE,
    cluster::{Cluster, Recorded, SHORT},
    fleet::eventually,
    replays::{bury_toys, kill_replays},
    toys::{Act, toy},
};
use serde_json::Value;
use std::time::Duration;

async fn flota(cluster: &Cluster, arguments: &[&str]) -> (i32, Value, String) {
    let mut command = cluster.flota(arguments).expect("the program is built");
    let Output { status, stdout, stderr } = command.output().await.expect("the program runs");
    let json = serde_json::from_slice(&stdout).unwrap_or_default();
    (status.code().expect("an exit code"), json, String::from_utf8_lossy(&stderr).into_owned())
}

#[tokio::test]
async fn each_letter_is_enqueued_once_although_two_replays_are_killed_ten_times() {
    let letters = 10_000;

    let killed = kill_replays(letters, 10).await.unwrap();

    let count = letters as i64;
    assert_eq!((killed.replayed, killed.jobs), (count, count), "{killed:?}");
    assert_eq!(killed.recorded, Recorded { rows: letters, jobs: letters, succeeded: letters }, "{killed:?}");
    assert_eq!(killed.repeated, 0, "{killed:?}");
    // At least one of the two is at work whenever both are killed; on a busy machine the other may just have ended.
    assert!(killed.kills <= killed.caught && 2 <= killed.operations, "both were at work: {killed:?}");
}

#[tokio::test]
async fn a_dead_job_is_replayed_and_both_show_their_line() {
    let mut cluster = Cluster::start().await.unwrap();
    let _worker = cluster.worker(4, SHORT).await.unwrap();
    let id = cluster.producer.enqueue(toy([Act::Fail(ErrorClass::Permanent)]).key("k")).await.unwrap().id;
    cluster.wait_for_rows(1, PATIENCE).await.unwrap();
    let id = id.to_string();

    let (exit, listed, _) = flota(&cluster, &["dead", "list", "-o", "json"]).await;
    assert_eq!((exit, &listed[0]["id"], &listed[0]["state"]), (0, &id.as_str().into(), &"dead".into()));
    let (exit, done, _) = flota(&cluster, &["job", "retry", &id, "-o", "json"]).await;
    assert_eq!((exit, &done["matched"], &done["replayed"]), (0, &1.into(), &1.into()), "{done}");
    assert_eq!(done.as_object().unwrap().len(), 3, "operation, matched, replayed: {done}");
    cluster.wait_for_rows(2, PATIENCE).await.unwrap();

    let (_, letter, _) = flota(&cluster, &["dead", "get", &id, "-o", "json"]).await;
    let again = letter["replayed_as"].as_str().unwrap().to_owned();
    assert_eq!(letter["state"], "replayed");
    let (_, again, _) = flota(&cluster, &["dead", "get", &again, "-o", "json"]).await;
    assert_eq!((&again["replay_of"], &again["state"]), (&id.as_str().into(), &"dead".into()), "{again}");
    assert_eq!(again["lineage"].as_array().unwrap().len(), 2);
    let (exit, _, said) = flota(&cluster, &["dead", "replay", &id, "--yes"]).await;
    assert_eq!(exit, 1);
    assert!(said.contains("is replayed as job") && said.contains("nothing was done"), "{said}");
}

#[tokio::test]
async fn what_should_not_be_done_is_refused_with_its_code() {
    let cluster = Cluster::start().await.unwrap();
    let pool = cluster.pool().unwrap();
    bury_toys(&pool, 3).await.unwrap();
    let id: String =
        sqlx::query_scalar("SELECT job_id::text FROM dead_letters LIMIT 1").fetch_one(&pool).await.unwrap();
    let nobody = "0199a7c2-9c1e-7cc3-98c4-dc0c0c07398f";

    for (arguments, exit, sentence) in [
        (&["dead", "replay", "--yes"][..], 5, "would take every dead letter"),
        (&["dead", "discard", "--yes", "--reason", "x"], 5, "would take every dead letter"),
        (&["dead", "replay", "--queue", "toys"], 5, "add --yes"),
        (&["dead", "discard", "--queue", "toys", "--yes"], 2, "--reason"),
        (&["dead", "list", "colour=red"], 2, "unknown filter `colour=red`"),
        (&["dead", "list", "--colour", "red"], 2, "--colour"),
        (&["dead", "list", "--class", "timeot"], 2, "did you mean timeout"),
        (&["dead", "list", "--since", "soon"], 2, "is not a time"),
        (&["dead", "replay", nobody, "--yes"], 3, "there is no dead letter"),
        (&["dead", "get", nobody], 3, "there is no dead letter"),
        (&["dead", "replay", "--queue", "toys", "--set", "payload.a=1", "--yes"], 2, "name it by its id"),
        (&["dead", "replay", &id, "--set", "payload.acts=7", "--yes"], 2, "no kind `toy`"),
        (&["bulk", "resume", nobody], 3, "there is no operation"),
        (&["job", "retry", nobody], 3, "no delayed and no dead job"),
    ] {
        let (code, _, said) = flota(&cluster, arguments).await;
        assert_eq!(code, exit, "{arguments:?}: {said}");
        assert!(said.contains(sentence), "{arguments:?}: {said}");
    }
    let untouched = "SELECT count(*) FROM dead_letters WHERE state = 'dead'";
    assert_eq!(sqlx::query_scalar::<_, i64>(untouched).fetch_one(&pool).await.unwrap(), 3);
    let (exit, dry, _) =
        flota(&cluster, &["dead", "replay", "--queue", "toys", "--dry-run", "-o", "json"]).await;
    assert_eq!((exit, &dry["matched"], dry["sample"].as_array().unwrap().len()), (0, &3.into(), 3));
    let (exit, none, _) =
        flota(&cluster, &["dead", "replay", "--queue", "email", "--yes", "-o", "json"]).await;
    assert_eq!((exit, &none["operation"], &none["replayed"]), (0, &Value::Null, &0.into()));
}

#[tokio::test]
async fn an_edit_that_makes_the_payload_invalid_is_refused_by_field_and_a_good_one_is_sent() {
    let cluster = Cluster::start().await.unwrap();
    let pool = cluster.pool().unwrap();
    let sql = "INSERT INTO dead_letters (job_id, queue, kind, attempts, fingerprint, envelope, died_at) \
               VALUES (gen_random_uuid(), 'email', 'send_email', 1, 'f', $1, now()) RETURNING job_id::text";
    let envelope = br#"{"v":1,"kind":"send_email","at":1,"payload":{"to":["a@b.con"],"body":{"subject":"s","text":"t"}}}"#;
    let id: String = sqlx::query_scalar(sql).bind(&envelope[..]).fetch_one(&pool).await.unwrap();

    let (exit, _, said) =
        flota(&cluster, &["dead", "replay", &id, "--set", "payload.to=nobody", "--yes"]).await;
    assert_eq!(exit, 2);
    assert!(said.contains("`to[0]` is not an email address"), "{said}");
    let set = "payload.to=ana@example.com";
    let (exit, done, _) =
        flota(&cluster, &["dead", "replay", &id, "--set", set, "--yes", "-o", "json"]).await;

    assert_eq!((exit, &done["replayed"]), (0, &1.into()));
    let sent: Vec<u8> = sqlx::query_scalar("SELECT envelope FROM outbox").fetch_one(&pool).await.unwrap();
    let sent: Value = serde_json::from_slice(&sent).unwrap();
    assert_eq!(sent["payload"]["to"], serde_json::json!(["ana@example.com"]));
}

#[tokio::test]
async fn a_closed_pipe_and_an_interrupt_end_quietly_and_say_how_to_go_on() {
    let cluster = Cluster::start().await.unwrap();
    let pool = cluster.pool().unwrap();
    bury_toys(&pool, 5_000).await.unwrap();

    let mut export = cluster.flota(&["dead", "export"]).unwrap();
    let mut export =
        export.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(export.stdout.take());
    let ended = export.wait_with_output().await.unwrap();
    assert_eq!((ended.status.code(), String::from_utf8(ended.stderr).unwrap().as_str()), (Some(0), ""));

    let slow = ["dead", "replay", "--queue", "toys", "--rate", "50/s", "--yes", "-o", "json"];
    let mut replay = cluster.flota(&slow).unwrap();
    replay.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let replay = replay.spawn().unwrap();
    let began = async || {
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(&pool).await.unwrap();
        0 < rows
    };
    eventually(PATIENCE, "the replay begins", began).await;
    let pid = nix::unistd::Pid::from_raw(replay.id().unwrap() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let ended = replay.wait_with_output().await.unwrap();

    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(4), "{said}");
    assert!(said.contains("go on with `flota bulk resume "), "{said}");
    let answer: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let operation = answer["operation"].as_str().unwrap();
    let (exit, aborted, _) = flota(&cluster, &["bulk", "abort", operation, "-o", "json"]).await;
    assert_eq!((exit, &aborted["state"]), (0, &"aborted".into()));
    let (exit, _, said) = flota(&cluster, &["bulk", "resume", operation]).await;
    assert_eq!(exit, 1);
    assert!(said.contains("is aborted and stays so"), "{said}");
}

#[tokio::test]
async fn a_delayed_job_runs_now_when_it_is_retried() {
    let mut cluster = Cluster::start().await.unwrap();
    let _worker = cluster.worker(4, SHORT).await.unwrap();
    let hour = Duration::from_secs(3_600);
    let later = cluster.producer.enqueue(toy([Act::Succeed]).after(hour)).await.unwrap().id.to_string();
    let high = toy([Act::Succeed]).after(hour).priority(flota_producer::Priority::High);
    let high = cluster.producer.enqueue(high).await.unwrap().id.to_string();

    for id in [&later, &high] {
        let (exit, answer, said) = flota(&cluster, &["job", "retry", id, "-o", "json"]).await;
        assert_eq!((exit, &answer["result"]), (0, &"ready".into()), "{said}");
    }

    cluster.wait_for_rows(2, PATIENCE).await.unwrap();
    let (exit, _, said) = flota(&cluster, &["job", "retry", &later]).await;
    assert_eq!(exit, 3, "{said}");
}
