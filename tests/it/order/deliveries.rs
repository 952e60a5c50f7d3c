//! Webhooks in order, by real worker processes to real receivers that fail, one of which is killed on the way.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use flota_producer::{DeliverWebhook, NewJob, Producer, Settings, keys::Prefix};
use flota_tests::{PATIENCE, program::Installation};
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::sleep};

/// Endpoints, and events to each of them.
const SHOPS: usize = 5;
const EVENTS: u64 = 40;
/// The event that no try delivers: shop and number.
const HOPELESS: (usize, u64) = (2, 17);

/// One request: the event, when it came and when it was answered, and the answer.
#[derive(Debug, Clone, Copy)]
struct Delivery {
    event: u64,
    came: Instant,
    answered: Instant,
    taken: bool,
}

/// A shop that takes some two of three events at once, and others later.
#[derive(Clone, Default)]
struct Shop {
    hopeless: Option<u64>,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
}

impl Shop {
    /// On a port of its own: a host that fails is left alone for a while, and that is not to hold up the others.
    async fn open(number: usize) -> (Self, String) {
        let shop = Self { hopeless: (number == HOPELESS.0).then_some(HOPELESS.1), ..Self::default() };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(receive)).with_state(shop.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        (shop, url)
    }

    fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn receive(State(shop): State<Shop>, Json(body): Json<Value>) -> StatusCode {
    let (came, event) = (Instant::now(), body["data"]["number"].as_u64().expect("a number"));
    // Failures in a row are few enough for no host to be left alone.
    let before = shop.deliveries().iter().filter(|delivery| delivery.event == event).count();
    let (fails, millis) = {
        let mut random = rand::rng();
        (before < 2 && random.random_bool(0.3), random.random_range(1..12))
    };
    sleep(Duration::from_millis(millis)).await;
    let taken = shop.hopeless != Some(event) && !fails;
    let delivery = Delivery { event, came, answered: Instant::now(), taken };
    shop.deliveries.lock().unwrap_or_else(PoisonError::into_inner).push(delivery);
    if taken { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR }
}

async fn outcomes(flota: &Installation) -> BTreeMap<String, i64> {
    let counted = "SELECT status, count(*) FROM outcomes GROUP BY status";
    let rows: Vec<(String, i64)> = sqlx::query_as(counted).fetch_all(&flota.pool()).await.unwrap();
    rows.into_iter().collect()
}

#[tokio::test]
async fn each_shop_gets_its_events_in_order_although_tries_fail_and_a_worker_is_killed() {
    let mut flota = Installation::new().await;
    flota.webhooks_inside().make_keys().await.set("FLOTA_WORKER_GRACE", "5s");
    let mut settings = Settings::from_url(flota.variable("REDIS_URL")).unwrap();
    settings.prefix = Prefix::new(flota.variable("FLOTA_KEY_PREFIX")).unwrap();
    let producer = Producer::new(settings).unwrap();
    let (mut shops, mut endpoints) = (Vec::new(), Vec::new());
    for number in 0..SHOPS {
        let (shop, url) = Shop::open(number).await;
        shops.push(shop);
        endpoints.push(flota.add_endpoint(&url, &[]).await);
    }
    let job = |event: u64, endpoint: &String| {
        let event = DeliverWebhook::to_endpoint(endpoint, "stock.changed", json!({ "number": event }));
        NewJob::new(event).in_order(endpoint)
    };
    let (doomed, kept) = (flota.start(&["worker"]).await, flota.start(&["worker"]).await);

    for event in 0..EVENTS {
        let jobs = endpoints.iter().map(|endpoint| job(event, endpoint)).collect();
        assert!(producer.enqueue_all(jobs).await.into_iter().all(|outcome| outcome.is_ok()));
    }
    let half = SHOPS * EVENTS as usize / 2;
    let began = Instant::now();
    while shops.iter().map(|shop| shop.deliveries().len()).sum::<usize>() < half {
        assert!(began.elapsed() < PATIENCE, "half of it is not delivered");
        sleep(Duration::from_millis(5)).await;
    }
    doomed.process.kill().await.unwrap();
    let all = i64::try_from(SHOPS).unwrap() * EVENTS as i64;
    while outcomes(&flota).await.values().sum::<i64>() < all {
        assert!(began.elapsed() < PATIENCE, "{:?}\n{}", outcomes(&flota).await, kept.log());
        sleep(Duration::from_millis(100)).await;
    }
    kept.stop().await;

    let (taken, dead) = (("succeeded".to_owned(), all - 1), ("dead".to_owned(), 1));
    assert_eq!(outcomes(&flota).await, BTreeMap::from([taken, dead]));
    for (number, shop) in shops.iter().enumerate() {
        let mut deliveries = shop.deliveries();
        deliveries.sort_by_key(|delivery| delivery.came);
        for pair in deliveries.windows(2) {
            let [one, next] = [&pair[0], &pair[1]];
            assert!(
                next.event == one.event || next.event == one.event + 1 && one.answered <= next.came,
                "shop {number} got {next:?} after {one:?}"
            );
            // Only what was delivered, or given up, lets the next one go.
            let last_try = one.taken || shop.hopeless == Some(one.event);
            assert!(next.event == one.event || last_try, "shop {number} got {next:?} after {one:?}");
        }
        assert_eq!(deliveries.last().unwrap().event, EVENTS - 1);
        let tries = deliveries.iter().filter(|delivery| shop.hopeless == Some(delivery.event)).count();
        assert!(shop.hopeless.is_none() || 3 <= tries, "{tries} tries of the hopeless one");
    }
}
