//! A worker process with a canary in every credential, and what it talks to.

mod places;

use std::collections::BTreeMap;

use flota_producer::{
    CompleteChat, DeliverWebhook, EmailBody, MediaSource, NewJob, Producer, PushKeys, PushSubscription,
    ReadImage, SendEmail, SendPush, SendSms, SendWhatsapp, Settings, TranscribeAudio, WhatsappBody,
    keys::Prefix, link::Link,
};
use flota_providers::{push::new_vapid_pair, webhook::SigningSecret};
use flota_tests::{
    PATIENCE,
    fleet::eventually,
    program::{Installation, Running},
    servers,
};
use flota_worker::{
    config::env::VARIABLES,
    dev::{RedisOptions, RedisServer, SmtpFault, SmtpSink, SmtpSinkOptions, SmtpStep},
    sandbox::{Fault, Sandbox},
};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::search::Canary;

/// Signatures are verified with the sandbox's own, so those are their canaries.
const SIGNING: [&str; 2] = ["AWS_SES_SECRET_ACCESS_KEY", "MINIO_SECRET_KEY"];
/// Secrets of storages that are configured and not used, because another is.
const UNUSED: [&str; 2] = ["AWS_SECRET_ACCESS_KEY", "R2_SECRET_ACCESS_KEY"];
/// A sentence.
const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/audio/speech.ogg");
pub(super) const MAIL_PASSWORD: &str = "canary-of-the-mail-server-7f3a9c";
const REDIS_PASSWORD: &str = "canary-of-redis-19d2e8";
const POSTGRES_PASSWORD: &str = "canary-of-postgres-5b61fe";

/// Everything that is set up, and the credentials by their variables.
pub(super) struct Stage {
    sandbox: Sandbox,
    mail: SmtpSink,
    redis: RedisServer,
    link: Link,
    prefix: Prefix,
    producer: Producer,
    flota: Installation,
    worker: Running,
    /// What workers logged that have been stopped.
    old_logs: String,
    secrets: BTreeMap<&'static str, String>,
    vapid_public_key: String,
    endpoint: String,
    account: Value,
}

/// A whole GIF whose bytes are all text.
const ONE_PIXEL: &str = "GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
/// The key of a stored picture.
const STORED: &str = "acme/01890a5d-ac96-774b-bcce-b302099a8057";
/// Faults of one provider in a row.
const AT_ONCE: usize = 6;

