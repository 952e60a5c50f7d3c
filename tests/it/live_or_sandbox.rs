//! A live credential is never sent to a sandbox, and a sandbox's never to a vendor or into production: the program refuses
//! to start, and says which variable to change.

use flota_tests::program::Installation;
use flota_worker::sandbox::Sandbox;

/// Credentials, the variable of their address, one as a vendor gives it out, and a vendor's address.
const PAIRS: [(&str, &str, &str, &str); 5] = [
    ("WHATSAPP_ACCESS_TOKEN", "WHATSAPP_BASE_URL", "EAAGlive", "https://graph.facebook.com/v23.0"),
    (
        "TWILIO_ACCOUNT_SID",
        "TWILIO_BASE_URL",
        "AC0123456789abcdef0123456789abcdef",
        "https://api.twilio.com/2010-04-01",
    ),
    ("OPENROUTER_API_KEY", "LLM_BASE_URL", "sk-or-v1-live", "https://openrouter.ai/api/v1"),
    ("OPENAI_API_KEY", "OPENAI_BASE_URL", "sk-proj-live", "https://api.openai.com/v1"),
    ("GOOGLE_VISION_API_KEY", "GOOGLE_VISION_BASE_URL", "AIzaSylive", "https://vision.googleapis.com/v1"),
];

/// An installation whose providers are all in the sandbox.
async fn in_sandbox(sandbox: &Sandbox) -> Installation {
    let mut flota = Installation::new().await;
    for (name, value) in sandbox.environment() {
        flota.set(name, value);
    }
    flota
}

#[tokio::test]
async fn a_live_credential_is_not_sent_to_a_sandbox() {
    let sandbox = Sandbox::start().await.unwrap();
    for (credential, address, live, _) in PAIRS {
        let mut flota = in_sandbox(&sandbox).await;
        flota.set(credential, live);

        let said = flota.flota(&["worker"]).await.expect(2);

        for part in [credential, "looks like a live credential", address, "FLOTA_ALLOW_LIVE_ON_LOOPBACK=true"]
        {
            assert!(said.stderr.contains(part), "{credential}: {said:#?}");
        }
        assert!(!said.stderr.contains(live) && said.stdout.is_empty(), "{said:#?}");
    }
    assert!(sandbox.journal(None).is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_credential_of_the_sandbox_is_not_sent_to_a_vendor() {
    let sandbox = Sandbox::start().await.unwrap();
    for (credential, address, _, vendor) in PAIRS {
        let mut flota = in_sandbox(&sandbox).await;
        flota.set(address, vendor);

        let said = flota.flota(&["worker"]).await.expect(2);

        for part in [credential, "it is a sandbox's credential", address] {
            assert!(said.stderr.contains(part), "{credential}: {said:#?}");
        }
    }
}

#[tokio::test]
async fn a_credential_of_the_sandbox_does_not_go_into_production() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut flota = in_sandbox(&sandbox).await;
    flota.set("FLOTA_ENV", "production");

    let said = flota.flota(&["worker"]).await.expect(2);

    for (credential, ..) in PAIRS {
        assert!(said.stderr.contains(credential), "all of them are told: {said:#?}");
    }
    assert!(said.stderr.contains("FLOTA_ENV=production does not allow"), "{said:#?}");
    assert!(sandbox.journal(None).is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_proxy_on_this_machine_may_get_live_credentials_when_that_is_said() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut flota = in_sandbox(&sandbox).await;
    flota.set("OPENAI_API_KEY", "sk-proj-live").set("FLOTA_ALLOW_LIVE_ON_LOOPBACK", "true");

    flota.flota(&["config", "check"]).await.expect(0);
    flota.unset("FLOTA_ALLOW_LIVE_ON_LOOPBACK").flota(&["config", "check"]).await.expect(2);
}
