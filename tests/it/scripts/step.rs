//! One operation at a time, in Redis and in the model, and the comparison after each.

use std::{collections::BTreeMap, time::Duration};

use flota_engine::{
    ErrorClass, Record, Status,
    browse::LiveState,
    control::{self, Control, Note, Setting},
    inspect, purge,
    store::{self, RunId, Settlement, Step, Suspect},
};
use flota_producer::{
    Envelope, JobId, Priority,
    handover::{Handover, Terms, hand_over},
    keys::QueueKeys,
    link::{Link, LinkError},
};
use proptest::sample::Index;
use serde_json::value::RawValue;

use super::{
    contents::member_of,
    model::{Model, Outgoing},
    operation::{Due, End, Lease, Operation, Sent},
    real::{NAMES, Name, Real},
};

/// Longer than any test.
const FAR: Duration = Duration::from_hours(24);
/// Unix ms long after any test.
const FAR_AHEAD: u64 = 32_503_680_000_000;
const WORKER: &str = "worker";
const PERSON: &str = "person";
const STRAY: &str = "garbage:1";

impl Lease {
    pub(super) fn length(self) -> Duration {
        match self {
            Self::Ended => Duration::ZERO,
            Self::Kept => FAR,
        }
    }
}

/// Carries out a sequence. The error says which step went wrong, and how.
pub(super) async fn all(real: &Real<'_>, operations: &[Operation]) -> Result<(), String> {
    let mut model = Model::new(real.keys.clone());
    for (n, operation) in operations.iter().enumerate() {
        let checked = match one(real, &mut model, operation).await {
            Ok(()) => compare(real, &mut model).await,
            wrong => wrong,
        };
        checked.map_err(|wrong| format!("step {n}, {operation:?}: {wrong}"))?;
    }
    Ok(())
}

async fn compare(real: &Real<'_>, model: &mut Model) -> Result<(), String> {
    let seen = real.see().await;
    same("the structures", &seen.contents, &model.contents)?;
    seen.contents.check()?;
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    for id in model.recorded.iter().cloned().chain(seen.contents.ends()) {
        *ends.entry(id).or_default() += 1;
    }
    for id in &model.accepted {
        let (alive, ends) = (seen.contents.jobs.contains_key(id), ends.get(id).copied().unwrap_or_default());
        if ends != u32::from(!alive) {
            return Err(format!("job {id} is alive: {alive}, and ended {ends} times"));
        }
    }
    model.due = seen.due;
    Ok(())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, redis: &T, model: &T) -> Result<(), String> {
    if redis == model { Ok(()) } else { Err(format!("{what} differ\nRedis: {redis:#?}\nmodel: {model:#?}")) }
}

