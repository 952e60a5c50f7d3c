//! One run: one subject under one measure, on empty servers. A file per measure.

mod backlog;
mod drain;
mod features;
mod idle;
mod load;
mod meter;
mod one_thread;
mod pick_up;
mod producers;
mod single;
mod slots;
mod workers;

use super::{
    case::Case,
    ground::{Fsync, Ground},
    peers::{Peer, install::Call},
    plan::{Measure, Plan},
    sample::{FLOTA, Readings},
};

/// Who is measured.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// This fleet.
    Flota,
    /// Another queue, and how its program is called.
    Peer(&'static Peer, &'a Call),
}

impl Subject<'_> {
    /// As samples have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flota => FLOTA,
            Self::Peer(peer, _) => peer.name,
        }
    }

    /// Whether it takes part in a measure.
    pub fn takes_part_in(self, measure: Measure) -> bool {
        match self {
            Self::Flota => true,
            Self::Peer(peer, _) => peer.measures.contains(&measure),
        }
    }
}

/// Carries out one run, or those that belong together.
///
/// # Errors
/// When a server or a process fails, or not everything ran that was enqueued: then the run does not count.
pub async fn run(
    ground: &Ground,
    plan: &Plan,
    subject: Subject<'_>,
    measure: Measure,
) -> anyhow::Result<Readings> {
    match (subject, measure) {
        (Subject::Flota, Measure::Drain) => drain::usual(ground, plan.jobs).await,
        (Subject::Flota, Measure::Single) => single::ours(ground, plan.singles).await,
        (Subject::Flota, Measure::PickUp) => pick_up::ours(ground, plan.timed).await,
        (Subject::Flota, Measure::Idle) => idle::ours(ground, plan.idle_secs).await,
        (Subject::Flota, Measure::Features) => features::each(ground, plan.fewer_jobs).await,
        (Subject::Flota, Measure::Backlog) => backlog::each(ground, &plan.backlogs, plan.jobs as u64).await,
        (Subject::Flota, Measure::Workers) => drain::fleets(ground, &plan.fleets, plan.fewer_jobs).await,
        (Subject::Flota, Measure::Slots) => slots::run(ground, plan.waves).await,
        (Subject::Flota, Measure::Fsync) => {
            let mut readings = Readings::new();
            for (case, fsync) in [(Case::EverySecond, Fsync::EverySecond), (Case::Always, Fsync::Always)] {
                readings.extend(drain::with_fsync(ground, plan.fewer_jobs, case, fsync).await?);
            }
            Ok(readings)
        }
        (Subject::Peer(peer, call), Measure::Drain) => drain::peer(ground, plan.jobs, peer, call).await,
        (Subject::Peer(peer, call), Measure::Single) => single::peer(ground, plan.singles, peer, call).await,
        (Subject::Peer(peer, call), Measure::PickUp) => pick_up::peer(ground, plan.timed, peer, call).await,
        (Subject::Peer(peer, call), Measure::Idle) => idle::peer(ground, plan.idle_secs, peer, call).await,
        (Subject::Peer(peer, _), measure) => anyhow::bail!("{} takes no part in {measure:?}", peer.name),
    }
}
