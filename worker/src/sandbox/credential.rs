//! Credentials that work in a sandbox and nowhere else, and how they are known.
//!
//! Each carries a mark that no vendor's credential can have, so that settings which would send one to a vendor, or a
//! live one here, are told apart before anything is sent.

/// What every credential of a sandbox begins with.
pub const MARK: &str = "flota_sandbox_";
/// Account ids of Twilio have letters and digits only, and real ones are hexadecimal behind `AC`.
const TWILIO_MARK: &str = "ACsandbox";
/// The account of a sandbox's Google key file has a project of this name.
const GOOGLE_MARK: &str = "flota-sandbox";
/// A marked credential with this word is refused, as one that its owner has revoked.
const REVOKED: &str = "revoked";

/// SendGrid's key.
pub const SENDGRID: &str = "flota_sandbox_sendgrid";
/// AWS's access key.
pub const AWS_KEY: &str = "flota_sandbox_aws";
/// The secret of every access key here.
pub const AWS_SECRET: &str = "flota_sandbox_aws_secret";
/// Twilio's account.
pub const TWILIO_ACCOUNT: &str = "ACsandbox0000000000000000000000001";
/// Twilio's token.
pub const TWILIO_TOKEN: &str = "flota_sandbox_twilio";
/// WhatsApp's token.
pub const WHATSAPP: &str = "flota_sandbox_whatsapp";
/// The language models' key.
pub const LLM: &str = "flota_sandbox_llm";
/// The transcription's key.
pub const OPENAI: &str = "flota_sandbox_openai";
/// The storage's access key.
pub const STORAGE: &str = "flota_sandbox_storage";
/// The secret of every access key of the storage.
pub const STORAGE_SECRET: &str = "flota_sandbox_secret_of_storage";
/// Google's API key.
pub const GOOGLE: &str = "flota_sandbox_google";
/// Google's service account.
pub const GOOGLE_ACCOUNT: &str = "worker@flota-sandbox.iam.gserviceaccount.com";

/// True for a credential that was made for a sandbox.
pub fn is_of_sandbox(credential: &str) -> bool {
    credential.starts_with(MARK) || credential.starts_with(TWILIO_MARK) || credential.contains(GOOGLE_MARK)
}

/// True for a credential that a sandbox takes: any marked one, so that tenants can have one each.
pub(super) fn is_accepted(credential: &str) -> bool {
    is_of_sandbox(credential) && !credential.contains(REVOKED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_credential_of_the_sandbox_is_marked_and_no_credential_of_a_vendor_is() {
        let ours = [
            SENDGRID,
            AWS_KEY,
            AWS_SECRET,
            TWILIO_ACCOUNT,
            TWILIO_TOKEN,
            WHATSAPP,
            LLM,
            OPENAI,
            STORAGE,
            STORAGE_SECRET,
            GOOGLE,
            GOOGLE_ACCOUNT,
        ];
        let theirs =
            ["SG.abc.def", "AKIAIOSFODNN7EXAMPLE", "AC0123456789abcdef", "EAAG", "sk-or-v1-0", "AIzaSy"];

        assert!(ours.iter().all(|credential| is_of_sandbox(credential) && is_accepted(credential)));
        assert!(!theirs.iter().any(|credential| is_of_sandbox(credential)));
        assert!(!is_accepted("flota_sandbox_revoked") && !is_accepted(""));
    }
}
