//! The layers around a real client and a real server on the loopback interface.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use flota_providers::{
    ErrorClass, ProviderError, Standing,
    api::ApiSettings,
    pipeline::{
        Answer as Called, CallEvent, CallObserver, Caller, CircuitPolicy, Client, LimitKey, Limits, NoLimits,
        Pipeline, Place, Provider, Turn,
    },
    sms::{SmsClient, SmsSettings},
    usage::Usage,
    webhook::WebhookClient,
    whatsapp::{WhatsappClient, WhatsappSettings, media::WhatsappMediaClient},
};
use futures_util::future::BoxFuture;

use crate::{
    receiver::{Answer, Receiver, RudeServer, Rudeness},
    webhook_delivery,
};

/// Keeps what the pipeline asks and tells, and gives the turns it was made with.
#[derive(Default)]
struct Book {
    turn: Option<Turn>,
    lines: Mutex<Vec<String>>,
}

impl Book {
    fn write(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

impl Limits for Book {
    fn take<'a>(&'a self, key: &'a LimitKey, ticket: &'a str) -> BoxFuture<'a, Turn> {
        self.write(format!("take {key} {ticket}"));
        let turn = self.turn.unwrap_or(Turn::Now { used: Some(0.5) });
        Box::pin(async move { turn })
    }

    fn refused<'a>(
        &'a self,
        key: &'a LimitKey,
        ticket: &'a str,
        wait: Option<Duration>,
    ) -> BoxFuture<'a, Turn> {
        self.write(format!("refused {key} {ticket} {wait:?}"));
        Box::pin(async { Turn::Reserved { after: Duration::from_secs(9) } })
    }

    fn overloaded<'a>(&'a self, key: &'a LimitKey, wait: Option<Duration>) -> BoxFuture<'a, ()> {
        self.write(format!("overloaded {key} {wait:?}"));
        Box::pin(async {})
    }

    fn heard<'a>(&'a self, _: &'a LimitKey, usage: Usage) -> BoxFuture<'a, Option<f64>> {
        self.write(format!("heard {}/{}", usage.remaining, usage.limit));
        Box::pin(async move { Some(usage.used()) })
    }
}

impl CallObserver for Book {
    fn observe(&self, event: &CallEvent<'_>) {
        self.write(match event {
            CallEvent::Ended { facts, error, .. } => {
                let word = error.map_or("ok", |error| error.class.name());
                format!("ended {} {} {word}", facts.provider, facts.operation)
            }
            CallEvent::PutOff { error, .. } => {
                format!("put off {}", error.code.as_deref().unwrap_or_default())
            }
            CallEvent::LimitUsed { used, .. } => format!("used {used:.2}"),
            CallEvent::CredentialPaused { facts } => format!("paused {}", facts.key),
            CallEvent::PassedOn { from, to, .. } => format!("passed on from {from} to {to}"),
            CallEvent::CircuitOpened { facts } => format!("opened {}", facts.provider),
        });
    }
}

fn sms(address: std::net::SocketAddr, pipeline: &Pipeline) -> Provider<SmsClient> {
    let client = SmsClient::new(SmsSettings {
        api: ApiSettings::new(format!("http://{address}/v1"), Duration::from_secs(10)),
        account_sid: "AC1".into(),
        auth_token: "the-auth-token".into(),
        from: "+15005550006".into(),
    });
    Provider::global(client.unwrap(), pipeline)
}

async fn send(provider: &Provider<SmsClient>) -> Called {
    let caller = Caller { tenant: Some("acme"), ticket: "job-1".into(), place: None };
    provider.call(caller, |client| async move { client.send("+525512345678", "Hola", 0).await }).await
}

fn with(book: &Arc<Book>) -> Pipeline {
    let quick = CircuitPolicy { failures: 3, ..CircuitPolicy::default() };
    Pipeline::new(Arc::clone(book) as Arc<dyn Limits>, Arc::clone(book) as Arc<dyn CallObserver>, quick)
}

fn limited(error: &ProviderError) -> bool {
    error.class == ErrorClass::RateLimited { retry_after: Some(Duration::from_secs(9)) }
}

