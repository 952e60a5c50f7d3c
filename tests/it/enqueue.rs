//! What a producer can rely on.

use std::time::Duration;

use flota_producer::{EnqueueError, JobId, NewJob, Priority, Producer, Settings};
use flota_tests::{
    chaos::proxy::{Fault, Proxy},
    fleet::TestQueue,
    toys::{Act, toy},
};
use flota_worker::dev::{RedisOptions, RedisServer};
use serde_json::value::RawValue;

#[tokio::test]
async fn an_accepted_job_waits_in_its_queue() {
    let queue = TestQueue::new().await;

    let receipt = queue.producer.enqueue(toy([Act::Succeed]).tenant("acme")).await.unwrap();

    assert_eq!((receipt.queue.as_str(), receipt.kind.as_str(), receipt.deduplicated), ("toys", "toy", false));
    assert_eq!(queue.counts().await.ready, 1);
}

#[tokio::test]
async fn the_same_key_and_body_give_the_first_job_back() {
    let queue = TestQueue::new().await;
    let first = queue.producer.enqueue(toy([Act::Succeed]).key("k").tenant("a")).await.unwrap();

    let again = queue.producer.enqueue(toy([Act::Succeed]).key("k").tenant("a")).await.unwrap();
    let other_tenant = queue.producer.enqueue(toy([Act::Succeed]).key("k").tenant("b")).await.unwrap();

    assert_eq!((again.id, again.deduplicated), (first.id, true));
    assert!(!other_tenant.deduplicated);
    assert_eq!(queue.counts().await.ready, 2);
}

#[tokio::test]
async fn the_same_key_with_another_body_is_a_conflict() {
    let queue = TestQueue::new().await;
    let first = queue.producer.enqueue(toy([Act::Succeed]).key("k")).await.unwrap();

    let conflict = queue.producer.enqueue(toy([Act::Hang]).key("k")).await;

    assert!(matches!(conflict, Err(EnqueueError::KeyConflict { first: id, .. }) if id == first.id));
}

#[tokio::test]
async fn one_batch_deduplicates_within_itself() {
    let queue = TestQueue::new().await;
    let jobs = vec![toy([Act::Succeed]).key("k"), toy([Act::Succeed]).key("k"), toy([Act::Hang]).key("k")];

    let outcomes = queue.producer.enqueue_all(jobs).await;

    let first = outcomes[0].as_ref().unwrap().id;
    assert!(matches!(&outcomes[1], Ok(receipt) if receipt.id == first && receipt.deduplicated));
    assert!(matches!(&outcomes[2], Err(EnqueueError::KeyConflict { .. })));
}

