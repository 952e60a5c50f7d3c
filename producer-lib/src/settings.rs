//! Where Redis is: read once from the environment, checked, and passed in.
//!
//! `REDIS_URL`, or the parts `REDIS_HOST`, `REDIS_PORT`, `REDIS_PASSWORD`, `REDIS_TLS`. Every variable `X` may also
//! come as `X_FILE`, a file that holds the value. An empty variable counts as not set.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::{
    envelope::MAX_BYTES,
    keys::{BadName, Prefix},
};

/// What a [`crate::Producer`] needs to know.
#[derive(Clone)]
pub struct Settings {
    url: Url,
    /// First part of every key.
    pub prefix: Prefix,
    /// Most bytes of one envelope. More than [`MAX_BYTES`] counts as that: what the relay and replays take, too.
    pub max_bytes: usize,
}

/// Settings that cannot be used; each sentence says what to set.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Both forms are set and do not agree.
    #[error("REDIS_URL and {part} do not agree; unset one of them")]
    Contradiction {
        /// The part that differs.
        part: &'static str,
    },
    /// A variable holds something else than it should.
    #[error("{name} is not usable: {problem}")]
    Bad {
        /// Name of the variable.
        name: &'static str,
        /// What is wrong and what to write.
        problem: String,
    },
    /// The key prefix has characters that keys cannot have.
    #[error("FLOTA_KEY_PREFIX: {0}")]
    Prefix(#[from] BadName),
    /// A file named by an `X_FILE` variable could not be read.
    #[error("{name}_FILE names a file that cannot be read: {path}")]
    File {
        /// Name of the variable without `_FILE`.
        name: String,
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl Settings {
    /// For a server given by URL: `redis://[user:password@]host[:port][/db]`, `rediss://` for TLS.
    ///
    /// # Errors
    /// [`SettingsError::Bad`] when it is not such a URL.
    pub fn from_url(url: &str) -> Result<Self, SettingsError> {
        let bad = |problem: String| SettingsError::Bad { name: "REDIS_URL", problem };
        let url = Url::parse(url).map_err(|error| bad(format!("{error}; write redis://host:6379/")))?;
        if !matches!(url.scheme(), "redis" | "rediss" | "unix" | "redis+unix") {
            return Err(bad(format!(
                "{}:// is not a Redis scheme; write redis:// or rediss://",
                url.scheme()
            )));
        }
        Ok(Self { url, prefix: Prefix::default(), max_bytes: MAX_BYTES })
    }

    /// From the process environment.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::from_lookup(&read_env)
    }

    /// From any source of variables, for tests and for programs with their own configuration.
    pub fn from_lookup(
        lookup: &dyn Fn(&str) -> Result<Option<String>, SettingsError>,
    ) -> Result<Self, SettingsError> {
        let mut settings = match lookup("REDIS_URL")? {
            Some(url) => Self::from_url(&url)?.agrees_with_parts(lookup)?,
            None => Self::from_parts(lookup)?,
        };
        if let Some(prefix) = lookup("FLOTA_KEY_PREFIX")? {
            settings.prefix = Prefix::new(&prefix)?;
        }
        Ok(settings)
    }

    /// The address with its password, for the driver only.
    pub fn address(&self) -> &str {
        self.url.as_str()
    }

    fn from_parts(
        lookup: &dyn Fn(&str) -> Result<Option<String>, SettingsError>,
    ) -> Result<Self, SettingsError> {
        let host = lookup("REDIS_HOST")?.unwrap_or_else(|| "localhost".to_owned());
        let port = port(lookup)?.unwrap_or(6379);
        let scheme = if tls(lookup)? == Some(true) { "rediss" } else { "redis" };
        let mut settings = Self::from_url(&format!("{scheme}://{host}:{port}/"))
            .map_err(|_| bad("REDIS_HOST", "write a host name or address, without scheme or port"))?;
        if let Some(password) = lookup("REDIS_PASSWORD")? {
            settings = settings.with_password(&password)?;
        }
        Ok(settings)
    }

    fn with_password(mut self, password: &str) -> Result<Self, SettingsError> {
        let told = "it cannot be put into this address; write it into REDIS_URL and leave this out";
        self.url.set_password(Some(password)).map_err(|()| bad("REDIS_PASSWORD", told))?;
        Ok(self)
    }

    /// Both forms may be set when they say the same; a silent precedence would hide a wrong server. A password beside an
    /// address that has none belongs to it: secrets often come apart from the rest.
    fn agrees_with_parts(
        self,
        lookup: &dyn Fn(&str) -> Result<Option<String>, SettingsError>,
    ) -> Result<Self, SettingsError> {
        let differs =
            |part, same: bool| if same { Ok(()) } else { Err(SettingsError::Contradiction { part }) };
        if let Some(host) = lookup("REDIS_HOST")? {
            differs("REDIS_HOST", self.url.host_str() == Some(host.as_str()))?;
        }
        if let Some(port) = port(lookup)? {
            differs("REDIS_PORT", self.url.port().unwrap_or(6379) == port)?;
        }
        if let Some(tls) = tls(lookup)? {
            differs("REDIS_TLS", (self.url.scheme() == "rediss") == tls)?;
        }
        match (lookup("REDIS_PASSWORD")?, self.url.password()) {
            (None, _) => Ok(self),
            (Some(password), None) => self.with_password(&password),
            (Some(password), Some(written)) => {
                let written = percent_decode_str(written).decode_utf8_lossy();
                differs("REDIS_PASSWORD", written == password)?;
                Ok(self)
            }
        }
    }
}

/// Reads `name`, or the file that `name_FILE` names. Empty counts as not set.
///
/// # Errors
/// [`SettingsError::File`] when the file cannot be read.
pub fn read_env(name: &str) -> Result<Option<String>, SettingsError> {
    let filled = |value: String| Some(value).filter(|value| !value.is_empty());
    if let Some(value) = std::env::var(name).ok().and_then(filled) {
        return Ok(Some(value));
    }
    let Some(path) = std::env::var(format!("{name}_FILE")).ok().and_then(filled) else { return Ok(None) };
    match std::fs::read_to_string(&path) {
        Ok(value) => Ok(filled(value.trim_end().to_owned())),
        Err(source) => Err(SettingsError::File { name: name.to_owned(), path, source }),
    }
}

fn port(
    lookup: &dyn Fn(&str) -> Result<Option<String>, SettingsError>,
) -> Result<Option<u16>, SettingsError> {
    let parse = |text: String| text.parse().map_err(|_| bad("REDIS_PORT", "write a number from 1 to 65535"));
    lookup("REDIS_PORT")?.map(parse).transpose()
}

fn tls(
    lookup: &dyn Fn(&str) -> Result<Option<String>, SettingsError>,
) -> Result<Option<bool>, SettingsError> {
    match lookup("REDIS_TLS")?.as_deref() {
        None => Ok(None),
        Some("true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(_) => Err(bad("REDIS_TLS", "write true or false")),
    }
}

fn bad(name: &'static str, problem: &str) -> SettingsError {
    SettingsError::Bad { name, problem: problem.to_owned() }
}

/// Shows the address with its password masked, so that it can be logged.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.url.clone();
        if url.password().is_some() && url.set_password(Some("***")).is_err() {
            return f.write_str("redis://***");
        }
        url.fmt(f)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let find =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Settings::from_lookup(&|name| Ok(find(name)))
    }

    #[test]
    fn the_parts_make_a_url() {
        let settings =
            from(&[("REDIS_HOST", "cache"), ("REDIS_PASSWORD", "p@ss"), ("REDIS_TLS", "true")]).unwrap();

        assert_eq!(settings.address(), "rediss://:p%40ss@cache:6379/");
        assert_eq!(from(&[]).unwrap().address(), "redis://localhost:6379/");
    }

    #[test]
    fn two_forms_that_disagree_are_refused() {
        let both = from(&[("REDIS_URL", "redis://a:6379/"), ("REDIS_HOST", "b")]);

        assert!(matches!(both, Err(SettingsError::Contradiction { part: "REDIS_HOST" })));
        assert!(from(&[("REDIS_URL", "redis://a/"), ("REDIS_HOST", "a"), ("REDIS_PORT", "6379")]).is_ok());
    }

    #[test]
    fn a_password_beside_an_address_belongs_to_it_or_is_the_same() {
        let beside = |url| from(&[("REDIS_URL", url), ("REDIS_PASSWORD", "p@+ss")]);

        assert_eq!(beside("redis://host/1").unwrap().address(), "redis://:p%40+ss@host/1");
        assert_eq!(beside("redis://ana@host/").unwrap().address(), "redis://ana:p%40+ss@host/");
        for same in ["redis://:p%40+ss@host/", "redis://:p%40%2Bss@host/"] {
            assert_eq!(beside(same).unwrap().address(), same);
        }
        let other = beside("redis://:secret@host/").unwrap_err();
        assert!(matches!(other, SettingsError::Contradiction { part: "REDIS_PASSWORD" }), "{other}");
        assert!(
            beside("unix:///run/redis.sock").unwrap_err().to_string().contains("write it into REDIS_URL")
        );
    }

    #[test]
    fn a_password_is_never_shown() {
        let settings = Settings::from_url("redis://user:hunter2@host/1").unwrap();

        assert!(!format!("{settings} {settings:?}").contains("hunter2"));
    }

    #[test]
    fn a_wrong_value_says_what_to_write() {
        for variables in [[("REDIS_PORT", "x")], [("REDIS_TLS", "yes")], [("REDIS_URL", "http://x")]] {
            assert!(from(&variables).unwrap_err().to_string().contains("write"));
        }
        assert!(from(&[("FLOTA_KEY_PREFIX", "a}b")]).is_err());
    }
}