impl Stage {
    pub(super) async fn set() -> Self {
        let sandbox = Sandbox::start().await.expect("the stage is set");
        let login = ("flota".to_owned(), MAIL_PASSWORD.to_owned());
        let options = SmtpSinkOptions { credentials: Some(login), ..SmtpSinkOptions::default() };
        let mail = SmtpSink::start_with(options).await.expect("the stage is set");
        let (redis, redis_url) = redis_with_password().await;
        let database = servers::prepared_database().await;
        let database = with_password(&database, POSTGRES_PASSWORD);
        let mut flota = Installation::on(&redis_url, &database).await;
        let mut secrets: BTreeMap<&'static str, String> = BTreeMap::new();
        for (name, value) in sandbox.environment() {
            let is_secret = VARIABLES.iter().any(|variable| variable.name == name && variable.is_secret());
            // Any credential with the sandbox's mark is as good as its own.
            let value = if is_secret && !SIGNING.contains(&name) { canary(name) } else { value };
            if is_secret {
                secrets.insert(name, value.clone());
            }
            flota.set(name, value);
        }
        let (vapid_public_key, private) = new_vapid_pair().expect("the stage is set");
        let webhook = SigningSecret::generate().expect("the stage is set").to_text();
        assert!(sandbox.trust_webhook_secret(webhook.expose_secret()));
        secrets.insert("SMTP_PASSWORD", MAIL_PASSWORD.to_owned());
        secrets.insert("REDIS_PASSWORD", REDIS_PASSWORD.to_owned());
        secrets.insert("VAPID_PRIVATE_KEY", private.expose_secret().to_owned());
        secrets.insert("WEBHOOK_SECRET", webhook.expose_secret().to_owned());
        for (name, value) in &secrets {
            flota.set(name, value);
        }
        for name in UNUSED {
            secrets.insert(name, canary(name));
            flota.set(name, canary(name));
        }
        std::fs::create_dir_all(sandbox.bucket().join("acme")).expect("the stage is set");
        std::fs::write(sandbox.bucket().join(STORED), ONE_PIXEL).expect("the stage is set");
        let files = flota.write("receipt.gif", ONE_PIXEL);
        let files = std::path::Path::new(&files).parent().expect("a folder").to_owned();
        std::fs::copy(RECORDING, files.join("note.ogg")).expect("the stage is set");
        flota.mail_to(&mail).webhooks_inside().make_keys().await;
        flota
            .set("SMTP_USERNAME", "flota")
            .set("VAPID_PUBLIC_KEY", &vapid_public_key)
            .set("VAPID_SUBJECT", "mailto:admin@flota.example")
            .set("FLOTA_FILES_DIR", files.display().to_string())
            .set("FLOTA_EMAIL_PROVIDERS", "sendgrid,ses")
            .set("FLOTA_ADMIN_ADDR", "127.0.0.1:0")
            .set("LOG_FORMAT", "json")
            .set("RUST_LOG", "trace");
        // Nobody listens there: what the log says of that is looked through, too.
        let collector_key = canary("OTEL_EXPORTER_OTLP_HEADERS");
        flota
            .set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
            .set("OTEL_EXPORTER_OTLP_HEADERS", format!("api-key={collector_key}"));
        secrets.insert("OTEL_EXPORTER_OTLP_HEADERS", collector_key);
        secrets.insert("FLOTA_ENCRYPTION_KEYS", flota.variable("FLOTA_ENCRYPTION_KEYS").to_owned());
        secrets.insert("REDIS_URL", REDIS_PASSWORD.to_owned());
        secrets.insert("DATABASE_URL", POSTGRES_PASSWORD.to_owned());
        let add = ["endpoint", "add", "--url", &sandbox.url("/webhooks/orders")];
        let endpoint = flota.flota(&add).await.expect(0).json();
        let signing = endpoint["secret"].as_str().expect("a secret").to_owned();
        assert!(sandbox.trust_webhook_secret(&signing));
        secrets.insert("the secret of an endpoint", signing);
        let account = sandbox.service_account().expect("a service account");
        let account: Value = serde_json::from_str(&account).expect("JSON");
        let prefix = Prefix::new(flota.variable("FLOTA_KEY_PREFIX")).expect("a prefix");
        let mut settings = Settings::from_url(&redis_url).expect("a Redis URL");
        settings.prefix = prefix.clone();
        let worker = flota.start(&["worker"]).await;
        Self {
            sandbox,
            mail,
            redis,
            link: Link::new(redis_url.as_str()).expect("a Redis URL"),
            prefix,
            producer: Producer::new(settings).expect("a Redis URL"),
            worker,
            old_logs: String::new(),
            flota,
            secrets,
            vapid_public_key,
            endpoint: endpoint["id"].as_str().expect("an id").to_owned(),
            account,
        }
    }

    /// Every credential, to be looked for.
    pub(super) fn canaries(&self) -> Vec<Canary> {
        let mut canaries: Vec<Canary> =
            self.secrets.iter().map(|(name, secret)| Canary::of(name, secret)).collect();
        let key = self.account["private_key"].as_str().expect("a key");
        // Every line by itself: a log would break it up.
        let lines = key.lines().filter(|line| 60 <= line.len());
        canaries.extend(lines.map(|line| Canary::of("the key of a service account", line)));
        canaries
    }

    pub(super) fn secret(&self, variable: &str) -> &str {
        &self.secrets[variable]
    }

    /// Runs one job of a provider to its success.
    pub(super) async fn succeed(&mut self, provider: &str) {
        self.mail_by(provider).await;
        let before = self.sandbox.journal(Some(provider)).len();
        self.enqueue(provider, 1).await;
        self.sandbox.wait_for(Some(provider), before + 1, PATIENCE).await.expect("a request");
        let last = self.sandbox.journal(Some(provider)).pop().expect("an entry");
        assert!(last.carried_out, "{provider}: {last:?}");
    }