#[tokio::test]
async fn a_unique_key_is_held_while_its_job_is_alive_and_no_longer() {
    let queue = TestQueue::new().await;
    let first = queue.producer.enqueue(toy([Act::Succeed]).unique("u")).await.unwrap();
    let second = queue.producer.enqueue(toy([Act::Hang]).unique("u")).await.unwrap();
    assert_eq!((second.id, second.deduplicated), (first.id, true));

    let fleet = queue.start();
    queue.witness.wait_for_ended(1).await;
    let third = queue.producer.enqueue(toy([Act::Succeed]).unique("u")).await.unwrap();

    assert!(!third.deduplicated);
    queue.witness.wait_for_ended(2).await;
    flota_tests::fleet::drain(fleet, Duration::from_secs(5)).await;
    assert_eq!(queue.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_full_queue_refuses_but_still_knows_its_keys() {
    let queue = TestQueue::new().await;
    let mut command = redis::cmd("HSET");
    queue.link.query::<()>(command.arg(queue.keys.config()).arg("max_len").arg(2)).await.unwrap();
    let kept = queue.enqueue(toy([Act::Succeed]).key("kept")).await;

    let outcomes = queue.producer.enqueue_all(vec![toy([Act::Succeed]), toy([Act::Succeed])]).await;
    let repeated = queue.producer.enqueue(toy([Act::Succeed]).key("kept")).await;

    assert!(outcomes[0].is_ok());
    assert!(matches!(&outcomes[1], Err(EnqueueError::QueueFull { queue }) if queue == "toys"));
    assert_eq!(repeated.unwrap().id, kept);
}

#[tokio::test]
async fn a_thousand_jobs_go_in_batches_and_keep_their_order() {
    let queue = TestQueue::new().await;

    let ids = queue.enqueue_many(1_250, &toy([Act::Succeed])).await;

    let waiting: Vec<JobId> = {
        let mut command = redis::cmd("LRANGE");
        queue.link.query(command.arg(queue.keys.ready(Priority::Normal)).arg(0).arg(-1)).await.unwrap()
    };
    assert_eq!(waiting, ids);
}

#[tokio::test]
async fn delayed_jobs_wait_and_a_time_in_the_past_does_not() {
    let queue = TestQueue::new().await;

    queue.enqueue(toy([Act::Succeed]).after(Duration::from_secs(60))).await;
    queue.enqueue(toy([Act::Succeed]).at(4_102_444_800_000).priority(Priority::High)).await;
    queue.enqueue(toy([Act::Succeed]).at(1)).await;

    let counts = queue.counts().await;
    assert_eq!((counts.ready, counts.delayed), (1, 2));
}

#[tokio::test]
async fn what_can_be_known_to_be_wrong_is_refused_by_field() {
    let queue = TestQueue::new().await;
    let huge = RawValue::from_string(format!("\"{}\"", "x".repeat(50_000_000))).unwrap();
    let cases = [
        (toy([]), "acts"),
        (toy([Act::Succeed]).tenant("a:b"), "tenant"),
        (toy([Act::Succeed]).key(""), "key"),
        (toy([Act::Succeed]).key("a\r\nb"), "key"),
        (toy([Act::Succeed]).unique("x".repeat(201)), "unique"),
        (toy([Act::Succeed]).queue("a}b"), "queue"),
        (toy([Act::Succeed]).max_attempts(0), "max_attempts"),
        (toy([Act::Succeed]).timeout(Duration::ZERO), "timeout"),
        (toy([Act::Succeed]).timeout(Duration::from_hours(90 * 24)), "timeout"),
        (toy([Act::Succeed]).after(Duration::MAX), "delay"),
        (toy([Act::Succeed]).at(u64::MAX), "delay"),
        (toy([Act::Succeed]).key("k").key_window(Duration::MAX), "key_window"),
        (toy([Act::Succeed]).key("k").key_window(Duration::ZERO), "key_window"),
    ];

    for (job, field) in cases {
        let outcome = queue.producer.enqueue(job).await;
        assert!(
            matches!(&outcome, Err(EnqueueError::Invalid(error)) if error.field == field),
            "{field}: {outcome:?}"
        );
    }
    let outcome = queue.producer.enqueue(NewJob::untyped("toy", "toys", huge)).await;
    assert!(matches!(outcome, Err(EnqueueError::TooLarge { limit: 65_536, .. })));
    assert_eq!(queue.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn no_producer_allows_more_bytes_than_the_relay_and_replays_take() {
    let mut settings = Settings::from_url("redis://127.0.0.1:1/").unwrap();
    settings.max_bytes = 1 << 20;
    let producer = Producer::new(settings).unwrap();

    let outcome = producer.enqueue(toy([Act::Succeed]).meta("filler", "x".repeat(100_000))).await;

    assert!(matches!(outcome, Err(EnqueueError::TooLarge { limit: 65_536, .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_kind_or_queue_that_cannot_be_one_is_told_by_its_own_name() {
    let queue = TestQueue::new().await;
    let payload = RawValue::from_string("{}".to_owned()).unwrap();

    let kind =
        queue.producer.enqueue(NewJob::untyped("Two Words", "toys", payload.clone())).await.unwrap_err();
    let name = queue.producer.enqueue(NewJob::untyped("toy", "Toys", payload)).await.unwrap_err();

    let told = "must be 1 to 64 of a-z, 0-9, `_`, `-`";
    assert_eq!(kind.to_string(), format!("the job is not valid: `kind` {told}"));
    assert_eq!(name.to_string(), format!("the job is not valid: `queue` {told}"));
}

#[tokio::test]
async fn a_refusal_after_a_lost_reply_says_nothing_of_the_first_try() {
    let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let proxy = Proxy::before(redis.port()).await.unwrap();
    let direct = TestQueue::on(&redis.url());
    let mut full = redis::cmd("CONFIG");
    direct.link.query::<()>(full.arg("SET").arg("maxmemory").arg(1)).await.unwrap();
    let queue = TestQueue::on(&proxy.url_redis());
    // Whatever the reply to the first try is, nobody hears it.
    proxy.set(Fault::cut_after("EVALSHA", 1));

    let outcome = queue.producer.enqueue(toy([Act::Succeed]).key("k")).await;
    let at_once = queue.producer.enqueue(toy([Act::Succeed]).key("k")).await;

    assert!(matches!(outcome, Err(EnqueueError::Unknown { .. })), "{outcome:?}");
    assert!(matches!(at_once, Err(EnqueueError::Refused(_))), "{at_once:?}");
}

#[tokio::test]
async fn a_key_that_redis_would_not_remember_for_so_long_leaves_nothing_half_done() {
    let queue = TestQueue::new().await;
    let keys = &queue.keys;
    let enqueue = redis::Script::new(include_str!("../../producer-lib/src/scripts/enqueue.lua"));
    let mut call = enqueue.key(keys.jobs());
    call.key(keys.ready(Priority::Normal)).key(keys.bell()).key(keys.config());
    call.key(keys.ready(Priority::High))
        .key(keys.ready(Priority::Low))
        .key(keys.delayed())
        .key(keys.in_line());
    call.arg("");
    for (key, window) in [(String::new(), ""), (keys.dedup(None, "k"), "9223372036854775807")] {
        call.arg(JobId::mint()).arg("{}").arg("").arg("").arg(key).arg("hash").arg(window).arg("").arg("");
    }

    let refused = queue.link.invoke::<redis::Value>(&call).await.unwrap_err();

    assert!(refused.is_certain() && refused.redis().code() == Some("WINDOW"), "{refused:?}");
    assert!(refused.redis().to_string().contains("the key of job 2 of this call"), "{refused:?}");
    assert_eq!(queue.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn without_redis_nothing_was_sent_and_the_error_says_so() {
    let settings = Settings::from_url("redis://127.0.0.1:1/").unwrap();
    let producer = Producer::new(settings).unwrap();

    let outcome = producer.enqueue(toy([Act::Succeed])).await;

    assert!(matches!(outcome, Err(EnqueueError::Unreachable(_))));
}

#[tokio::test]
async fn a_redis_without_memory_refuses_jobs_and_takes_them_again_later() {
    let arguments = ["--maxmemory".into(), "3mb".into()].to_vec();
    let redis = RedisServer::start(RedisOptions { extra_arguments: arguments, ..RedisOptions::default() })
        .await
        .unwrap();
    let queue = TestQueue::on(&redis.url());
    let large = toy([Act::Succeed]).meta("filler", "x".repeat(30_000));
    let mut accepted = 0;
    let refused = loop {
        match queue.producer.enqueue(large.clone().key(format!("k{accepted}"))).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 1_000, "Redis never got full");
    };
    assert!(matches!(refused, EnqueueError::Refused(_)), "{refused:?}");

    let fleet = queue.start();
    queue.witness.wait_for_ended(accepted).await;

    assert!(queue.producer.enqueue(toy([Act::Succeed])).await.is_ok());
    queue.witness.wait_for_ended(accepted + 1).await;
    flota_tests::fleet::drain(fleet, Duration::from_secs(5)).await;
}
