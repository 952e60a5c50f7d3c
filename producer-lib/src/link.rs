//! One connection to Redis that mends itself.
//!
//! A failed call leaves one question: may Redis have carried it out? [`LinkError`] answers it, and everything that
//! retries is built on the answer. A dead connection is dropped at once and the next call dials again, so a `Link`
//! works again as soon as Redis does, without anybody restarting it.

mod awake;

use std::{
    io,
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use futures_util::poll;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError,
    Script, ScriptInvocation, ServerErrorKind, aio::MultiplexedConnection,
};
use tokio::{sync::Mutex, task::yield_now, time::timeout};

use self::awake::Awake;

/// Longest wait for a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait for an ordinary reply. Blocking reads ask for more with [`Link::with_response_timeout`].
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection unused for this long is tried with a PING first, so that a restart of Redis in between is noticed
/// before a call is on its way and its result unknown.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// A connection to Redis, dialled when first used and again after each failure.
pub struct Link {
    client: Client,
    /// Longest wait for a reply.
    response: Duration,
    state: Mutex<State>,
    awake: Awake,
}

/// What is known of the connection.
#[derive(Default)]
struct State {
    live: Option<Live>,
    /// When dialling last failed, and how.
    failed: Option<(Instant, RedisError)>,
}

struct Live {
    connection: MultiplexedConnection,
    number: u64,
    used: Instant,
}

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// There was no connection: nothing was sent.
    #[error("Redis cannot be reached")]
    Down(#[source] RedisError),
    /// The connection broke before the reply: Redis may or may not have carried it out.
    #[error("the connection to Redis broke before the reply came")]
    Lost(#[source] RedisError),
    /// Redis answered with an error. Nothing was carried out, unless a script stopped halfway: see
    /// [`LinkError::is_certain`].
    #[error("Redis refused the command")]
    Refused(#[source] RedisError),
}

impl LinkError {
    /// What the driver said.
    pub fn redis(&self) -> &RedisError {
        match self {
            Self::Down(error) | Self::Lost(error) | Self::Refused(error) => error,
        }
    }

    /// True when Redis carried out nothing of the call for sure. A script that met a key of a wrong type, or did anything
    /// else wrong, may have stopped after its first write; every other refusal comes before that.
    pub fn is_certain(&self) -> bool {
        match self {
            Self::Down(_) => true,
            Self::Refused(error) => error.code().is_some_and(|code| !matches!(code, "ERR" | "WRONGTYPE")),
            Self::Lost(_) => false,
        }
    }

    /// True when the host answered that nobody listens there: Redis is stopped, not cut off from us alone.
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Down(error) if error.is_connection_refusal())
    }

    /// True for an answer after which nobody can have taken anything: Redis is stopped, or serves nobody for now.
    pub fn is_for_everybody(&self) -> bool {
        let code = self.redis().code();
        self.is_stopped()
            || matches!(self, Self::Refused(_)) && matches!(code, Some("LOADING" | "BUSY" | "MISCONF"))
    }

    /// True when Redis is at `maxmemory` and refused a write.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Refused(error) if error.code() == Some("OOM"))
    }
}

impl Link {
    /// A link that dials on first use.
    ///
    /// # Errors
    /// When the address cannot be read as a Redis URL.
    pub fn new(address: impl IntoConnectionInfo) -> Result<Self, RedisError> {
        Ok(Self::from_client(Client::open(address)?, RESPONSE_TIMEOUT))
    }

    /// A second link to the same Redis whose replies may take this long, for blocking reads.
    pub fn with_response_timeout(&self, timeout: Duration) -> Self {
        Self::from_client(self.client.clone(), timeout)
    }

    /// A second link to the same Redis, with a connection of its own.
    pub fn again(&self) -> Self {
        self.with_response_timeout(RESPONSE_TIMEOUT)
    }

    fn from_client(client: Client, response: Duration) -> Self {
        Self { client, response, state: Mutex::default(), awake: Awake::default() }
    }

    /// Sends one command.
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, LinkError> {
        let (mut connection, number) = self.connection().await?;
        let reply = self.in_time(command.query_async(&mut connection)).await;
        self.judge(reply, number).await
    }