async fn one(real: &Real<'_>, model: &mut Model, operation: &Operation) -> Result<(), String> {
    let (link, keys) = (real.link, &real.keys);
    match operation {
        Operation::Enqueue { jobs, late } => return enqueue(real, model, jobs, *late).await,
        Operation::Fetch { most, first, lease, high_water } => {
            let order = order(*first);
            let theirs = done(real.fetch(*most, order, *lease, *high_water).await)?;
            return same("fetched", &theirs, &model.fetch(*most, order, *lease, *high_water));
        }
        Operation::Heartbeat { runs, lease } => {
            let runs = distinct(runs.iter().filter_map(|run| pick(&model.runs, run)));
            if runs.is_empty() {
                return Ok(());
            }
            let theirs = done(store::heartbeat(link, keys, lease.length(), &runs).await)?;
            return same("the pulse", &theirs, &model.heartbeat(&runs, *lease));
        }
        Operation::Settle { runs } => {
            let batch = settlements(model, runs);
            if batch.is_empty() {
                return Ok(());
            }
            let borrowed: Vec<&Settlement> = batch.iter().collect();
            let theirs = done(store::settle(link, keys, WORKER, &borrowed).await)?;
            return same("lost runs", &theirs, &model.settle(WORKER, &batch));
        }
        Operation::Recover { runs, max_deliveries } => {
            let mut suspects = suspects(model, runs, *max_deliveries);
            for suspect in &mut suspects {
                suspect.end_ms = end_as_seen(real, model, suspect.run).await;
            }
            let theirs = done(store::recover(link, keys, WORKER, &suspects).await)?;
            return same("recovered", &theirs, &model.recover(WORKER, &suspects));
        }
        Operation::Promote => {
            let (theirs, _) = done(store::promote(link, keys).await)?;
            return same("promoted", &theirs, &model.promote());
        }
        Operation::Cancel { job } => {
            let Some(id) = pick_job(model, job) else { return Ok(()) };
            let theirs = done(inspect::cancel(link, keys, id, PERSON).await)?;
            return same("cancelled", &theirs, &model.cancel(id, PERSON));
        }
        Operation::Unpark { jobs } => {
            let ids = distinct(jobs.iter().filter_map(|job| pick_job(model, job)));
            let priority = |id: JobId| model.sent[&id].priority;
            let jobs: Vec<_> = ids.into_iter().map(|id| (id, priority(id))).collect();
            let theirs = done(store::unpark(link, keys, &jobs).await)?;
            return same("unparked", &theirs, &model.unpark(&jobs));
        }
        // Which of them goes on then depends on the order in which Redis walks its hash.
        Operation::Purge { place: LiveState::InLine } if model.contents.some_line_stands() => {}
        Operation::Purge { place } => {
            // The lines of parked jobs go on in the order in which Redis walks its hash.
            let parked = parked(link, keys).await;
            let theirs = done(purge::purge(link, keys, *place, PERSON).await)?;
            return same("purged", &theirs, &model.purge(*place, PERSON, parked));
        }
        Operation::Hurry { job } => {
            let Some(id) = pick_job(model, job) else { return Ok(()) };
            let theirs = done(store::hurry(link, keys, id).await)?;
            return same("hurried", &theirs, &model.hurry(id));
        }
        around => around_the_scripts(real, model, around).await,
    }
    Ok(())
}

/// Ids of parked jobs, as Redis walks through them.
async fn parked(link: &Link, keys: &QueueKeys) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), 0_u64);
    loop {
        let mut scan = redis::cmd("HSCAN");
        scan.arg(keys.parked()).arg(cursor);
        let (next, found): (u64, Vec<(Name, String)>) = link.query(&scan).await.unwrap();
        ids.extend(found.into_iter().map(|(id, _)| id.0));
        cursor = next;
        if cursor == 0 {
            return ids;
        }
    }
}

/// What happens to a queue without a script, or without an answer to compare.
async fn around_the_scripts(real: &Real<'_>, model: &mut Model, operation: &Operation) {
    let (link, keys) = (real.link, &real.keys);
    match operation {
        Operation::Stray if !model.full => {
            let mut command = redis::cmd("ZADD");
            link.query::<u64>(command.arg(keys.running()).arg(0).arg(STRAY)).await.unwrap();
            model.contents.running.insert(STRAY.to_owned(), Lease::Ended);
        }
        Operation::SetAside => {
            store::set_aside(link, keys, STRAY.as_bytes()).await.unwrap();
            model.set_aside(STRAY, "garbage", store::NO_ID);
        }
        Operation::Pause => {
            control::set(link, keys, &Setting::Pause, &Note::default()).await.unwrap();
            model.contents.config.insert("paused".to_owned(), "1".to_owned());
        }
        Operation::Resume => {
            let was_paused = control::unset(link, keys, Control::Pause).await.unwrap();
            assert_eq!(was_paused, model.contents.config.remove("paused").is_some());
            model.contents.bell += usize::from(!model.full);
        }
        Operation::MaxLen(most) if !model.full => {
            let mut command = redis::cmd("HSET");
            link.query::<u64>(command.arg(keys.config()).arg("max_len").arg(most)).await.unwrap();
            model.contents.config.insert("max_len".to_owned(), most.to_string());
        }
        Operation::Full(full) => {
            real.set_full(*full).await;
            model.full = *full;
        }
        Operation::ForgetKey(key) => {
            let key = keys.dedup(None, NAMES[usize::from(*key)]);
            link.query::<u64>(redis::cmd("DEL").arg(&key)).await.unwrap();
            model.contents.strings.remove(&key);
        }
        Operation::Drain => {
            model.recorded.extend(model.contents.ends().collect::<Vec<_>>());
            let mut command = redis::cmd("XTRIM");
            link.query::<u64>(command.arg(keys.outcomes()).arg("MAXLEN").arg(0)).await.unwrap();
            model.contents.outcomes.clear();
        }
        Operation::Bell => {
            let rung: Option<String> = link.query(redis::cmd("LPOP").arg(keys.bell())).await.unwrap();
            model.contents.bell -= usize::from(rung.is_some());
        }
        _ => {}
    }
}