#[tokio::test]
async fn a_call_takes_its_turn_and_what_the_answer_says_of_the_allowance_is_passed_on() {
    let headers = vec![("x-ratelimit-limit", "100".to_owned()), ("x-ratelimit-remaining", "7".to_owned())];
    let body = br#"{"sid":"SM1"}"#.to_vec();
    let receiver = Receiver::start(Answer { status: 201, headers, body }).await;
    let book = Arc::new(Book::default());

    let receipt = send(&sms(receiver.address, &with(&book))).await.unwrap();

    assert_eq!(receipt.provider_ref.as_deref(), Some("SM1"));
    let expected =
        ["take twilio::global job-1", "used 0.50", "heard 7/100", "used 0.93", "ended twilio send ok"];
    assert_eq!(book.lines(), expected);
}

#[tokio::test]
async fn nothing_is_sent_before_its_turn() {
    let receiver = Receiver::start(Answer { status: 201, ..Answer::default() }).await;
    let turn = Some(Turn::Reserved { after: Duration::from_secs(9) });
    let book = Arc::new(Book { turn, ..Book::default() });

    let error = send(&sms(receiver.address, &with(&book))).await.unwrap_err();

    assert!(limited(&error) && error.standing == Standing::Turn && error.was_not_sent(), "{error}");
    assert_eq!(receiver.received().len(), 0);
    assert_eq!(book.lines()[1], "put off own_limit");
}

#[tokio::test]
async fn a_refusal_as_too_fast_becomes_a_turn() {
    let headers = vec![("retry-after", "2".to_owned())];
    let receiver = Receiver::start(Answer { status: 429, headers, ..Answer::default() }).await;
    let book = Arc::new(Book::default());

    let error = send(&sms(receiver.address, &with(&book))).await.unwrap_err();

    assert!(limited(&error) && error.standing == Standing::RefusedWithTurn, "{error}");
    assert_eq!(book.lines()[2], "refused twilio::global job-1 Some(2s)");
    assert_eq!(book.lines()[3], "ended twilio send rate_limited");
}

#[tokio::test]
async fn a_refusal_that_names_no_wait_waits_for_the_allowance_that_is_used_up() {
    let allowance = |remaining: &str| {
        vec![
            ("x-ratelimit-limit-requests", "100".to_owned()),
            ("x-ratelimit-remaining-requests", "99".to_owned()),
            ("x-ratelimit-reset-requests", "1s".to_owned()),
            ("x-ratelimit-limit-tokens", "10000".to_owned()),
            ("x-ratelimit-remaining-tokens", remaining.to_owned()),
            ("x-ratelimit-reset-tokens", "6m0s".to_owned()),
        ]
    };
    for (remaining, wait) in [("0", "Some(360s)"), ("9000", "None")] {
        let headers = allowance(remaining);
        let receiver = Receiver::start(Answer { status: 429, headers, ..Answer::default() }).await;
        let book = Arc::new(Book::default());

        send(&sms(receiver.address, &with(&book))).await.unwrap_err();

        let told = format!("refused twilio::global job-1 {wait}");
        assert!(book.lines().contains(&told), "{:?}", book.lines());
    }
}

#[tokio::test]
async fn an_overloaded_endpoint_slows_everybody_down_and_its_job_is_charged() {
    for (status, wait) in
        [(502, "overloaded webhook::ep_1 Some(2s)"), (504, "overloaded webhook::ep_1 Some(2s)")]
    {
        let headers = vec![("retry-after", "2".to_owned())];
        let receiver = Receiver::start(Answer { status, headers, ..Answer::default() }).await;
        let book = Arc::new(Book::default());
        let provider =
            Provider::global(WebhookClient::new(webhook_delivery::settings()).unwrap(), &with(&book));
        let place = Some(Place { name: "ep_1", host: "ep_1" });
        let delivery = webhook_delivery::delivery(receiver.url());

        let caller = Caller { tenant: None, ticket: "job-1".into(), place };
        let error = provider.call(caller, |client| async move { client.deliver(&delivery, 0).await }).await;

        let error = error.unwrap_err();
        assert_eq!((error.class, error.was_not_sent()), (ErrorClass::ServerError, false));
        assert_eq!(book.lines()[2], wait);
    }
}

