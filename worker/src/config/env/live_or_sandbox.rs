//! Keeps live credentials away from this machine's sandbox, and a sandbox's credentials away from vendors.
//!
//! A sandbox's credentials carry a mark; a vendor's are known by how they begin. Both mix-ups are told before anything
//! is sent. A proxy on this machine that forwards to a vendor is the one reason to send a live credential to loopback,
//! and has to be said.

use std::net::IpAddr;

use serde_json::Value;
use url::Url;

use super::{
    reader::{Reader, truth},
    variables::find,
};
use crate::sandbox::credential::is_of_sandbox;

/// Says that live credentials may go to this machine.
const ALLOW: &str = "FLOTA_ALLOW_LIVE_ON_LOOPBACK";

/// A credential, where it goes, and how a live one begins.
struct Pair {
    credential: &'static str,
    address: &'static str,
    live: &'static [&'static str],
}

const fn pair(credential: &'static str, address: &'static str, live: &'static [&'static str]) -> Pair {
    Pair { credential, address, live }
}

/// Every credential of a vendor. A row counts from when the table of variables has both of its names.
const PAIRS: [Pair; 13] = [
    pair("SMTP_PASSWORD", "SMTP_HOST", &["SG."]),
    pair("SENDGRID_API_KEY", "SENDGRID_BASE_URL", &["SG."]),
    pair("AWS_SES_ACCESS_KEY_ID", "AWS_SES_BASE_URL", &["AKIA", "ASIA"]),
    pair("WHATSAPP_ACCESS_TOKEN", "WHATSAPP_BASE_URL", &["EAA"]),
    pair("TWILIO_ACCOUNT_SID", "TWILIO_BASE_URL", &["AC"]),
    pair("TWILIO_AUTH_TOKEN", "TWILIO_BASE_URL", &[]),
    pair("OPENROUTER_API_KEY", "LLM_BASE_URL", &["sk-"]),
    pair("OPENAI_API_KEY", "OPENAI_BASE_URL", &["sk-"]),
    pair("GOOGLE_VISION_API_KEY", "GOOGLE_VISION_BASE_URL", &["AIza"]),
    pair("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_VISION_BASE_URL", &[""]),
    pair("AWS_ACCESS_KEY_ID", "AWS_S3_BASE_URL", &["AKIA", "ASIA"]),
    pair("R2_ACCESS_KEY_ID", "R2_ENDPOINT", &[]),
    pair("MINIO_ACCESS_KEY", "MINIO_ENDPOINT", &[]),
];

/// Domains of the vendors.
const VENDORS: [&str; 9] = [
    "sendgrid.com",
    "sendgrid.net",
    "amazonaws.com",
    "cloudflarestorage.com",
    "facebook.com",
    "twilio.com",
    "openrouter.ai",
    "openai.com",
    "googleapis.com",
];

/// Refuses every mix-up, with the name of the credential's variable.
pub(super) fn check(reader: &mut Reader<'_>, production: bool) {
    let allowed = reader.parse(ALLOW, truth).unwrap_or(false);
    for pair in &PAIRS {
        let known = find(pair.credential).is_some() && find(pair.address).is_some();
        // What cannot be read is told where it is read for use.
        let text = |name| (reader.lookup)(name).ok().flatten();
        let credential = known.then(|| text(pair.credential)).flatten();
        let Some(credential) = credential.and_then(|text| identity(pair.credential, text)) else { continue };
        let default = find(pair.address).and_then(|variable| variable.default);
        let Some(address) = text(pair.address).or(default.map(str::to_owned)) else { continue };
        let Some(host) = host(&address) else { continue };
        if let Some(problem) = mixed_up(pair, &credential, &host, production, allowed) {
            reader.refuse(pair.credential, problem);
        }
    }
}

/// What is wrong with this credential at this host. Pure.
fn mixed_up(pair: &Pair, credential: &str, host: &str, production: bool, allowed: bool) -> Option<String> {
    let address = pair.address;
    let is_marked = is_of_sandbox(credential);
    let is_live = !is_marked && pair.live.iter().any(|start| credential.starts_with(start));
    if is_marked && production {
        return Some(
            "it is a sandbox's credential, which FLOTA_ENV=production does not allow; write the vendor's"
                .to_owned(),
        );
    }
    if is_marked && is_vendor(host) {
        return Some(format!(
            "it is a sandbox's credential, but {address} leads to {host}, which does not know it; set {address} to the \
             sandbox's address, or write the vendor's credential"
        ));
    }
    if is_live && is_this_machine(host) && !allowed {
        return Some(format!(
            "it looks like a live credential, but {address} leads to this machine, where a sandbox must not get it; use \
             the sandbox's own, which `flota sandbox` prints, or set {ALLOW}=true if a proxy here forwards to the vendor"
        ));
    }
    None
}

