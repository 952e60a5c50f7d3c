//! `flota demo`: plays the story and prints what Postgres has of it.

use std::time::Instant;

use clap::Parser;

use crate::{
    demo::{self, Played, Report},
    exit::{Done, Exit},
};

use super::{
    Global,
    output::{self, table},
};

#[derive(Debug, Parser)]
#[command(after_help = "Example: flota demo -o json")]
pub(super) struct Args {}

pub(super) async fn run(global: &Global, _: Args) -> Done {
    let began = Instant::now();
    let tell = |step: &str| anstream::eprintln!("{:>6.1} s  {step}", began.elapsed().as_secs_f64());
    let report = Box::pin(demo::play(&tell)).await?;
    // People watch a demo, also when its output goes through a pipe.
    global.output.or_table().one(&report, "demo", || text(&report))?;
    Ok(if report.held() { Exit::Ok } else { Exit::Failed })
}

fn text(report: &Report) -> String {
    let mut text = format!("\n{}\n\n", jobs(&report.jobs));
    for check in &report.checks {
        let (mark, seen) =
            if check.held { ("✓", String::new()) } else { ("✗", format!(" — seen: {}", check.seen)) };
        text.push_str(&format!("{mark} {}{seen}\n", check.promise));
    }
    let held = report.checks.iter().filter(|check| check.held).count();
    let all = report.checks.len();
    text.push_str(&format!("\n{held} of {all} promises held, {:.1} s.", report.seconds));
    text
}

fn jobs(jobs: &[Played]) -> String {
    let columns = ["story", "kind", "outcome", "attempt", "runs", "total ms", "what Postgres keeps of it"];
    let rows = jobs.iter().map(|played| {
        let runs: Vec<String> = played.job.attempts.iter().map(in_short).collect();
        let last = played.job.attempts.last();
        let kept =
            last.and_then(|run| run.error.clone().or_else(|| run.provider_ref.clone())).unwrap_or_default();
        vec![
            played.story.to_owned(),
            played.job.kind.clone(),
            played.job.state.clone(),
            played.job.attempt.to_string(),
            runs.join(", "),
            played.took_ms.to_string(),
            output::shorten(&kept, 60),
        ]
    });
    table(&columns, rows).to_string()
}

/// One run in a few characters: what it was, and its milliseconds.
fn in_short(run: &crate::outcomes::AttemptRow) -> String {
    let how = run.error_class.as_deref().unwrap_or("ok");
    format!("{how} {:.0} ms", run.duration_ms)
}
