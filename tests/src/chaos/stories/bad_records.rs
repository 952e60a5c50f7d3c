//! R9: records that cannot become history do not hold up the others. Among a thousand lie a few with NUL characters, ten
//! megabytes of text, broken UTF-8, words nobody knows, numbers out of range, and one that Postgres itself refuses.
//! What can be mended is recorded, the rest is kept aside with its reason, and the good ones are there within 2 s.

use std::time::{Duration, Instant};

use anyhow::ensure;
use flota_engine::{Record, Status};
use flota_producer::JobId;
use rand::{RngExt, seq::SliceRandom};
use serde_json::{Value, json};

use crate::{
    chaos::{
        checker::Terms,
        errand::effect_between,
        scene::{Scene, Stage, Told},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "bad-records",
    promise: "R9",
    what: "records that cannot be history lie among 1,000 good ones",
    seeds: 3,
    smoke: false,
    tell: telling!(tell),
};

const GOOD: usize = 999;
/// By when all good ones must be in Postgres: 2 s, and one for a busy machine.
const WITHIN: Duration = Duration::from_secs(3);

/// What every reason begins with that is about a line no record can be made of.
const UNREADABLE: &str = "not a record";

/// What the recorder must do with a line.
enum Fate {
    /// It becomes a row, mended or as it is.
    Row,
    /// It is kept aside, with a reason that says this.
    Aside(&'static str),
}

struct Line {
    bytes: Vec<u8>,
    fate: Fate,
}

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let mut scene = Scene::open(seed, Stage::default()).await?;
    let pool = scene.pool()?;
    // Nothing that gets so far is refused by our own tables, so this one has a rule more.
    let rule = "ALTER TABLE outcomes ADD CONSTRAINT no_such_code CHECK (code IS DISTINCT FROM 'refuse me')";
    sqlx::query(rule).execute(&pool).await?;
    let strange = strange_lines();
    let aside: Vec<&'static str> = strange
        .iter()
        .filter_map(|line| match line.fate {
            Fate::Aside(reason) => Some(reason),
            Fate::Row => None,
        })
        .collect();
    let rows = GOOD + strange.len() - aside.len();
    let good = (0..GOOD).map(|_| Line { bytes: good_line(), fate: Fate::Row });
    let mut lines: Vec<Line> = good.chain(strange).collect();
    lines.shuffle(&mut scene.rng);
    scene.worker().await?;
    add_entries(&mut scene, &lines).await?;
    let began = Instant::now();
    scene.wait_for_outcomes(rows as i64, WITHIN * 10).await?;
    let took = began.elapsed();
    ensure!(took <= WITHIN, "{rows} good records took {took:?} and not {WITHIN:?}");
    scene.enqueue_many(200, &effect_between(1, 1)).await;
    scene.wait_for_outcomes((rows + 200) as i64, Duration::from_secs(20)).await?;
    check_refused(&scene, &aside).await?;
    scene.figure("good ones recorded after ms", took.as_millis());
    scene.figure("kept aside", aside.len());
    let terms = Terms { other_producers: true, refused_records: true, no_repeats: true, ..Terms::default() };
    scene.close(&terms).await
}

/// Entries of many sizes, as settling makes them.
async fn add_entries(scene: &mut Scene, lines: &[Line]) -> anyhow::Result<()> {
    let (mut rest, mut pipeline) = (lines, redis::pipe());
    let outcomes = scene.keys().outcomes();
    while !rest.is_empty() {
        let (entry, later) = rest.split_at(scene.rng.random_range(1..=120).min(rest.len()));
        let records = entry.iter().map(|line| line.bytes.as_slice()).collect::<Vec<_>>().join(&b'\n');
        let add =
            pipeline.cmd("XADD").arg(&outcomes).arg("*").arg("t").arg(flota_producer::clock::unix_now_ms());
        add.arg("w").arg("a worker of the story").arg("o").arg(records).ignore();
        rest = later;
    }
    Ok(scene.link.pipeline::<()>(pipeline.atomic()).await?)
}

fn record() -> Record {
    let at = flota_producer::clock::unix_now_ms();
    let blank = Record::unreadable(JobId::mint(), Status::Succeeded);
    Record { kind: "errand".into(), run: 1, attempt: 1, at, ran_us: 1_000, ..blank }
}

fn good_line() -> Vec<u8> {
    record().encode().into_bytes()
}

/// A good record with some fields that no release writes.
fn odd(fields: &Value) -> Vec<u8> {
    let mut record: Value = serde_json::from_slice(&good_line()).unwrap_or_default();
    for (name, value) in fields.as_object().into_iter().flatten() {
        record[name.as_str()] = value.clone();
    }
    record.to_string().into_bytes()
}

fn strange_lines() -> Vec<Line> {
    let row = |bytes| Line { bytes, fate: Fate::Row };
    let aside = |bytes, reason| Line { bytes, fate: Fate::Aside(reason) };
    let mut broken = good_line();
    let middle = broken.len() / 2;
    broken[middle] = 0xff;
    let huge = "9".repeat(400);
    let no_double = String::from_utf8_lossy(&odd(&json!({"result": 1})))
        .replace("\"result\":1", &format!("\"result\":1e{huge}"));
    vec![
        row(odd(&json!({"error": "a\u{0}b", "result": {"na\u{0}me": ["\u{0}"]}}))),
        row(odd(&json!({"error": "x".repeat(10 * 1024 * 1024)}))),
        row(odd(&json!({"kind": "k".repeat(100_000), "code": "\u{0}".repeat(5_000)}))),
        row(odd(&json!({"run": u32::MAX, "ran_us": u64::MAX, "at": u64::MAX}))),
        row(odd(&json!({"status": "dead", "error": "no envelope", "envelope": "not base64"}))),
        // Words of a newer release are recorded as the nearest one that this release knows.
        row(odd(&json!({"status": "exploded"}))),
        row(odd(&json!({"class": "bad_mood"}))),
        aside(broken, UNREADABLE),
        aside(odd(&json!({"run": 99_999_999_999_u64})), "99999999999"),
        aside(odd(&json!({"attempt": -1})), "-1"),
        aside(odd(&json!({"id": "nobody"})), UNREADABLE),
        aside(no_double.into_bytes(), "number out of range"),
        aside(b"nonsense".to_vec(), UNREADABLE),
        aside(odd(&json!({"code": "refuse me"})), "no_such_code"),
    ]
}

/// Each line that had to be kept aside is there with its reason, and nothing else is.
async fn check_refused(scene: &Scene, expected: &[&'static str]) -> anyhow::Result<()> {
    let mut list = redis::cmd("LRANGE");
    let kept: Vec<String> = scene.link.query(list.arg(scene.keys().refused()).arg(0).arg(-1)).await?;
    ensure!(kept.len() == expected.len(), "{} records are kept aside and not {}", kept.len(), expected.len());
    let mut reasons = Vec::new();
    for kept in &kept {
        let kept: Value = serde_json::from_str(kept)?;
        ensure!(
            kept["record"].as_str().is_some_and(|record| !record.is_empty()),
            "a record is not kept: {kept}"
        );
        reasons.push(kept["reason"].as_str().unwrap_or_default().to_owned());
    }
    // The reason that fits every unreadable line comes last.
    let (vague, exact): (Vec<&str>, Vec<&str>) = expected.iter().partition(|reason| **reason == UNREADABLE);
    for expected in exact.into_iter().chain(vague) {
        let place = reasons.iter().position(|reason| reason.contains(expected));
        let place = place.ok_or_else(|| anyhow::anyhow!("no reason says `{expected}`: {reasons:?}"))?;
        reasons.remove(place);
    }
    Ok(())
}
