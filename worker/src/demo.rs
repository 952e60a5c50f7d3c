//! The demo: the whole story on this machine, with real servers and a real worker process.
//!
//! `stories.rs` says what is enqueued and how each job must end, `stage.rs` has the servers, the worker and the
//! endpoints, and this file plays the stories and checks the promises. Nothing here is simulated: mails and webhooks go
//! through HTTP and SMTP, every request is held to its vendor's specification, the worker is killed with SIGKILL.

mod stage;
mod stories;

use std::time::{Duration, Instant};

use anyhow::Context;
use flota_producer::{DeliverWebhook, EmailBody, EnqueueError, JobId, NewJob, SendEmail};
use serde::Serialize;
use serde_json::json;

use crate::{
    sandbox::{Fault, Reset},
    view::JobView,
};

use stage::Stage;
use stories::{Expected, Story};

/// How long one job may take to end before the demo gives up on it.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the demo found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// One line per job.
    pub jobs: Vec<Played>,
    /// One line per promise.
    pub checks: Vec<Check>,
    /// How long it all took.
    pub seconds: f64,
}

/// One job and what became of it.
#[derive(Debug, Serialize)]
pub struct Played {
    /// What it shows.
    pub story: &'static str,
    /// The job as Postgres has it.
    pub job: JobView,
    /// From enqueue to outcome.
    pub took_ms: u64,
}

/// One promise and whether it held.
#[derive(Debug, Serialize)]
pub struct Check {
    /// The promise.
    pub promise: String,
    /// Whether it held.
    pub held: bool,
    /// What was seen, when it did not.
    pub seen: String,
}

impl Report {
    /// True when every promise held.
    pub fn held(&self) -> bool {
        self.checks.iter().all(|check| check.held)
    }

    fn check(&mut self, promise: impl Into<String>, held: bool, seen: impl FnOnce() -> String) {
        let seen = if held { String::new() } else { seen() };
        self.checks.push(Check { promise: promise.into(), held, seen });
    }

    /// Who took over the mail of this story.
    fn carrier_of(&self, story: &str) -> String {
        let played = self.jobs.iter().find(|played| played.story == story);
        let last = played.and_then(|played| played.job.attempts.last()?.provider.clone());
        last.unwrap_or_default()
    }

    fn add(&mut self, story: &'static str, expected: &Expected, job: JobView, took: Duration) {
        let held = job.state == expected.state && job.attempt == expected.attempts;
        let promise = format!("{story}: {} at attempt {}", expected.state, expected.attempts);
        self.check(promise, held, || format!("{} at attempt {}", job.state, job.attempt));
        self.jobs.push(Played { story, job, took_ms: took.as_millis() as u64 });
    }
}

/// Plays everything. `tell` hears one line per step.
///
/// # Errors
/// When the stage cannot be set or a job does not end; promises that did not hold are in the report.
pub async fn play(tell: &dyn Fn(&str)) -> anyhow::Result<Report> {
    let began = Instant::now();
    tell("starting a private Redis and Postgres, and a sandbox with every provider");
    let mut stage = Stage::set().await?;
    tell("starting a worker");
    stage.start_worker().await?;
    let mut report = Report::default();
    ordinary_jobs(&stage, &mut report, tell).await?;
    other_kinds(&stage, &mut report, tell).await?;
    misbehaving_receivers(&stage, &mut report, tell).await?;
    email_providers_in_trouble(&stage, &mut report, tell).await?;
    refusals(&stage, &mut report, tell).await?;
    replayed_letter(&stage, &mut report, tell).await?;
    killed_worker(&mut stage, &mut report, tell).await?;
    tell("stopping the worker with SIGTERM");
    let well = stage.stop_worker().await?;
    report.check("the worker drains and exits 0 on SIGTERM", well, || "it did not".to_owned());
    evidence(&stage, &mut report).await?;
    report.seconds = began.elapsed().as_secs_f64();
    Ok(report)
}

async fn ordinary_jobs(stage: &Stage, report: &mut Report, tell: &dyn Fn(&str)) -> anyhow::Result<()> {
    tell("five templates by mail, in Spanish and English, and a signed webhook");
    play_all(stage, report, stories::mails().into_iter().chain([stories::webhook(stage)])).await
}

