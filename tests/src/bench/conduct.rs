//! The order of runs: round after round, in each of them measure after measure, and there one subject after the other.
//!
//! So two numbers that are compared were taken within minutes, and every other round begins with the last subject. A run
//! that fails is kept with its reason, and the others go on.

use std::time::Instant;

use flota_producer::clock;

use super::{
    ground::Ground,
    machine::Machine,
    peers::{
        PEERS,
        install::{self, Installed},
    },
    plan::{Arguments, Measure, Plan},
    report::{Failed, Report},
    runs::{self, Subject},
    sample::Sample,
};

/// Measures everything that the arguments ask for.
///
/// # Errors
/// When the private servers cannot be started.
pub async fn measure(arguments: &Arguments) -> anyhow::Result<Report> {
    let plan = Plan::of(arguments);
    let installed = if arguments.peers { install::install() } else { Installed::default() };
    for (origin, reason) in &installed.missing {
        println!("==> {origin:?} is left out: {reason}");
    }
    let ground = Ground::start().await?;
    let (redis, postgres) = ground.versions().await?;
    let began = clock::unix_now().as_secs();
    let machine = Machine::here(redis, postgres);
    println!("==> {}", machine.line());
    let mut report = Report::new(machine, began, arguments.quick, plan.clone(), &installed);
    let subjects = subjects(&installed);
    for round in 1..=plan.rounds {
        for &measure in &plan.measures {
            for subject in in_turn(&subjects, measure, round) {
                take(&ground, &plan, &mut report, (round, subject, measure)).await;
            }
        }
    }
    report.judge();
    Ok(report)
}

fn subjects(installed: &Installed) -> Vec<Subject<'_>> {
    let peers = PEERS.iter().filter_map(|peer| {
        let call = installed.calls.get(&peer.origin)?;
        Some(Subject::Peer(peer, call))
    });
    [Subject::Flota].into_iter().chain(peers).collect()
}

/// Those that take part, in the order of this round.
fn in_turn<'a>(subjects: &[Subject<'a>], measure: Measure, round: u32) -> Vec<Subject<'a>> {
    let mut turn: Vec<Subject<'a>> =
        subjects.iter().copied().filter(|subject| subject.takes_part_in(measure)).collect();
    if round.is_multiple_of(2) {
        turn.reverse();
    }
    turn
}

async fn take(
    ground: &Ground,
    plan: &Plan,
    report: &mut Report,
    (round, subject, measure): (u32, Subject<'_>, Measure),
) {
    let began = Instant::now();
    let outcome = Box::pin(runs::run(ground, plan, subject, measure)).await;
    let took = began.elapsed().as_secs_f64();
    let name = subject.name();
    let line = format!("round {round}  {:<9} {name:<20} {took:>6.1} s", format!("{measure:?}"));
    match outcome {
        Ok(readings) => {
            println!("{line}");
            for (case, metric, value) in readings {
                report.samples.push(Sample { round, subject: name.to_owned(), case, metric, value });
            }
        }
        Err(error) => {
            let reason = format!("{error:#}");
            println!("{line}  FAILED: {reason}");
            report.failed.push(Failed { round, subject: name.to_owned(), measure, reason });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, path::PathBuf};

    use super::*;
    use crate::bench::{peers::Origin, sample::FLOTA};

    #[test]
    fn peers_that_are_there_take_turns_with_us_and_every_other_round_goes_the_other_way() {
        let call = vec![PathBuf::from("peer")];
        let calls = HashMap::from([(Origin::Npm("bullmq"), call)]);
        let installed = Installed { calls, missing: Vec::new() };
        let subjects = subjects(&installed);
        let names = |measure, round| -> Vec<&str> {
            in_turn(&subjects, measure, round).into_iter().map(Subject::name).collect()
        };

        assert_eq!(names(Measure::Drain, 1), [FLOTA, "BullMQ 1×100", "BullMQ 2×100"]);
        assert_eq!(names(Measure::Drain, 2), ["BullMQ 2×100", "BullMQ 1×100", FLOTA]);
        assert_eq!(names(Measure::Single, 3), [FLOTA, "BullMQ 1×100"]);
        assert_eq!(names(Measure::Backlog, 1), [FLOTA]);
    }
}
