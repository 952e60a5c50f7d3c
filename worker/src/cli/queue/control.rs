//! `flota queue pause | resume | limit | unlimit`: what people set for a queue while workers are at work.

use std::time::Duration;

use clap::Parser;
use flota_engine::control::{self, BadSetting, Control, Note, Rate, Setting};
use serde_json::json;

use crate::{
    audit::{self, Deed},
    config::Environment,
    exit::{Done, Exit, Stop},
    view::ControlsView,
};

use super::super::{
    Global,
    context::{self, Redis, optional_postgres},
};

/// Reads a time that is not over at once.
fn at_least_a_second(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if Duration::from_secs(1) <= time { Ok(time) } else { Err("write one second or more".to_owned()) }
}

/// For how long, and why.
#[derive(Debug, Parser)]
pub(in crate::cli) struct Terms {
    /// Take it back by itself after this time, such as 30m; holds until it is taken back unless given
    #[arg(long = "for", value_name = "TIME", value_parser = at_least_a_second)]
    lasting: Option<Duration>,
    /// Why, for whoever looks at it later
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

impl Terms {
    fn note<'a>(&'a self, actor: &'a str) -> Note<'a> {
        Note { by: actor, reason: &self.reason, lasting: self.lasting }
    }

    /// ` for 30m`, or nothing.
    fn text(&self) -> String {
        self.lasting.map_or_else(String::new, |time| format!(" for {}", humantime::format_duration(time)))
    }

    fn detail(&self) -> serde_json::Value {
        json!({ "for_seconds": self.lasting.map(|time| time.as_secs()), "reason": self.reason })
    }
}

/// What to set.
#[derive(Debug, Parser)]
#[group(id = "what", required = true, multiple = true)]
pub(in crate::cli) struct Limits {
    /// Run at most so many jobs at once in each worker, instead of what queues.toml says
    #[arg(long, value_name = "N", group = "what")]
    concurrency: Option<usize>,
    /// Start at most so many in any window, in all workers together: 10/s, 500/m, 2000/h, 10000/d; may be given for
    /// several windows
    #[arg(long = "rate", value_name = "N/WINDOW", group = "what")]
    rates: Vec<Rate>,
}

impl Limits {
    fn settings(&self) -> Result<Vec<Setting>, BadSetting> {
        let concurrency = self.concurrency.map(Setting::concurrency);
        let rate = (!self.rates.is_empty()).then(|| Setting::rate(self.rates.clone()));
        concurrency.into_iter().chain(rate).collect()
    }

    fn text(&self) -> String {
        let rates: Vec<String> = self.rates.iter().map(Rate::to_string).collect();
        let concurrency = self.concurrency.map(|most| format!("runs {most} at once in each worker"));
        let rate =
            (!rates.is_empty()).then(|| format!("starts {} in all workers together", rates.join(" and ")));
        concurrency.into_iter().chain(rate).collect::<Vec<_>>().join(" and ")
    }
}

pub(super) async fn pause(global: &Global, environment: &Environment, name: &str, terms: &Terms) -> Done {
    let redis = Redis::new(environment)?;
    let (keys, actor) = (redis.known_queue(global, name).await?, context::actor());
    control::set(&redis.link, &keys, &Setting::Pause, &terms.note(&actor)).await?;
    note(environment, &actor, "queue.pause", name, terms.detail()).await?;
    let text = || format!("Queue {name} is paused{}: jobs are accepted but not started.", terms.text());
    global.output.one(&json!({ "queue": name, "paused": true }), name, text)?;
    Ok(Exit::Ok)
}

pub(super) async fn resume(global: &Global, environment: &Environment, name: &str) -> Done {
    let redis = Redis::new(environment)?;
    let (keys, actor) = (redis.known_queue(global, name).await?, context::actor());
    let was_paused = control::unset(&redis.link, &keys, Control::Pause).await?;
    if was_paused {
        note(environment, &actor, "queue.resume", name, json!({})).await?;
    }
    let text = if was_paused { "is fetched again." } else { "was not paused." };
    global.output.one(&json!({ "queue": name, "paused": false }), name, || format!("Queue {name} {text}"))?;
    Ok(Exit::Ok)
}

pub(super) async fn limit(
    global: &Global,
    environment: &Environment,
    name: &str,
    limits: &Limits,
    terms: &Terms,
) -> Done {
    let settings = limits.settings().map_err(|bad| Stop::usage(bad.to_string()))?;
    let redis = Redis::new(environment)?;
    let (keys, actor) = (redis.known_queue(global, name).await?, context::actor());
    for setting in &settings {
        control::set(&redis.link, &keys, setting, &terms.note(&actor)).await?;
    }
    let controls = ControlsView::from(control::read(&redis.link, &keys).await?);
    let mut detail = terms.detail();
    detail["set"] = json!(limits.text());
    note(environment, &actor, "queue.limit", name, detail).await?;
    global.output.one(&json!({ "queue": name, "controls": controls }), name, || {
        format!("Queue {name} {}{}; workers know within two seconds.", limits.text(), terms.text())
    })?;
    Ok(Exit::Ok)
}

pub(super) async fn unlimit(
    global: &Global,
    environment: &Environment,
    name: &str,
    concurrency: bool,
    rate: bool,
) -> Done {
    let redis = Redis::new(environment)?;
    let (keys, actor) = (redis.known_queue(global, name).await?, context::actor());
    let all = !concurrency && !rate;
    let mut taken_back = Vec::new();
    for (wanted, control, word) in
        [(concurrency, Control::Concurrency, "concurrency"), (rate, Control::Rate, "rate")]
    {
        if (all || wanted) && control::unset(&redis.link, &keys, control).await? {
            taken_back.push(word);
        }
    }
    if !taken_back.is_empty() {
        note(environment, &actor, "queue.unlimit", name, json!({ "taken_back": taken_back })).await?;
    }
    global.output.one(&json!({ "queue": name, "taken_back": taken_back }), name, || {
        match taken_back.as_slice() {
            [] => format!("Nothing was set for queue {name}; it is as queues.toml says."),
            [word] => format!("The {word} of queue {name} is as queues.toml says again."),
            words => {
                format!("The {} of queue {name} are as queues.toml says again.", words.join(" and the "))
            }
        }
    })?;
    Ok(Exit::Ok)
}

async fn note(
    environment: &Environment,
    actor: &str,
    action: &str,
    queue: &str,
    detail: serde_json::Value,
) -> Result<(), Stop> {
    let deed = Deed { actor, action, subject: queue, tenant: None, detail };
    audit::note(optional_postgres(environment)?.as_ref(), &deed).await;
    Ok(())
}
