//! `flota queue get | purge | release`: one queue in full, emptying it, and putting parked jobs back in line.

use clap::ValueEnum;
use flota_engine::{
    IfRepeated,
    browse::LiveState,
    inspect,
    purge::{self, Purged},
    unpark,
};
use serde_json::json;

use crate::{
    audit::{self, Deed},
    config::Environment,
    exit::{Done, Exit, Stop},
    view::{self, QueueDetail, SetView},
};

use super::super::{
    Global,
    context::{self, Redis, optional_postgres},
    output::{age, table},
};

/// Where jobs wait that can be purged, those first that others would move up from. Running jobs are not among them: cancel those one by one.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::cli) enum Waiting {
    #[value(name = "in_line")]
    InLine,
    Ready,
    Delayed,
    Parked,
}

impl Waiting {
    const ALL: [Self; 4] = [Self::InLine, Self::Ready, Self::Delayed, Self::Parked];

    fn state(self) -> LiveState {
        match self {
            Self::InLine => LiveState::InLine,
            Self::Ready => LiveState::Ready,
            Self::Delayed => LiveState::Delayed,
            Self::Parked => LiveState::Parked,
        }
    }
}

pub(super) async fn get(global: &Global, environment: &Environment, name: &str) -> Done {
    let redis = Redis::new(environment)?;
    redis.known_queue(global, name).await?;
    let (pool, registry) = (optional_postgres(environment)?, global.additions.registry());
    let detail = view::queue(&redis.link, &redis.prefix, pool.as_ref(), &registry, name).await?;
    global.output.one(&detail, name, || text(&detail))?;
    Ok(Exit::Ok)
}

fn text(detail: &QueueDetail) -> String {
    let view = &detail.view;
    let controls = &detail.controls;
    let state = controls.pause.as_ref().map_or_else(|| "open".to_owned(), |pause| with("paused", pause));
    let mut rows: Vec<Vec<String>> = [
        ("state", state),
        ("ready", view.ready.to_string()),
        ("oldest ready", view.oldest_ready_age_ms.map_or_else(|| "-".to_owned(), age)),
        ("delayed", view.delayed.to_string()),
        ("running", view.running.to_string()),
        ("parked", view.parked.to_string()),
        ("in line", view.in_line.to_string()),
        ("dead", view.dead.map_or_else(|| "?".to_owned(), |count| count.to_string())),
        ("unrecorded", detail.unrecorded.to_string()),
    ]
    .map(|(what, value)| vec![what.to_owned(), value])
    .into();
    let rate = controls.rate.as_ref().map(|rate| ("rate", with(&rate.value.join(" "), rate)));
    let most = controls.concurrency.as_ref();
    let most = most.map(|most| ("concurrency", with(&most.value.to_string(), most)));
    rows.extend(rate.into_iter().chain(most).map(|(what, value)| vec![what.to_owned(), value]));
    rows.extend(detail.published.iter().map(|(key, value)| vec![key.clone(), value.clone()]));
    let mut text = table(&["queue", &view.queue], rows.into_iter()).to_string();
    for (kind, repeated) in &detail.if_repeated {
        let IfRepeated { at_worst, key, receiver } = repeated;
        text.push_str(&format!("\n\n{kind}, if a fault repeats a run\n"));
        text.push_str(&format!("  at worst  {at_worst}\n  key       {key}\n  receiver  {receiver}"));
    }
    text
}

/// What is set, with who, why and how long.
fn with<T>(value: &str, set: &SetView<T>) -> String {
    match set.about() {
        about if about.is_empty() => value.to_owned(),
        about => format!("{value} {about}"),
    }
}

pub(super) async fn purge(
    global: &Global,
    environment: &Environment,
    name: &str,
    only: Option<Waiting>,
    yes: bool,
) -> Done {
    let redis = Redis::new(environment)?;
    let keys = redis.known_queue(global, name).await?;
    let places: Vec<Waiting> = only.map_or_else(|| Waiting::ALL.to_vec(), |place| vec![place]);
    if !yes {
        let counts = inspect::counts(&redis.link, &keys).await?;
        let many = places.iter().map(|place| match place {
            Waiting::InLine => counts.in_line,
            Waiting::Ready => counts.ready,
            Waiting::Delayed => counts.delayed,
            Waiting::Parked => counts.parked,
        });
        let many: u64 = many.sum();
        return Err(Stop::new(
            Exit::Refused,
            format!("this would cancel {many} waiting jobs of queue {name} for good; add --yes to do it"),
        ));
    }
    let actor = context::actor();
    let (mut all, mut by_place) = (Purged::default(), serde_json::Map::new());
    for place in places {
        let done = purge::purge(&redis.link, &keys, place.state(), &actor).await?;
        all.cancelled += done.cancelled;
        all.left += done.left;
        by_place.insert(place.state().word().to_owned(), done.cancelled.into());
    }
    let detail = json!({ "cancelled": all.cancelled, "left": all.left, "by_state": by_place });
    let deed =
        Deed { actor: &actor, action: "queue.purge", subject: name, tenant: None, detail: detail.clone() };
    audit::note(optional_postgres(environment)?.as_ref(), &deed).await;
    let answer = json!({ "queue": name, "cancelled": all.cancelled, "left": all.left, "by_state": by_place });
    global.output.one(&answer, name, || {
        let left = match all.left {
            0 => String::new(),
            left => format!("; {left} had moved on"),
        };
        format!("{} waiting jobs of queue {name} are cancelled{left}. What runs goes on.", all.cancelled)
    })?;
    Ok(if all.left == 0 { Exit::Ok } else { Exit::Partly })
}

pub(super) async fn release(global: &Global, environment: &Environment, name: &str, ids: &[String]) -> Done {
    let redis = Redis::new(environment)?;
    let keys = redis.known_queue(global, name).await?;
    let ids = ids.iter().map(|id| context::job_id(id)).collect::<Result<Vec<_>, _>>()?;
    let released = unpark::release(&redis.link, &keys, &ids).await?;
    if released < ids.len() && released == 0 {
        return Err(Stop::not_found(format!(
            "none of these jobs is parked in queue {name}; see `flota job list --state parked --queue {name}`"
        )));
    }
    let detail = json!({ "released": released, "ids": ids });
    let deed =
        Deed { actor: &context::actor(), action: "queue.release", subject: name, tenant: None, detail };
    audit::note(optional_postgres(environment)?.as_ref(), &deed).await;
    let answer = json!({ "queue": name, "released": released });
    global.output.one(&answer, name, || {
        format!(
            "{released} parked jobs of queue {name} are back in line. A worker that still cannot read one parks it again."
        )
    })?;
    Ok(if released < ids.len() { Exit::Partly } else { Exit::Ok })
}
