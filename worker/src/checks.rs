//! What a fleet needs from its surroundings: found out once, for `flota doctor` and for the start of a worker.
//!
//! Every finding says what is wrong and how to mend it. Those that would lose jobs keep a worker from starting.

use std::time::Duration;

use flota_producer::{clock, link::Link};
use serde::Serialize;
use sqlx::PgPool;

use crate::{
    config::{Environment, env::EmailProvider},
    database, endpoints,
    failure::chain,
    outbox::{self, Standing},
    vault::Vault,
};

/// Oldest release of Redis that the scripts run on.
const REDIS_BASELINE: (u32, u32) = (7, 0);
/// How far the clocks of this machine and Redis may be apart before it is worth a word.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

/// How long a job may wait in the outbox before it is worth a word. A relay takes milliseconds.
const OUTBOX_TOLERANCE: Duration = Duration::from_secs(30);

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Works, but somebody should know.
    Warning,
    /// Does not work, or may lose jobs.
    Error,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it is.
    pub severity: Severity,
    /// What was found.
    pub found: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    pub(crate) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, severity: Severity::Ok, found: found.into(), fix: None }
    }

    pub(crate) fn warning(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, severity: Severity::Warning, found: found.into(), fix: Some(fix.into()) }
    }

    pub(crate) fn error(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, severity: Severity::Error, found: found.into(), fix: Some(fix.into()) }
    }
}

/// Looks at Redis: reachable, new enough, and set up so that it keeps what it accepted.
pub async fn redis(link: &Link, environment: &Environment) -> Vec<Finding> {
    let info: String = match link.query(redis::cmd("INFO").arg("server")).await {
        Ok(info) => info,
        Err(error) => {
            let found = format!("{} does not answer: {}", environment.redis, chain(&error));
            return vec![Finding::error(
                "redis",
                found,
                "start it, or set REDIS_URL (or REDIS_HOST, REDIS_PORT)",
            )];
        }
    };
    let mut findings = vec![redis_version(&info), redis_clock(link).await];
    findings.extend([
        setting(
            link,
            "maxmemory-policy",
            |value| value == "noeviction",
            "noeviction",
            "evicts jobs when memory is short",
        )
        .await,
        setting(link, "appendonly", |value| value == "yes", "yes", "forgets accepted jobs when it restarts")
            .await,
        setting(link, "maxmemory", |value| value != "0", "a limit below the machine's memory", "").await,
    ]);
    findings
}

fn redis_version(info: &str) -> Finding {
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("0").trim();
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let number = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if number < REDIS_BASELINE {
        let fix = "use Redis 7.0 or newer, or Valkey";
        return Finding::error("redis version", format!("{version} is too old"), fix);
    }
    Finding::ok("redis version", version)
}

async fn redis_clock(link: &Link) -> Finding {
    match link.query::<(u64, u64)>(&redis::cmd("TIME")).await {
        Ok((seconds, micros)) => {
            let theirs = Duration::new(seconds, micros as u32 * 1000);
            let apart = theirs.abs_diff(clock::unix_now());
            if CLOCK_TOLERANCE < apart {
                let found = format!("this machine and Redis are {apart:.1?} apart");
                return Finding::warning(
                    "clock",
                    found,
                    "synchronise both by NTP; ages that are shown will be off",
                );
            }
            Finding::ok("clock", format!("within {apart:.1?} of Redis"))
        }
        Err(error) => Finding::warning("clock", chain(&error), "see the other findings on Redis"),
    }
}

/// One setting of Redis. `harm` says what a wrong one does; empty when it is only unwise.
async fn setting(
    link: &Link,
    name: &'static str,
    good: fn(&str) -> bool,
    write: &str,
    harm: &str,
) -> Finding {
    let reply: Result<Vec<String>, _> = link.query(redis::cmd("CONFIG").arg("GET").arg(name)).await;
    let Ok(Some(value)) = reply.map(|pair| pair.into_iter().nth(1)) else {
        let fix = format!("make sure by hand that it is {write}; this user may not read it");
        return Finding::warning(name, "unknown", fix);
    };
    if good(&value) {
        return Finding::ok(name, value);
    }
    let fix = format!("CONFIG SET {name} {write}, and the same in redis.conf");
    match harm {
        "" => Finding::warning(name, value, format!("set {name} to {write}")),
        harm => Finding::error(name, format!("is {value}: Redis {harm}"), fix),
    }
}

/// Looks at Postgres: reachable and migrated.
pub async fn postgres(pool: Option<&PgPool>) -> Vec<Finding> {
    let Some(pool) = pool else {
        let fix = "set DATABASE_URL, for example postgres://user@host/flota";
        return vec![Finding::error("postgres", "not configured", fix)];
    };
    match database::status(pool).await {
        Err(error) => {
            let fix = "start it, or set DATABASE_URL; jobs run without it, but history waits in Redis";
            vec![Finding::error("postgres", format!("does not answer: {}", chain(&error)), fix)]
        }
        Ok(migrations) => {
            let missing = migrations.iter().filter(|migration| migration.applied.is_none()).count();
            let found = format!("{} migrations applied, {missing} missing", migrations.len() - missing);
            vec![match missing {
                0 => Finding::ok("postgres", found),
                _ => Finding::error("postgres", found, "run `flota db migrate`"),
            }]
        }
    }
}

