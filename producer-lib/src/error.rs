//! Why a job was not accepted, or why nobody can say.

use redis::RedisError;

use crate::{job_id::JobId, payload::Invalid};

/// What can go wrong with one enqueue. Except for [`EnqueueError::Unknown`], the job was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnqueueError {
    /// The payload or an option is wrong; sending it again will not help.
    #[error("the job is not valid: {0}")]
    Invalid(#[from] Invalid),
    /// The envelope is larger than the limit. Put files into storage and send their reference.
    #[error(
        "the job has {bytes} bytes, more than the {limit} allowed; store large data and send its reference"
    )]
    TooLarge {
        /// Size of the envelope.
        bytes: usize,
        /// Largest allowed.
        limit: usize,
    },
    /// The queue holds as many jobs as it may (`max_len`). Try again when workers have caught up.
    #[error("queue `{queue}` is full; try again later or raise its max_len")]
    QueueFull {
        /// Name of the queue.
        queue: String,
    },
    /// The idempotency key was used for a different payload.
    #[error("idempotency key `{key}` was used for another payload by job {first}")]
    KeyConflict {
        /// The key.
        key: String,
        /// The job that used it first.
        first: JobId,
    },
    /// The reply was lost: the job with this id may have been accepted. Look it up, or enqueue with a key next
    /// time, which lets the producer retry by itself.
    #[error("job {id} may or may not have been accepted: the connection broke before the reply came")]
    Unknown {
        /// Id that the job has if it was accepted.
        id: JobId,
        /// What the driver said.
        source: RedisError,
    },
    /// Redis could not be reached; nothing was sent.
    #[error("Redis cannot be reached; check REDIS_URL and that the server runs")]
    Unreachable(#[source] RedisError),
    /// Redis answered that it cannot take writes now (out of memory, read-only, loading).
    #[error("Redis does not take the job now")]
    Refused(#[source] RedisError),
}
