//! `flota storage`: files in the bucket, links to them, and how long the bucket keeps them.

mod transfer;

use std::{path::PathBuf, time::Duration};

use chrono::DateTime;
use clap::Subcommand;
use flota_producer::{Invalid, StorageKey};
use flota_providers::{
    ErrorClass, ProviderError,
    storage::{LONGEST_PRESIGNED, LifetimeRule, ListedObject, Presigned, StorageClient},
};
use serde::Serialize;
use serde_json::json;

use crate::{
    assemble,
    bucket::lifetime::{Needed, when},
    config::Environment,
    exit::{Done, Exit, Stop},
};

use super::{Global, context, output::Show};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Store a file under a new key, which is printed; jobs name it as {"storage":"KEY"}
    #[command(after_help = "Examples:
  flota storage put note.ogg --tenant acme
  pg_dump shop | flota storage put - --as application/sql -o id")]
    Put {
        /// The file; `-` reads standard input
        file: PathBuf,
        /// Whose it is; only jobs of this tenant read it
        #[arg(long)]
        tenant: Option<String>,
        /// Its media type; by the ending of its name unless given
        #[arg(long = "as", value_name = "MEDIA_TYPE")]
        media_type: Option<String>,
    },
    /// Fetch a file
    #[command(after_help = "Example: flota storage get acme/01890a5d-ac96-774b-bcce-b302099a8057 note.ogg")]
    Get {
        /// Its key
        key: StorageKey,
        /// Where to; `-` writes to standard output, as does a pipe
        file: Option<PathBuf>,
    },
    /// Make a link to read a file, or to store one, for somebody without an account
    #[command(after_help = "Examples:
  flota storage presign acme/01890a5d-ac96-774b-bcce-b302099a8057 --for 1h
  flota storage presign --put --tenant acme")]
    Presign {
        /// The key of the file; with --put a new one is made unless given
        #[arg(required_unless_present = "put")]
        key: Option<StorageKey>,
        /// How long the link works, at most 12h
        #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration, default_value = "15m")]
        life: Duration,
        /// For storing a file instead of reading it
        #[arg(long)]
        put: bool,
        /// Whose the new file is
        #[arg(long, requires = "put", conflicts_with = "key")]
        tenant: Option<String>,
    },
    /// Files in the order of their keys
    #[command(
        visible_alias = "ls",
        after_help = "Example: flota storage list --tenant acme --limit 1000 -o jsonl"
    )]
    List {
        /// Only files of this tenant
        #[arg(long)]
        tenant: Option<String>,
        /// Most rows
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Remove a file for good; jobs and dead letters that name it fail from then on
    #[command(after_help = "Example: flota storage remove acme/01890a5d-ac96-774b-bcce-b302099a8057 --yes")]
    Remove {
        /// Its key
        key: StorageKey,
        /// Do it: there is no way back
        #[arg(long)]
        yes: bool,
    },
    /// How long the bucket keeps files, and how long dead letters and outcomes need them
    #[command(after_help = "Examples:
  flota storage lifetime
  flota storage lifetime --apply")]
    Lifetime {
        /// Let the bucket keep them so long, and take back uploads that nobody finished
        #[arg(long)]
        apply: bool,
    },
}

/// A stored file as the list shows it.
#[derive(Debug, Serialize)]
struct Row {
    key: String,
    bytes: u64,
    stored_at: String,
}

pub(super) async fn run(global: &Global, environment: Environment, command: Command) -> Done {
    let client = client(global, &environment)?;
    match command {
        Command::Put { file, tenant, media_type } => {
            let key = mint(tenant.as_deref())?;
            transfer::put(global, &client, &key, &file, media_type).await
        }
        Command::Get { key, file } => transfer::get(global, &client, &key, file).await,
        Command::Presign { key, life, put, tenant } => {
            let key = key.map_or_else(|| mint(tenant.as_deref()), Ok)?;
            presign(global, &client, &key, life, put).await
        }
        Command::List { tenant, limit } => {
            let prefix = tenant.map(|tenant| format!("{tenant}/")).unwrap_or_default();
            let found = client.list(&prefix, limit).await.map_err(stop)?;
            let rows: Vec<Row> = found.into_iter().map(Row::from).collect();
            global.output.list(&rows, "No file is stored.")?;
            Ok(Exit::Ok)
        }
        Command::Remove { key, yes } => remove(global, &client, &key, yes).await,
        Command::Lifetime { apply } => lifetime(global, &client, apply).await,
    }
}

fn client(global: &Global, environment: &Environment) -> Result<StorageClient, Stop> {
    let missing = "no storage is configured: set STORAGE_PROVIDER and the variables of that storage (docs/configuration.md)";
    let variables = environment.integrations.storage.as_ref().ok_or_else(|| Stop::usage(missing))?;
    Ok(assemble::storage::client(variables, &context::queues(global)?.timeouts))
}

fn mint(tenant: Option<&str>) -> Result<StorageKey, Stop> {
    StorageKey::mint(tenant).map_err(|error: Invalid| Stop::usage(error))
}

