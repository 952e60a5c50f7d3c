//! Proxies of the environment: a client reads them when it is built, so the test runs itself once more in a process that has
//! one.

use std::{process::Command, time::Duration};

use flota_providers::{
    api::ApiSettings,
    sms::{SmsClient, SmsSettings},
};

use crate::receiver::{Answer, Receiver};

const INSIDE: &str = "FLOTA_TEST_PROXY";
/// Where nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

#[test]
fn a_call_to_this_machine_never_goes_by_a_proxy() {
    if std::env::var_os(INSIDE).is_none() {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["proxy::a_call_to_this_machine_never_goes_by_a_proxy", "--exact", "--nocapture"]);
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            again.env(name, NOBODY);
        }
        for name in ["NO_PROXY", "no_proxy"] {
            again.env_remove(name);
        }
        assert!(again.env(INSIDE, "1").status().unwrap().success());
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();

    let sent = runtime.block_on(async {
        let body = br#"{"sid":"SM1"}"#.to_vec();
        let receiver = Receiver::start(Answer { status: 201, body, ..Answer::default() }).await;
        let client = SmsClient::new(SmsSettings {
            api: ApiSettings::new(receiver.url(), Duration::from_secs(5)),
            account_sid: "AC1".into(),
            auth_token: "the-auth-token".into(),
            from: "+15005550006".into(),
        });
        client.unwrap().send("+525512345678", "Hola", 0).await
    });

    assert_eq!(sent.unwrap().provider_ref.as_deref(), Some("SM1"));
}
