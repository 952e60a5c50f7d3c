//! `flota endpoint`: where webhooks go.

mod address;
mod row;

use std::{num::NonZeroU32, time::Duration};

use chrono::DateTime;
use clap::{Args, Subcommand, ValueEnum};
use flota_producer::clock;
use flota_providers::webhook::{Scheme, SigningKey};
use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::PgPool;

use crate::{
    config::Environment,
    endpoints::{self, NewEndpoint, RegisterError},
    exit::{Done, Exit, Stop},
    vault::Vault,
};

use super::{
    Global,
    context::{actor, postgres},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Register an endpoint; prints its secret (or public key) once, for the receiver
    #[command(after_help = "Examples:
  flota endpoint add --tenant acme --url https://example.com/hooks
  flota endpoint add --url https://example.com/hooks --signature v1a --max-concurrent 4
  flota keys webhook -o id | flota endpoint add --url https://example.com/hooks --secret-stdin")]
    Add {
        /// Where events go
        #[arg(long)]
        url: String,
        /// Whose it is; jobs of other tenants are refused
        #[arg(long)]
        tenant: Option<String>,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
        /// Most deliveries at once, counted over all workers; no cap unless given
        #[arg(long, value_name = "N")]
        max_concurrent: Option<NonZeroU32>,
        #[command(flatten)]
        key: KeyArgs,
    },
    /// Every endpoint, without secrets
    #[command(visible_alias = "ls", after_help = "Example: flota endpoint list --tenant acme")]
    List {
        /// Only those of this tenant
        #[arg(long)]
        tenant: Option<String>,
    },
    /// One endpoint: how deliveries to it go, and which secrets sign
    #[command(after_help = "Example: flota endpoint show ep_…")]
    Show {
        /// Its id
        id: String,
    },
    /// Give an endpoint a new secret; the old one signs as well until the overlap ends
    #[command(after_help = "Examples:
  flota endpoint rotate ep_…
  flota endpoint rotate ep_… --overlap 0s        when the old secret is known to others
  flota endpoint rotate ep_… --signature v1a     from a shared secret to a key pair")]
    Rotate {
        /// Its id
        id: String,
        /// How long the old secret signs as well, so that the receiver can change over
        #[arg(long, value_parser = humantime::parse_duration, default_value = "24h")]
        overlap: Duration,
        #[command(flatten)]
        key: KeyArgs,
    },
    /// Stop deliveries to an endpoint
    #[command(after_help = "Example: flota endpoint disable ep_… --reason 'customer left'")]
    Disable {
        /// Its id
        id: String,
        /// Why, for whoever looks at it later
        #[arg(long, default_value = "disabled by an operator")]
        reason: String,
    },
    /// Start deliveries to an endpoint again; its buried events come back with `flota dead replay`
    #[command(after_help = "Example: flota endpoint enable ep_…")]
    Enable {
        /// Its id
        id: String,
    },
}

/// With what an endpoint's events are signed.
#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    /// Scheme of Standard Webhooks: v1 shares a secret, v1a has a key pair of which the receiver gets the public key; v1,
    /// or that of the secret so far, unless given
    #[arg(long, value_enum)]
    signature: Option<Signature>,
    /// Read the key (whsec_… or whsk_…) from standard input instead of making one
    #[arg(long, conflicts_with = "signature")]
    secret_stdin: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Signature {
    V1,
    V1a,
}

/// Longest overlap of two secrets: whoever wants more wants two endpoints.
const LONGEST_OVERLAP: Duration = Duration::from_hours(30 * 24);

