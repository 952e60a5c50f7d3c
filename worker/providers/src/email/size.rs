//! How large a message may be: checked before anything is sent, because an upload that is refused at its end is dear.
//!
//! Limits differ from provider to provider, so this refusal is worth asking the next one.

use crate::{ErrorClass, ProviderError, error::TOO_LARGE};

/// Refuses a message of `bytes` at a provider that takes `most`.
pub(super) fn check(provider: &'static str, bytes: u64, most: u64) -> Result<(), ProviderError> {
    if bytes <= most {
        return Ok(());
    }
    let message = format!(
        "The message has {bytes} bytes as it would be sent, and {provider} takes at most {most}, so nothing was sent. \
         Send smaller files, or links to them."
    );
    Err(ProviderError::new(provider, "send", ErrorClass::Permanent, message).with_code(TOO_LARGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_has_size_and_limit() {
        let error = check("ses", 11, 10).unwrap_err();

        assert!(check("ses", 10, 10).is_ok());
        assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Permanent, Some(TOO_LARGE)));
        assert!(error.message.contains("11 bytes") && error.message.contains("at most 10"), "{error}");
    }
}
