//! From a selection to a decision: the dry run, the question, the refusals, and the operation that carries it out.

use std::io::{self, IsTerminal, Write};

use anyhow::Context as _;
use flota_producer::JobId;
use serde_json::json;
use sqlx::PgPool;

use crate::{
    dead::{self, Filter, Group, Kind, NewOperation, edit::Change},
    exit::{Done, Exit, Stop},
    outcomes::DeadRow,
};

use super::{
    super::{
        Global, bulk, context,
        output::{Show, table},
    },
    Decision,
};

/// Letters shown before somebody decides.
const SAMPLE: u32 = 3;
/// Groups shown before somebody decides.
const GROUPS: u32 = 5;

pub(super) fn new_operation(kind: Kind, filter: Filter, decision: &Decision) -> NewOperation {
    NewOperation {
        kind,
        filter,
        reason: decision.reason.clone(),
        actor: context::actor(),
        rate: None,
        stage_size: None,
        max_failures: None,
        edited: None,
    }
}

/// The edited envelope of the one letter that is chosen.
pub(super) async fn edited(
    global: &Global,
    pool: &PgPool,
    filter: &Filter,
    set: &[String],
) -> Result<Vec<u8>, Stop> {
    let [id] = filter.ids[..] else {
        return Err(Stop::usage("--set changes one letter: name it by its id, and only it"));
    };
    let changes: Result<Vec<Change>, _> = set.iter().map(|change| change.parse()).collect();
    let changes = changes.map_err(|error| Stop::usage(error.to_string()))?;
    let letter = dead::get(pool, id).await?;
    let letter = letter.ok_or_else(|| Stop::not_found(format!("there is no dead letter {id}")))?;
    let edited = dead::edit::edit(&letter.envelope, &changes, &global.additions.registry());
    edited.map_err(|error| Stop { exit: Exit::Usage, error: error.into() })
}

/// Shows what would be done, asks where nobody has said yes, and does it.
pub(super) async fn decide(global: &Global, pool: &PgPool, new: NewOperation, decision: &Decision) -> Done {
    let verb = new.kind.word();
    if new.filter.is_empty() {
        return Err(Stop::new(
            Exit::Refused,
            format!(
                "`flota dead {verb}` without a filter would take every dead letter: choose some, for example \
                 --queue email, --group FINGERPRINT, --since 1d or ids"
            ),
        ));
    }
    refuse_decided(pool, &new.filter).await?;
    if !decision.yes {
        let matched = preview(global, pool, &new).await?;
        if decision.dry_run || matched == 0 {
            return Ok(Exit::Ok);
        }
        if !asked(&format!(
            "{} {matched} letters?",
            if new.kind == Kind::Replay { "Replay" } else { "Discard" }
        ))? {
            return Err(Stop::new(
                Exit::Refused,
                format!("nothing was done: add --yes to {verb} these letters"),
            ));
        }
    }
    let Some(operation) = dead::create(pool, &new).await? else {
        bulk::nothing(global, new.kind)?;
        return Ok(Exit::Ok);
    };
    bulk::carry_out(global, pool, operation.id).await
}

/// Letters that were named one by one must be there; of those that somebody decided about, it is said what.
async fn refuse_decided(pool: &PgPool, filter: &Filter) -> Result<(), Stop> {
    if filter.ids.is_empty() {
        return Ok(());
    }
    let states = dead::states(pool, &filter.ids).await?;
    if let Some(id) = filter.ids.iter().find(|id| states.iter().all(|(known, ..)| known != *id)) {
        return Err(Stop::not_found(format!("there is no dead letter {id}; nothing was done")));
    }
    let Some((id, state, again)) = states.iter().find(|(_, state, _)| state != "dead") else { return Ok(()) };
    let what = match (state.as_str(), again) {
        ("discarded", _) => "was discarded, and that is final".to_owned(),
        (state, Some(again)) => {
            format!("is {state} as job {again}; if that one dies, replay it by its own id")
        }
        (state, None) => format!("is {state}"),
    };
    Err(Stop::new(Exit::Failed, format!("letter {id} {what}; nothing was done, see `flota dead get {id}`")))
}

/// Count, sample and groups, before anything is done.
async fn preview(global: &Global, pool: &PgPool, new: &NewOperation) -> Result<i64, Stop> {
    let matched = dead::count(pool, &new.filter).await?;
    let sample = dead::page(pool, &new.filter, None, SAMPLE).await?;
    let groups = dead::groups(pool, &new.filter, GROUPS).await?;
    let answer = json!({ "dry_run": true, "matched": matched, "sample": sample, "groups": groups });
    global.output.one(&answer, &matched.to_string(), || {
        if matched == 0 {
            return "No dead letter fits.".to_owned();
        }
        let rows = |rows: Vec<Vec<String>>, columns| table(columns, rows.into_iter());
        let groups = rows(groups.iter().map(Show::row).collect(), Group::COLUMNS);
        let sample = rows(sample.iter().map(Show::row).collect(), DeadRow::COLUMNS);
        format!("{matched} letters fit.\n\nLargest groups\n{groups}\n\nNewest letters\n{sample}")
    })?;
    Ok(matched)
}

/// Asks on a terminal; where there is none, nobody said yes.
fn asked(question: &str) -> Result<bool, Stop> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(false);
    }
    let mut error = io::stderr().lock();
    write!(error, "{question} [y/N] ").and_then(|()| error.flush()).context("the terminal is gone")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Replays one dead letter, for `flota job retry`.
pub(in crate::cli) async fn replay_one(global: &Global, pool: &PgPool, id: JobId) -> Done {
    let filter = Filter { ids: vec![id], state: Some("dead"), ..Filter::default() };
    let decision = Decision { reason: Some("flota job retry".to_owned()), yes: true, dry_run: false };
    decide(global, pool, new_operation(Kind::Replay, filter, &decision), &decision).await
}