/// What a credential is known by: itself, or of Google's key file the account in it.
fn identity(name: &str, text: String) -> Option<String> {
    if name != "GOOGLE_APPLICATION_CREDENTIALS" {
        return Some(text);
    }
    // A file that cannot be read or is no key is told elsewhere.
    let file: Value = serde_json::from_slice(&std::fs::read(text).ok()?).ok()?;
    file["client_email"].as_str().map(str::to_owned)
}

/// The host of a URL, or a host that stands alone.
fn host(address: &str) -> Option<String> {
    match Url::parse(address) {
        Ok(url) if url.has_host() => url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned()),
        _ if address.contains('/') => None,
        _ => Some(address.to_ascii_lowercase()),
    }
}

/// Names and addresses that never leave this machine. `0.0.0.0` and `::` reach it too, as does an IPv4 address of it that
/// is written as IPv6.
fn is_this_machine(host: &str) -> bool {
    let is_here = |address: IpAddr| {
        let address = address.to_canonical();
        address.is_loopback() || address.is_unspecified()
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    host == "localhost" || host.ends_with(".localhost") || host.parse().is_ok_and(is_here)
}

fn is_vendor(host: &str) -> bool {
    VENDORS
        .iter()
        .any(|vendor| host.strip_suffix(vendor).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::credential;

    fn verdict(name: &str, credential: &str, host: &str, production: bool, allowed: bool) -> Option<String> {
        let pair = PAIRS.iter().find(|pair| pair.credential == name).unwrap();
        mixed_up(pair, credential, host, production, allowed)
    }

    #[test]
    fn a_live_credential_does_not_go_to_this_machine_unless_that_is_said() {
        let live = [
            ("SMTP_PASSWORD", "SG.abc"),
            ("SENDGRID_API_KEY", "SG.abc"),
            ("AWS_SES_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("WHATSAPP_ACCESS_TOKEN", "EAAG"),
            ("TWILIO_ACCOUNT_SID", "AC0123456789"),
            ("OPENROUTER_API_KEY", "sk-or-v1-1"),
            ("OPENAI_API_KEY", "sk-proj-1"),
            ("GOOGLE_VISION_API_KEY", "AIzaSy"),
            ("GOOGLE_APPLICATION_CREDENTIALS", "worker@shop.iam.gserviceaccount.com"),
        ];

        for (name, credential) in live {
            for host in ["127.0.0.1", "localhost", "localhost.", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"] {
                let told = verdict(name, credential, host, false, false).expect(name);
                assert!(told.contains(ALLOW) && !told.contains(credential), "{told}");
                assert_eq!(verdict(name, credential, host, false, true), None);
            }
            assert_eq!(verdict(name, credential, "proxy.internal", true, false), None, "{name}");
        }
    }

    #[test]
    fn a_credential_of_the_sandbox_goes_to_no_vendor_and_not_into_production() {
        for (name, host) in [
            ("SENDGRID_API_KEY", "api.sendgrid.com"),
            ("AWS_SES_ACCESS_KEY_ID", "email.eu-west-1.amazonaws.com"),
            ("AWS_ACCESS_KEY_ID", "s3.eu-west-1.amazonaws.com"),
            ("R2_ACCESS_KEY_ID", "xxx.r2.cloudflarestorage.com"),
            ("WHATSAPP_ACCESS_TOKEN", "graph.facebook.com"),
            ("TWILIO_AUTH_TOKEN", "api.twilio.com"),
            ("OPENROUTER_API_KEY", "openrouter.ai"),
            ("OPENAI_API_KEY", "api.openai.com"),
            ("GOOGLE_VISION_API_KEY", "vision.googleapis.com"),
        ] {
            let told = verdict(name, credential::LLM, host, false, false).expect(name);
            assert!(told.contains(host), "{told}");
            assert_eq!(verdict(name, credential::LLM, "127.0.0.1", false, false), None);
            assert_eq!(verdict(name, credential::LLM, "sandbox", false, false), None);
            assert!(verdict(name, credential::LLM, "127.0.0.1", true, false).is_some());
        }
        assert!(!is_vendor("notopenai.com") && is_vendor("openai.com"));
    }

    #[test]
    fn a_host_is_found_in_a_url_and_alone() {
        assert_eq!(host("https://API.openai.com/v1").as_deref(), Some("api.openai.com"));
        assert_eq!(host("http://[::1]:8000/x").as_deref(), Some("::1"));
        assert_eq!(host("smtp.sendgrid.net").as_deref(), Some("smtp.sendgrid.net"));
        assert_eq!(host("/path"), None);
    }
}