#[tokio::test]
async fn a_host_that_fails_again_and_again_is_left_alone() {
    let receiver = Receiver::start(Answer { status: 500, ..Answer::default() }).await;
    let book = Arc::new(Book::default());
    let provider = sms(receiver.address, &with(&book));
    for _ in 0..3 {
        assert_eq!(send(&provider).await.unwrap_err().standing, Standing::Answered);
    }

    let error = send(&provider).await.unwrap_err();

    assert_eq!((error.standing, error.code.as_deref()), (Standing::NotSent, Some("circuit_open")));
    assert!(error.retry_after().is_some_and(|wait| wait <= Duration::from_secs(10)));
    assert_eq!(receiver.received().len(), 3);
    assert!(book.lines().contains(&"opened twilio".to_owned()), "{:?}", book.lines());
}

#[tokio::test]
async fn an_answer_that_never_comes_ends_by_the_client_and_stays_ambiguous() {
    let server = RudeServer::start(Rudeness::Hang).await;
    let pipeline = Pipeline::new(Arc::new(NoLimits), Arc::new(()), CircuitPolicy::default());

    let error = send(&sms(server.address, &pipeline)).await.unwrap_err();

    assert_eq!(error.class, ErrorClass::Ambiguous);
}

#[tokio::test]
async fn work_that_the_client_does_not_end_ends_by_the_deadline() {
    let receiver = Receiver::start(Answer { status: 201, ..Answer::default() }).await;
    let provider = sms(receiver.address, &Pipeline::bare());
    let caller = Caller { tenant: None, ticket: "job-1".into(), place: None };

    let error = provider.call(caller, |_| std::future::pending()).await.unwrap_err();

    assert_eq!((error.class, error.operation), (ErrorClass::Ambiguous, "send"));
}

#[test]
fn a_client_that_makes_several_calls_for_one_job_has_the_time_of_all_of_them() {
    let one_call = Duration::from_secs(20);
    let settings = || WhatsappSettings {
        api: ApiSettings::new("http://127.0.0.1:9/v1", one_call),
        phone_number_id: "1".into(),
        access_token: "the-token".into(),
    };

    let messages = WhatsappClient::new(settings()).unwrap().target();
    let media = WhatsappMediaClient::new(settings()).unwrap().target();

    assert_eq!(messages.deadline, Some(one_call * 2), "a text and its fallback");
    assert_eq!(media.deadline, Some(one_call * 4), "where the file is and the file, and both again");
}

#[tokio::test]
async fn a_refused_credential_rests_and_what_is_put_off_says_why() {
    let body = br#"{"code":20003,"message":"Authenticate"}"#.to_vec();
    let receiver = Receiver::start(Answer { status: 401, body, ..Answer::default() }).await;
    let book = Arc::new(Book::default());
    let provider = sms(receiver.address, &with(&book));
    let refused = send(&provider).await.unwrap_err();

    let error = send(&provider).await.unwrap_err();

    assert_eq!((refused.class, refused.standing), (ErrorClass::Auth, Standing::Answered));
    assert_eq!((error.class, error.standing), (ErrorClass::Auth, Standing::NotSent));
    assert_eq!(error.code.as_deref(), Some("credential_paused"));
    assert!(error.to_string().contains(&*refused.message), "{error}");
    let wait = error.retry_after().unwrap();
    assert!((Duration::from_secs(55)..=Duration::from_mins(2)).contains(&wait), "{wait:?}");
    assert_eq!(receiver.received().len(), 1);
    assert!(book.lines().contains(&"paused twilio::global".to_owned()), "{:?}", book.lines());
}

#[tokio::test]
async fn a_refusal_of_our_own_is_no_proof_that_a_host_is_well() {
    let receiver = Receiver::start(Answer { status: 500, ..Answer::default() }).await;
    let book = Arc::new(Book::default());
    let provider = sms(receiver.address, &with(&book));
    let caller = || Caller { tenant: None, ticket: "job-1".into(), place: None };
    let endless = "x".repeat(10_000);

    for _ in 0..2 {
        send(&provider).await.unwrap_err();
    }
    let ours = provider
        .call(caller(), |client| async move { client.send("+525512345678", &endless, 0).await })
        .await
        .unwrap_err();
    send(&provider).await.unwrap_err();

    assert_eq!((ours.class, receiver.received().len()), (ErrorClass::Permanent, 3));
    assert!(book.lines().contains(&"opened twilio".to_owned()), "{:?}", book.lines());
}