async fn enqueue(real: &Real<'_>, model: &mut Model, jobs: &[Sent], late: bool) -> Result<(), String> {
    let jobs: Vec<Outgoing> = jobs.iter().map(|job| outgoing(model, job)).collect();
    let handovers: Vec<Handover> = jobs
        .iter()
        .map(|job| {
            let due_ms = match job.due {
                Due::Now => None,
                Due::LongAgo => Some(1),
                Due::FarAhead => Some(FAR_AHEAD),
            };
            let terms = Terms { due_ms, key_window: None, keyed: true };
            Handover::new(job.id, job.bytes.clone().into_bytes(), &terms, &real.keys).unwrap()
        })
        .collect();
    let not_after = if late { 1 } else { FAR_AHEAD };
    let theirs = match hand_over(real.link, &real.keys, &handovers, not_after).await {
        Ok(answers) => Some(answers),
        Err(error) if error.is_full() => None,
        Err(error) => return Err(told(&error)),
    };
    let ours = model.enqueue(&jobs, late);
    let alive = jobs.iter().map(|job| job.id.to_string()).filter(|id| model.contents.jobs.contains_key(id));
    model.accepted.extend(alive);
    same("answers", &theirs, &ours)
}

/// A new job, or a live one once more.
fn outgoing(model: &mut Model, sent: &Sent) -> Outgoing {
    let alive: Vec<&String> = model.contents.jobs.keys().collect();
    let again = sent.again.as_ref().and_then(|index| pick(&alive, index));
    let id = again.map_or_else(|| id(model.sent.len()), |id| id.parse().unwrap());
    let payload = RawValue::from_string(format!(r#"{{"body":{}}}"#, sent.body)).unwrap();
    let mut envelope = Envelope::new("toy", payload, 1);
    envelope.priority = sent.priority;
    envelope.key = sent.key.map(|key| NAMES[usize::from(key)].to_owned());
    envelope.unique = sent.unique.map(|key| NAMES[usize::from(key)].to_owned());
    if let Some(key) = sent.order {
        envelope = envelope.in_order(NAMES[usize::from(key)]);
    }
    if again.is_none() {
        model.sent.insert(id, envelope.clone());
    }
    let bytes = String::from_utf8(envelope.encode()).unwrap();
    Outgoing { id, envelope, bytes, due: sent.due }
}

/// An id whose bytes look like everything that may stand before, behind or between ids.
fn id(number: usize) -> JobId {
    let begin = [b"h:", b"l:", b"\0\xff", b":2"][number % 4];
    let bytes = [&begin[..], &(number as u64).to_be_bytes(), b" \n\0:\x31\x30"].concat();
    JobId::read(&bytes).unwrap()
}

/// What the engine would settle: each run once.
fn settlements(model: &Model, runs: &[(Index, End)]) -> Vec<Settlement> {
    let runs = runs.iter().filter_map(|(index, end)| Some((pick(&model.runs, index)?, *end)));
    let mut batch: Vec<Settlement> = Vec::new();
    for (run, end) in runs {
        if batch.iter().all(|other| other.run != run) {
            batch.push(settlement(model, run, end));
        }
    }
    batch
}

fn settlement(model: &Model, run: RunId, end: End) -> Settlement {
    let (envelope, marks) = (&model.sent[&run.id], model.marks(run.id));
    let charged = || marks.charged(run.run, ErrorClass::ServerError, "told to fail").to_string();
    let excused = || marks.excused(run.run, Some(ErrorClass::RateLimited), Some("later")).to_string();
    let (step, new_marks, status) = match end {
        End::Succeed | End::LeaveLineStanding => (Step::End, String::new(), Some(Status::Succeeded)),
        End::Bury => (Step::End, String::new(), Some(Status::Dead)),
        End::RetryNow => (Step::Delay(Duration::ZERO), charged(), Some(Status::Retried)),
        End::RetryLater => (Step::Delay(FAR), charged(), Some(Status::Retried)),
        End::ParkNow => (Step::Delay(Duration::ZERO), excused(), None),
        End::Release => (Step::Release, excused(), None),
        End::Shelve => (Step::Shelve("no processor".to_owned()), excused(), None),
    };
    let record =
        |status| Record { run: run.run, attempt: marks.attempt + 1, ..Record::of(run.id, envelope, status) };
    Settlement {
        run,
        step,
        marks: new_marks,
        record: status.map_or_else(String::new, |status| record(status).encode()),
        unique: model.keys.unique_of(envelope),
        line: match end {
            End::LeaveLineStanding => String::new(),
            _ => model.keys.line_of(envelope),
        },
        priority: envelope.priority,
    }
}

/// The end of a lease when recovery looked: the one that stands, or another one where it was lengthened since.
async fn end_as_seen(real: &Real<'_>, model: &Model, run: RunId) -> u64 {
    if model.contents.running.get(&member_of(run)) != Some(&Lease::Ended) {
        return 1;
    }
    let mut score = redis::cmd("ZSCORE");
    let end: f64 = real.link.query(score.arg(real.keys.running()).arg(run)).await.unwrap();
    end as u64
}

fn suspects(model: &Model, runs: &[Index], max_deliveries: u32) -> Vec<Suspect> {
    let runs = distinct(runs.iter().filter_map(|run| pick(&model.runs, run)));
    let suspect = |run: RunId| {
        // As if it had been alone in its process: then every lost lease counts.
        let begun = model.marks(run.id).begun(run.run, true);
        let (envelope, marks) = (&model.sent[&run.id], begun.lost_lease(run.run, max_deliveries));
        let record = Record { run: run.run, ..Record::of(run.id, envelope, Status::Dead) };
        Suspect {
            run,
            marks: marks.to_string(),
            record: if max_deliveries <= marks.deliveries { record.encode() } else { String::new() },
            unique: model.keys.unique_of(envelope),
            line: model.keys.line_of(envelope),
            priority: envelope.priority,
            end_ms: 0,
        }
    };
    runs.into_iter().map(suspect).collect()
}

/// The record that the engine writes of a job that was cancelled while it waited.
pub(super) fn cancelled_record(id: JobId, envelope: &Envelope, marks: &flota_engine::Marks) -> String {
    let record = Record::of(id, envelope, Status::Cancelled);
    Record { run: marks.run, attempt: marks.attempt, ..record }.encode()
}

pub(super) fn envelope_of(body: &str) -> Envelope {
    Envelope::decode(body.as_bytes()).unwrap()
}

fn order(first: Priority) -> [Priority; 3] {
    match first {
        Priority::High => [Priority::High, Priority::Normal, Priority::Low],
        Priority::Normal => [Priority::Normal, Priority::Low, Priority::High],
        Priority::Low => [Priority::Low, Priority::Normal, Priority::High],
    }
}

fn pick<T: Clone>(items: &[T], index: &Index) -> Option<T> {
    (!items.is_empty()).then(|| index.get(items).clone())
}

fn pick_job(model: &Model, index: &Index) -> Option<JobId> {
    let ids: Vec<JobId> = model.sent.keys().copied().collect();
    pick(&ids, index)
}

fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.fold(Vec::new(), |mut kept, item| {
        if !kept.contains(&item) {
            kept.push(item);
        }
        kept
    })
}

fn done<T>(answer: Result<T, LinkError>) -> Result<T, String> {
    answer.map_err(|error| told(&error))
}

fn told(error: &LinkError) -> String {
    format!("{error}: {}", error.redis())
}
