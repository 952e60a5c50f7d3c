//! Our credentials in every form in which somebody may repeat them, to take them out of what is kept.
//!
//! Proxies show the headers that they were sent, and mail servers the command that they did not like: what they show is
//! the encoded form. A text is cleaned before it is shortened, because half a password is still too much.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use secrecy::{ExposeSecret, SecretString};

use crate::text::one_line;

/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// What must never be repeated.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    /// Longest first, so that nothing is left of a form that holds another one.
    forms: Vec<SecretString>,
}

impl Secrets {
    /// A credential as it is, in a form, a query, JSON or base64 (SMTP's AUTH LOGIN).
    pub(crate) fn of(secret: &SecretString) -> Self {
        Self::default().and(plain_forms(secret.expose_secret()))
    }

    /// Also the pair of it and a user name, as HTTP's Basic and SMTP's AUTH PLAIN have it (RFC 7617, RFC 4616).
    #[must_use]
    pub(crate) fn with_login(self, user: &str, secret: &SecretString) -> Self {
        let secret = secret.expose_secret();
        let basic = base64_forms(&format!("{user}:{secret}"));
        let plain = base64_forms(&format!("\0{user}\0{secret}"));
        self.and(basic.into_iter().chain(plain))
    }

    fn and(mut self, forms: impl IntoIterator<Item = String>) -> Self {
        self.forms.extend(forms.into_iter().filter(|form| !form.is_empty()).map(SecretString::from));
        self.forms.sort_by_key(|form| std::cmp::Reverse(form.expose_secret().len()));
        self
    }

    /// The text without them.
    pub(crate) fn hide(&self, text: &str) -> String {
        self.forms.iter().fold(text.to_owned(), |text, form| text.replace(form.expose_secret(), HIDDEN))
    }

    /// The text without them, on one line of at most this many bytes.
    pub(crate) fn quote(&self, text: &str, most_bytes: usize) -> String {
        one_line(self.hide(text).as_bytes(), most_bytes)
    }
}

fn plain_forms(secret: &str) -> Vec<String> {
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = serde_json::Value::from(secret).to_string();
    let json = json.trim_matches('"').to_owned();
    let mut forms = vec![secret.to_owned(), form.replace('+', "%20"), form, json];
    forms.extend(base64_forms(secret));
    forms
}

/// Without the signs at the end: where they are, they stay and say nothing.
fn base64_forms(text: &str) -> [String; 2] {
    if text.is_empty() {
        return Default::default();
    }
    [BASE64_STANDARD_NO_PAD.encode(text), BASE64_URL_SAFE_NO_PAD.encode(text)]
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

    use super::*;

    #[test]
    fn a_credential_is_hidden_in_every_form_that_is_sent() {
        let secret = SecretString::from("s3cr?t>~ \"ü");
        let secrets = Secrets::of(&secret).with_login("AC42", &secret);
        let (secret, pair) = (secret.expose_secret(), "AC42:s3cr?t>~ \"ü");
        let plain = "\0AC42\0s3cr?t>~ \"ü";

        for form in [
            secret.to_owned(),
            "s3cr%3Ft%3E%7E+%22%C3%BC".to_owned(),
            "s3cr%3Ft%3E%7E%20%22%C3%BC".to_owned(),
            "s3cr?t>~ \\\"ü".to_owned(),
            BASE64_STANDARD.encode(secret),
            BASE64_STANDARD.encode(pair),
            BASE64_URL_SAFE.encode(pair),
            BASE64_STANDARD.encode(plain),
            BASE64_STANDARD_NO_PAD.encode(plain),
        ] {
            let hidden = secrets.hide(&format!("You sent <{form}>"));

            assert!(hidden.starts_with("You sent <***"), "{form} became {hidden}");
            assert!(hidden["You sent <***".len()..].trim_start_matches('=') == ">", "{hidden}");
        }
    }

    #[test]
    fn a_secret_at_the_end_of_a_quote_is_hidden_whole() {
        let secrets = Secrets::of(&SecretString::from("hunter2hunter2"));

        let quoted = secrets.quote("no such password: hunter2hunter2", 26);

        assert_eq!(quoted, "no such password: ***");
    }

    #[test]
    fn without_a_secret_nothing_is_hidden() {
        let nothing = SecretString::default();

        assert_eq!(Secrets::of(&nothing).hide("a b"), "a b");
    }
}
