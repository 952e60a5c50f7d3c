//! Under which key a file lies in the bucket: `tenant/uuid`, and the bare uuid of a file that is no tenant's.
//!
//! The tenant is written in front so that a worker can tell whose file a job names before it asks for it. The rest is a
//! `UUIDv7`, so that no key can be guessed, none says what somebody called their file, and none is used twice.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use crate::{new_job::check_tenant, payload::Invalid};

/// The place of one file in the bucket.
///
/// ```
/// use flota_producer::StorageKey;
///
/// let key = StorageKey::mint(Some("acme")).unwrap();
/// assert_eq!(key.tenant(), Some("acme"));
/// assert_eq!(key.to_string().parse(), Ok(key));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StorageKey {
    tenant: Option<String>,
    id: Uuid,
}

impl StorageKey {
    /// A new key for a file of this tenant, or of nobody's.
    ///
    /// # Errors
    /// When the tenant is no id of a tenant.
    pub fn mint(tenant: Option<&str>) -> Result<Self, Invalid> {
        Self::new(tenant, Uuid::now_v7())
    }

    /// The key with this id, for example that of a job.
    ///
    /// # Errors
    /// When the tenant is no id of a tenant.
    pub fn new(tenant: Option<&str>, id: Uuid) -> Result<Self, Invalid> {
        if let Some(tenant) = tenant {
            check_tenant(tenant)?;
            // As a folder of a path, these two would lead elsewhere.
            let problem = "must not be a dot or two where files are kept";
            Invalid::unless(!matches!(tenant, "." | ".."), "tenant", problem)?;
        }
        Ok(Self { tenant: tenant.map(str::to_owned), id })
    }

    /// Whose file it is.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }
}

impl fmt::Display for StorageKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tenant {
            Some(tenant) => write!(formatter, "{tenant}/{}", self.id.hyphenated()),
            None => self.id.hyphenated().fmt(formatter),
        }
    }
}

impl FromStr for StorageKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let problem =
            || Invalid::new("storage", "must be a key such as acme/01890a5d-ac96-774b-bcce-b302099a8057");
        let (tenant, id) = text.rsplit_once('/').map_or((None, text), |(tenant, id)| (Some(tenant), id));
        let parsed = Uuid::try_parse(id).map_err(|_| problem())?;
        // A uuid has several forms, and a key has one.
        if parsed.hyphenated().to_string() != id {
            return Err(problem());
        }
        Self::new(tenant, parsed).map_err(|_| problem())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    #[test]
    fn a_key_is_read_as_it_is_written() {
        let (ours, nobodys) = (format!("acme.mx/{ID}"), ID.to_owned());

        for text in [&ours, &nobodys] {
            assert_eq!(text.parse::<StorageKey>().unwrap().to_string(), *text);
        }
        assert_eq!(ours.parse::<StorageKey>().unwrap().tenant(), Some("acme.mx"));
        assert_eq!(nobodys.parse::<StorageKey>().unwrap().tenant(), None);
    }

    #[test]
    fn what_could_lead_elsewhere_is_no_key() {
        let upper = format!("acme/{}", ID.to_uppercase());
        for text in [
            "",
            "acme",
            "acme/",
            "acme/photo.jpg",
            &format!("/{ID}"),
            &format!("../{ID}"),
            &format!("./{ID}"),
            &format!("a/b/{ID}"),
            &format!("acme/../{ID}"),
            &format!("acme/{ID}/x"),
            &format!("acme/{ID} "),
            &upper,
            &format!("acme/{}", ID.replace('-', "")),
        ] {
            assert!(text.parse::<StorageKey>().is_err(), "{text:?}");
        }
        assert!(StorageKey::mint(Some("..")).is_err() && StorageKey::mint(Some("a/b")).is_err());
    }
}