    /// Lets everything go wrong at a provider, one call each.
    pub(super) async fn suffer(&mut self, provider: &str, faults: Vec<Fault>) {
        self.mail_by(provider).await;
        // A host that fails ten times in a row is left alone for a while; a new worker has nothing against it.
        for (number, few) in faults.chunks(AT_ONCE).enumerate() {
            if 0 < number {
                self.renew_worker().await;
            }
            let before = self.sandbox.journal(Some(provider)).len();
            for fault in few {
                self.sandbox.fault(fault.clone()).expect("a fault that can be ordered");
            }
            self.enqueue(provider, few.len()).await;
            let all = before + few.len();
            self.sandbox.wait_for(Some(provider), all, PATIENCE).await.expect("a request for each");
            self.sandbox.clear_faults();
        }
    }

    /// Sends one mail that arrives, and one that the server refuses at this step with these words.
    pub(super) async fn mail(&mut self, step: SmtpStep, code: u16, words: &str) {
        self.mail_by("smtp").await;
        let before = self.mail.mails().len();
        self.enqueue("smtp", 1).await;
        self.mail.wait_for(before + 1, PATIENCE).await.expect("a mail");
        if step == SmtpStep::Auth {
            // A new process has no connection that is logged in.
            self.renew_worker().await;
        }
        self.mail.fault(step, SmtpFault::Reply(format!("{code} 5.7.8 {words}")));
        self.enqueue("smtp", 1).await;
        eventually(PATIENCE, "the fault happens", async || self.mail.faults_left() == 0).await;
        if matches!(step, SmtpStep::MailFrom | SmtpStep::Auth) {
            // A new process knows of no login that rests.
            self.renew_worker().await;
        }
    }

    /// Goes on with a process that sends e-mail by this provider first, and has others that step in for APIs.
    pub(super) async fn mail_by(&mut self, provider: &str) {
        let order = match provider {
            "sendgrid" => "sendgrid,ses",
            "ses" => "ses,sendgrid",
            "smtp" => "smtp",
            _ => return,
        };
        if self.flota.variable("FLOTA_EMAIL_PROVIDERS") != order {
            self.flota.set("FLOTA_EMAIL_PROVIDERS", order);
            self.renew_worker().await;
        }
    }

    /// Goes on with another process.
    pub(super) async fn renew_worker(&mut self) {
        let next = self.flota.start(&["worker"]).await;
        // It listens, so it can be asked to stop.
        next.address().await;
        let last = std::mem::replace(&mut self.worker, next);
        self.old_logs.push_str(&last.log());
        last.stop().await;
    }

    /// Goes on with another worker, which reads pictures with Google's service account. Answers the token that it got.
    pub(super) async fn use_service_account(&mut self) -> Canary {
        let file = self.flota.write("service-account.json", &self.account.to_string());
        self.flota.unset("GOOGLE_VISION_API_KEY").set("GOOGLE_APPLICATION_CREDENTIALS", file);
        self.renew_worker().await;
        self.succeed("google_vision").await;
        let sent = self.sandbox.received("google_vision").pop().expect("a request");
        let token = sent.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let token = token.expect("a token").to_owned();
        let quoting = serde_json::json!({ "error": { "code": 403, "message": token, "status": "NO" } });
        let fault = Fault { body: Some(quoting), ..Fault::status("google_vision", 403) };
        self.suffer("google_vision", vec![fault]).await;
        Canary::of("the token of a service account", &token)
    }

    /// Delivers to a plain URL that nobody serves, which the common secret signs.
    pub(super) async fn deliver_nowhere(&self) {
        self.enqueue("nowhere", 1).await;
    }

    /// Waits until nothing is ready, running or unrecorded.
    pub(super) async fn settle(&self) {
        let queues = flota_engine::inspect::queues(&self.link, &self.prefix).await.expect("Redis answers");
        for queue in queues {
            let keys = self.prefix.queue(&queue);
            eventually(PATIENCE, "everything is decided", async || {
                let counts = flota_engine::inspect::counts(&self.link, &keys).await.expect("Redis answers");
                counts.ready + counts.running + counts.unrecorded == 0
            })
            .await;
        }
    }

