//! `flota dev`: a whole fleet on this machine, for writing applications against it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Parser;
use serde_json::Value;

use crate::{
    assemble,
    bucket::lifetime::Needed,
    config::{Environment, Queues, queues::Source},
    dev::{stack::Stack, worker_process::WorkerProcess},
    exit::{Done, Exit, Stop},
    sandbox::{Entry, Verdict},
    shutdown::Shutdown,
};

use super::{
    Global, context,
    output::{printable, shorten},
};

/// How long one wait for mails and webhooks lasts.
const A_WHILE: Duration = Duration::from_hours(1);

#[derive(Debug, Parser)]
#[command(after_help = "Example: flota dev --keep ./data")]
pub(super) struct Args {
    /// Keep the data in this folder and find it again next time; without it everything is gone at the end
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

/// What a worker is to find as every program here does: others by their name, and a collector of traces.
fn own_surroundings() -> impl Iterator<Item = (String, String)> {
    let is_theirs = |name: &str| name == "PATH" || name.starts_with("OTEL_");
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(move |(name, _)| is_theirs(name))
}

pub(super) async fn run(global: &Global, args: Args) -> Done {
    let shutdown = Shutdown::on_signals()?;
    let queues = context::queues(global)?;
    anstream::eprintln!("Starting a private Redis and Postgres …");
    let stack = Stack::start(args.keep).await?;
    let mut environment = stack.environment();
    if let Source::File(path) = &queues.source {
        let path = std::path::absolute(path)?;
        environment.push(("FLOTA_QUEUES_FILE".to_owned(), path.display().to_string()));
    }
    tidy_bucket(&environment, &queues).await?;
    let of_worker: Vec<_> = environment.iter().cloned().chain(own_surroundings()).collect();
    let program = std::env::current_exe()?;
    let mut worker =
        WorkerProcess::start(&program, &["worker"], &of_worker, &stack.directory, "worker.log").await?;
    let log = stack.directory.path().join("worker.log");
    welcome(&stack, &environment, &log);
    tokio::select! {
        () = shutdown.stop.cancelled() => {}
        () = tell_of_arrivals(&stack) => {}
        () = worker.gone() => {
            let said = format!("the worker has ended by itself; its log is {}", log.display());
            return Err(Stop::new(Exit::Failed, said));
        }
    }
    anstream::eprintln!("Stopping …");
    let well = worker.stop().await?;
    Ok(if well { Exit::Ok } else { Exit::Failed })
}

/// Gives the bucket the rules that `flota storage lifetime --apply` gives one in production.
async fn tidy_bucket(variables: &[(String, String)], queues: &Queues) -> anyhow::Result<()> {
    let find = |name: &str| variables.iter().find(|(known, _)| known == name);
    let lookup = |name: &str| Ok(find(name).map(|(_, value)| value.clone()));
    let environment = Environment::from_lookup(&lookup, variables.iter().map(|(name, _)| name.as_str()))?;
    let Some(storage) = &environment.integrations.storage else { return Ok(()) };
    let client = assemble::storage::client(storage, &queues.timeouts);
    client.set_lifetime(Needed::of(&queues.ages).days()).await?;
    Ok(())
}

fn welcome(stack: &Stack, environment: &[(String, String)], log: &Path) {
    anstream::println!("# A fleet runs until Ctrl-C. In another terminal, paste this to use it:");
    for (name, value) in environment {
        anstream::println!("export {name}='{value}'");
    }
    anstream::println!("# The worker's log: {}", log.display());
    anstream::println!("# What arrives at the providers (a sandbox on this machine) is shown here. Try:");
    anstream::println!(
        "flota enqueue send_email --wait --data '{{\"to\":[\"ana@example.com\"],\"body\":{{\"subject\":\"Hi\",\"text\":\"Hello\"}}}}'"
    );
    anstream::println!(
        "id=$(printenv WEBHOOK_SECRET | flota endpoint add --url {} --secret-stdin -o id)",
        stack.sandbox.url("/webhooks/orders")
    );
    anstream::println!(
        "flota enqueue deliver_webhook --wait --data '{{\"endpoint\":\"'$id'\",\"event\":\"order.paid\",\"data\":{{\"order\":42}}}}'"
    );
    anstream::println!("# What the providers were sent, without secrets, and how to make one fail:");
    anstream::println!("curl {}", stack.sandbox.url("/__journal"));
    anstream::println!(
        "curl {} -d '{{\"provider\":\"twilio\",\"status\":503}}'",
        stack.sandbox.url("/__faults")
    );
}

/// One line for each request to a provider, for ever.
async fn tell_of_arrivals(stack: &Stack) {
    // What was done before there was a fleet is of no interest.
    let mut told = stack.sandbox.journal(None).last().map_or(0, |entry| entry.seq);
    let mut mails = 0;
    loop {
        // A wait that ends in vain after its hour starts again.
        let arrived = stack.sandbox.wait_after(told, A_WHILE).await;
        // What arrives from here on is new for both, or for neither.
        let Some(last) = arrived.last() else { continue };
        for entry in &arrived {
            anstream::println!("{}", in_short(entry));
        }
        let api_mails = stack.sandbox.received_between("sendgrid", told, last.seq);
        told = last.seq;
        // What only asks has no body.
        for request in api_mails.iter().filter(|request| !request.body.is_empty()) {
            anstream::println!("{}", mail_in_short(&request.body));
        }
        // This machine's own mail may be shown with recipients and subject.
        let (new, count) = stack.sandbox.smtp().mails_after(mails);
        mails = count;
        for mail in new {
            let subject = mail.header("subject").unwrap_or_default();
            anstream::println!("mail to {}: {}", mail.to.join(", "), printable(&subject));
        }
    }
}

/// A mail as SendGrid gets it.
fn mail_in_short(body: &[u8]) -> String {
    let mail: Value = serde_json::from_slice(body).unwrap_or_default();
    let to = mail["personalizations"][0]["to"].as_array().into_iter().flatten();
    let to: Vec<&str> = to.filter_map(|one| one["email"].as_str()).collect();
    let subject = mail["subject"].as_str().unwrap_or_default();
    format!("mail to {}: {}", printable(&to.join(", ")), printable(subject))
}

fn in_short(entry: &Entry) -> String {
    let verdict = match entry.verdict {
        Verdict::Accepted => "accepted",
        Verdict::Refused => "refused",
        Verdict::Fault => "fault",
    };
    let why = entry.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    let summary = shorten(&printable(&entry.summary.to_string()), 200);
    format!("{} {}: {verdict}{why} {summary}", entry.provider, entry.operation)
}
