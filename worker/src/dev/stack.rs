//! Everything a fleet needs, private and on loopback: Redis, a migrated Postgres, a sandbox with every outside service,
//! fresh keys, and the environment that leads a worker to them.

use std::{fs::OpenOptions, io::Write, net::Ipv4Addr, os::unix::fs::OpenOptionsExt, path::PathBuf};

use anyhow::Context;
use flota_providers::{push::new_vapid_pair, webhook::SigningSecret};
use secrecy::ExposeSecret;

use crate::{
    clock::now,
    database,
    dev::{PostgresOptions, PostgresServer, RedisOptions, RedisServer, private_directory::PrivateDirectory},
    retention,
    sandbox::{Sandbox, SandboxError, SandboxOptions},
    vault::{Vault, VaultError},
};

/// Name of the database.
const DATABASE: &str = "flota";
/// Folder that jobs may read files from.
const JOB_FILES: &str = "job-files";
/// Folder of the sandbox's storage.
const BUCKET: &str = "storage";
/// Key file of the sandbox's Google account.
const SERVICE_ACCOUNT: &str = "service-account.json";
/// Name of the key that seals endpoint secrets.
const KEY_ID: &str = "dev";
/// What Redis may take. In production, too, it has a limit, and refuses jobs when that is reached.
const MEMORY: &str = "512mb";
/// Where the documentation looks for the sandbox.
const USUAL_PORT: u16 = 9_800;
/// What webhooks may reach here, although private: this machine itself.
pub const LOOPBACK: &str = "127.0.0.0/8";

/// The running servers. They stop when this is dropped.
pub struct Stack {
    /// Redis.
    pub redis: RedisServer,
    /// Postgres, with one migrated database.
    pub postgres: PostgresServer,
    /// Plays every outside service, and receives mail and webhooks.
    pub sandbox: Sandbox,
    /// For logs and other files.
    pub directory: PrivateDirectory,
    encryption_keys: String,
    webhook_secret: SigningSecret,
    /// Public and private key in base64url, with a space between.
    vapid_pair: String,
}

impl Stack {
    /// Starts everything. With a directory the data is kept there, without one it goes when we go.
    ///
    /// # Errors
    /// A sentence that says what is missing and how to get it.
    pub async fn start(directory: Option<PathBuf>) -> anyhow::Result<Self> {
        let inside = |name: &str| directory.as_ref().map(|directory| directory.join(name));
        let limit = ["--maxmemory", MEMORY].map(String::from).to_vec();
        let redis =
            RedisOptions { directory: inside("redis"), extra_arguments: limit, ..RedisOptions::default() };
        let postgres = PostgresOptions { directory: inside("postgres"), ..PostgresOptions::default() };
        let (redis, postgres) = tokio::join!(RedisServer::start(redis), PostgresServer::start(postgres));
        let (redis, postgres) = (redis?, postgres?);
        let pool = database::connect(&postgres.url(DATABASE).into(), 1)?;
        if database::status(&pool).await.is_err() {
            postgres.create_database(DATABASE, None).await?;
        }
        database::migrate(&pool).await?;
        retention::make_days(&pool, now()).await?;
        pool.close().await;
        let files = PrivateDirectory::open(inside("files").as_deref(), None).await?;
        std::fs::create_dir_all(files.path().join(JOB_FILES))?;
        let sandbox = sandbox(files.path().join(BUCKET)).await?;
        let key_file =
            sandbox.service_account().context("no key for the sandbox could be made; try again")?;
        std::fs::write(files.path().join(SERVICE_ACCOUNT), key_file)?;
        let webhook_secret = SigningSecret::parse(&kept(&files, "webhook.secret", new_secret)?)?;
        sandbox.trust_webhook_secret(webhook_secret.to_text().expose_secret());
        Ok(Self {
            redis,
            postgres,
            sandbox,
            vapid_pair: kept(&files, "vapid.pair", new_pair)?,
            encryption_keys: kept(&files, "encryption.key", || Ok(Vault::generate(KEY_ID)?))?,
            webhook_secret,
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

    /// The directory that jobs may read files from.
    pub fn job_files(&self) -> PathBuf {
        self.directory.path().join(JOB_FILES)
    }

    /// The key that browsers subscribe with.
    pub fn vapid_public_key(&self) -> &str {
        self.vapid_pair.split(' ').next().unwrap_or_default()
    }

    /// The variables that lead a worker here.
    pub fn environment(&self) -> Vec<(String, String)> {
        let variables = [
            ("FLOTA_ENV", "development".to_owned()),
            ("REDIS_URL", self.redis.url()),
            ("DATABASE_URL", self.database_url()),
            ("SENDGRID_FROM_NAME", "Flota".to_owned()),
            ("SMTP_FROM_NAME", "Flota".to_owned()),
            ("FLOTA_ENCRYPTION_KEYS", self.encryption_keys.clone()),
            ("WEBHOOK_SECRET", self.webhook_secret.to_text().expose_secret().to_owned()),
            ("FLOTA_WEBHOOK_ALLOW_CIDRS", LOOPBACK.to_owned()),
            ("FLOTA_FETCH_ALLOW_CIDRS", LOOPBACK.to_owned()),
            ("FLOTA_FILES_DIR", self.job_files().display().to_string()),
            ("VAPID_PUBLIC_KEY", self.vapid_public_key().to_owned()),
            ("VAPID_PRIVATE_KEY", self.vapid_pair.split(' ').next_back().unwrap_or_default().to_owned()),
            ("VAPID_SUBJECT", "mailto:admin@flota.example".to_owned()),
            (
                "GOOGLE_APPLICATION_CREDENTIALS",
                self.directory.path().join(SERVICE_ACCOUNT).display().to_string(),
            ),
        ];
        // Pictures are read with the service account, so that its way is walked too.
        let sandbox =
            self.sandbox.environment().into_iter().filter(|(name, _)| *name != "GOOGLE_VISION_API_KEY");
        variables.into_iter().chain(sandbox).map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

fn new_secret() -> anyhow::Result<String> {
    Ok(SigningSecret::generate()?.to_text().expose_secret().to_owned())
}

fn new_pair() -> anyhow::Result<String> {
    let (public, private) = new_vapid_pair()?;
    Ok(format!("{public} {}", private.expose_secret()))
}

/// At the address that the documentation names, or wherever there is room.
async fn sandbox(bucket: PathBuf) -> Result<Sandbox, SandboxError> {
    let anywhere = SandboxOptions { bucket: Some(bucket), ..SandboxOptions::default() };
    let usual = SandboxOptions { listen: (Ipv4Addr::LOCALHOST, USUAL_PORT).into(), ..anywhere.clone() };
    match Sandbox::start_with(usual).await {
        Err(SandboxError::Listen { .. }) => Sandbox::start_with(anywhere).await,
        started => started,
    }
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
