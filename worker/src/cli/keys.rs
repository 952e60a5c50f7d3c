//! `flota keys`: secrets, made here so that nobody has to invent them.

use clap::Subcommand;
use flota_providers::{push::new_vapid_pair, webhook::SigningSecret};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::{
    config::env::vapid_subject,
    exit::{Done, Exit, Stop},
    vault::Vault,
};

use super::Global;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// A key for `FLOTA_ENCRYPTION_KEYS`, which seals secrets in Postgres
    #[command(after_help = "Example: flota keys encryption --id 2026b")]
    Encryption {
        /// Name of the key; a new one for each rotation
        #[arg(long, default_value = "k1")]
        id: String,
    },
    /// A secret for `WEBHOOK_SECRET`, which signs webhooks to plain URLs
    #[command(after_help = "Example: flota keys webhook")]
    Webhook,
    /// A pair that signs push notifications, as the three VAPID variables of .env
    #[command(after_help = "Example: flota keys vapid --subject mailto:you@example.com >> .env")]
    Vapid {
        /// Whom a push service may ask about us: mailto: and an address, or an https URL
        #[arg(long, default_value = "mailto:admin@example.com")]
        subject: String,
    },
}

pub(super) fn run(global: &Global, command: &Command) -> Done {
    let (variable, value) = match command {
        Command::Vapid { subject } => return vapid(global, subject),
        Command::Encryption { id } => {
            let key = Vault::generate(id).map_err(|error| Stop::new(Exit::Failed, error.to_string()))?;
            ("FLOTA_ENCRYPTION_KEYS", key)
        }
        Command::Webhook => {
            let secret =
                SigningSecret::generate().map_err(|error| Stop::new(Exit::Failed, error.to_string()))?;
            ("WEBHOOK_SECRET", secret.to_text().expose_secret().to_owned())
        }
    };
    // A line of .env wherever it goes, because that is where it is sent to.
    let line = || format!("{variable}={value}");
    global.output.or_table().one(&json!({ variable: value }), &value, line)?;
    Ok(Exit::Ok)
}

fn vapid(global: &Global, subject: &str) -> Done {
    let subject = vapid_subject(subject).map_err(|problem| Stop::usage(format!("--subject: {problem}")))?;
    let (public, private) = new_vapid_pair().map_err(|error| Stop::new(Exit::Failed, error.to_string()))?;
    let private = private.expose_secret();
    let pair = json!({ "VAPID_PUBLIC_KEY": public, "VAPID_PRIVATE_KEY": private, "VAPID_SUBJECT": subject });
    // Lines of .env wherever it goes, because that is where they are sent to.
    global.output.or_table().one(&pair, private, || {
        format!("VAPID_PUBLIC_KEY={public}\nVAPID_PRIVATE_KEY={private}\nVAPID_SUBJECT={subject}")
    })?;
    Ok(Exit::Ok)
}
