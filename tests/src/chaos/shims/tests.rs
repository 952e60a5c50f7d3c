//! Real servers and processes under the shims.

use std::time::Duration;

use flota_worker::dev::{
    RedisOptions, RedisServer, private_directory::PrivateDirectory, worker_process::WorkerProcess,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::*;
use crate::chaos::patient_redis;

const SOON: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(10);
const HOUR: i64 = 3_600;

async fn connection(redis: &RedisServer) -> redis::aio::MultiplexedConnection {
    patient_redis::connect(redis.url()).await.unwrap()
}

/// How far the clock of Redis is from the one of this machine, in seconds.
async fn ahead(redis: &RedisServer) -> i64 {
    let (seconds, _): (i64, i64) =
        redis::cmd("TIME").query_async(&mut connection(redis).await).await.unwrap();
    seconds - flota_producer::clock::unix_now().as_secs() as i64
}

/// Waits until Redis is this far ahead, give or take the second that a read may take.
async fn wait_until_ahead(redis: &RedisServer, wanted: i64) {
    let began = Instant::now();
    while 1 < (ahead(redis).await - wanted).abs() {
        assert!(began.elapsed() < SOON, "Redis is {} seconds ahead, not {wanted}", ahead(redis).await);
        sleep(LOOK).await;
    }
}

#[tokio::test]
async fn the_clock_of_redis_jumps_there_and_back() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Preload::clock(directory.path()).await.unwrap();
    let programs = redis_under(&[clock.preload()], directory.path()).unwrap();
    let redis = RedisServer::start(RedisOptions { programs, ..RedisOptions::default() }).await.unwrap();
    wait_until_ahead(&redis, 0).await;

    clock.jump(HOUR).unwrap();
    wait_until_ahead(&redis, HOUR).await;
    clock.jump(-2 * HOUR).unwrap();
    wait_until_ahead(&redis, -HOUR).await;
    clock.set_right().unwrap();

    wait_until_ahead(&redis, 0).await;
    assert_eq!(clock.offset(), 0);
}

#[tokio::test]
async fn a_process_under_a_clock_sees_it_jump_and_others_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Preload::clock(directory.path()).await.unwrap();
    let home = PrivateDirectory::open(None, None).await.unwrap();
    clock.jump(HOUR).unwrap();

    let shell = Path::new("/bin/sh");
    for (environment, log) in [(environment(&[clock.preload()]), "under"), (Vec::new(), "beside")] {
        let arguments = ["-c", "date +%s"];
        WorkerProcess::start(shell, &arguments, &environment, &home, log).await.unwrap().gone().await;
    }

    let now = flota_producer::clock::unix_now().as_secs() as i64;
    let ahead = |log: &str| {
        let said = fs::read_to_string(home.path().join(log)).unwrap();
        said.trim().parse::<i64>().unwrap() - now
    };
    let (under, beside) = (ahead("under"), ahead("beside"));
    assert!((under - HOUR).abs() < 60 && beside.abs() < 60, "{under} and {beside} seconds ahead");
}

/// A Redis whose durable length is noted.
async fn noted_redis(fsync: &str) -> (RedisServer, DurableLength, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let note = Preload::durable_length(directory.path()).await.unwrap();
    let redis = RedisServer::start(RedisOptions {
        programs: redis_under(&[note.preload()], directory.path()).unwrap(),
        extra_arguments: vec!["--appendfsync".into(), fsync.into()],
        ..RedisOptions::default()
    })
    .await
    .unwrap();
    (redis, note, directory)
}

/// Adds elements to a list, two in a transaction. Answers how many were acknowledged.
async fn push(redis: &RedisServer, transactions: usize) -> usize {
    let mut connection = connection(redis).await;
    for number in 0..transactions {
        let script = "redis.call('RPUSH', 'list', ARGV[1]) return redis.call('RPUSH', 'list', ARGV[1])";
        let () =
            redis::cmd("EVAL").arg(script).arg(0).arg(number).query_async(&mut connection).await.unwrap();
    }
    transactions * 2
}

async fn length(redis: &RedisServer) -> usize {
    redis::cmd("LLEN").arg("list").query_async(&mut connection(redis).await).await.unwrap()
}

#[tokio::test]
async fn a_redis_that_syncs_always_loses_nothing_in_a_power_loss() {
    let (mut redis, note, _directory) = noted_redis("always").await;
    let acknowledged = push(&redis, 200).await;

    let lost = PowerLoss::Durable(&note).strike(&mut redis).await.unwrap();

    assert_eq!(length(&redis).await, acknowledged, "{lost:?}");
    assert!(0 < lost.kept_bytes);
}

#[tokio::test]
async fn a_redis_that_never_syncs_loses_what_it_acknowledged() {
    let (mut redis, note, _directory) = noted_redis("no").await;
    push(&redis, 200).await;

    let lost = PowerLoss::Durable(&note).strike(&mut redis).await.unwrap();

    assert_eq!((length(&redis).await, lost.kept_bytes), (0, 0));
    assert!(0 < lost.lost_bytes);
}

#[tokio::test]
async fn the_note_follows_redis_to_a_rewritten_file() {
    let (redis, note, _directory) = noted_redis("always").await;
    push(&redis, 200).await;
    let before = note.durable_bytes().unwrap();
    let mut through = connection(&redis).await;
    let _: String = redis::cmd("BGREWRITEAOF").query_async(&mut through).await.unwrap();

    let began = Instant::now();
    while before <= note.durable_bytes().unwrap() {
        assert!(began.elapsed() < SOON, "the new file is as long as the old one, {before} bytes");
        push(&redis, 1).await;
        sleep(LOOK).await;
    }

    assert!(0 < note.durable_bytes().unwrap());
}

#[tokio::test]
async fn a_torn_file_holds_whole_transactions() {
    for random in [1, 57, 1_313, 4_099] {
        let (mut redis, _note, _directory) = noted_redis("everysec").await;
        let acknowledged = push(&redis, 300).await;

        let lost = PowerLoss::Torn { random }.strike(&mut redis).await.unwrap();

        let kept = length(&redis).await;
        assert!(kept < acknowledged && kept.is_multiple_of(2), "{kept} of {acknowledged}, {lost:?}");
    }
}

#[tokio::test]
async fn a_shim_that_cannot_be_built_says_why() {
    let directory = tempfile::tempdir().unwrap();

    let error =
        Preload::build("no_such_shim", directory.path(), "NOTHING", PathBuf::new()).await.unwrap_err();

    assert!(matches!(&error, NoShim::Build { said, .. } if said.contains("no_such_shim.c")), "{error}");
}
