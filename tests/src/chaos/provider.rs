//! A provider that never forgets what it did: every effect is on disk before anybody is told of it.
//!
//! So its ledger tells how often each job really acted, whatever happened to replies, workers and servers. It may then
//! answer as badly as it is told to. `effect.rs` is one line of the ledger, `ledger.rs` makes it durable,
//! `behaviour.rs` chooses an answer, `report.rs` is how a toy job acts upon us.

mod behaviour;
mod effect;
mod ledger;
mod report;

use std::{
    collections::HashMap,
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use flota_producer::JobId;
use flota_worker::dev::webhook_sink::connection::{ResetSwitch, ResettableListener};
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{behaviour::Step, ledger::Ledger};
pub use self::{
    behaviour::{Behaviour, Share},
    effect::{Effect, EffectKind},
    report::{NotConfirmed, report_effect},
};

/// The ledger's file, in the directory given to [`Provider::start`].
const LEDGER: &str = "ledger.jsonl";

/// A running provider. It stops when it is dropped; the ledger stays.
pub struct Provider {
    port: u16,
    ledger_file: PathBuf,
    shared: Arc<Shared>,
    _stops_when_dropped: DropGuard,
}

struct Shared {
    ledger: Ledger,
    behaviour: Mutex<Behaviour>,
    delay: Mutex<Duration>,
    /// How many requests came with each idempotency key.
    requests: Mutex<HashMap<String, u32>>,
    refused: AtomicU64,
    stopping: CancellationToken,
}

impl Provider {
    /// Listens on a port of 127.0.0.1, answers 200 to everything, and keeps its ledger in this directory.
    ///
    /// # Errors
    /// When the ledger cannot be opened, or no port can be listened on.
    pub async fn start(directory: &Path) -> io::Result<Self> {
        let ledger_file = directory.join(LEDGER);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let stopping = CancellationToken::new();
        let shared = Arc::new(Shared {
            ledger: Ledger::open(&ledger_file)?,
            behaviour: Mutex::new(Behaviour::Answer(200)),
            delay: Mutex::default(),
            requests: Mutex::default(),
            refused: AtomicU64::new(0),
            stopping: stopping.clone(),
        });
        let service = Router::new()
            .route("/effect", post(toy_effect))
            .route("/hook", post(webhook))
            .route("/hook/{*rest}", post(webhook))
            .with_state(Arc::clone(&shared))
            .into_make_service_with_connect_info::<ResetSwitch>();
        let serve = axum::serve(ResettableListener(listener), service)
            .with_graceful_shutdown(stopping.clone().cancelled_owned());
        tokio::spawn(serve.into_future());
        Ok(Self { port, ledger_file, shared, _stops_when_dropped: stopping.drop_guard() })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:<port>`, without a slash at the end: where toy jobs report to.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How it treats requests from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    /// How long it takes from now on before it does its work, for each request.
    pub fn take_its_time(&self, delay: Duration) {
        *self.shared.delay.lock().unwrap_or_else(PoisonError::into_inner) = delay;
    }

    /// Everything it did, in the order it did it.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn effects(&self) -> io::Result<Vec<Effect>> {
        effect::read(&self.ledger_file)
    }

    /// How many requests it refused without doing anything.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::SeqCst)
    }
}

async fn toy_effect(
    ConnectInfo(switch): ConnectInfo<ResetSwitch>,
    State(shared): State<Arc<Shared>>,
    Json(effect): Json<Effect>,
) -> Response {
    act(effect, &switch, &shared).await
}

/// A real webhook says who it is in its header; run and try are not known to a receiver.
async fn webhook(
    ConnectInfo(switch): ConnectInfo<ResetSwitch>,
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    // Read to its end, as a receiver does.
    _body: axum::body::Bytes,
) -> Response {
    let key = headers.get("webhook-id").and_then(|value| value.to_str().ok()).unwrap_or_default();
    match key.parse::<JobId>() {
        Ok(job) => act(Effect::webhook(job, key), &switch, &shared).await,
        Err(_) => (StatusCode::BAD_REQUEST, "webhook-id must be the id of a job").into_response(),
    }
}

/// Does what is asked for, and answers as it is told to.
async fn act(effect: Effect, switch: &ResetSwitch, shared: &Shared) -> Response {
    let delay = *shared.delay.lock().unwrap_or_else(PoisonError::into_inner);
    shared.wait(delay).await;
    let step = shared.next_step(&effect.key);
    if step.works {
        if let Err(error) = shared.ledger.append(effect).await {
            let text = format!("the ledger cannot be written: {error}");
            return (StatusCode::INTERNAL_SERVER_ERROR, text).into_response();
        }
    } else {
        shared.refused.fetch_add(1, Ordering::SeqCst);
    }
    shared.wait(step.hang).await;
    match step.status {
        Some(status) => StatusCode::from_u16(status).unwrap_or(StatusCode::OK).into_response(),
        None => switch.reset(),
    }
}

impl Shared {
    fn next_step(&self, key: &str) -> Step {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let number = requests.entry(key.to_owned()).or_default();
        *number += 1;
        self.behaviour.lock().unwrap_or_else(PoisonError::into_inner).step(key, *number)
    }

    /// A provider that is going away keeps nobody waiting.
    async fn wait(&self, time: Duration) {
        if !time.is_zero() {
            tokio::select! {
                () = sleep(time) => {}
                () = self.stopping.cancelled() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
