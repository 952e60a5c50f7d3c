//! What becomes of a job after each answer of a push service, of WhatsApp and of Twilio: the tables of their errors, from
//! the wire to the engine's remedy.

use flota_providers::{
    Receipt,
    api::ApiSettings,
    outbound::{OutboundClient, OutboundSettings},
    push::{Push, VapidKey, browser::Browser, new_vapid_pair},
    sms::{SmsClient, SmsSettings},
    webhook::UrlRules,
    whatsapp::{WhatsappClient, WhatsappContent, WhatsappSettings},
};
use serde_json::{Value, json};

use super::*;
use crate::sandbox::{Fault, Sandbox, credential};

const NOW: i64 = 1_700_000_000;
const SOON: Duration = Duration::from_secs(20);

const BURY: Remedy = Remedy::Bury;
const RETRY: Remedy = Remedy::Retry { after: None };
/// One more try at most: queues.toml says how many an ambiguous answer gets.
const UNKNOWN: (ErrorClass, Remedy) = (ErrorClass::Ambiguous, RETRY);
const LATER: Remedy = Remedy::Park { after: None };

fn park_for(seconds: u64) -> Remedy {
    Remedy::Park { after: Some(Duration::from_secs(seconds)) }
}

fn verdict(answer: Result<Receipt, ProviderError>) -> (ErrorClass, Remedy) {
    let failure = Failure::from(Error::Provider(answer.expect_err("a refusal")));
    (failure.class, failure.remedy)
}

async fn whatsapp(sandbox: &Sandbox, status: u16, error: Value) -> (ErrorClass, Remedy) {
    let body = Some(json!({ "error": error }));
    sandbox.fault(Fault { body, ..Fault::status("whatsapp", status) }).unwrap();
    let client = WhatsappClient::new(WhatsappSettings {
        api: ApiSettings::new(sandbox.url("/whatsapp/v23.0"), SOON),
        phone_number_id: "123456789".into(),
        access_token: credential::WHATSAPP.into(),
    });
    let text = WhatsappContent::Text { body: "Hola".into(), preview_url: false };
    verdict(client.unwrap().send("+525512345678", &text, "job-1").await)
}

#[tokio::test]
async fn every_code_of_whatsapp_has_its_remedy() {
    let day = Remedy::Retry { after: Some(Duration::from_hours(24)) };
    let table: [(&[i64], ErrorClass, Remedy); 9] = [
        (&[0, 190, 3, 10, 200, 299, 131_005], ErrorClass::Auth, park_for(300)),
        (&[131_031, 131_037, 131_045, 133_010, 368], ErrorClass::Auth, park_for(300)),
        (&[131_042, 131_048], ErrorClass::Quota, park_for(300)),
        (&[4, 80_007, 80_008], ErrorClass::RateLimited, park_for(60)),
        (&[130_429, 132_069], ErrorClass::RateLimited, LATER),
        (&[131_056], ErrorClass::RateLimited, park_for(4)),
        (&[131_049], ErrorClass::ServerError, day),
        (&[2, 131_000, 131_016, 131_052, 131_057, 133_004], ErrorClass::ServerError, RETRY),
        (
            &[
                1, 33, 100, 130_403, 130_472, 131_008, 131_009, 131_021, 131_026, 131_030, 131_047, 131_050,
                131_051, 131_053, 132_000, 132_001, 132_005, 132_007, 132_012, 132_015, 132_016, 132_018,
                132_068, 135_000,
            ],
            ErrorClass::Permanent,
            BURY,
        ),
    ];
    let sandbox = Sandbox::start().await.unwrap();

    for (codes, class, remedy) in table {
        for code in codes {
            let found = whatsapp(&sandbox, 400, json!({ "message": "no", "code": code })).await;
            assert_eq!(found, (class, remedy), "{code}");
        }
    }
    let unknown = json!({ "message": "no", "code": 999_999 });
    assert_eq!(whatsapp(&sandbox, 400, unknown.clone()).await, (ErrorClass::Permanent, BURY));
    assert_eq!(whatsapp(&sandbox, 500, unknown.clone()).await, (ErrorClass::ServerError, RETRY));
    for status in [502, 504] {
        assert_eq!(whatsapp(&sandbox, status, unknown.clone()).await, UNKNOWN, "{status}");
    }
    let transient = json!({ "message": "no", "code": 999_999, "is_transient": true });
    assert_eq!(whatsapp(&sandbox, 400, transient).await, (ErrorClass::ServerError, RETRY));
}