async fn presign(
    global: &Global,
    client: &StorageClient,
    key: &StorageKey,
    life: Duration,
    put: bool,
) -> Done {
    if !(Duration::from_secs(1)..=LONGEST_PRESIGNED).contains(&life) {
        return Err(Stop::usage("a link works for 1s to 12h; write a time in between"));
    }
    let name = key.to_string();
    let link =
        if put { client.presign_put(&name, life).await } else { client.presign_get(&name, life).await };
    let Presigned { method, url, headers } = link.map_err(stop)?;
    let sent: serde_json::Map<_, _> =
        headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let document = json!({ "key": name, "method": method, "url": url, "headers": sent, "expires_in_seconds": life.as_secs() });
    global.output.one(&document, &url, || {
        if !put {
            return url.clone();
        }
        let headers = headers.iter().map(|(name, value)| format!(" -H '{name}: {value}'"));
        let headers = headers.collect::<Vec<_>>().concat();
        format!("# It will be {name}\ncurl -T FILE{headers} '{url}'")
    })?;
    Ok(Exit::Ok)
}

async fn remove(global: &Global, client: &StorageClient, key: &StorageKey, yes: bool) -> Done {
    let name = key.to_string();
    // Storage says yes to the end of what is not there; people want to know.
    let found = client.list(&name, 1).await.map_err(stop)?;
    if found.is_empty() {
        return Err(Stop::not_found(format!("there is no stored file {name}")));
    }
    if !yes {
        let said = format!("{name} would be gone for good; say so with --yes");
        return Err(Stop::new(Exit::Refused, said));
    }
    client.remove(&name).await.map_err(stop)?;
    global.output.one(&json!({ "removed": name }), &name, || format!("Removed {name}."))?;
    Ok(Exit::Ok)
}

async fn lifetime(global: &Global, client: &StorageClient, apply: bool) -> Done {
    let needed = Needed::of(&context::queues(global)?.ages);
    if apply {
        client.set_lifetime(needed.days()).await.map_err(stop)?;
    }
    let lifetimes = client.lifetimes().await.map_err(stop)?;
    let short: Vec<&LifetimeRule> = needed.cut_short_by(&lifetimes);
    let rules: Vec<_> = lifetimes
        .removing
        .iter()
        .map(|rule| json!({ "id": rule.id, "days": rule.days, "prefix": rule.prefix }))
        .collect();
    let document = json!({
        "bucket": client.bucket(), "needed_days": needed.days(), "rules": rules,
        "unfinished_uploads_days": lifetimes.unfinished_days, "too_short": !short.is_empty(),
    });
    global.output.one(&document, client.bucket(), || {
        let rules = lifetimes.removing.iter().map(|rule| format!("{} (rule {})", when(rule), rule.id));
        let rules: Vec<String> = rules.collect();
        let removes = if rules.is_empty() { "never".to_owned() } else { rules.join(", ") };
        let unfinished = lifetimes.unfinished_days.map_or_else(
            || "stay, unseen and paid for".to_owned(),
            |days| format!("are taken back after {days} days"),
        );
        format!(
            "Needed by dead letters and outcomes ([retention] in queues.toml): {}\nThe bucket {} removes files: {removes}\nUnfinished uploads {unfinished}",
            needed.in_words(),
            client.bucket(),
        )
    })?;
    if let Some(rule) = short.first() {
        let remedy = if rule.is_ours() {
            "mend it with `flota storage lifetime --apply`".to_owned()
        } else {
            format!("change rule {} in the storage's own console", rule.id)
        };
        return Err(Stop::new(Exit::Failed, format!("the bucket removes files too soon; {remedy}")));
    }
    Ok(Exit::Ok)
}

/// What an error of the storage ends the program with.
fn stop(error: ProviderError) -> Stop {
    let exit = match (error.class, error.code.as_deref()) {
        (_, Some("NoSuchKey")) => Exit::NotFound,
        (_, Some("AccessDenied")) => Exit::NotAllowed,
        (ErrorClass::Auth, _) => Exit::Usage,
        (ErrorClass::Network | ErrorClass::Timeout, _) => Exit::Unreachable,
        _ => Exit::Failed,
    };
    Stop { exit, error: error.into() }
}

impl From<ListedObject> for Row {
    fn from(object: ListedObject) -> Self {
        let ListedObject { key, bytes, stored_unix } = object;
        let stored_at = DateTime::from_timestamp(stored_unix, 0).unwrap_or_default();
        Self { key, bytes, stored_at: stored_at.format("%Y-%m-%dT%H:%M:%SZ").to_string() }
    }
}

impl Show for Row {
    const COLUMNS: &'static [&'static str] = &["key", "bytes", "stored at"];

    fn row(&self) -> Vec<String> {
        vec![self.key.clone(), self.bytes.to_string(), self.stored_at.clone()]
    }

    fn id(&self) -> String {
        self.key.clone()
    }
}