async fn other_kinds(stage: &Stage, report: &mut Report, tell: &dyn Fn(&str)) -> anyhow::Result<()> {
    tell(
        "one job of every other kind: push, WhatsApp, SMS, chat, transcription, picture; one with a stored file",
    );
    let sandbox = &stage.stack.sandbox;
    std::fs::write(stage.stack.job_files().join(stories::RECORDING), stories::SOUND)?;
    std::fs::write(stage.stack.job_files().join(stories::PICTURE), stories::PIXELS)?;
    sandbox.fault(Fault::status("llm", 429).header("retry-after", "1"))?;
    play_all(stage, report, stories::other_kinds(stage)).await?;
    stored_label(stage, report).await?;
    let opened = stage.push_was_opened();
    report.check("the browser can open its notification, signed by us", opened, || "it cannot".to_owned());
    // Meta's body for a 400 says 131026: not on WhatsApp.
    sandbox.fault(Fault::status("whatsapp", 400))?;
    play_all(stage, report, [stories::not_on_whatsapp()]).await?;
    let answer = report.jobs.iter().find(|played| played.job.kind == "complete_chat");
    let tries = sandbox.journal(Some("llm")).len();
    let charged = answer.map_or(0, |played| played.job.attempt);
    report.check("a rate limit is waited for and costs no try", (tries, charged) == (2, 1), || {
        format!("{tries} calls, attempt {charged}")
    });
    Ok(())
}

/// A picture is put into the bucket as an admin would, and its barcode is read here.
async fn stored_label(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let file = stage.stack.directory.path().join("label.png");
    std::fs::write(&file, stories::LABEL)?;
    let file = file.display().to_string();
    let stored = stage.flota(&["storage", "put", &file, "--tenant", stories::TENANT]).await?;
    let key = stored["key"].as_str().unwrap_or_default().to_owned();
    play_all(stage, report, [stories::stored_label(key)]).await?;
    let outcome = report.jobs.last().and_then(|played| played.job.outcome.clone()).unwrap_or_default();
    let is_read = outcome["result"]["barcodes"][0]["text"] == stories::EAN;
    report.check("the barcode on a picture in the bucket was read", is_read, || outcome.to_string());
    Ok(())
}

async fn misbehaving_receivers(
    stage: &Stage,
    report: &mut Report,
    tell: &dyn Fn(&str),
) -> anyhow::Result<()> {
    tell("receivers that answer 500, 429, 410, hang and reset");
    let status = |status| Fault::status("webhook", status);
    let cut_off = Fault { reset: Some(Reset::Before), ..Fault::of("webhook") };
    let hang = Fault { delay_ms: 10_000, ..cut_off.clone() };
    for fault in [
        status(500).at("/flaky"),
        status(503).at("/flaky"),
        status(429).header("retry-after", "1").at("/busy"),
        hang.at("/slow"),
        cut_off.at("/reset"),
        status(500).times(3).at("/broken"),
        status(410).at("/gone"),
    ] {
        stage.stack.sandbox.fault(fault)?;
    }
    play_all(stage, report, stories::troubled_webhooks(stage)).await?;
    let disabled = stage.is_disabled("/gone").await?;
    report.check("an endpoint that answers 410 Gone is disabled", disabled, || "it is still open".to_owned());
    Ok(())
}

async fn email_providers_in_trouble(
    stage: &Stage,
    report: &mut Report,
    tell: &dyn Fn(&str),
) -> anyhow::Result<()> {
    tell("SendGrid that says 503, refuses a mail, and then our key: SES and the mail server step in");
    let sandbox = &stage.stack.sandbox;
    sandbox.fault(Fault::status("sendgrid", 503))?;
    play_all(stage, report, [stories::sendgrid_is_down()]).await?;
    sandbox.fault(Fault::status("sendgrid", 400))?;
    play_all(stage, report, [stories::refused_mail()]).await?;
    sandbox.fault(Fault::status("sendgrid", 401))?;
    sandbox.fault(Fault::status("ses", 500))?;
    play_all(stage, report, [stories::only_the_mail_server_is_left()]).await?;
    for (story, expected) in [(stories::BY_SES, "ses"), (stories::BY_SMTP, "smtp")] {
        let carrier = report.carrier_of(story);
        report.check(format!("{story}: sent by {expected}"), carrier == expected, || carrier.clone());
    }
    Ok(())
}

async fn refusals(stage: &Stage, report: &mut Report, tell: &dyn Fn(&str)) -> anyhow::Result<()> {
    tell("what is refused before it is accepted, and what is recognised as a repeat");
    let mail = || {
        NewJob::new(SendEmail::new("ana@example.com", EmailBody::text("Once", "Only once"))).key("order-42")
    };
    let first = stage.producer.enqueue(mail()).await?;
    let second = stage.producer.enqueue(mail()).await?;
    let same = first.id == second.id && second.deduplicated;
    report.check("the same idempotency key gives the first job back", same, || format!("{second:?}"));
    let injected = SendEmail::new("ana@example.com\r\nBcc: eve@example.com", EmailBody::text("Hi", "Hello"));
    let inside = DeliverWebhook::to_url("https://[::ffff:169.254.169.254]/latest", "x", json!({}));
    for (what, job) in
        [("header injection", NewJob::new(injected)), ("a private address", NewJob::new(inside))]
    {
        let answer = stage.producer.enqueue(job).await;
        let refused = matches!(answer, Err(EnqueueError::Invalid(_)));
        report.check(format!("{what} is refused on enqueue"), refused, || format!("{answer:?}"));
    }
    stage.wait_for(first.id, PATIENCE).await.map(drop)
}