/// Looks at the keys that sealed what lies in Postgres: each must be in the ring.
pub async fn sealed(pool: Option<&PgPool>, environment: &Environment) -> Vec<Finding> {
    let (Some(pool), Some(keys)) = (pool, &environment.encryption_keys) else { return Vec::new() };
    let Ok(used) = endpoints::sealing_keys(pool).await else { return Vec::new() };
    let Ok(vault) = Vault::parse(keys) else { return Vec::new() };
    let missing: Vec<String> = used.into_iter().filter(|id| !vault.holds(id)).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let found = format!("some are sealed with {}, which is not in FLOTA_ENCRYPTION_KEYS", missing.join(", "));
    vec![Finding::error("endpoint secrets", found, "add the key back; new secrets use the first of the list")]
}

/// Looks at the outbox: how long jobs have been waiting there, and what Redis did not take. Says nothing without a
/// prepared Postgres, which is another finding.
pub async fn outbox(pool: Option<&PgPool>) -> Vec<Finding> {
    let Some(pool) = pool else { return Vec::new() };
    let Ok(Standing { waiting, oldest, refused, given_up, reason }) = outbox::standing(pool).await else {
        return Vec::new();
    };
    let age = oldest.unwrap_or_default();
    let reason = reason.unwrap_or_default();
    let found = match waiting {
        0 => "nothing waits".to_owned(),
        _ => format!("{waiting} jobs wait to be put into Redis, the oldest for {age:.0?}"),
    };
    let mut findings = Vec::new();
    if 0 < given_up {
        let fix = "read `SELECT id, refused FROM outbox WHERE given_up`, mend those rows and set given_up = false, \
                   or delete them";
        findings.push(Finding::error(
            "outbox refused",
            format!("{given_up} jobs are given up: {reason}"),
            fix,
        ));
    }
    findings.push(if 0 < refused {
        let fix = "make room in that queue or in Redis; it is tried again every few seconds";
        Finding::warning("outbox", format!("{found}; Redis refused {refused} for now: {reason}"), fix)
    } else if OUTBOX_TOLERANCE < age {
        Finding::warning("outbox", found, "see that a worker runs and reaches both Redis and Postgres")
    } else {
        Finding::ok("outbox", found)
    });
    findings
}

/// Looks at the settings that kinds of jobs need.
pub fn providers(environment: &Environment) -> Vec<Finding> {
    let mail = email(environment);
    let vault = match environment.encryption_keys.as_ref().map(Vault::parse) {
        Some(Ok(_)) => Finding::ok("endpoint secrets", "can be sealed and opened"),
        Some(Err(error)) => {
            Finding::error("endpoint secrets", error.to_string(), "run `flota keys encryption`")
        }
        None => {
            let fix = "set FLOTA_ENCRYPTION_KEYS, made by `flota keys encryption`";
            Finding::warning("endpoint secrets", "no key: webhooks to registered endpoints wait", fix)
        }
    };
    let fleet = if environment.webhook_secret.is_some() {
        Finding::ok("webhook secret", "set")
    } else {
        let fix = "set WEBHOOK_SECRET, made by `flota keys webhook`, if you deliver to plain URLs";
        Finding::warning("webhook secret", "not set: webhooks to plain URLs wait", fix)
    };
    vec![mail, vault, fleet]
}

fn email(environment: &Environment) -> Finding {
    let ways: Vec<String> =
        environment.email.order.iter().map(|provider| way(*provider, environment)).collect();
    if ways.is_empty() {
        let fix = "set SENDGRID_API_KEY, AWS_SES_ACCESS_KEY_ID or SMTP_HOST, and the address that messages come from";
        return Finding::warning("email", "no way to send: send_email jobs wait", fix);
    }
    let is_test = environment.email.sendgrid.as_ref().is_some_and(|sendgrid| sendgrid.sandbox_mode);
    if is_test && environment.email.order.contains(&EmailProvider::Sendgrid) {
        let found = format!("{}; SendGrid only checks mails and sends none", ways.join(", then "));
        return Finding::warning("email", found, "unset SENDGRID_SANDBOX when mails shall arrive");
    }
    Finding::ok("email", ways.join(", then "))
}

/// A way of sending, in a few words.
fn way(provider: EmailProvider, environment: &Environment) -> String {
    let smtp = environment.smtp.as_ref().map(|smtp| format!("SMTP by {}:{}", smtp.host, smtp.port));
    match provider {
        EmailProvider::Sendgrid => "SendGrid".to_owned(),
        EmailProvider::Ses => {
            let region = environment.email.ses.as_ref().map(|ses| ses.region.as_str()).unwrap_or_default();
            format!("SES in {region}")
        }
        EmailProvider::Smtp => smtp.unwrap_or_default(),
    }
}
