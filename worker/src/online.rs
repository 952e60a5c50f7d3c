//! What providers say of our credentials, each asked once and all at the same time: `flota doctor --online`.
//!
//! Nothing is sent to anybody and nothing is billed. What a refusal means is decided by the clients, as for jobs; here it
//! becomes a finding with the variables that mend it.

use std::error::Error;

use flota_providers::{ErrorClass, ProviderError, probe::Probed};
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::{
    assemble::{self, Account},
    checks::Finding,
    config::Environment,
    failure::chain,
    limits::CallTimeouts,
    service_settings::Variables,
};

/// Why some credentials get no better finding.
const NOT_WITHOUT_SENDING: &str = "cannot be checked without sending";

/// Asks every configured provider. `now_unix` is in Unix seconds.
pub async fn findings(environment: &Environment, timeouts: &CallTimeouts, now_unix: i64) -> Vec<Finding> {
    let accounts = assemble::accounts(environment, timeouts);
    let mut findings = join_all(accounts.into_iter().map(|account| ask(account, now_unix))).await;
    findings.extend(push(environment));
    if environment.webhook_secret.is_some() || environment.encryption_keys.is_some() {
        findings.push(Finding::ok("webhook receivers", NOT_WITHOUT_SENDING));
    }
    findings
}

async fn ask(account: Account, now_unix: i64) -> Finding {
    let Account { check, variables, patience, client } = account;
    let client = match client {
        Ok(client) => client,
        Err(error) => return Finding::error(check, chain(&error), format!("correct {}", variables.any())),
    };
    let host = client.target().host;
    match timeout(patience, client.probe(now_unix)).await {
        Ok(Ok(Probed::Works(found))) => Finding::ok(check, found),
        Ok(Ok(Probed::Doubtful { found, fix })) => Finding::warning(check, found, fix),
        // What asks on behalf of another, as for a token, has its own settings and its own host.
        Ok(Err(error)) if error.provider != client.target().provider => {
            refused(check, &error, error.provider, Variables::of(error.provider))
        }
        Ok(Err(error)) => refused(check, &error, &host, variables),
        Err(_) => {
            let found = format!("{host} did not answer within {} s", patience.as_secs());
            Finding::error(check, found, reach(&host, variables))
        }
    }
}

/// The finding for a credential that was refused, or could not be tried. Pure.
pub(crate) fn refused(
    check: &'static str,
    error: &ProviderError,
    host: &str,
    variables: Variables,
) -> Finding {
    let credential = variables.credential();
    let address = variables.address();
    let message = error.message.to_string();
    match error.class {
        ErrorClass::Auth => Finding::error(check, message, format!("check {credential}")),
        ErrorClass::Quota => {
            let fix = format!("raise what the account may use, or set {credential} of another");
            Finding::error(check, message, fix)
        }
        ErrorClass::RateLimited { .. } => Finding::warning(check, message, "ask again in a minute"),
        ErrorClass::Timeout => {
            Finding::error(check, format!("{host} did not answer in time"), reach(host, variables))
        }
        ErrorClass::Network => {
            let found = format!("{host} cannot be reached: {}", root(error));
            Finding::error(check, found, reach(host, variables))
        }
        ErrorClass::ServerError | ErrorClass::Ambiguous => {
            Finding::error(check, message, format!("ask again later; if it goes on, correct {address}"))
        }
        ErrorClass::Permanent | ErrorClass::Gone => {
            Finding::error(check, message, format!("check {credential}, and {address}"))
        }
    }
}

fn reach(host: &str, variables: Variables) -> String {
    format!("see that {host} can be reached from this machine, or correct {}", variables.address())
}

/// The last cause, which says more than its way up; the error's own sentence where there is none.
fn root(error: &ProviderError) -> String {
    let Some(mut cause) = error.source() else { return error.message.to_string() };
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Push services know no account: they look at the signature of what is sent.
fn push(environment: &Environment) -> Option<Finding> {
    let check = "web_push keys";
    Some(match assemble::vapid_key(environment.integrations.push.as_ref()?) {
        Ok(_) => Finding::ok(check, format!("they are a pair; more {NOT_WITHOUT_SENDING}")),
        Err(error) => {
            let fix = "set VAPID_PUBLIC_KEY and VAPID_PRIVATE_KEY to the two that were made together";
            Finding::error(check, chain(&error), fix)
        }
    })
}

#[cfg(test)]
mod tests {
    use std::{io, time::Duration};

    use flota_providers::{
        pipeline::{Client, Target},
        probe::Probe,
    };
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::checks::Severity;

    const NAMES: Variables =
        Variables { credential: &["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"], address: &["TWILIO_BASE_URL"] };

    /// A provider that never answers.
    struct Silent;

    impl Client for Silent {
        fn target(&self) -> Target {
            let host = "api.example.com:443".into();
            Target { provider: "twilio", operation: "send", host, deadline: None, may_double: false }
        }
    }

    impl Probe for Silent {
        fn probe(&self, _: i64) -> BoxFuture<'_, Result<Probed, ProviderError>> {
            Box::pin(std::future::pending())
        }
    }

    #[test]
    fn every_class_has_its_severity_and_a_fix_that_names_what_to_change() {
        let account = "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN";
        let (host, both) =
            ("see that api.example.com:443 can be reached", format!("{account}, and TWILIO_BASE_URL"));
        let limited = ErrorClass::RateLimited { retry_after: None };
        let table = [
            (ErrorClass::Auth, Severity::Error, account),
            (ErrorClass::Quota, Severity::Error, account),
            (limited, Severity::Warning, "in a minute"),
            (ErrorClass::Timeout, Severity::Error, host),
            (ErrorClass::Network, Severity::Error, host),
            (ErrorClass::ServerError, Severity::Error, "TWILIO_BASE_URL"),
            (ErrorClass::Ambiguous, Severity::Error, "TWILIO_BASE_URL"),
            (ErrorClass::Permanent, Severity::Error, &both),
            (ErrorClass::Gone, Severity::Error, &both),
        ];

        for (class, severity, fix) in table {
            let error = ProviderError::new("twilio", "probe", class, "It said so.");

            let finding = refused("twilio login", &error, "api.example.com:443", NAMES);

            assert_eq!(finding.severity, severity, "{class:?}");
            assert!(finding.fix.as_ref().is_some_and(|told| told.contains(fix)), "{class:?}: {finding:?}");
        }
    }

    #[test]
    fn a_connection_that_failed_is_told_by_its_last_cause() {
        let cause = io::Error::other(io::Error::from(io::ErrorKind::ConnectionRefused));
        let error = ProviderError::new("twilio", "probe", ErrorClass::Network, "It is repeated later.");

        let finding = refused("twilio login", &error.with_source(cause), "api.example.com:443", NAMES);

        assert_eq!(finding.found, "api.example.com:443 cannot be reached: connection refused");
    }

    #[tokio::test]
    async fn whoever_does_not_answer_is_given_up() {
        let client = Ok(Box::new(Silent) as Box<dyn Probe>);
        let patience = Duration::from_secs(1);

        let finding = ask(Account { check: "twilio login", variables: NAMES, patience, client }, 0).await;

        assert_eq!(finding.found, "api.example.com:443 did not answer within 1 s");
        assert!(finding.fix.unwrap().ends_with("or correct TWILIO_BASE_URL"));
    }
}