async fn replayed_letter(stage: &Stage, report: &mut Report, tell: &dyn Fn(&str)) -> anyhow::Result<()> {
    tell("the fault is healed: `flota dead replay` brings a dead letter back, and its lineage is kept");
    let letter = report.jobs.iter().find(|played| played.story == stories::NOT_ON_WHATSAPP);
    let letter = letter.context("the dead letter of the story before")?.job.id;
    let began = Instant::now();
    let done = stage.flota(&["dead", "replay", &letter.to_string(), "--yes"]).await?;
    let counted = (done["matched"].as_u64(), done["replayed"].as_u64());
    report.check("the letter is replayed once", counted == (Some(1), Some(1)), || done.to_string());
    let again = stage.flota(&["dead", "replay", &letter.to_string(), "--yes"]).await;
    report.check("a letter cannot be replayed a second time", again.is_err(), || format!("{again:?}"));
    let replay: JobId = stage.replay_of(letter).await?.context("the letter names the job that repeats it")?;
    let job = stage.wait_for(replay, PATIENCE).await?;
    let came_from = job.outcome.as_ref().map(|outcome| outcome["replay_of"].to_string()).unwrap_or_default();
    report.check("the replay says which letter it repeats", came_from.contains(&letter.to_string()), || {
        came_from
    });
    report.add("the replayed letter", &stories::DONE, job, began.elapsed());
    Ok(())
}

async fn killed_worker(stage: &mut Stage, report: &mut Report, tell: &dyn Fn(&str)) -> anyhow::Result<()> {
    tell("kill -9 while a job runs; a second worker takes it over when the lease (3 s) has ended");
    let story = stories::interrupted(stage);
    let hang = Fault { reset: Some(Reset::Before), delay_ms: 30_000, ..Fault::of("webhook") };
    stage.stack.sandbox.fault(hang.at("/long"))?;
    let before = stage.deliveries("/long").len();
    let began = Instant::now();
    let id = stage.producer.enqueue(story.job).await?.id;
    stage.wait_for_deliveries("/long", before + 1, PATIENCE).await?;
    stage.kill_worker().await?;
    stage.start_worker().await?;
    let job = stage.wait_for(id, PATIENCE).await?;
    report.add(story.name, &story.expected, job, began.elapsed());
    let ids: Vec<String> = stage
        .deliveries("/long")
        .iter()
        .filter_map(|seen| seen.header("webhook-id").map(str::to_owned))
        .collect();
    let same = ids.len() == 2 && ids.iter().all(|seen| *seen == id.to_string());
    report.check("both deliveries of the interrupted job carry the same webhook-id", same, || {
        format!("{ids:?}")
    });
    Ok(())
}

/// What receivers and servers have at the end.
async fn evidence(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let (mails, expected) = (stage.mails_taken(), stories::mails().len() + 3);
    report.check(format!("each of {expected} mails was taken over exactly once"), mails == expected, || {
        format!("{mails} mails")
    });
    let templates = stage.mails_with_text_and_html();
    report.check("every template came as text and HTML", templates == stories::mails().len(), || {
        format!("{templates}")
    });
    let unsigned = stage.badly_signed();
    report.check("every delivery carries a valid Standard Webhooks signature", unsigned.is_empty(), || {
        unsigned.join(", ")
    });
    let refused = stage.refused_by_vendors();
    report.check("every request fits its vendor's specification", refused.is_empty(), || refused.join(", "));
    let left = stage.left_in_redis().await?;
    report.check("nothing is left in Redis", left == 0, || format!("{left} jobs"));
    Ok(())
}

async fn play_all(
    stage: &Stage,
    report: &mut Report,
    stories: impl IntoIterator<Item = Story>,
) -> anyhow::Result<()> {
    let mut playing: Vec<(&'static str, Expected, JobId, Instant)> = Vec::new();
    for story in stories {
        let id = stage.producer.enqueue(story.job).await?.id;
        playing.push((story.name, story.expected, id, Instant::now()));
    }
    for (name, expected, id, began) in playing {
        let job = stage.wait_for(id, PATIENCE).await?;
        report.add(name, &expected, job, began.elapsed());
    }
    Ok(())
}