pub(super) async fn run(global: &Global, environment: Environment, command: Command) -> Done {
    let pool = postgres(&environment)?;
    match command {
        Command::Add { url, tenant, description, max_concurrent, key } => {
            address::check(&environment, &url, tenant.as_deref()).await?;
            let (tenant, description, key) =
                (tenant.as_deref(), description.as_deref(), key.key(Scheme::V1.word())?);
            let new = NewEndpoint { tenant, url: &url, description, key: &key, max_concurrent };
            let id = endpoints::add(&pool, &vault(&environment)?, &actor(), &new).await.map_err(stop)?;
            let (name, text) = (handed_over(&key), key.receivers_text());
            let text = text.expose_secret();
            let answer = json!({ "id": id, "url": url, "tenant": tenant, name: text });
            global.output.one(&answer, &id, || {
                format!(
                    "Endpoint {id} is registered. Its {} is shown only now, give it to the receiver:\n{text}",
                    name.replace('_', " ")
                )
            })?;
        }
        Command::List { tenant } => {
            let rows = endpoints::list(&pool, tenant.as_deref()).await?;
            global.output.list(&rows, "No endpoint is registered: `flota endpoint add --url https://…`.")?;
        }
        Command::Show { id } => {
            let row = endpoints::show(&pool, &id).await?.ok_or_else(|| unknown(&id))?;
            global.output.one(&row, &id, || row.in_full())?;
        }
        Command::Rotate { id, overlap, key } => {
            rotate(global, &environment, &pool, &id, overlap, &key).await?;
        }
        Command::Disable { id, reason } => {
            known(endpoints::disable(&pool, &actor(), &id, &reason).await?, &id)?;
            // The first reason stays: it says since when and why.
            let first = endpoints::show(&pool, &id).await?.and_then(|row| row.disabled).unwrap_or_default();
            let answer = json!({ "id": id, "disabled": first });
            global.output.one(&answer, &id, || {
                if first == reason {
                    format!("Endpoint {id} gets no more deliveries; workers obey within 30 s.")
                } else {
                    format!("Endpoint {id} was disabled before, and that reason stays: {first}")
                }
            })?;
        }
        Command::Enable { id } => {
            known(endpoints::enable(&pool, &actor(), &id).await?, &id)?;
            let answer = json!({ "id": id, "disabled": null });
            global.output.one(&answer, &id, || {
                format!(
                    "Endpoint {id} gets deliveries again. Events that were buried meanwhile: \
                     `flota dead list payload.endpoint={id}`, then `flota dead replay payload.endpoint={id}`."
                )
            })?;
        }
    }
    Ok(Exit::Ok)
}

async fn rotate(
    global: &Global,
    environment: &Environment,
    pool: &PgPool,
    id: &str,
    overlap: Duration,
    key: &KeyArgs,
) -> Result<(), Stop> {
    if LONGEST_OVERLAP < overlap {
        return Err(Stop::usage("--overlap is longer than 30 days; a rotation ends, write at most 30days"));
    }
    let so_far = endpoints::show(pool, id).await?.ok_or_else(|| unknown(id))?.signature;
    let key = key.key(&so_far)?;
    let now = DateTime::from_timestamp(clock::unix_now().as_secs() as i64, 0).unwrap_or_default();
    let done = endpoints::rotate(pool, &vault(environment)?, &actor(), id, &key, (now, overlap)).await;
    known(done.map_err(stop)?, id)?;
    let (name, text) = (handed_over(&key), key.receivers_text());
    let text = text.expose_secret();
    let answer = json!({ "id": id, "overlap_s": overlap.as_secs(), name: text });
    global.output.one(&answer, id, || {
        let what = name.replace('_', " ");
        let old = match overlap {
            Duration::ZERO => "from then on the old one signs nothing".to_owned(),
            overlap => format!("the old one signs as well for {}", humantime::format_duration(overlap)),
        };
        format!(
            "Endpoint {id} is signed with its new secret within {}; {old}.\n\
             Its {what} is shown only now, give it to the receiver:\n{text}",
            humantime::format_duration(endpoints::FRESH),
        )
    })?;
    Ok(())
}

impl KeyArgs {
    /// The key that was given, or a new one; `so_far` is the word of the scheme that is kept unless another is asked for.
    fn key(&self, so_far: &str) -> Result<SigningKey, Stop> {
        if self.secret_stdin {
            let text = std::io::read_to_string(std::io::stdin())?;
            return SigningKey::parse(text.trim()).map_err(|error| Stop::usage(error.to_string()));
        }
        let scheme = match self.signature {
            Some(Signature::V1a) => Scheme::V1a,
            None if so_far == Scheme::V1a.word() => Scheme::V1a,
            Some(Signature::V1) | None => Scheme::V1,
        };
        SigningKey::generate(scheme).map_err(|error| Stop::new(Exit::Failed, error.to_string()))
    }
}

/// The name of what the receiver is given.
fn handed_over(key: &SigningKey) -> &'static str {
    match key.scheme() {
        Scheme::V1 => "secret",
        Scheme::V1a => "public_key",
    }
}

fn vault(environment: &Environment) -> Result<Vault, Stop> {
    let keys = environment.encryption_keys.as_ref().ok_or_else(|| {
        Stop::usage("secrets are sealed before they are stored: set FLOTA_ENCRYPTION_KEYS, made by `flota keys encryption`")
    })?;
    Vault::parse(keys).map_err(|error| Stop::usage(error.to_string()))
}

fn stop(error: RegisterError) -> Stop {
    match error {
        RegisterError::Vault(error) => Stop::usage(error.to_string()),
        RegisterError::Database(error) => error.into(),
    }
}

fn known(is_known: bool, id: &str) -> Result<(), Stop> {
    if is_known { Ok(()) } else { Err(unknown(id)) }
}

fn unknown(id: &str) -> Stop {
    Stop::not_found(format!("there is no endpoint `{id}`; see `flota endpoint list`"))
}
