//! Looks for a known error underneath another.
//!
//! `std::io::Error` hides what it wraps: its `source` is the source of the wrapped error and not that error itself.
//! TLS errors arrive wrapped that way, so the search opens them on its way down.

use std::{error::Error, io};

/// The first error of type `T` in the chain of `error`, `error` itself included.
pub(crate) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<T>() {
            return Some(found);
        }
        next = match current.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => current.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_inside_an_io_error_is_found() {
        let inner = rustls::Error::DecryptError;
        let outer = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, inner));

        let found = find::<rustls::Error>(&outer);

        assert_eq!(found, Some(&rustls::Error::DecryptError));
    }

    #[test]
    fn an_error_that_is_not_there_is_not_found() {
        let error = io::Error::from(io::ErrorKind::BrokenPipe);

        assert!(find::<rustls::Error>(&error).is_none());
    }
}
