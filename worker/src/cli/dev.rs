//! `flota dev`: a whole fleet on this machine, for writing applications against it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Parser;

use crate::{
    dev::{stack::Stack, worker_process::WorkerProcess},
    exit::{Done, Exit, Stop},
    shutdown::Shutdown,
};

use super::{
    Global,
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

pub(super) async fn run(global: &Global, args: Args) -> Done {
    let shutdown = Shutdown::on_signals()?;
    anstream::eprintln!("Starting a private Redis and Postgres …");
    let stack = Stack::start(args.keep).await?;
    let mut environment = stack.environment();
    if let Some(queues) = &global.queues {
        let path = std::path::absolute(queues)?;
        environment.push(("FLOTA_QUEUES_FILE".to_owned(), path.display().to_string()));
    }
    let program = std::env::current_exe()?;
    let mut worker =
        WorkerProcess::start(&program, &["worker"], &environment, &stack.directory, "worker.log").await?;
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

fn welcome(stack: &Stack, environment: &[(String, String)], log: &Path) {
    anstream::println!("# A fleet runs until Ctrl-C. In another terminal, paste this to use it:");
    for (name, value) in environment {
        anstream::println!("export {name}='{value}'");
    }
    anstream::println!("# The worker's log: {}", log.display());
    anstream::println!("# What arrives at the mail server and the webhook receiver is shown here. Try:");
    anstream::println!(
        "flota enqueue send_email --wait --data '{{\"to\":[\"ana@example.com\"],\"body\":{{\"subject\":\"Hi\",\"text\":\"Hello\"}}}}'"
    );
    anstream::println!("id=$(flota endpoint add --url {} -o id)", stack.webhooks.url("/hooks"));
    anstream::println!(
        "flota enqueue deliver_webhook --wait --data '{{\"endpoint\":\"'$id'\",\"event\":\"order.paid\",\"data\":{{\"order\":42}}}}'"
    );
}

/// One line for each mail and webhook, for ever.
async fn tell_of_arrivals(stack: &Stack) {
    let (mut mails, mut webhooks) = (0, 0);
    loop {
        // A wait that ends in vain after its hour starts again.
        tokio::select! {
            arrived = stack.smtp.wait_for(mails + 1, A_WHILE) => {
                for mail in arrived.unwrap_or_default().iter().skip(mails) {
                    mails += 1;
                    let subject = mail.header("subject").unwrap_or_default();
                    anstream::println!("mail to {}: {}", mail.to.join(", "), printable(&subject));
                }
            }
            arrived = stack.webhooks.wait_for(webhooks + 1, A_WHILE) => {
                for request in arrived.unwrap_or_default().iter().skip(webhooks) {
                    webhooks += 1;
                    let body = String::from_utf8_lossy(&request.body);
                    let body = shorten(&printable(&body), 200);
                    anstream::println!("webhook {} {}: {body}", request.method, request.path);
                }
            }
        }
    }
}
