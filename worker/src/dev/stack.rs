//! Everything a fleet needs, private and on loopback: Redis, a migrated Postgres, a mail server, a webhook receiver,
//! fresh keys, and the environment that leads a worker to them.

use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, path::PathBuf};

use flota_providers::webhook::SigningSecret;
use secrecy::ExposeSecret;

use crate::{
    database,
    dev::{
        PostgresOptions, PostgresServer, RedisOptions, RedisServer, SmtpSink, WebhookSink,
        private_directory::PrivateDirectory,
    },
    vault::{Vault, VaultError},
};

/// Name of the database.
const DATABASE: &str = "flota";
/// Name of the key that seals endpoint secrets.
const KEY_ID: &str = "dev";
/// What webhooks may reach here, although private: this machine itself.
pub const LOOPBACK: &str = "127.0.0.0/8";

/// The running servers. They stop when this is dropped.
pub struct Stack {
    /// Redis.
    pub redis: RedisServer,
    /// Postgres, with one migrated database.
    pub postgres: PostgresServer,
    /// Keeps the mail.
    pub smtp: SmtpSink,
    /// Keeps the webhooks.
    pub webhooks: WebhookSink,
    /// For logs and other files.
    pub directory: PrivateDirectory,
    encryption_keys: String,
    webhook_secret: SigningSecret,
}

impl Stack {
    /// Starts everything. With a directory the data is kept there, without one it goes when we go.
    ///
    /// # Errors
    /// A sentence that says what is missing and how to get it.
    pub async fn start(directory: Option<PathBuf>) -> anyhow::Result<Self> {
        let inside = |name: &str| directory.as_ref().map(|directory| directory.join(name));
        let redis = RedisOptions { directory: inside("redis"), ..RedisOptions::default() };
        let postgres = PostgresOptions { directory: inside("postgres"), ..PostgresOptions::default() };
        let (redis, postgres) = tokio::join!(RedisServer::start(redis), PostgresServer::start(postgres));
        let (redis, postgres) = (redis?, postgres?);
        let pool = database::connect(&postgres.url(DATABASE).into(), 1)?;
        if database::status(&pool).await.is_err() {
            postgres.create_database(DATABASE, None).await?;
        }
        database::migrate(&pool).await?;
        pool.close().await;
        let files = PrivateDirectory::open(inside("files").as_deref(), None).await?;
        Ok(Self {
            redis,
            postgres,
            smtp: SmtpSink::start().await?,
            webhooks: WebhookSink::start().await?,
            encryption_keys: kept(&files, "encryption.key", || Ok(Vault::generate(KEY_ID)?))?,
            webhook_secret: SigningSecret::parse(&kept(&files, "webhook.secret", new_secret)?)?,
            directory: files,
        })
    }

    /// Address of the migrated database.
    pub fn database_url(&self) -> String {
        self.postgres.url(DATABASE)
    }

    /// The vault that seals endpoint secrets.
    ///
    /// # Errors
    /// Never, since the key was made here.
    pub fn vault(&self) -> Result<Vault, VaultError> {
        Vault::parse(&self.encryption_keys.clone().into())
    }

    /// The variables that lead a worker here.
    pub fn environment(&self) -> Vec<(String, String)> {
        let variables = [
            ("FLOTA_ENV", "development".to_owned()),
            ("REDIS_URL", self.redis.url()),
            ("DATABASE_URL", self.database_url()),
            ("SMTP_HOST", "127.0.0.1".to_owned()),
            ("SMTP_PORT", self.smtp.port().to_string()),
            ("SMTP_TLS", "none".to_owned()),
            ("SMTP_FROM_EMAIL", "noreply@flota.example".to_owned()),
            ("SMTP_FROM_NAME", "Flota".to_owned()),
            ("FLOTA_ENCRYPTION_KEYS", self.encryption_keys.clone()),
            ("WEBHOOK_SECRET", self.webhook_secret.to_text().expose_secret().to_owned()),
            ("FLOTA_WEBHOOK_ALLOW_CIDRS", LOOPBACK.to_owned()),
        ];
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

fn new_secret() -> anyhow::Result<String> {
    Ok(SigningSecret::generate()?.to_text().expose_secret().to_owned())
}

/// A secret that is made once for a folder: what was sealed yesterday must open today.
fn kept(
    files: &PrivateDirectory,
    name: &str,
    make: impl FnOnce() -> anyhow::Result<String>,
) -> anyhow::Result<String> {
    let path = files.path().join(name);
    if let Ok(secret) = std::fs::read_to_string(&path) {
        return Ok(secret);
    }
    let secret = make()?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(secret.as_bytes())?;
    Ok(secret)
}
