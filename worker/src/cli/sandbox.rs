//! `flota sandbox`: every provider on loopback, without Redis, Postgres or a worker.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;
use flota_providers::{push::new_vapid_pair, webhook::SigningSecret};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::{
    exit::{Done, Exit, Stop},
    sandbox::{Sandbox, SandboxOptions},
    shutdown::Shutdown,
};

use super::Global;

#[derive(Debug, Parser)]
#[command(after_help = "Example: flota sandbox --listen 127.0.0.1:9800 --ledger requests.jsonl

In another terminal:
  curl 'http://127.0.0.1:9800/__journal?provider=twilio'
  curl http://127.0.0.1:9800/__faults -d '{\"provider\":\"whatsapp\",\"status\":429,\"times\":3}'")]
pub(super) struct Args {
    /// Loopback address where the APIs are served; port 0 for a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", value_parser = address)]
    listen: SocketAddr,
    /// File that gets one line of JSON for each request, without secrets
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Folder where files that are stored are kept; without it they go with the sandbox
    #[arg(long, value_name = "FOLDER")]
    bucket: Option<PathBuf>,
}

/// The name of this machine is read as its address, which is what everybody means by it.
fn address(text: &str) -> Result<SocketAddr, String> {
    let number = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address = number.as_deref().unwrap_or(text).parse();
    address.map_err(|_| "write an address of this machine with a port, such as 127.0.0.1:9800".to_owned())
}

pub(super) async fn run(global: &Global, args: Args) -> Done {
    let shutdown = Shutdown::on_signals()?;
    let options = SandboxOptions {
        listen: args.listen,
        ledger: args.ledger,
        keeps_requests: false,
        bucket: args.bucket,
    };
    let sandbox = Sandbox::start_with(options)
        .await
        .map_err(|error| Stop { exit: Exit::Failed, error: error.into() })?;
    let environment = environment(&sandbox).map_err(|error| Stop { exit: Exit::Failed, error })?;
    let url = sandbox.url("");
    let variables: serde_json::Map<_, _> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let document = json!({ "url": url, "smtp_port": sandbox.smtp().port(), "environment": variables });
    global.output.one(&document, &url, || {
        let exports: String =
            environment.iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect::<Vec<_>>().concat();
        format!("# Every provider answers at {url} until Ctrl-C. In another terminal, paste this to use it:\n{exports}# What was sent: curl {url}/__journal")
    })?;
    shutdown.stop.cancelled().await;
    Ok(Exit::Ok)
}

/// The sandbox's variables, with keys of its own for what we sign.
fn environment(sandbox: &Sandbox) -> anyhow::Result<Vec<(&'static str, String)>> {
    let (public, private) = new_vapid_pair()?;
    let secret = SigningSecret::generate()?.to_text();
    sandbox.trust_webhook_secret(secret.expose_secret());
    let mut environment = sandbox.environment();
    environment.extend([
        ("WEBHOOK_SECRET", secret.expose_secret().to_owned()),
        ("FLOTA_WEBHOOK_ALLOW_CIDRS", "127.0.0.0/8".to_owned()),
        ("FLOTA_FETCH_ALLOW_CIDRS", "127.0.0.0/8".to_owned()),
        ("VAPID_PUBLIC_KEY", public),
        ("VAPID_PRIVATE_KEY", private.expose_secret().to_owned()),
        ("VAPID_SUBJECT", "mailto:admin@flota.example".to_owned()),
    ]);
    Ok(environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_this_machine_is_an_address() {
        assert_eq!(address("localhost:9800"), address("127.0.0.1:9800"));
        for wrong in ["localhost", "localhost:x", "example.com:80", "9800"] {
            assert!(address(wrong).unwrap_err().contains("127.0.0.1:9800"), "{wrong}");
        }
    }
}
