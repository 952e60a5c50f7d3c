//! `flota serve` with its API as applications see it: requests with a token, answers with status and JSON.

use std::time::{Duration, Instant};

use flota_worker::tokens::{self, NewToken, Role};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    PATIENCE,
    program::{Installation, Running},
};

/// Pause between two questions.
const LOOK: Duration = Duration::from_millis(100);

/// A server and a client for it.
pub struct ApiServer {
    /// The server's process.
    pub process: Running,
    /// Where the API is, without a path.
    pub address: String,
    client: reqwest::Client,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: reqwest::header::HeaderMap,
    /// Its body; null where it is no JSON.
    pub json: Value,
}

impl Answer {
    /// Itself, if it has this status.
    ///
    /// # Panics
    /// Otherwise, with all of it.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    /// The word of a problem, which must be one after RFC 9457.
    pub fn problem(&self) -> &str {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:#?}");
        assert_eq!(self.json["status"], self.status, "{self:#?}");
        assert!(self.json["title"].is_string() && self.json["detail"].is_string(), "{self:#?}");
        let kind = self.json["type"].as_str().expect("a type");
        kind.strip_prefix("urn:flota:problem:").expect("a type of ours")
    }

    /// The header with this name, as text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl ApiServer {
    /// Starts `flota serve` on free ports.
    pub async fn start(flota: &Installation) -> Self {
        let serve = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let process = flota.start(&serve).await;
        let address = process.api_address().await;
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
        Self { process, address, client }
    }

    /// A request that can still be changed.
    pub fn request(&self, method: &str, path: &str, token: Option<&str>) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = self.client.request(method, format!("{}{path}", self.address));
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Reads something.
    pub async fn get(&self, path: &str, token: &str) -> Answer {
        answer(self.request("GET", path, Some(token))).await
    }

    /// Sends something.
    pub async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        answer(self.request("POST", path, Some(token)).json(body)).await
    }
}

/// Sends a request. Answers what came back.
///
/// # Panics
/// When nothing came back.
pub async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await.expect("a body");
    Answer { status, headers, json: serde_json::from_slice(&body).unwrap_or_default() }
}

/// Asks until the answer fits.
///
/// # Panics
/// When none does within [`PATIENCE`].
pub async fn until(what: &str, ask: impl AsyncFn() -> Answer, fits: impl Fn(&Answer) -> bool) -> Answer {
    let began = Instant::now();
    loop {
        let answer = ask().await;
        if fits(&answer) {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}: {answer:#?}");
        sleep(LOOK).await;
    }
}

/// Makes a token with this role and answers its text; `change` says what is unusual about it.
pub async fn token(flota: &Installation, role: Role, change: impl FnOnce(&mut NewToken)) -> String {
    let name = format!("t{}", uuid::Uuid::new_v4().simple());
    let mut new = NewToken { name, role, may_see_payloads: false, tenant: None, expires_at: None };
    change(&mut new);
    let (text, _) = tokens::create(&flota.pool(), &new, "cli:test").await.expect("a token");
    text.reveal().to_owned()
}

/// A dead letter of this tenant: an e-mail with a secret in it. Answers its id.
pub async fn bury(flota: &Installation, tenant: &str) -> String {
    let envelope = r#"{"v":1,"kind":"send_email","tenant":"TENANT","at":1,"payload":{"to":["ana@example.com"],"body":{"template":"password_reset","variables":{"reset_url":"https://example.com/s3cret"}}}}"#;
    let sql = "INSERT INTO dead_letters (job_id, queue, kind, tenant, error_class, code, error, attempts, fingerprint, \
               envelope, payload, died_at) \
               VALUES ($1, 'email', 'send_email', $2, 'permanent', '550', 'no such user', 3, 'f1', $3, \
                       convert_from($3, 'UTF8')::jsonb -> 'payload', now())";
    let id = uuid::Uuid::now_v7();
    let envelope = envelope.replace("TENANT", tenant).into_bytes();
    sqlx::query(sql)
        .bind(id)
        .bind(tenant)
        .bind(envelope)
        .execute(&flota.pool())
        .await
        .expect("a letter can be buried");
    id.to_string()
}

/// A paused operation on one letter of this tenant. Answers its id.
pub async fn paused_operation(flota: &Installation, tenant: &str) -> String {
    let (pool, letter) = (flota.pool(), bury(flota, tenant).await);
    let letter: uuid::Uuid = letter.parse().expect("an id");
    let filter = flota_worker::dead::Filter {
        ids: vec![letter.into()],
        tenant: Some(tenant.to_owned()),
        ..Default::default()
    };
    let new = flota_worker::dead::NewOperation {
        kind: flota_worker::dead::Kind::Replay,
        filter,
        reason: None,
        actor: "cli:test".to_owned(),
        rate: None,
        stage_size: None,
        max_failures: None,
        edited: None,
    };
    let operation =
        flota_worker::dead::create(&pool, &new).await.expect("Postgres answers").expect("a letter");
    assert!(flota_worker::dead::pause(&pool, operation.id, "cli:test").await.expect("Postgres answers"));
    operation.id.to_string()
}
