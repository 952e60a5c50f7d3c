//! R7: Postgres goes away in every way we know: killed, frozen with all its processes, refused, swallowed by a black hole,
//! cut off behind COMMIT, or so busy that every statement is cancelled as by `statement_timeout`. Jobs are accepted and
//! done meanwhile, none is run twice for it, and every outcome is recorded once when Postgres is back.

use std::time::{Duration, Instant};

use anyhow::ensure;
use rand::seq::IndexedRandom;
use sqlx::{Connection, PgConnection};
use tokio::time::sleep;

use crate::{
    chaos::{
        checker::Terms,
        errand::{Step, effect_between, errand},
        history::EVERYTHING,
        proxy::{Direction, Fault, Proxy},
        scene::{Proxied, Scene, Stage, Told},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "postgres-away",
    promise: "R7",
    what: "Postgres is killed, frozen, unreachable, cut off behind COMMIT or cancels every statement, under load",
    seeds: 20,
    smoke: true,
    tell: telling!(tell),
};

const OUTAGES: usize = 3;
/// Jobs that are enqueued while Postgres is away, and have to be done by then.
const MEANWHILE: usize = 200;
const PATIENCE: Duration = Duration::from_secs(15);

/// How Postgres goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Killed,
    Frozen,
    Refused,
    BlackHole(Direction),
    CommitsCut,
    Cancelled,
}

const WAYS: [Way; 8] = [
    Way::Killed,
    Way::Frozen,
    Way::Refused,
    Way::BlackHole(Direction::Both),
    Way::BlackHole(Direction::ToClient),
    Way::BlackHole(Direction::ToServer),
    Way::CommitsCut,
    Way::Cancelled,
];

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let proxied = Proxied { postgres: true, ..Proxied::default() };
    let mut scene = Scene::open(seed, Stage { proxied, ..Stage::default() }).await?;
    scene.workers(2).await?;
    let load = scene.load(5, Duration::from_millis(40), effect_between(1, 1))?;
    let mut slowest = Duration::ZERO;
    let ways: Vec<Way> = WAYS.sample(&mut scene.rng, OUTAGES).copied().collect();
    for way in ways {
        scene.pause_between(100, 600).await;
        scene.fault_began(&format!("{way:?}"), EVERYTHING);
        begin(&mut scene, way).await?;
        let outage = sleep(Duration::from_secs(2));
        let blocker = if way == Way::Cancelled { Some(cancel_everything(&scene).await?) } else { None };
        work_goes_on(&scene).await?;
        outage.await;
        if let Some(blocker) = blocker {
            blocker.abort();
        }
        end(&mut scene, way).await?;
        scene.fault_ended(&format!("{way:?}"), EVERYTHING);
        let took = scene.wait_until("history is up to date", PATIENCE, |now| now.unrecorded < 20).await?;
        slowest = slowest.max(took);
    }
    load.stop().await?;
    scene.figure("history up to date after ms", slowest.as_millis());
    scene.close(&Terms { no_repeats: true, ..Terms::default() }).await
}

async fn begin(scene: &mut Scene, way: Way) -> anyhow::Result<()> {
    let fault = match way {
        Way::Killed => return Ok(scene.postgres.kill().await?),
        Way::Frozen => return Ok(scene.postgres.pause().await?),
        Way::Cancelled => return Ok(()),
        Way::Refused => Fault::Refuse,
        Way::BlackHole(direction) => Fault::BlackHole { direction },
        Way::CommitsCut => Fault::cut_after("COMMIT", 1_000),
    };
    scene.postgres_proxy.iter().for_each(|proxy| proxy.set(fault.clone()));
    Ok(())
}

async fn end(scene: &mut Scene, way: Way) -> anyhow::Result<()> {
    match way {
        Way::Killed => scene.postgres.start_again().await?,
        Way::Frozen => scene.postgres.resume().await?,
        Way::Cancelled => {}
        Way::Refused | Way::BlackHole(_) | Way::CommitsCut => {
            scene.postgres_proxy.iter().for_each(Proxy::heal);
        }
    }
    Ok(())
}

/// Holds the tables of history and cancels every statement that waits for them, until aborted.
async fn cancel_everything(scene: &Scene) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let url = scene.database_url();
    let mut connection = PgConnection::connect(&url).await?;
    hold_history(&mut connection).await?;
    Ok(tokio::spawn(async move {
        let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        while sqlx::raw_sql(cancel).execute(&mut connection).await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    }))
}

/// Locks the tables of history. Recorders at work lock some of them in another order: where Postgres ends that deadlock at
/// our cost, we ask again; where at theirs, they do.
async fn hold_history(connection: &mut PgConnection) -> anyhow::Result<()> {
    let lock = "BEGIN; LOCK TABLE outcomes, attempts, outbox IN ACCESS EXCLUSIVE MODE";
    while let Err(error) = sqlx::raw_sql(lock).execute(&mut *connection).await {
        let deadlock = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .is_some_and(|code| code == "40P01");
        ensure!(deadlock, error);
        sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await?;
    }
    Ok(())
}

/// Jobs that are enqueued now are accepted and done now.
async fn work_goes_on(scene: &Scene) -> anyhow::Result<()> {
    let accepted = scene.enqueue_many(MEANWHILE, &errand([Step::Effect])).await;
    ensure!(accepted.len() == MEANWHILE, "only {} of {MEANWHILE} jobs were accepted", accepted.len());
    let accepted: std::collections::HashSet<_> = accepted.into_iter().collect();
    let began = Instant::now();
    loop {
        let done = scene.provider.effects()?.iter().filter(|effect| accepted.contains(&effect.job)).count();
        if done == MEANWHILE {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "{done} of {MEANWHILE} jobs were done while Postgres was away");
        sleep(Duration::from_millis(50)).await;
    }
}
