//! Which addresses may be listened on: this machine's own, unless somebody has said that others may come.
//!
//! Admin pages have no password, because probes and Prometheus bring none; whoever opens them says so. The API always
//! asks for a token, but with none made yet an open port would only be a door that nobody can use and everybody can try.

use std::net::SocketAddr;

use sqlx::PgPool;
use tokio::net::TcpListener;
use tracing::warn;

use crate::{
    exit::{Exit, Stop},
    failure::chain,
    tokens,
};

/// Why an address is not listened on, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Exposed {
    /// The admin pages would be open to others without anybody having said so.
    #[error(
        "{0} can be reached from other machines, but health and metrics have no password: listen on 127.0.0.1, or add \
         --admin-public (FLOTA_ADMIN_PUBLIC=true) where a network policy or firewall guards the port, as in a pod whose \
         probes come from its node"
    )]
    Admin(SocketAddr),
    /// The API would be open to others, and there is no token.
    #[error(
        "{0} can be reached from other machines, but there is no token that anybody could use: make the first with \
         `flota token create NAME --role admin`, or listen on 127.0.0.1"
    )]
    ApiWithoutToken(SocketAddr),
    /// The API would be open to others, and tokens have no place to be.
    #[error(
        "{0} can be reached from other machines, but tokens are kept in Postgres and DATABASE_URL is not set: set it, or \
         listen on 127.0.0.1"
    )]
    ApiWithoutPostgres(SocketAddr),
}

impl From<Exposed> for Stop {
    fn from(error: Exposed) -> Self {
        Self { exit: Exit::Usage, error: error.into() }
    }
}

/// Refuses admin pages that others could see, unless somebody said that they may.
///
/// # Errors
/// [`Exposed::Admin`].
pub fn check_admin(address: SocketAddr, public: bool) -> Result<(), Exposed> {
    if address.ip().is_loopback() || public { Ok(()) } else { Err(Exposed::Admin(address)) }
}

/// Refuses an API that others could try and nobody could use.
///
/// # Errors
/// [`Exposed::ApiWithoutToken`] or [`Exposed::ApiWithoutPostgres`].
pub async fn check_api(address: SocketAddr, pool: Option<&PgPool>) -> Result<(), Exposed> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    let Some(pool) = pool else { return Err(Exposed::ApiWithoutPostgres(address)) };
    match tokens::any_usable(pool).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Exposed::ApiWithoutToken(address)),
        // Every request needs a token that Postgres knows, so nothing is open while it is away.
        Err(error) => {
            warn!(
                "Postgres does not answer, so the API answers 503 until it does: {}",
                chain(&crate::database::DatabaseError::from(error))
            );
            Ok(())
        }
    }
}

/// Listens on an address. `what` and `option` are for the sentence when that fails.
///
/// # Errors
/// When it is taken or is not this machine's.
pub async fn listen(address: SocketAddr, what: &str, option: &str) -> Result<TcpListener, Stop> {
    TcpListener::bind(address).await.map_err(|error| {
        let sentence =
            format!("{address} cannot be listened on for {what}: {error}; choose another with {option}");
        Stop::new(Exit::Failed, sentence)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_pages_stay_on_this_machine_unless_somebody_says_otherwise() {
        for own in ["127.0.0.1:9090", "127.8.8.8:1", "[::1]:9090"] {
            assert!(check_admin(own.parse().unwrap(), false).is_ok(), "{own}");
        }
        for open in ["0.0.0.0:9090", "[::]:9090", "10.1.2.3:9090", "[::ffff:10.1.2.3]:1"] {
            let refusal = check_admin(open.parse().unwrap(), false).unwrap_err().to_string();
            assert!(refusal.starts_with(open) && refusal.contains("--admin-public"), "{refusal}");
            assert!(check_admin(open.parse().unwrap(), true).is_ok(), "{open}");
        }
    }

    #[tokio::test]
    async fn an_api_for_others_needs_a_place_for_tokens() {
        let (own, open) = ("127.0.0.1:8080".parse().unwrap(), "0.0.0.0:8080".parse().unwrap());

        assert!(check_api(own, None).await.is_ok());
        assert!(matches!(check_api(open, None).await, Err(Exposed::ApiWithoutPostgres(_))));
    }
}
