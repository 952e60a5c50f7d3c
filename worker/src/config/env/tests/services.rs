//! What each outside service needs, and what is said when some of it is missing.

use super::*;

const SENDGRID: [(&str, &str); 2] =
    [("SENDGRID_API_KEY", "SG.abc"), ("SENDGRID_FROM_EMAIL", "noreply@example.com")];
const SES: [(&str, &str); 4] = [
    ("AWS_SES_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_SES_SECRET_ACCESS_KEY", "wJalr/XUtn+FEMI"),
    ("AWS_SES_REGION", "eu-west-1"),
    ("AWS_SES_FROM_EMAIL", "noreply@example.com"),
];
const SMTP: [(&str, &str); 2] = [("SMTP_HOST", "mail.example.com"), ("SMTP_FROM_EMAIL", "a@example.com")];

#[test]
fn a_service_needs_all_of_its_variables_and_is_left_out_without_any() {
    let told = refused(&[
        ("VAPID_PUBLIC_KEY", "BAAA"),
        ("WHATSAPP_ACCESS_TOKEN", "EAA-hunter2"),
        ("TWILIO_ACCOUNT_SID", "ACxxxxx"),
        ("TWILIO_AUTH_TOKEN", "hunter2"),
    ]);
    let nothing = from(&[("LLM_MODEL_DEFAULT", "some/model"), ("GOOGLE_VISION_PROJECT_ID", "p")]).unwrap();

    assert!(!told.contains("hunter2"));
    assert_snapshot!(told, @r#"
    VAPID_PRIVATE_KEY is not set, but VAPID_PUBLIC_KEY is; set both or neither
    VAPID_SUBJECT is not set, but VAPID_PUBLIC_KEY is; set both or neither
    WHATSAPP_PHONE_NUMBER_ID is not set, but WHATSAPP_ACCESS_TOKEN is; set both or neither
    TWILIO_PHONE_NUMBER is not set, but TWILIO_AUTH_TOKEN is; set both or neither
    "#);
    let services = nothing.integrations;
    assert!(services.push.is_none() && services.whatsapp.is_none() && services.sms.is_none());
    assert!(services.chat.is_none() && services.transcription.is_none() && services.vision.is_none());
    assert!(services.ocr.tesseract.is_none() && services.ocr.order.len() == 2);
}

#[test]
fn whoever_sets_the_order_of_text_readers_is_told_what_is_missing() {
    let missing = refused(&[("FLOTA_OCR_PROVIDERS", "tesseract,google_vision"), ("PATH", "/nowhere")]);
    let unknown = refused(&[("FLOTA_OCR_PROVIDERS", "abbyy")]);

    assert!(missing.contains("FLOTA_OCR_PROVIDERS") && missing.contains("tesseract-ocr"), "{missing}");
    assert!(unknown.contains("\"abbyy\" is no reader of text"), "{unknown}");
}

#[test]
fn a_messaging_service_stands_for_a_phone_number() {
    let service = ("TWILIO_MESSAGING_SERVICE_SID", "MGxxxxx");
    let account = [("TWILIO_ACCOUNT_SID", "ACxxxxx"), ("TWILIO_AUTH_TOKEN", "hunter2")];

    let alone = refused(&[service]);
    let whole = from(&[account[0], account[1], service]).unwrap();

    assert!(alone.contains("TWILIO_AUTH_TOKEN is not set"), "{alone}");
    assert_eq!(whole.integrations.sms.unwrap().from, SmsFrom::Service("MGxxxxx".to_owned()));
    let inside = ("TWILIO_STATUS_CALLBACK_URL", "https://10.0.0.1/sms");
    assert!(refused(&[account[0], account[1], service, inside]).contains("a private network"));
}

#[test]
fn what_no_service_takes_is_told_without_repeating_secrets() {
    let told = refused(&[
        ("VAPID_PUBLIC_KEY", "BAAA"),
        ("VAPID_PRIVATE_KEY", "hunter2!"),
        ("VAPID_SUBJECT", "mailto: <root@localhost>"),
        ("WHATSAPP_ACCESS_TOKEN", "hunter2 "),
        ("WHATSAPP_PHONE_NUMBER_ID", "+52 55"),
        ("TWILIO_ACCOUNT_SID", "SK1"),
        ("TWILIO_AUTH_TOKEN", "hunter2"),
        ("TWILIO_PHONE_NUMBER", "55 1234"),
        ("LLM_BASE_URL", "https://user:hunter2@llm.example.com/"),
        ("LLM_MAX_TOKENS", "0"),
        ("LLM_TEMPERATURE", "hot"),
        ("OPENAI_BASE_URL", "http://whisper.example.com/v1"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/file"),
        ("FLOTA_FILES_DIR", "/"),
        ("FLOTA_ENV", "production"),
    ]);

    assert!(!told.contains("hunter2"));
    assert_snapshot!(told, @r#"
    VAPID_PUBLIC_KEY is not usable: it holds 3 bytes, but 65 are needed; make a pair with `flota keys vapid`
    VAPID_PRIVATE_KEY is not usable: it is not base64url; make a pair with `flota keys vapid`
    VAPID_SUBJECT is not usable: it is not a contact that push services accept; write one such as mailto:admin@example.com
    WHATSAPP_PHONE_NUMBER_ID is not usable: it is not an id of digits; write the id of the number, which Meta shows beside it
    WHATSAPP_ACCESS_TOKEN is not usable: it holds spaces or other characters that no credential has; copy it again
    TWILIO_ACCOUNT_SID is not usable: it is not the id of an account; write the one that begins with AC
    TWILIO_PHONE_NUMBER is not usable: "55 1234" is not a full number; write one such as +15005550006
    LLM_BASE_URL is not usable: it is not an address of an API; write one such as https://api.example.com/v1, without login, `?` or `#`
    LLM_MAX_TOKENS is not usable: "0" is not a number of tokens; write 1 to 8192
    LLM_TEMPERATURE is not usable: "hot" is not a temperature; write 0 to 2
    OPENAI_BASE_URL is not usable: it would send our credential to whisper.example.com in the clear, which FLOTA_ENV=production does not allow; write https://
    GOOGLE_APPLICATION_CREDENTIALS names a file that cannot be read: /no/such/file; correct the path or unset GOOGLE_APPLICATION_CREDENTIALS: No such file or directory (os error 2)
    FLOTA_FILES_DIR is not usable: it is the whole file system; write the directory that jobs may read from
    "#);
}

#[test]
fn ways_of_sending_e_mail_are_tried_in_the_usual_order_or_in_that_of_the_settings() {
    let order = |more: &[(&str, &str)]| {
        let variables: Vec<_> = SMTP.iter().chain(&SES).chain(&SENDGRID).chain(more).copied().collect();
        from(&variables).unwrap().email.order
    };

    let (sendgrid, ses, smtp) = (EmailProvider::Sendgrid, EmailProvider::Ses, EmailProvider::Smtp);
    assert_eq!(order(&[]), [sendgrid, ses, smtp]);
    assert_eq!(order(&[("FLOTA_EMAIL_PROVIDERS", "smtp, sendgrid")]), [smtp, sendgrid]);
    assert_eq!(from(&[]).unwrap().email.order, []);
    assert_eq!(from(&SES).unwrap().email.order, [ses]);
}

#[test]
fn slips_in_the_settings_of_e_mail_say_what_to_write() {
    let with = |base: &[(&str, &str)], more: (&str, &str)| {
        let variables: Vec<_> = base.iter().copied().chain([more]).collect();
        refused(&variables)
    };

    assert_snapshot!(with(&SMTP, ("FLOTA_EMAIL_PROVIDERS", "sendgird")), @r#"FLOTA_EMAIL_PROVIDERS is not usable: "sendgird" is no way of sending e-mail; did you mean sendgrid?"#);
    assert_snapshot!(with(&SMTP, ("FLOTA_EMAIL_PROVIDERS", "smtp,smtp")), @"FLOTA_EMAIL_PROVIDERS is not usable: it names smtp twice; name each once, in the order to try");
    assert_snapshot!(with(&SMTP, ("FLOTA_EMAIL_PROVIDERS", "ses,smtp")), @"FLOTA_EMAIL_PROVIDERS is not usable: it names ses, but AWS_SES_ACCESS_KEY_ID is not set; set it or leave ses out");
    assert_snapshot!(with(&[], SENDGRID[0]), @"SENDGRID_FROM_EMAIL is not set, but SENDGRID_API_KEY is; set both or neither");
    assert_snapshot!(with(&SENDGRID, ("SENDGRID_SANDBOX", "yes")), @"SENDGRID_SANDBOX is not usable: it is neither true nor false; write one of them");
    assert_snapshot!(with(&SES, ("AWS_SES_REGION", "Ireland")), @r#"AWS_SES_REGION is not usable: "Ireland" is not a region; write one such as us-east-1"#);
}

#[test]
fn a_sandboxes_key_does_not_go_to_the_region_of_aws_that_holds_by_default() {
    let variables: Vec<_> = SES
        .into_iter()
        .map(|(name, value)| {
            (name, if name.ends_with("KEY_ID") { crate::sandbox::credential::AWS_KEY } else { value })
        })
        .collect();

    assert!(refused(&variables).contains("amazonaws.com"), "{}", refused(&variables));
}
