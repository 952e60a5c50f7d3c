//! `flota token`: who may use the HTTP API.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde_json::json;

use crate::{
    clock::now,
    config::Environment,
    database::DatabaseError,
    exit::{Done, Exit, Stop},
    tokens::{self, NewToken, Role, TokenError, TokenRow},
};

use super::{
    Global,
    context::{actor, postgres},
    output::Show,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a token and show it: once, here
    #[command(after_help = "Examples:
  flota token create billing --role operator --tenant acme
  flota token create on-call --role admin --may-see-payloads --expires 30d")]
    Create {
        /// Who will use it, for the audit log
        name: String,
        /// What it allows; each role may do what those before it may
        #[arg(long, value_enum)]
        role: Role,
        /// Only jobs of this tenant
        #[arg(long)]
        tenant: Option<String>,
        /// Show payload fields and results that are marked as secret
        #[arg(long)]
        may_see_payloads: bool,
        /// Let it end after this time: 90d, 12h
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        expires: Option<Duration>,
    },
    /// Every token, without its secret
    #[command(visible_alias = "ls", after_help = "Example: flota token list -o json")]
    List,
    /// Refuse a token from now on; servers that know it forget it within 5 seconds
    #[command(after_help = "Example: flota token revoke billing")]
    Revoke {
        /// Its name or id
        name: String,
    },
}

pub(super) async fn run(global: &Global, environment: Environment, command: Command) -> Done {
    let pool = postgres(&environment)?;
    match command {
        Command::Create { name, role, tenant, may_see_payloads, expires } => {
            let expires_at = expires.map(ends_at).transpose()?;
            let new = NewToken { name, role, may_see_payloads, tenant, expires_at };
            let (text, row) = tokens::create(&pool, &new, &actor()).await?;
            let shown = json!({ "token": text.reveal(), "id": row.id, "name": row.name, "role": row.role,
                "tenant": row.tenant, "may_see_payloads": row.may_see_payloads, "expires_at": row.expires_at });
            global.output.one(&shown, text.reveal(), || {
                format!("{}\n\nThis is the token of {}. It is shown only now.", text.reveal(), row.name)
            })?;
        }
        Command::List => {
            let rows = tokens::list(&pool).await?;
            global.output.list(&rows, "There is no token: `flota token create` makes one.")?;
        }
        Command::Revoke { name } => {
            let revoked = tokens::revoke(&pool, &name, &actor()).await?;
            let row = revoked.ok_or_else(|| {
                Stop::not_found(format!("there is no token `{name}` in use; see `flota token list`"))
            })?;
            global.output.one(&row, &row.id.to_string(), || {
                format!("Token {} is revoked; every server refuses it within 5 seconds.", row.name)
            })?;
        }
    }
    Ok(Exit::Ok)
}

fn ends_at(lasts: Duration) -> Result<DateTime<Utc>, Stop> {
    let lasts = chrono::Duration::from_std(lasts).ok();
    let ends = lasts.and_then(|lasts| now().checked_add_signed(lasts));
    ends.ok_or_else(|| Stop::usage("--expires: that is after all time; write 90d, or leave it out"))
}

impl From<TokenError> for Stop {
    fn from(error: TokenError) -> Self {
        let exit = match error {
            TokenError::Database(error) => return DatabaseError::into(error),
            TokenError::NoRandomness => Exit::Failed,
            _ => Exit::Usage,
        };
        Self { exit, error: error.into() }
    }
}

impl Show for TokenRow {
    const COLUMNS: &'static [&'static str] =
        &["name", "role", "tenant", "payloads", "created", "expires", "last used", "state", "id"];

    fn row(&self) -> Vec<String> {
        let day = |time: &Option<DateTime<Utc>>| {
            time.map_or_else(|| "-".to_owned(), |time| time.format("%Y-%m-%d %H:%M").to_string())
        };
        let seen = if self.may_see_payloads { "shown" } else { "redacted" };
        vec![
            self.name.clone(),
            self.role.to_string(),
            self.tenant.clone().unwrap_or_else(|| "-".to_owned()),
            seen.to_owned(),
            day(&Some(self.created_at)),
            day(&self.expires_at),
            day(&self.last_used_at),
            if self.revoked_at.is_some() { "revoked" } else { "in use" }.to_owned(),
            self.id.to_string(),
        ]
    }

    fn id(&self) -> String {
        self.id.to_string()
    }
}
