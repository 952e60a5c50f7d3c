//! Every template in every language, and every way to call one wrongly.

use insta::{Settings, assert_snapshot};
use serde_json::json;

use super::*;

fn example(name: &str) -> Map<String, serde_json::Value> {
    find(name).unwrap().example()
}

#[test]
fn every_template_reads_as_intended_in_every_language() {
    let mut settings = Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);

    for template in TEMPLATES {
        for locale in Locale::ALL {
            let rendered = render(template.name, locale.code(), &template.example()).unwrap();

            let page = format!("Subject: {}\n\n{}\n\n{}", rendered.subject, rendered.text, rendered.html);
            settings.bind(|| assert_snapshot!(format!("{}.{}", template.name, locale.code()), page));
        }
    }
}

#[test]
fn each_variable_of_the_table_is_needed_and_used() {
    for template in TEMPLATES {
        for locale in Locale::ALL {
            for variable in template.variables {
                let mut variables = template.example();
                variables.remove(variable.name);

                let error = render(template.name, locale.code(), &variables).unwrap_err();
                let sources = &template.sources[locale as usize];

                assert!(
                    matches!(error, TemplateError::MissingVariable { variable: name, .. } if name == variable.name)
                );
                assert!(
                    sources.text.contains(variable.name),
                    "{} in {}.{}.txt",
                    variable.name,
                    template.name,
                    locale.code()
                );
            }
        }
    }
}

#[test]
fn html_parts_hold_in_mail_clients() {
    for template in TEMPLATES {
        for locale in Locale::ALL {
            let html = render(template.name, locale.code(), &template.example()).unwrap().html;

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
    let mut variables = example("welcome");
    variables.insert("user_name".to_owned(), json!("<b>&\"Eve' {{ 7*7 }} {% raw %}"));

    let rendered = render("welcome", "en", &variables).unwrap();

    assert!(rendered.html.contains("&lt;b&gt;&amp;&quot;Eve&#39; {{ 7*7 }} {% raw %}"));
    assert!(rendered.text.contains("<b>&\"Eve' {{ 7*7 }} {% raw %}"));
}

#[test]
fn links_other_than_web_and_mail_are_refused() {
    let links = [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "vbscript:x",
        "/login",
        "//example.com",
        "example.com",
        "",
    ];

    for link in links {
        let mut variables = example("welcome");
        variables.insert("login_url".to_owned(), json!(link));
        let error = render("welcome", "en", &variables).unwrap_err();

        assert!(matches!(error, TemplateError::BadVariable { variable: "login_url", .. }), "for {link:?}");
    }
}

#[test]
fn a_link_cannot_leave_its_attribute() {
    let mut variables = example("welcome");
    variables.insert("login_url".to_owned(), json!("https://example.com/\"><script>alert(1)</script>"));

    let rendered = render("welcome", "en", &variables).unwrap();

    assert!(!rendered.html.contains("<script"));
}

#[test]
fn texts_with_line_breaks_and_values_of_the_wrong_kind_are_refused() {
    let long = "a".repeat(MOST_VALUE_BYTES + 1);
    let cases = [
        ("user_name", json!("Eve\r\nBcc: victim@example.net")),
        ("user_name", json!("a\u{0}b")),
        ("user_name", json!("   ")),
        ("user_name", json!(7)),
        ("user_name", json!(["Eve"])),
        ("user_name", json!(long)),
        ("expires_in_hours", json!("24")),
        ("expires_in_hours", json!(-1)),
        ("expires_in_hours", json!(1.5)),
    ];

    for (name, value) in cases {
        let mut variables = example("verify_email");
        variables.insert(name.to_owned(), value);
        let error = render("verify_email", "es", &variables).unwrap_err();

        assert!(matches!(error, TemplateError::BadVariable { variable, .. } if variable == name), "{error}");
    }
}

#[test]
fn counts_agree_with_their_noun() {
    let mut variables = example("verify_email");
    variables.insert("expires_in_hours".to_owned(), json!(1));
    let mut trial = example("trial_ending");
    trial.insert("days_left".to_owned(), json!(1));

    let rendered = render("verify_email", "es", &variables).unwrap();
    let subject = render("trial_ending", "es", &trial).unwrap().subject;

    assert!(rendered.text.contains("durante 1 hora."), "{}", rendered.text);
    assert_eq!(subject, "Tu prueba de Acme termina mañana");
}

#[test]
fn a_region_is_part_of_its_language() {
    let spanish = render("welcome", "es", &example("welcome")).unwrap();

    assert_eq!(render("welcome", "es-MX", &example("welcome")).unwrap(), spanish);
    assert_eq!(render("welcome", "ES_mx", &example("welcome")).unwrap(), spanish);
}

#[test]
fn wrong_names_are_answered_with_what_exists() {
    let template = render("welcom", "es", &Map::new()).unwrap_err();
    let locale = render("welcome", "fr", &Map::new()).unwrap_err();
    let variable = render("welcome", "en", &Map::new()).unwrap_err();

    assert_snapshot!(template, @"There is no e-mail template named `welcom`; use one of welcome, verify_email, password_reset, invoice_paid, trial_ending.");
    assert_snapshot!(locale, @"There are no e-mail templates for the language `fr`; use one of es, en.");
    assert_snapshot!(variable, @"The e-mail template `welcome` needs the variable `app_name`; it needs app_name, user_name, login_url.");
}
