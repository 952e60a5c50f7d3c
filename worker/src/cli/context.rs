//! What commands need to reach Redis and Postgres, made from the environment when first asked for.

use flota_producer::{
    JobId,
    keys::{Prefix, QueueKeys},
    link::Link,
};
use sqlx::PgPool;

use crate::{
    config::{Environment, Queues},
    database,
    exit::{Exit, Stop},
    view,
};

use super::Global;

/// Connections that a short command keeps at most.
const CONNECTIONS: u32 = 2;

/// Redis, as commands see it.
pub(super) struct Redis {
    pub(super) link: Link,
    pub(super) prefix: Prefix,
}

impl Redis {
    pub(super) fn new(environment: &Environment) -> Result<Self, Stop> {
        let link = Link::new(environment.redis.address())
            .map_err(|error| Stop::usage(format!("REDIS_URL: {error}")))?;
        Ok(Self { link, prefix: environment.redis.prefix.clone() })
    }

    pub(super) fn keys(&self, queue: &str) -> QueueKeys {
        self.prefix.queue(queue)
    }

    /// Names of all queues.
    pub(super) async fn queues(&self, global: &Global) -> Result<Vec<String>, Stop> {
        let queues = queues(global)?;
        let of_file = queues.policies.iter().map(|policy| &*policy.name);
        Ok(view::queue_names(&self.link, &self.prefix, of_file).await?)
    }

    /// Refuses a queue that nobody has heard of.
    pub(super) async fn known_queue(&self, global: &Global, name: &str) -> Result<QueueKeys, Stop> {
        view::known_queue(name, &self.queues(global).await?).map_err(Stop::not_found)?;
        Ok(self.keys(name))
    }
}

/// The checked queues file.
pub(super) fn queues(global: &Global) -> Result<Queues, Stop> {
    Queues::load(global.queues.as_deref()).map_err(|error| Stop { exit: Exit::Usage, error: error.into() })
}

/// Postgres, or why there is none.
pub(super) fn postgres(environment: &Environment) -> Result<PgPool, Stop> {
    optional_postgres(environment)?.ok_or_else(|| {
        Stop::new(
            Exit::Unreachable,
            "this needs Postgres: set DATABASE_URL, for example postgres://user@host/flota",
        )
    })
}

/// Postgres, where it is configured.
pub(super) fn optional_postgres(environment: &Environment) -> Result<Option<PgPool>, Stop> {
    let Some(url) = &environment.database_url else { return Ok(None) };
    Ok(Some(database::connect(url, CONNECTIONS)?))
}

/// Reads a job's id.
pub(super) fn job_id(text: &str) -> Result<JobId, Stop> {
    text.parse()
        .map_err(|_| Stop::usage(format!("`{text}` is not a job id; it looks like {}", JobId::mint())))
}

/// Who does this, for the records: the user's login and machine.
pub(super) fn actor() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    format!("cli:{}", user.unwrap_or_else(|| "unknown".to_owned()))
}