    /// Sends several commands at once; the reply is a tuple or list of theirs.
    pub async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, LinkError> {
        let (mut connection, number) = self.connection().await?;
        let reply = self.in_time(pipeline.query_async(&mut connection)).await;
        self.judge(reply, number).await
    }

    /// Calls a script, loading it first where Redis does not have it.
    pub async fn invoke<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Result<T, LinkError> {
        let (mut connection, number) = self.connection().await?;
        let reply = self.in_time(call.invoke_async(&mut connection)).await;
        self.judge(reply, number).await
    }

    /// The same for a call that [`crate::call`] began.
    pub async fn call<T: FromRedisValue>(&self, script: &Script, call: &Cmd) -> Result<T, LinkError> {
        match self.query(call).await {
            Err(LinkError::Refused(error)) if error.code() == Some("NOSCRIPT") => {
                self.load(script).await?;
                self.query(call).await
            }
            answer => answer,
        }
    }

    /// Waits for the answer to a short call, which may well be here before a thread has gone to sleep.
    pub(crate) async fn soon<T>(&self, answer: impl Future<Output = T>) -> T {
        self.awake.wait(answer).await
    }

    /// Makes Redis know a script, for callers that name it by its hash inside a pipeline.
    pub async fn load(&self, script: &Script) -> Result<(), LinkError> {
        let (mut connection, number) = self.connection().await?;
        let reply = self.in_time(script.load_async(&mut connection)).await.map(drop);
        self.judge(reply, number).await
    }

    /// Number of the connection in use, 0 for none. A change between two calls means a gap between them.
    pub async fn dialled(&self) -> u64 {
        self.state.lock().await.live.as_ref().map_or(0, |live| live.number)
    }

    async fn connection(&self) -> Result<(MultiplexedConnection, u64), LinkError> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        // Whoever waited while another dialled in vain has the answer, and need not wait as long again.
        if let Some((at, error)) = &state.failed
            && asked < *at
        {
            return Err(LinkError::Down(error.clone()));
        }
        let trusted = match state.live.as_mut() {
            Some(live) => live.used.elapsed() < TRUSTED_FOR || self.answers(&mut live.connection).await,
            None => false,
        };
        let live = match state.live.take().filter(|_| trusted) {
            Some(live) => Live { used: Instant::now(), ..live },
            None => match self.dial().await {
                Ok(connection) => Live { connection, number: next_number(), used: Instant::now() },
                Err(error) => {
                    state.failed = Some((Instant::now(), error.clone()));
                    return Err(LinkError::Down(error));
                }
            },
        };
        let answer = (live.connection.clone(), live.number);
        state.live = Some(live);
        Ok(answer)
    }

    async fn dial(&self) -> Result<MultiplexedConnection, RedisError> {
        // How long replies may take is watched here: the driver would set its timer before it sends.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None);
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    async fn answers(&self, connection: &mut MultiplexedConnection) -> bool {
        self.in_time(redis::cmd("PING").query_async::<()>(connection)).await.is_ok()
    }

    /// Waits for a reply no longer than it may take. What is to be sent goes out first: to set a timer costs more than a
    /// system call.
    async fn in_time<T>(&self, reply: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
        let mut reply = pin!(reply);
        if let Poll::Ready(reply) = poll!(&mut reply) {
            return reply;
        }
        yield_now().await;
        let late = |_| Err(io::Error::from(io::ErrorKind::TimedOut).into());
        timeout(self.response, reply).await.unwrap_or_else(late)
    }

    async fn judge<T>(&self, reply: Result<T, RedisError>, number: u64) -> Result<T, LinkError> {
        let error = match reply {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let lost = error.is_io_error() || error.kind() == ErrorKind::Parse;
        // After a failover the old primary answers READONLY: the address now leads somewhere else.
        let moved = error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly);
        if lost || moved {
            let mut state = self.state.lock().await;
            if state.live.as_ref().is_some_and(|live| live.number == number) {
                state.live = None;
            }
        }
        Err(if lost { LinkError::Lost(error) } else { LinkError::Refused(error) })
    }
}

/// Numbers are process-wide, so that a link that was dropped and dialled again never repeats one.
fn next_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
