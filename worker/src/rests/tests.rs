//! Two pipelines on one Redis, as two workers have them.

use std::sync::atomic::{AtomicUsize, Ordering};

use flota_providers::{
    ProviderError, Receipt,
    pipeline::{Caller, CircuitPolicy, Client, NoLimits, Provider, Target},
};
use tokio::time::{sleep, timeout};

use super::*;
use crate::{
    dev::{RedisOptions, RedisServer},
    outcomes::tests::servers,
};

const PATIENCE: Duration = Duration::from_secs(20);
const REFUSED: ErrorClass = ErrorClass::Auth;

/// A client that counts how often it is called.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Client for Counting {
    fn target(&self) -> Target {
        let host = "api.example.com:443".into();
        Target { provider: "twilio", operation: "send", host, deadline: None, may_double: true }
    }
}

/// One worker.
struct Worker {
    provider: Provider<Counting>,
}

impl Worker {
    fn at(url: &str, prefix: &Prefix) -> Self {
        let (teller, messages) = teller();
        let pipeline = Pipeline::sharing(Arc::new(NoLimits), Arc::new(()), CircuitPolicy::default(), teller);
        let link = Link::new(url).unwrap();
        tokio::spawn(follow(link, prefix.clone(), pipeline.clone(), messages));
        Self { provider: Provider::global(Counting::default(), &pipeline) }
    }

    /// The code of a call that fails with this class, or `sent` of one that succeeds; and whether it was made.
    async fn call(&self, fails: Option<ErrorClass>) -> (String, bool) {
        let before = Arc::new(AtomicUsize::new(0));
        let made = Arc::clone(&before);
        let caller = Caller { tenant: None, ticket: "job".into(), place: None };
        let answer = self.provider.call(caller, |client| async move {
            client.0.fetch_add(1, Ordering::Relaxed);
            made.fetch_add(1, Ordering::Relaxed);
            match fails {
                Some(class) => {
                    Err(ProviderError::new("twilio", "send", class, "It is revoked.").with_code("401"))
                }
                None => Ok(Receipt { provider: "twilio", provider_ref: None, detail: None }),
            }
        });
        let code =
            answer.await.map_or_else(|error| error.code.unwrap_or_default().into(), |_| "sent".to_owned());
        (code, before.load(Ordering::Relaxed) == 1)
    }

    /// Calls until the answer is this one.
    async fn until(&self, wanted: &str) {
        let calls = async {
            while self.call(None).await.0 != wanted {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, calls).await.unwrap_or_else(|_| panic!("never {wanted}"));
    }
}

fn prefix() -> Prefix {
    Prefix::new(&format!("rests-{:08x}", rand::random::<u32>())).unwrap()
}

#[tokio::test]
async fn a_credential_that_one_worker_was_refused_rests_in_all_until_it_is_accepted_again() {
    let (url, prefix) = (servers().redis_url(), prefix());
    let (one, other) = (Worker::at(&url, &prefix), Worker::at(&url, &prefix));

    assert_eq!(one.call(Some(REFUSED)).await, ("401".to_owned(), true));
    other.until("credential_paused").await;
    let rests = resting(&Link::new(url.as_str()).unwrap(), &prefix).await.unwrap();
    let (_, made) = other.call(None).await;
    // Somebody mended it, and a call of a third worker found out.
    let ended = News::Ends(rests[0].name.clone());
    tell(&Link::new(url.as_str()).unwrap(), &prefix, &ended).await.unwrap();
    other.until("sent").await;

    assert!(!made, "nothing is sent meanwhile");
    assert_eq!((rests.len(), rests[0].name.to_string()), (1, "credential twilio::global".to_owned()));
    assert_eq!((rests[0].class, &*rests[0].why), (REFUSED, "It is revoked."));
    assert!(rests[0].left <= Duration::from_mins(1));
}

#[tokio::test]
async fn a_host_that_one_worker_found_to_be_down_is_left_alone_by_all() {
    let (url, prefix) = (servers().redis_url(), prefix());
    let (one, other) = (Worker::at(&url, &prefix), Worker::at(&url, &prefix));

    for _ in 0..CircuitPolicy::default().failures {
        one.call(Some(ErrorClass::ServerError)).await;
    }

    other.until("circuit_open").await;
}

#[tokio::test]
async fn without_redis_each_worker_goes_by_what_it_found_out_itself() {
    let mut redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let (one, other) = (Worker::at(&redis.url(), &prefix()), Worker::at(&redis.url(), &prefix()));
    redis.stop().await.unwrap();

    assert_eq!(one.call(Some(REFUSED)).await, ("401".to_owned(), true));

    assert_eq!(one.call(None).await, ("credential_paused".to_owned(), false));
    assert_eq!(other.call(None).await, ("sent".to_owned(), true));
}

#[tokio::test]
async fn what_has_ended_is_forgotten_and_strange_words_are_passed_over() {
    let (link, prefix) = (Link::new(servers().redis_url().as_str()).unwrap(), prefix());
    let mut write = redis::cmd("HSET");
    write.arg(prefix.rests());
    for (name, said) in [
        ("credential llm::global", "1 auth over"),
        ("queue email", "99999999999999 auth of a newer release"),
        ("host llm h:1", "99999999999999 bored of a newer release"),
    ] {
        write.arg(name).arg(said);
    }
    let _: u64 = link.query(&write).await.unwrap();

    let rests = resting(&link, &prefix).await.unwrap();

    let left: u64 = link.query(redis::cmd("HLEN").arg(prefix.rests())).await.unwrap();
    assert_eq!((rests, left), (Vec::new(), 2));
}
