//! `flota endpoint`: where webhooks go.

use std::net::{IpAddr, Ipv4Addr};

use clap::Subcommand;
use flota_producer::{check_tenant, payloads::check_public_url};
use flota_providers::webhook::{SigningSecret, UrlRules, check_url};
use ipnet::IpNet;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::{
    config::Environment,
    endpoints::{self, EndpointRow, Endpoints},
    exit::{Done, Exit, Stop},
    services,
    vault::Vault,
};

use super::{Global, context::postgres, output::Show};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Register an endpoint; prints its secret once, for the receiver
    #[command(after_help = "Examples:
  flota endpoint add --tenant acme --url https://example.com/hooks
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
        /// Read the secret (whsec_…) from standard input instead of making one
        #[arg(long)]
        secret_stdin: bool,
    },
    /// Every endpoint, without secrets
    #[command(visible_alias = "ls", after_help = "Example: flota endpoint list --tenant acme")]
    List {
        /// Only those of this tenant
        #[arg(long)]
        tenant: Option<String>,
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
}

pub(super) async fn run(global: &Global, environment: Environment, command: Command) -> Done {
    let pool = postgres(&environment)?;
    match command {
        Command::Add { url, tenant, description, secret_stdin } => {
            check(&environment, &url, tenant.as_deref())?;
            let secret = if secret_stdin { read_secret()? } else { new_secret()? };
            let keys = environment.encryption_keys.as_ref().ok_or_else(|| {
                Stop::usage("secrets are sealed before they are stored: set FLOTA_ENCRYPTION_KEYS, made by `flota keys encryption`")
            })?;
            let vault = Vault::parse(keys).map_err(|error| Stop::usage(error.to_string()))?;
            let added = Endpoints::new(pool, vault)
                .add(tenant.as_deref(), &url, description.as_deref(), &secret)
                .await;
            let id = added.map_err(|error| match error {
                endpoints::AddError::Vault(error) => Stop::usage(error.to_string()),
                endpoints::AddError::Database(error) => error.into(),
            })?;
            let secret = secret.to_text().expose_secret().to_owned();
            let answer = json!({ "id": id, "url": url, "tenant": tenant, "secret": secret });
            global.output.one(&answer, &id, || {
                format!("Endpoint {id} is registered. Its secret is shown only now, give it to the receiver:\n{secret}")
            })?;
        }
        Command::List { tenant } => {
            let rows = endpoints::list(&pool, tenant.as_deref()).await?;
            global.output.list(&rows, "No endpoint is registered: `flota endpoint add --url https://…`.")?;
        }
        Command::Disable { id, reason } => {
            if !endpoints::disable(&pool, &id, &reason).await? {
                return Err(Stop::not_found(format!(
                    "there is no endpoint `{id}`; see `flota endpoint list`"
                )));
            }
            let answer = json!({ "id": id, "disabled": reason });
            global.output.one(&answer, &id, || format!("Endpoint {id} gets no more deliveries."))?;
        }
    }
    Ok(Exit::Ok)
}

/// What can be known before a name is resolved; the rest is checked when a worker dials.
fn check(environment: &Environment, url: &str, tenant: Option<&str>) -> Result<(), Stop> {
    if let Some(tenant) = tenant {
        check_tenant(tenant).map_err(|error| Stop::usage(error.to_string()))?;
    }
    let allowed = &environment.webhook_allow;
    if services::is_ordinary(url) && !is_listed(url, allowed) {
        return check_public_url(url).map(drop).map_err(|problem| Stop::usage(format!("the URL {problem}")));
    }
    // Without a network of one's own no worker would ever deliver to such a URL, whatever its name resolves to.
    let rules = if allowed.is_empty() { UrlRules::default() } else { services::inside_rules() };
    let guard = services::guard(allowed.clone(), false);
    check_url(url, &rules, &guard).map(drop).map_err(|refusal| {
        Stop::usage(format!(
            "{refusal} Webhooks go by https on port 443 or 8443; other ports, http and private addresses are only \
             for networks that FLOTA_WEBHOOK_ALLOW_CIDRS names"
        ))
    })
}

/// True for an address, or a name of this machine, inside an allowed private network.
fn is_listed(url: &str, allowed: &[IpNet]) -> bool {
    let contains = |address: IpAddr| allowed.iter().any(|network| network.contains(&address));
    match url::Url::parse(url).as_ref().map(url::Url::host) {
        Ok(Some(url::Host::Ipv4(address))) => contains(address.into()),
        Ok(Some(url::Host::Ipv6(address))) => contains(address.into()),
        Ok(Some(url::Host::Domain(name))) => name == "localhost" && contains(Ipv4Addr::LOCALHOST.into()),
        _ => false,
    }
}

fn new_secret() -> Result<SigningSecret, Stop> {
    SigningSecret::generate().map_err(|error| Stop::new(Exit::Failed, error.to_string()))
}

fn read_secret() -> Result<SigningSecret, Stop> {
    let text = std::io::read_to_string(std::io::stdin())?;
    SigningSecret::parse(text.trim()).map_err(|error| Stop::usage(error.to_string()))
}

impl Show for EndpointRow {
    const COLUMNS: &'static [&'static str] = &["id", "tenant", "url", "state", "added", "description"];

    fn row(&self) -> Vec<String> {
        let state =
            self.disabled.as_ref().map_or_else(|| "open".to_owned(), |reason| format!("disabled: {reason}"));
        vec![
            self.id.clone(),
            self.tenant.clone().unwrap_or_else(|| "-".to_owned()),
            self.url.clone(),
            state,
            self.created_at.format("%Y-%m-%d %H:%M").to_string(),
            self.description.clone().unwrap_or_default(),
        ]
    }

    fn id(&self) -> String {
        self.id.clone()
    }
}
