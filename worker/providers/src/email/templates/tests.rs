//! Every template in every language, and every way to call one wrongly.

use insta::{Settings, assert_snapshot};
use serde_json::json;

use super::*;

/// Everything that any of the templates asks for.
fn everything() -> Map<String, serde_json::Value> {
    let example = json!({
        "app_name": "Acme",
        "user_name": "Ana",
        "login_url": "https://app.example.com/login",
        "verification_url": "https://app.example.com/verify?token=3f9a&user=7",
        "expires_in_hours": 24,
        "reset_url": "https://app.example.com/reset?token=b71c",
        "expires_in_minutes": 30,
        "invoice_number": "F-2026-0042",
        "amount": "49.90 EUR",
        "paid_on": "2026-11-21",
        "invoice_url": "https://app.example.com/invoices/F-2026-0042",
        "plan_name": "Pro",
        "trial_ends_on": "2026-11-28",
        "days_left": 7,
        "upgrade_url": "https://app.example.com/billing",
    });
    example.as_object().unwrap().clone()
}

#[test]
fn every_template_reads_as_intended_in_every_language() {
    let mut settings = Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);

    for template in TEMPLATES {
        for locale in Locale::ALL {
            let rendered = render(template.name, locale.code(), &everything()).unwrap();

            let page = format!("Subject: {}\n\n{}\n\n{}", rendered.subject, rendered.text, rendered.html);
            settings.bind(|| assert_snapshot!(format!("{}.{}", template.name, locale.code()), page));
        }
    }
}

#[test]
fn html_parts_hold_in_mail_clients() {
    for template in TEMPLATES {
        for locale in Locale::ALL {
            let html = render(template.name, locale.code(), &everything()).unwrap().html;

            for forbidden in ["<img", "<script", "<style", "<link", "src=", "@import", "url("] {
                assert!(!html.contains(forbidden), "{forbidden} in {}", template.name);
            }
            // Gmail cuts a message off at 102 KB.
            assert!(html.len() < 100_000, "{}", template.name);
            for needed in [
                &format!("<html lang=\"{}\">", locale.code()),
                // A frame of 600 points everywhere, and for Outlook, which knows no max-width, by a table of its own.
                "max-width:600px",
                "<!--[if mso]><table role=\"presentation\" width=\"600\"",
                // Outlook ignores the padding of a link, so the button would shrink around its text.
                "mso-padding-alt",
                // What the list of messages shows beside the subject.
                "mso-hide:all",
                "name=\"color-scheme\"",
            ] {
                assert!(html.contains(needed), "{needed} is not in {}", template.name);
            }
        }
    }
}

#[test]
fn values_are_escaped_in_html_and_left_alone_in_text() {
    let mut variables = everything();
    variables.insert("user_name".to_owned(), json!("<b>&\"Eve' {{ 7*7 }} {% raw %}"));

    let rendered = render("welcome", "en", &variables).unwrap();

    assert!(rendered.html.contains("&lt;b&gt;&amp;&quot;Eve&#39; {{ 7*7 }} {% raw %}"));
    assert!(rendered.text.contains("<b>&\"Eve' {{ 7*7 }} {% raw %}"));
}

#[test]
fn a_variable_that_is_not_there_is_an_error_and_no_half_filled_letter() {
    for template in TEMPLATES {
        for locale in Locale::ALL {
            let error = render(template.name, locale.code(), &Map::new()).unwrap_err();

            assert!(matches!(error, TemplateError::Broken { .. }), "{error}");
        }
    }
}

#[test]
fn a_value_cannot_leave_its_attribute() {
    let mut variables = everything();
    variables.insert("login_url".to_owned(), json!("https://example.com/\"><script>alert(1)</script>"));

    let rendered = render("welcome", "en", &variables).unwrap();

    assert!(!rendered.html.contains("<script"));
}

#[test]
fn counts_agree_with_their_noun() {
    let mut variables = everything();
    variables.insert("expires_in_hours".to_owned(), json!(1));
    let mut trial = everything();
    trial.insert("days_left".to_owned(), json!(1));

    let rendered = render("verify_email", "es", &variables).unwrap();
    let subject = render("trial_ending", "es", &trial).unwrap().subject;

    assert!(rendered.text.contains("durante 1 hora."), "{}", rendered.text);
    assert_eq!(subject, "Tu prueba de Acme termina mañana");
}

#[test]
fn a_region_is_part_of_its_language() {
    let spanish = render("welcome", "es", &everything()).unwrap();

    assert_eq!(render("welcome", "es-MX", &everything()).unwrap(), spanish);
    assert_eq!(render("welcome", "ES_mx", &everything()).unwrap(), spanish);
}

#[test]
fn wrong_names_are_answered_with_what_exists() {
    let template = render("welcom", "es", &Map::new()).unwrap_err();
    let locale = render("welcome", "fr", &Map::new()).unwrap_err();

    assert_snapshot!(template, @"There is no e-mail template named `welcom`; use one of welcome, verify_email, password_reset, invoice_paid, trial_ending.");
    assert_snapshot!(locale, @"There are no e-mail templates for the language `fr`; use one of es, en.");
}
