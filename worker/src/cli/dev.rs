//! `flota dev`: a whole fleet on this machine, for writing applications against it.

use std::path::PathBuf;

use clap::Parser;

use crate::{
    dev::{stack::Stack, worker_process::WorkerProcess},
    exit::{Done, Exit},
    shutdown::Shutdown,
};

use super::Global;

#[derive(Debug, Parser)]
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
    let worker =
        WorkerProcess::start(&program, &["worker"], &environment, &stack.directory, "worker.log").await?;
    anstream::println!("# A fleet runs until Ctrl-C. In another terminal, paste this to use it:");
    for (name, value) in &environment {
        anstream::println!("export {name}='{value}'");
    }
    anstream::println!(
        "# Mail is kept by the receiver on port {}, webhooks by {}",
        stack.smtp.port(),
        stack.webhooks.url("/")
    );
    anstream::println!("# The worker's log: {}", stack.directory.path().join("worker.log").display());
    anstream::println!(
        "# Try: flota enqueue send_email --wait --data '{{\"to\":[\"ana@example.com\"],\"body\":{{\"subject\":\"Hi\",\"text\":\"Hello\"}}}}'"
    );
    shutdown.stop.cancelled().await;
    anstream::eprintln!("Stopping …");
    let well = worker.stop().await?;
    Ok(if well { Exit::Ok } else { Exit::Failed })
}