    async fn enqueue(&self, provider: &str, count: usize) {
        let jobs = (0..count).map(|_| self.job(provider));
        for accepted in self.producer.enqueue_all(jobs.collect()).await {
            accepted.expect("the job is accepted");
        }
    }

    fn job(&self, provider: &str) -> NewJob {
        match provider {
            "sendgrid" | "ses" | "smtp" => {
                NewJob::new(SendEmail::new("ana@example.com", EmailBody::text("Hi", "Hello")))
            }
            "twilio" => NewJob::new(SendSms::new("+525512345678", "Hola")),
            "whatsapp" => NewJob::new(SendWhatsapp::new("+525512345678", WhatsappBody::text("Hola"))),
            "llm" => NewJob::new(CompleteChat::ask("Why is the sky blue?")),
            "openai" => NewJob::new(TranscribeAudio::new(MediaSource::file("note.ogg"))),
            "google_vision" => NewJob::new(ReadImage::new(MediaSource::file("receipt.gif"))),
            "storage" => {
                let picture = ReadImage::new(MediaSource::storage(STORED));
                NewJob::new(ReadImage { text: false, barcodes: true, ..picture })
            }
            // A plain URL is https and public; this one is signed and leads nowhere.
            "nowhere" => NewJob::new(DeliverWebhook::to_url(
                "https://receiver.invalid/hook",
                "order.paid",
                Value::Null,
            )),
            "push" => {
                let browser = self.sandbox.subscribe(Some(&self.vapid_public_key)).expect("a browser");
                let keys = PushKeys { p256dh: browser.keys.p256dh, auth: browser.keys.auth };
                let subscription =
                    PushSubscription { endpoint: browser.endpoint, expiration_time: None, keys };
                NewJob::new(SendPush::new(subscription, "Order 42", "It is on its way."))
            }
            _ => NewJob::new(DeliverWebhook::to_endpoint(&self.endpoint, "order.paid", Value::Null)),
        }
        .tenant("acme")
    }

    /// Every credential has been sent to its provider, so that it could have been found.
    pub(super) fn used_every_credential(&self) {
        for (provider, variable, header) in [
            ("sendgrid", "SENDGRID_API_KEY", "authorization"),
            ("whatsapp", "WHATSAPP_ACCESS_TOKEN", "authorization"),
            ("llm", "OPENROUTER_API_KEY", "authorization"),
            ("openai", "OPENAI_API_KEY", "authorization"),
            ("google_vision", "GOOGLE_VISION_API_KEY", "x-goog-api-key"),
        ] {
            let sent = &self.sandbox.received(provider)[0];
            assert!(sent.header(header).unwrap_or_default().contains(self.secret(variable)), "{provider}");
        }
    }

    pub(super) async fn end(self) {
        // Its secret signs, and is never sent.
        assert!(self.sandbox.journal(Some("ses")).iter().any(|entry| entry.carried_out));
        self.worker.stop().await;
        drop(self.redis);
    }
}

/// A value with the sandbox's mark.
fn canary(name: &str) -> String {
    format!("flota_sandbox_canary_{}", name.to_ascii_lowercase())
}

/// A Redis that wants a password, and its address with that.
async fn redis_with_password() -> (RedisServer, String) {
    let redis = RedisServer::start(RedisOptions::default()).await.expect("a private Redis starts");
    let link = Link::new(redis.url()).expect("a Redis URL");
    let mut command = redis::cmd("CONFIG");
    command.arg("SET").arg("requirepass").arg(REDIS_PASSWORD);
    link.query::<()>(&command).await.expect("Redis answers");
    let url = format!("redis://:{REDIS_PASSWORD}@127.0.0.1:{}/", redis.port());
    (redis, url)
}

fn with_password(url: &str, password: &str) -> String {
    let mut url = url::Url::parse(url).expect("a URL");
    url.set_password(Some(password)).expect("it has a host");
    url.to_string()
}
