//! `flota job retry`: a delayed job runs now, a dead one is replayed.

use flota_engine::{
    inspect,
    inspect::{InLine, Place},
    store,
};
use flota_producer::JobId;
use serde_json::json;

use crate::{
    config::Environment,
    dead,
    exit::{Done, Exit, Stop},
};

use super::{
    Global,
    context::{self, Redis, optional_postgres},
    dead::replay_one,
};

pub(super) async fn run(global: &Global, environment: &Environment, id: &str) -> Done {
    let id = context::job_id(id)?;
    let redis = Redis::new(environment)?;
    for name in redis.queues(global).await? {
        let keys = redis.keys(&name);
        if store::hurry(&redis.link, &keys, id).await? {
            let json = json!({ "id": id, "queue": name, "result": "ready" });
            global
                .output
                .one(&json, &id.to_string(), || format!("Job {id} is ready and runs as soon as it can."))?;
            return Ok(Exit::Ok);
        }
        if let Some(found) = inspect::find(&redis.link, &keys, id).await? {
            return Err(Stop::new(Exit::Failed, alive(id, &found.place)));
        }
    }
    let Some(pool) = optional_postgres(environment)? else {
        let sentence = "; dead jobs are in Postgres, set DATABASE_URL to replay one";
        return Err(Stop::not_found(format!("no delayed job {id}{sentence}")));
    };
    if dead::states(&pool, &[id]).await?.is_empty() {
        let advice = format!("see `flota job get {id}`");
        return Err(Stop::not_found(format!(
            "no delayed and no dead job {id}: only these can be retried; {advice}"
        )));
    }
    replay_one(global, &pool, id).await
}

fn alive(id: JobId, place: &Place) -> String {
    match place {
        Place::Ready => format!("job {id} is ready already and runs as soon as a worker is free"),
        Place::Running => format!("job {id} is running"),
        Place::Delayed(_) => format!("job {id} was delayed a moment ago; try again"),
        Place::Parked(reason) => {
            format!("job {id} is parked ({reason}): a worker that knows it takes it back by itself")
        }
        Place::InLine(InLine { behind: Some(first), .. }) => format!(
            "job {id} waits in line behind job {first}, which has to end first: retry or cancel that one"
        ),
        Place::InLine(_) => format!("job {id} waits in line and runs when its turn comes"),
    }
}
