//! `flota doctor`: everything a fleet needs, looked at in one go.

use clap::Parser;

use crate::{
    assemble,
    checks::{self, Finding, Severity},
    config::{Environment, queues::Source},
    exit::{Done, Exit},
    failure::chain,
};

use super::{
    Global,
    context::{self, Redis, optional_postgres},
    output::Show,
};

#[derive(Debug, Parser)]
#[command(after_help = "Example: flota doctor --online")]
pub(super) struct Args {
    /// Also log in to the mail server
    #[arg(long)]
    online: bool,
}

pub(super) async fn run(global: &Global, environment: Environment, args: Args) -> Done {
    let redis = Redis::new(&environment)?;
    let pool = optional_postgres(&environment)?;
    let mut findings = vec![queues(global)];
    findings.extend(checks::redis(&redis.link, &environment).await);
    findings.extend(checks::postgres(pool.as_ref()).await);
    findings.extend(checks::outbox(pool.as_ref()).await);
    findings.extend(checks::providers(&environment));
    findings.extend(checks::sealed(pool.as_ref(), &environment).await);
    if args.online {
        findings.push(mail_server(&environment).await);
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

async fn mail_server(environment: &Environment) -> Finding {
    let check = "email login";
    let Some(smtp) = &environment.smtp else {
        return Finding {
            check,
            severity: Severity::Warning,
            found: "no mail server is set".into(),
            fix: None,
        };
    };
    let error = match assemble::mailer(smtp) {
        Ok(mailer) => match mailer.check().await {
            Ok(()) => return Finding { check, severity: Severity::Ok, found: "accepted".into(), fix: None },
            Err(error) => chain(&error),
        },
        Err(error) => chain(&error),
    };
    let fix = Some("check SMTP_HOST, SMTP_PORT, SMTP_TLS, SMTP_USERNAME and SMTP_PASSWORD".to_owned());
    Finding { check, severity: Severity::Error, found: error, fix }
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
