//! What the providers of one sandbox remember between calls.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{google_token::Accounts, push::Subscriptions, webhook::Receivers, whatsapp::media::MediaStore};

/// Everything that is remembered. Each part belongs to the file of its provider.
pub(super) struct House {
    /// `http://127.0.0.1:<port>`.
    pub(super) origin: String,
    pub(super) media: Mutex<MediaStore>,
    pub(super) subscriptions: Mutex<Subscriptions>,
    pub(super) receivers: Mutex<Receivers>,
    pub(super) google: Accounts,
}

impl House {
    pub(super) fn at(origin: String) -> Self {
        Self {
            origin,
            media: Mutex::default(),
            subscriptions: Mutex::default(),
            receivers: Mutex::default(),
            google: Accounts::default(),
        }
    }
}

/// Whatever a panic left behind is still good: every change of these is one step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A new id in the form of 32 hexadecimal digits.
pub(super) fn new_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
