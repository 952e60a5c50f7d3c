//! `flota email`: the built-in templates, as they would arrive.

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use flota_producer::{EMAIL_TEMPLATES, EmailTemplate};
use flota_providers::email::{
    Email, Sender,
    templates::{self, Rendered},
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    config::nearest::nearest,
    exit::{Done, Exit, Stop},
};

use super::{
    Global,
    output::{Format, Show, line},
};

/// Who a previewed message comes from and goes to: names that are kept for examples (RFC 2606).
const FROM: &str = "noreply@example.com";
const TO: &str = "ana@example.com";
/// The date of a previewed message: the same one every time, so that two previews can be compared.
const DATE: i64 = 1_767_225_600;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the templates and what each needs
    #[command(after_help = "Example: flota email templates")]
    Templates,
    /// Show a template filled in, with sample data unless some is given
    #[command(after_help = "Example: flota email preview welcome --locale en -o html > welcome.html")]
    Preview(Preview),
}

#[derive(Debug, clap::Args)]
pub(super) struct Preview {
    /// Name of the template
    template: String,
    /// What it asks for, as JSON or @FILE; realistic samples when absent
    #[arg(long, value_name = "JSON|@FILE")]
    data: Option<String>,
    /// Language: es or en
    #[arg(long, default_value = "es")]
    locale: String,
}

/// One template in a list.
#[derive(Debug, Serialize)]
struct Row {
    template: &'static str,
    about: &'static str,
    variables: Vec<&'static str>,
}

/// A filled-in template.
#[derive(Debug, Serialize)]
struct Shown {
    template: &'static str,
    locale: String,
    subject: String,
    text: String,
    html: String,
}

pub(super) fn run(global: &Global, command: &Command) -> Done {
    match command {
        Command::Templates => {
            let rows: Vec<Row> = EMAIL_TEMPLATES.iter().map(Row::of).collect();
            global.output.list(&rows, "There are no templates.")?;
        }
        Command::Preview(wanted) => preview(global, wanted)?,
    }
    Ok(Exit::Ok)
}

fn preview(global: &Global, wanted: &Preview) -> Result<(), Stop> {
    let template = find(&wanted.template)?;
    let variables = match &wanted.data {
        Some(data) => given(data)?,
        None => template.example(),
    };
    let values =
        template.values(&variables, "data").map_err(|error| Stop::usage(format!("--data: {error}")))?;
    let rendered = templates::render(template.name, &wanted.locale, &values)
        .map_err(|error| Stop::usage(error.to_string()))?;
    match global.output.asked() {
        // Without a word people see the text, and scripts get everything.
        Some(Format::Text) => line(rendered.text.trim_end())?,
        Some(Format::Html) => line(rendered.html.trim_end())?,
        Some(Format::Eml) => line(whole(rendered)?.trim_end())?,
        _ => {
            let Rendered { subject, text, html } = rendered;
            let shown = Shown { template: template.name, locale: wanted.locale.clone(), subject, text, html };
            let id = shown.template;
            global
                .output
                .one(&shown, id, || format!("Subject: {}\n\n{}", shown.subject, shown.text.trim_end()))?;
        }
    }
    Ok(())
}

fn find(name: &str) -> Result<&'static EmailTemplate, Stop> {
    EmailTemplate::named(name, "TEMPLATE").map_err(|error| {
        let names = EMAIL_TEMPLATES.iter().map(|template| template.name);
        let meant = nearest(name, names).map(|near| format!("; did you mean {near}?"));
        Stop::usage(format!("there is no e-mail template named {name}: {error}{}", meant.unwrap_or_default()))
    })
}

fn given(data: &str) -> Result<Map<String, Value>, Stop> {
    let text = match data.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(PathBuf::from(path))
            .with_context(|| format!("{path} cannot be read; give a file of JSON behind the @"))
            .map_err(|error| Stop { exit: Exit::Usage, error })?,
        None => data.to_owned(),
    };
    serde_json::from_str(&text).map_err(|error| {
        Stop::usage(format!(
            "the data is no JSON object of variables: {error}; write one such as {{\"user_name\":\"Ana\"}}"
        ))
    })
}

/// The message as it would travel.
fn whole(rendered: Rendered) -> Result<String, Stop> {
    let email = Email {
        to: vec![TO.to_owned()],
        subject: rendered.subject,
        text: Some(rendered.text),
        html: Some(rendered.html),
        message_key: "preview".to_owned(),
        ..Email::default()
    };
    let composed = Sender::new(FROM, None).and_then(|sender| sender.compose(&email, DATE));
    let message = composed.map_err(|error| Stop::new(Exit::Failed, error.to_string()))?;
    // It has no files that could be unreadable.
    let parts: Vec<_> = message.chunks().map_while(Result::ok).collect();
    Ok(String::from_utf8_lossy(&parts.concat()).into_owned())
}

impl Row {
    fn of(template: &'static EmailTemplate) -> Self {
        let variables = template.variables.iter().map(|variable| variable.name).collect();
        Self { template: template.name, about: template.about, variables }
    }
}

impl Show for Row {
    const COLUMNS: &'static [&'static str] = &["template", "", "variables"];

    fn row(&self) -> Vec<String> {
        vec![self.template.to_owned(), self.about.to_owned(), self.variables.join(", ")]
    }

    fn id(&self) -> String {
        self.template.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use flota_providers::email::templates::Locale;

    use super::*;

    #[test]
    fn an_unknown_template_is_told_with_what_exists_and_what_was_meant() {
        let said = find("welcom").unwrap_err().sentence();

        assert!(said.contains("welcome, verify_email") && said.contains("did you mean welcome?"), "{said}");
    }

    #[test]
    fn data_that_is_no_object_says_what_to_write() {
        for data in ["[]", "{", "\"a\"", "@/no/such/file"] {
            let stop = given(data).unwrap_err();

            assert!(stop.exit == Exit::Usage && stop.sentence().contains("JSON"), "{}", stop.sentence());
        }
    }

    #[test]
    fn every_template_makes_a_whole_message_in_every_language() {
        for (template, locale) in
            EMAIL_TEMPLATES.iter().flat_map(|one| Locale::ALL.map(|locale| (one, locale)))
        {
            let rendered = templates::render(template.name, locale.code(), &template.example()).unwrap();

            let message = whole(rendered).unwrap();

            assert!(message.contains("multipart/alternative") && message.contains("Subject:"), "{message}");
        }
    }
}
