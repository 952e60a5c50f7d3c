//! First layer: with whose account a call is made.
//!
//! An account is a client with its credentials inside. [`GlobalCredentials`] has one for everybody; one that looks up
//! a tenant's own implements the same trait.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::ProviderError;

/// A client, and whose it is.
pub struct Account<C> {
    /// Names the credential in limits and logs, for example `global`. Holds no secret.
    pub id: Arc<str>,
    /// The tenant that it belongs to; `None` when tenants share it, and with it its allowance.
    pub tenant: Option<Arc<str>>,
    /// The client.
    pub client: Arc<C>,
}

impl<C> Clone for Account<C> {
    fn clone(&self) -> Self {
        let Self { id, tenant, client } = self;
        Self { id: Arc::clone(id), tenant: tenant.clone(), client: Arc::clone(client) }
    }
}

/// Gives the account that a tenant's calls are made with.
pub trait Credentials<C>: Send + Sync {
    /// The account of this tenant, or of jobs without one.
    ///
    /// # Errors
    /// `Auth` when the tenant has none, or it cannot be opened.
    fn of<'a>(&'a self, tenant: Option<&'a str>) -> BoxFuture<'a, Result<Account<C>, ProviderError>>;
}

/// One account for everybody.
pub struct GlobalCredentials<C>(Account<C>);

impl<C> GlobalCredentials<C> {
    /// This client for every tenant.
    pub fn new(client: C) -> Self {
        Self(Account { id: "global".into(), tenant: None, client: Arc::new(client) })
    }
}

impl<C: Send + Sync> Credentials<C> for GlobalCredentials<C> {
    fn of<'a>(&'a self, _: Option<&'a str>) -> BoxFuture<'a, Result<Account<C>, ProviderError>> {
        let account = self.0.clone();
        Box::pin(async { Ok(account) })
    }
}
