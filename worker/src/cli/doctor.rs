//! `flota doctor`: everything a fleet needs, looked at in one go.

use std::time::Duration;

use chrono::DateTime;
use clap::Parser;
use flota_engine::repair::{self, Treatment};
use flota_producer::{JobId, clock};
use serde_json::json;
use sqlx::PgPool;

use crate::{
    assemble,
    audit::{self, Deed},
    bucket::lifetime,
    checks::{self, Finding, Severity},
    config::{Environment, queues::Source},
    endpoints,
    exit::{Done, Exit},
    limits::CallTimeouts,
    online,
    service_settings::{self, Variables},
};

use super::{
    Global,
    context::{self, Redis, optional_postgres},
    output::Show,
};

/// Live jobs of a queue up to which the doctor looks for each of them unasked: a second or so.
const MOST_LOOKED_AT: u64 = 100_000;

/// How long the bucket has to answer.
const BUCKET_PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Parser)]
#[command(after_help = "Examples:\n  flota doctor --online\n  flota doctor --repair")]
pub(super) struct Args {
    /// Also ask every configured provider whether it takes our credential. Sends nothing, costs nothing
    #[arg(long)]
    online: bool,
    /// Put jobs that are in no place back in line. Safe while workers run
    #[arg(long)]
    repair: bool,
}

pub(super) async fn run(global: &Global, environment: Environment, args: Args) -> Done {
    let redis = Redis::new(&environment)?;
    let pool = optional_postgres(&environment)?;
    let mut findings = vec![queues(global)];
    findings.extend(checks::redis(&redis.link, &environment).await);
    findings.extend(places(global, &redis, pool.as_ref(), args.repair).await);
    findings.extend(checks::postgres(pool.as_ref()).await);
    findings.extend(checks::outbox(pool.as_ref()).await);
    findings.extend(checks::providers(&environment));
    findings.extend(service_settings::kinds(&environment));
    findings.extend(checks::sealed(pool.as_ref(), &environment).await);
    let now = DateTime::from_timestamp(clock::unix_now().as_secs() as i64, 0).unwrap_or_default();
    findings.extend(endpoints::trouble(pool.as_ref(), now).await);
    findings.extend(bucket(global, &environment).await);
    if args.online {
        // A file that cannot be read is a finding of its own.
        let timeouts = context::queues(global).map(|queues| queues.timeouts).unwrap_or_default();
        findings.extend(online::findings(&environment, &timeouts, now.timestamp()).await);
    }
    global.output.list(&findings, "Nothing was looked at.")?;
    let unreachable = findings.iter().any(|finding| {
        finding.severity == Severity::Error
            && matches!(finding.check, "redis" | "postgres")
            && pool_or_redis_away(finding)
    });
    let bad = findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(match (unreachable, bad) {
        (true, _) => Exit::Unreachable,
        (false, true) => Exit::Failed,
        (false, false) => Exit::Ok,
    })
}

fn pool_or_redis_away(finding: &Finding) -> bool {
    finding.found.contains("does not answer") || finding.found == "not configured"
}

fn queues(global: &Global) -> Finding {
    match context::queues(global) {
        Ok(queues) => {
            let names =
                queues.policies.iter().map(|queue| queue.name.to_string()).collect::<Vec<_>>().join(", ");
            Finding {
                check: "queues file",
                severity: Severity::Ok,
                found: format!("{}: {names}", source(&queues.source)),
                fix: None,
            }
        }
        Err(stop) => Finding {
            check: "queues file",
            severity: Severity::Error,
            found: stop.sentence(),
            fix: Some("mend the file; `flota config check` repeats this".to_owned()),
        },
    }
}

fn source(source: &Source) -> String {
    match source {
        Source::File(path) => path.display().to_string(),
        Source::BuiltIn => "built in".to_owned(),
    }
}

/// Jobs that are in no place, queue by queue. Nothing when Redis is away, which another finding tells.
async fn places(global: &Global, redis: &Redis, pool: Option<&PgPool>, repair: bool) -> Option<Finding> {
    let (mut looked, mut found) = (0, Vec::new());
    for queue in redis.queues(global).await.ok()? {
        let keys = redis.keys(&queue);
        let live: u64 = redis.link.query(redis::cmd("HLEN").arg(keys.jobs())).await.ok()?;
        if !repair && MOST_LOOKED_AT < live {
            continue;
        }
        looked += live;
        let treatment = if repair { Treatment::Repair } else { Treatment::Look };
        let nowhere = repair::nowhere(&redis.link, &keys, treatment).await.ok()?;
        if nowhere.is_empty() {
            continue;
        }
        let ids: Vec<_> = nowhere.iter().map(|id| JobId::shown(id)).collect();
        found.push(format!(
            "{} in {queue} ({}{})",
            ids.len(),
            ids[0],
            if ids.len() == 1 { "" } else { ", …" }
        ));
        if repair {
            let detail = json!({ "jobs": ids });
            let deed = Deed {
                actor: &context::actor(),
                action: "queue.repair",
                subject: &queue,
                tenant: None,
                detail,
            };
            audit::note(pool, &deed).await;
        }
    }
    Some(told_of_places(looked, &found, repair))
}

fn told_of_places(looked: u64, found: &[String], repaired: bool) -> Finding {
    let check = "places";
    let jobs = found.join("; ");
    let (severity, found, fix) = match (found.is_empty(), repaired) {
        (true, _) => (Severity::Ok, format!("each of {looked} live jobs is somewhere"), None),
        (false, true) => (Severity::Warning, format!("put back in line: {jobs}"), None),
        (false, false) => {
            let fix = "put them back in line with `flota doctor --repair`; nothing of them is lost";
            (Severity::Error, format!("jobs that are nowhere: {jobs}"), Some(fix.to_owned()))
        }
    };
    Finding { check, severity, found, fix }
}

/// Whether the bucket is there, and keeps files as long as they are needed.
async fn bucket(global: &Global, environment: &Environment) -> Option<Finding> {
    let variables = environment.integrations.storage.as_ref()?;
    let mut timeouts = CallTimeouts::default();
    timeouts.set(flota_providers::storage::PROVIDER, BUCKET_PATIENCE);
    let ages = context::queues(global).map(|queues| queues.ages).unwrap_or_default();
    let client = assemble::storage::client(variables, &timeouts);
    Some(lifetime::finding(&client, &ages, Variables::of_storage(variables.provider)).await)
}

impl Show for Finding {
    const COLUMNS: &'static [&'static str] = &["", "check", "found", "fix"];

    fn row(&self) -> Vec<String> {
        let mark = match self.severity {
            Severity::Ok => "ok",
            Severity::Warning => "!",
            Severity::Error => "ERROR",
        };
        let fix = self.fix.clone().unwrap_or_default();
        vec![mark.to_owned(), self.check.to_owned(), self.found.clone(), fix]
    }

    fn id(&self) -> String {
        self.check.to_owned()
    }
}
