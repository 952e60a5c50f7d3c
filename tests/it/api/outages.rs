//! Redis or Postgres away: 503 with a reason and a time to come back, and everything as before afterwards.

use flota_tests::{
    api_server::{Answer, ApiServer, token, until},
    program::Installation,
    servers,
};
use flota_worker::{
    dev::{RedisOptions, RedisServer},
    tokens::Role,
};
use serde_json::{Value, json};

fn mail() -> Value {
    json!({ "kind": "send_email", "payload": { "to": ["ana@example.com"], "body": { "subject": "Hi", "text": "x" } } })
}

#[tokio::test]
async fn while_redis_or_postgres_is_away_the_answer_says_so() {
    let (redis, (mut postgres, database)) =
        tokio::join!(RedisServer::start(RedisOptions::default()), servers::own_postgres());
    let mut redis = redis.expect("a private Redis starts");
    let flota = Installation::on(&redis.url(), &database).await;
    let operator = token(&flota, Role::Operator, |_| {}).await;
    let api = ApiServer::start(&flota).await;
    let enqueue = async || api.post("/api/v1/jobs", &operator, &mail()).await;
    enqueue().await.expect(202);

    redis.stop().await.unwrap();
    // The request whose connection breaks is told that nobody knows; those after it are refused.
    let is_away = |answer: &Answer| answer.status == 503 && answer.problem() != "unknown";
    let no_redis = until("Redis is missed", &enqueue, is_away).await;
    let no_queues = api.get("/api/v1/queues", &operator).await;
    redis.start_again().await.unwrap();
    until("Redis is back", &enqueue, |answer| answer.status == 202).await;
    postgres.stop().await.unwrap();
    let no_postgres = until("Postgres is missed", &enqueue, |answer| answer.status == 503).await;
    postgres.start_again().await.unwrap();
    until("Postgres is back", &enqueue, |answer| answer.status == 202).await;

    for (answer, word) in
        [(no_redis, "redis-away"), (no_queues, "redis-away"), (no_postgres, "postgres-away")]
    {
        assert_eq!((answer.problem(), answer.header("retry-after")), (word, "2"), "{answer:#?}");
    }
    api.process.stop().await;
}

#[tokio::test]
async fn a_server_without_postgres_lets_nobody_in() {
    let other = Installation::new().await;
    let operator = token(&other, Role::Operator, |_| {}).await;
    let mut flota = Installation::new().await;
    flota.unset("DATABASE_URL");
    let api = ApiServer::start(&flota).await;

    let refused = api.get("/api/v1/kinds", &operator).await.expect(503);

    assert_eq!(refused.problem(), "postgres-away");
    api.process.stop().await;
}
