//! `flota suppression`: who is not written to any more.

use clap::Subcommand;
use flota_producer::check_tenant;
use serde_json::json;
use sqlx::PgPool;

use crate::{
    config::Environment,
    exit::{Done, Exit, Stop},
    suppressions::{self, Channel, PERIOD, Suppression, Wanted},
};

use super::{
    Global,
    context::{actor, postgres},
    output::Show,
};

/// Lines that are named when an import is refused.
const MOST_NAMED: usize = 10;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Stop writing to addresses; jobs for them end without a call
    #[command(after_help = "Examples:
  flota suppression add ana@example.com --reason 'asked us to stop'
  flota suppression add +5215512345678 --channel whatsapp --tenant acme")]
    Add {
        /// Email addresses, phone numbers, or endpoints of push subscriptions
        #[arg(required = true)]
        addresses: Vec<String>,
        #[command(flatten)]
        whose: Whose,
        /// Why, for whoever looks at it later
        #[arg(long, default_value = "added by an operator")]
        reason: String,
    },
    /// The same for a file with an address on each line
    #[command(after_help = "Example: cut -d, -f3 bounces.csv | flota suppression import - --reason bounced")]
    Import {
        /// The file; `-` reads standard input
        file: String,
        #[command(flatten)]
        whose: Whose,
        /// Why
        #[arg(long, default_value = "imported by an operator")]
        reason: String,
        /// Leave out lines that are no addresses, instead of refusing all
        #[arg(long)]
        skip_bad: bool,
    },
    /// Who is on the list and why, newest first
    #[command(
        visible_alias = "ls",
        after_help = "Example: flota suppression list --channel push --limit 1000 -o jsonl"
    )]
    List {
        /// Only this channel
        #[arg(long)]
        channel: Option<Channel>,
        /// Only what holds for this tenant alone
        #[arg(long)]
        tenant: Option<String>,
        /// Only this address; needs --channel
        #[arg(long, requires = "channel")]
        address: Option<String>,
        /// Most addresses
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Write to an address again
    #[command(visible_alias = "rm", after_help = "Example: flota suppression remove ana@example.com")]
    Remove {
        /// The address
        address: String,
        #[command(flatten)]
        whose: Whose,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Whose {
    /// How they are written to
    #[arg(long, default_value = "email")]
    channel: Channel,
    /// For this tenant's jobs only; for everybody's unless given
    #[arg(long)]
    tenant: Option<String>,
}

impl Whose {
    fn pair(&self) -> Result<(Channel, Option<&str>), Stop> {
        let tenant = self.tenant.as_deref();
        tenant.map_or(Ok(()), check_tenant).map_err(|error| Stop::usage(error.to_string()))?;
        Ok((self.channel, tenant))
    }
}

pub(super) async fn run(global: &Global, environment: Environment, command: Command) -> Done {
    let pool = postgres(&environment)?;
    match command {
        Command::Add { addresses, whose, reason } => {
            let addresses: Vec<(usize, &str)> = (1..).zip(addresses.iter().map(String::as_str)).collect();
            add(global, &pool, &whose, &addresses, &reason, false).await
        }
        Command::Import { file, whose, reason, skip_bad } => {
            let text = read(&file)?;
            let lines = (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty());
            let lines: Vec<(usize, &str)> = lines.collect();
            add(global, &pool, &whose, &lines, &reason, skip_bad).await
        }
        Command::List { channel, tenant, address, limit } => {
            let address = match (channel, address) {
                (Some(channel), Some(address)) => Some(stored(channel, &address)?),
                _ => None,
            };
            let wanted = Wanted { channel, tenant: tenant.as_deref(), address: address.as_deref() };
            let rows = suppressions::list(&pool, &wanted, limit).await?;
            global.output.list(&rows, "Nobody is on the suppression list, or nobody that you asked for.")?;
            Ok(Exit::Ok)
        }
        Command::Remove { address, whose } => remove(global, &pool, &whose, &address).await,
    }
}

async fn add(
    global: &Global,
    pool: &PgPool,
    whose: &Whose,
    given: &[(usize, &str)],
    reason: &str,
    skip_bad: bool,
) -> Done {
    let whose = whose.pair()?;
    let (mut addresses, mut bad) = (Vec::new(), Vec::new());
    for (number, text) in given {
        match suppressions::normal(whose.0, text) {
            Ok(address) => addresses.push(address),
            Err(error) => bad.push(format!("{number}: {error}")),
        }
    }
    if !bad.is_empty() && !skip_bad {
        let named = bad[..bad.len().min(MOST_NAMED)].join("\n");
        return Err(Stop::usage(format!(
            "{} of {} cannot be used, so none is added (`import --skip-bad` leaves such lines out):\n{named}",
            bad.len(),
            given.len()
        )));
    }
    // One statement may not change a row twice.
    addresses.sort_unstable();
    addresses.dedup();
    let added = suppressions::add(pool, whose, &addresses, reason, &actor()).await?;
    let known = addresses.len() as u64 - added;
    let answer = json!({ "added": added, "already_on_it": known, "left_out": bad.len() });
    global.output.one(&answer, &added.to_string(), || {
        format!(
            "{added} added, {known} already on the list, {} left out; workers obey within {PERIOD:?}.",
            bad.len()
        )
    })?;
    Ok(Exit::Ok)
}

async fn remove(global: &Global, pool: &PgPool, whose: &Whose, address: &str) -> Done {
    let whose = whose.pair()?;
    let address = stored(whose.0, address)?;
    if !suppressions::remove(pool, whose, &address, &actor()).await? {
        let scope =
            whose.1.map_or_else(|| "for every tenant".to_owned(), |tenant| format!("for tenant {tenant}"));
        return Err(Stop::not_found(format!(
            "{address} is not on the list of channel {} {scope}; see `flota suppression list --channel {} --address {address}`",
            whose.0, whose.0,
        )));
    }
    let answer = json!({ "removed": address });
    global.output.one(&answer, &address, || {
        format!("{address} is written to again; workers obey within {PERIOD:?}.")
    })?;
    Ok(Exit::Ok)
}

fn stored(channel: Channel, address: &str) -> Result<String, Stop> {
    suppressions::normal(channel, address).map_err(|error| Stop::usage(error.to_string()))
}

fn read(file: &str) -> Result<String, Stop> {
    let text =
        if file == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    text.map_err(|error| Stop::usage(format!("{file} cannot be read: {error}")))
}

impl Show for Suppression {
    const COLUMNS: &'static [&'static str] = &["address", "channel", "tenant", "since", "by", "reason"];

    fn row(&self) -> Vec<String> {
        // A whole hash would leave no room for the rest; `-o id` and JSON have it.
        let address = match self.address.split_once("/sha256:") {
            Some((host, hash)) => format!("{host}/sha256:{}…", hash.get(..8).unwrap_or_default()),
            None => self.address.clone(),
        };
        vec![
            address,
            self.channel.clone(),
            self.tenant.clone().unwrap_or_else(|| "(all)".to_owned()),
            self.created_at.format("%Y-%m-%d %H:%M").to_string(),
            self.actor.clone(),
            self.reason.clone(),
        ]
    }

    fn id(&self) -> String {
        self.address.clone()
    }
}
