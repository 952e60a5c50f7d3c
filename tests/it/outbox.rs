//! Jobs that were enqueued inside a database transaction.

use std::time::Duration;

use flota_engine::inspect;
use flota_producer::{Envelope, Outbox, OutboxError, Payload, SendEmail, Settings, keys::Prefix, link::Link};
use flota_tests::{
    PATIENCE,
    chaos::proxy::{Fault, Proxy},
    cluster::{Cluster, Recorded, SHORT},
    servers,
    stories::outbox::{commit_many, flush_redis, wait_until_empty},
    toys::{Act, toy},
};
use flota_worker::{
    database,
    outbox::{Pace, Relay},
};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The recipe for other languages.
const RECIPE: &str = include_str!("../../docs/transactional-enqueue.md");

#[tokio::test]
async fn a_committed_job_runs_once_and_one_that_was_rolled_back_never() {
    let mut cluster = Cluster::start().await.unwrap();
    let worker = cluster.worker(16, SHORT).await.unwrap();
    let pool = cluster.pool().unwrap();

    let mut abandoned = pool.begin().await.unwrap();
    let rolled_back = Outbox::default().enqueue_in(&mut abandoned, toy([Act::Succeed])).await.unwrap().id;
    abandoned.rollback().await.unwrap();
    let mut transaction = pool.begin().await.unwrap();
    let committed = cluster.producer.enqueue_in(&mut transaction, toy([Act::Succeed])).await.unwrap().id;
    let later = toy([Act::Succeed]).after(Duration::from_millis(300));
    let delayed = Outbox::default().enqueue_in(&mut transaction, later).await.unwrap().id;
    transaction.commit().await.unwrap();

    cluster.wait_for_rows(2, PATIENCE).await.unwrap();
    wait_until_empty(&pool).await.unwrap();
    assert_eq!((cluster.ledger.effects(committed), cluster.ledger.effects(delayed)), (vec![1], vec![1]));
    assert!(cluster.ledger.effects(rolled_back).is_empty());
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(&pool).await.unwrap();
    assert_eq!(left, 0, "rows go with the outcome");
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn a_job_that_is_not_valid_leaves_the_transaction_usable() {
    let pool = database().await;
    let mut transaction = pool.begin().await.unwrap();

    let refused = Outbox::default().enqueue_in(&mut transaction, toy([])).await;
    let good = Outbox::default().enqueue_in(&mut transaction, toy([Act::Succeed])).await;

    assert!(matches!(refused, Err(OutboxError::Job(_))), "{refused:?}");
    transaction.commit().await.unwrap();
    let row: Uuid = sqlx::query_scalar("SELECT id FROM outbox").fetch_one(&pool).await.unwrap();
    assert_eq!(row, good.unwrap().id.uuid());
}

#[tokio::test]
async fn relays_that_die_or_lose_replies_at_any_point_send_each_job_once() {
    let mut cluster = Cluster::start().await.unwrap();
    cluster.lost_after = Duration::from_secs(3);
    let worker = cluster.worker(64, SHORT).await.unwrap();
    let proxy = Proxy::before(cluster.redis.port()).await.unwrap();
    let pool = cluster.pool().unwrap();
    let others = database::connect(&cluster.postgres.url("flota").into(), 10).unwrap();

    // Beside the relay of the worker, others come and die in the middle of what they do, or lose replies.
    let dying = async {
        for round in 0..30_u64 {
            let url = if round % 3 == 0 { proxy.url_redis() } else { cluster.redis.url() };
            if round % 3 == 0 {
                proxy.set(Fault::cut_after("EVALSHA", 1 + (round % 2) as usize));
            }
            let pace = Pace { lost_after: cluster.lost_after, ..Pace::default() };
            let relay = Relay::new(Link::new(url).unwrap(), Prefix::default(), others.clone(), pace);
            let running = tokio::spawn(relay.run(CancellationToken::new()));
            tokio::time::sleep(Duration::from_millis(5 + round * 3)).await;
            running.abort();
        }
    };
    let job = toy([Act::Succeed]);
    let (committed, ()) = tokio::join!(commit_many(&pool, 3_000, &job), dying);

    committed.unwrap();
    cluster.wait_for_rows(3_000, PATIENCE).await.unwrap();
    // Whatever is sent again now would be sent wrongly.
    tokio::time::sleep(cluster.lost_after * 2).await;
    wait_until_empty(&pool).await.unwrap();
    let all = Recorded { rows: 3_000, jobs: 3_000, succeeded: 3_000 };
    assert_eq!(cluster.recorded(&pool).await.unwrap(), all);
    assert_eq!(cluster.ledger.total(), 3_000, "each has run once");
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn jobs_of_the_outbox_survive_the_loss_of_everything_in_redis() {
    let flushed = flush_redis(5_000, Duration::from_secs(4)).await.unwrap();

    let all = Recorded { rows: 5_000, jobs: 5_000, succeeded: 5_000 };
    assert_eq!((flushed.recorded, flushed.left), (all, 0), "{flushed:?}");
    assert!(0 < flushed.sent_again && flushed.sent_again <= 5_000 - flushed.before, "{flushed:?}");
}

#[tokio::test]
async fn the_recipe_for_other_languages_enqueues_a_job_that_a_worker_can_run() {
    let pool = database().await;
    sqlx::raw_sql("CREATE TABLE orders (id int, state text); INSERT INTO orders VALUES (42, 'paid')")
        .execute(&pool)
        .await
        .unwrap();
    let url = servers::redis_url().await;
    let prefix = Prefix::new(&servers::unique_name()).unwrap();
    let (link, keys) =
        (Link::new(Settings::from_url(&url).unwrap().address()).unwrap(), prefix.queue("email"));

    let mut recipes = 0;
    for recipe in blocks("sql") {
        sqlx::raw_sql(sqlx::AssertSqlSafe(recipe)).execute(&pool).await.unwrap();
        recipes += 1;
    }

    assert_eq!(recipes, 2);
    let ids: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM outbox ORDER BY due_at NULLS FIRST")
        .fetch_all(&pool)
        .await
        .unwrap();
    let relay = Relay::new(link.again(), prefix, pool, Pace::default());
    assert_eq!(relay.run_once().await.unwrap(), 2);
    let mut places = Vec::new();
    for id in ids {
        let found = inspect::find(&link, &keys, id.into()).await.unwrap().unwrap();
        let envelope = Envelope::decode(&found.bytes).unwrap();
        assert_eq!((envelope.kind.as_str(), envelope.tenant.as_deref()), ("send_email", Some("acme")));
        serde_json::from_str::<SendEmail>(envelope.payload.get()).unwrap().validate().unwrap();
        places.push(found.place);
    }
    assert!(matches!(places[..], [inspect::Place::Ready, inspect::Place::Delayed { .. }]), "{places:?}");
}

/// The fenced blocks of this language in the recipe.
fn blocks(language: &str) -> Vec<String> {
    let begin = format!("```{language}\n");
    RECIPE.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

async fn database() -> PgPool {
    let name = servers::unique_name();
    let postgres = servers::postgres().await;
    postgres.create_database(&name, None).await.expect("a name that no other test uses");
    let pool = database::connect(&postgres.url(&name).into(), 5).expect("the address of a private server");
    database::migrate(&pool).await.expect("an empty database can be prepared");
    pool
}