#[tokio::test]
async fn an_answer_without_a_code_of_whatsapp_is_judged_by_its_status() {
    let sandbox = Sandbox::start().await.unwrap();
    let gateways = json!({ "message": "unavailable" });

    for (status, class, remedy) in [
        (503, ErrorClass::ServerError, RETRY),
        (429, ErrorClass::RateLimited, LATER),
        (400, ErrorClass::Permanent, BURY),
        (502, ErrorClass::Ambiguous, RETRY),
        (504, ErrorClass::Ambiguous, RETRY),
    ] {
        assert_eq!(whatsapp(&sandbox, status, gateways.clone()).await, (class, remedy), "{status}");
    }
}

#[tokio::test]
async fn every_code_of_twilio_has_its_remedy() {
    let table: [(u16, &[i64], ErrorClass, Remedy); 7] = [
        (401, &[20_003], ErrorClass::Auth, park_for(300)),
        (
            400,
            &[20_005, 21_212, 21_603, 21_606, 21_609, 21_659, 21_703, 30_002, 30_034],
            ErrorClass::Auth,
            park_for(300),
        ),
        (400, &[30_023, 30_037, 63_038], ErrorClass::Quota, park_for(300)),
        (429, &[14_107, 20_429, 21_611, 30_001, 30_022], ErrorClass::RateLimited, LATER),
        (400, &[21_610], ErrorClass::Gone, BURY),
        (500, &[20_500, 20_503], ErrorClass::ServerError, RETRY),
        (
            400,
            &[
                21_211, 21_408, 21_602, 21_604, 21_608, 21_612, 21_614, 21_617, 30_004, 30_005, 30_006,
                30_007, 30_008,
            ],
            ErrorClass::Permanent,
            BURY,
        ),
    ];
    let sandbox = Sandbox::start().await.unwrap();
    let client = SmsClient::new(SmsSettings {
        api: ApiSettings::new(sandbox.url("/twilio/2010-04-01"), SOON),
        account_sid: credential::TWILIO_ACCOUNT.into(),
        auth_token: credential::TWILIO_TOKEN.into(),
        from: "+15005550006".into(),
    });
    let client = client.unwrap();

    for (status, codes, class, remedy) in table {
        for code in codes {
            let body = Some(json!({ "code": code, "message": "no", "status": status }));
            sandbox.fault(Fault { body, ..Fault::status("twilio", status) }).unwrap();
            let found = verdict(client.send("+525512345678", "Hola", NOW).await);
            assert_eq!(found, (class, remedy), "{code}");
        }
    }
    for status in [502, 504] {
        let body = Some(json!("no"));
        sandbox.fault(Fault { body, ..Fault::status("twilio", status) }).unwrap();
        let found = verdict(client.send("+525512345678", "Hola", NOW).await);
        assert_eq!(found, UNKNOWN, "{status}, which a gateway answers");
    }
}

#[tokio::test]
async fn every_status_of_a_push_service_has_its_remedy() {
    let table: [(&[u16], ErrorClass, Remedy); 5] = [
        (&[301, 302, 307, 308, 400, 413], ErrorClass::Permanent, BURY),
        (&[401, 403], ErrorClass::Auth, park_for(300)),
        (&[404, 410], ErrorClass::Gone, BURY),
        (&[406, 429], ErrorClass::RateLimited, LATER),
        (&[408, 500, 502, 503], ErrorClass::ServerError, RETRY),
    ];
    let sandbox = Sandbox::start().await.unwrap();
    let (public, private) = new_vapid_pair().unwrap();
    let key = VapidKey::new(&public, &private, "mailto:admin@example.com").unwrap();
    let rules = UrlRules { allow_http: true, allowed_ports: None };
    let settings = OutboundSettings::new(std::sync::Arc::new(|_| true));
    let client = OutboundClient::new(OutboundSettings { rules, timeout: SOON, ..settings }).unwrap();
    let browser = Browser::new().unwrap();
    let push = Push {
        endpoint: sandbox.subscribe(Some(&public)).unwrap().endpoint,
        p256dh: browser.p256dh(),
        auth: browser.auth(),
        content: b"{}".to_vec(),
        ttl: 60,
        urgency: "normal".into(),
        topic: "order-42".into(),
    };

    for (statuses, class, remedy) in table {
        for status in statuses {
            let body = Some(json!("no"));
            sandbox.fault(Fault { body, ..Fault::status("push", *status) }).unwrap();
            let found = verdict(key.send(&push, &client, NOW).await);
            assert_eq!(found, (class, remedy), "{status}");
        }
    }
}
