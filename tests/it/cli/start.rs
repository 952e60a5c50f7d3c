//! When a worker starts, and when it refuses to.

use flota_tests::{PATIENCE, program::Installation, servers};
use flota_worker::dev::{RedisOptions, RedisServer, SmtpSink};
use serde_json::json;

use super::mail;

async fn forgetful_redis(setting: &str, value: &str) -> RedisServer {
    let extra_arguments = vec![format!("--{setting}"), value.to_owned()];
    let options = RedisOptions { extra_arguments, ..RedisOptions::default() };
    RedisServer::start(options).await.expect("a private Redis starts")
}

#[tokio::test]
async fn in_production_a_worker_refuses_a_redis_that_would_lose_jobs() {
    for (setting, value, good) in
        [("maxmemory-policy", "allkeys-lru", "noeviction"), ("appendonly", "no", "yes")]
    {
        let redis = forgetful_redis(setting, value).await;
        let mut flota = Installation::new().await;
        flota.set("REDIS_URL", redis.url()).set("FLOTA_ENV", "production").set("RUST_LOG", "off");

        let said = flota.flota(&["worker"]).await.expect(1);

        let sentence = said.refusal();
        assert!(sentence.starts_with(&format!("Redis: {setting} is {value}: Redis ")), "{said:?}");
        assert!(
            sentence.ends_with(&format!("CONFIG SET {setting} {good}, and the same in redis.conf")),
            "{said:?}"
        );
    }
}

#[tokio::test]
async fn in_development_a_worker_warns_of_such_a_redis_and_works() {
    let (redis, sink) = (forgetful_redis("appendonly", "no").await, SmtpSink::start().await.unwrap());
    let mut flota = Installation::new().await;
    let worker = flota.set("REDIS_URL", redis.url()).mail_to(&sink).start(&["worker"]).await;

    flota.enqueue("send_email", &mail(), &["--wait"]).await;

    assert!(worker.log().contains("CONFIG SET appendonly yes"), "{}", worker.log());
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_refuses_a_database_without_its_tables() {
    let mut flota = Installation::new().await;
    flota.set("DATABASE_URL", servers::empty_database().await).set("RUST_LOG", "off");

    for deployment in ["development", "production"] {
        let said = flota.set("FLOTA_ENV", deployment).flota(&["worker"]).await.expect(1);
        assert_eq!(said.refusal(), "Postgres is not prepared for this release; run `flota db migrate`");
    }
}

#[tokio::test]
async fn a_worker_starts_and_works_while_postgres_is_away() {
    let (mut flota, sink) = (Installation::new().await, SmtpSink::start().await.unwrap());
    let database = flota.variable("DATABASE_URL").to_owned();
    flota.mail_to(&sink).set("DATABASE_URL", "postgres://flota@127.0.0.1:1/flota");

    let worker = flota.set("FLOTA_ENV", "production").start(&["worker"]).await;
    let id = flota.enqueue("send_email", &mail(), &[]).await;

    sink.wait_for(1, PATIENCE).await.unwrap();
    assert!(worker.log().contains("Postgres does not answer, outcomes wait in Redis"), "{}", worker.log());
    worker.stop().await;
    // The outcome was kept for a worker that reaches Postgres.
    let next = flota.set("DATABASE_URL", database).start(&["worker"]).await;
    let job = flota.wait_for(&id, "succeeded").await;
    assert_eq!((&job["attempt"], sink.mails().len()), (&json!(1), 1));
    next.stop().await;
}
