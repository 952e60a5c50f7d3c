//! Tokens of the HTTP API: who may do what, kept in Postgres as hashes.
//!
//! 1. `text.rs`: how a token is written, so that people, scanners of secrets and the server know one when they see it
//! 2. `register.rs`: what people do with tokens: make, list, revoke; each deed in the audit log by the same transaction
//! 3. `door.rs`: what the server does with one: known for [`FRESH`], then asked for again
//!
//! A token that was revoked is refused everywhere after [`FRESH`] at the latest. For the same reason nobody is let in
//! on old knowledge while Postgres is away: the API answers 503 then, and work goes on without it.

mod door;
mod register;
mod text;

use std::{fmt, str::FromStr};

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::{
    door::{Door, FRESH, Refusal},
    register::{NewToken, TokenError, TokenRow, any_usable, create, list, revoke},
    text::{PREFIX, TokenText},
};

/// What a token allows; each role may do what those before it may.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    serde::Deserialize,
    ToSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks.
    Viewer,
    /// Enqueues and cancels jobs, pauses and resumes queues, replays letters one by one.
    Operator,
    /// Discards letters, decides about many at once, makes and revokes tokens.
    Admin,
}

/// What the holder of a token may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The token's id.
    pub id: Uuid,
    /// The token's name.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// Whether payload fields marked as secret are shown.
    pub may_see_payloads: bool,
    /// Whose jobs it is for; `None` for everybody's.
    pub tenant: Option<String>,
}

impl Grant {
    /// Who this is in the audit log.
    pub fn actor(&self) -> String {
        format!("api:{}", self.name)
    }
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The word in tables and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|role| role.word() == word);
        known.ok_or_else(|| format!("there is no role `{word}`; roles are viewer, operator, admin"))
    }
}

#[cfg(test)]
mod tests;
