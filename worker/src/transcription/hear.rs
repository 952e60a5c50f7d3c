//! The pieces of one recording from the first call to the transcript: hear, pay, keep, and on to the next.
//!
//! Each call is paid for by itself and told by itself (`usage.calls` of the result), also when the job fails; when they
//! are many, those that are alike are told together. A piece that an earlier run has heard is not heard again.

use std::time::Instant;

use flota_engine::Job;
use flota_producer::clock;
use flota_providers::{
    ErrorClass, ProviderError, Receipt,
    transcription::{PROVIDER, Wanted},
};
use metrics::counter;
use serde_json::{Map, Value, json};

use super::{Transcription, join::joined, kept::PieceKey, prepare::Piece};
use crate::{
    failure::{Error, waits},
    files::FileError,
    llm::{Dollars, Teller},
    processors::caller,
    telemetry::metrics::{TRANSCRIPTION_COST, TRANSCRIPTION_SECONDS},
};

/// Most calls that are told one by one: an outcome holds 16 KiB, of which the transcript may take 12.
const MOST_ROWS: usize = 32;

/// One call that was made, or several that are told together.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(super) struct Paid {
    pub(super) model: String,
    /// Seconds that are billed.
    pub(super) seconds: u64,
    pub(super) cost_usd: f64,
    pub(super) cost_from: Teller,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<&'static str>,
    /// How many calls these are; one unless it is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) calls: Option<u64>,
}

impl Paid {
    /// Whether both can be told together. Errors are kept apart so that failed calls can still be counted.
    fn is_like(&self, other: &Self) -> bool {
        (&self.model, self.cost_from, self.error) == (&other.model, other.cost_from, other.error)
    }

    fn add(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.cost_usd = (Dollars::new(self.cost_usd) + Dollars::new(other.cost_usd)).as_f64();
        self.calls = Some(self.calls.unwrap_or(1) + other.calls.unwrap_or(1));
    }
}

/// A transcript and what it took.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) provider: &'static str,
    /// The last request at the provider.
    pub(super) id: Option<String>,
    pub(super) result: Value,
    /// Seconds, dollars, and the calls.
    pub(super) usage: Value,
}

/// A recording on its way.
pub(super) struct Hearing<'a> {
    transcription: &'a Transcription,
    job: &'a Job,
    wanted: Wanted,
}

impl<'a> Hearing<'a> {
    pub(super) fn new(transcription: &'a Transcription, job: &'a Job, wanted: Wanted) -> Self {
        Self { transcription, job, wanted }
    }

    /// Hears every piece.
    pub(super) async fn hear(&self, pieces: &[Piece]) -> Result<Heard, Error> {
        let kept = &self.transcription.kept;
        let (mut heard, mut id) = (Vec::new(), None);
        for piece in pieces {
            let key = PieceKey::of(piece.recording.content()).await.map_err(FileError::Disk)?;
            if let Some(transcript) = kept.heard(self.job.id, key) {
                heard.push((piece.from, transcript));
                continue;
            }
            let receipt = self.call(piece).await.map_err(|error| self.told(error))?;
            let transcript = receipt.detail.unwrap_or_default();
            if 1 < pieces.len() {
                kept.keep(self.job.id, key, &transcript, Instant::now());
            }
            heard.push((piece.from, transcript));
            id = receipt.provider_ref.or(id);
        }
        let usage = self.usage();
        kept.forget(self.job.id);
        let mut result = joined(self.wanted.format, heard);
        self.describe(&mut result, pieces);
        Ok(Heard { provider: PROVIDER, id, result: Value::Object(result), usage })
    }

    /// What is worth knowing beside the transcript.
    fn describe(&self, result: &mut Map<String, Value>, pieces: &[Piece]) {
        let seconds: f64 = pieces.iter().map(|piece| piece.recording.length().as_secs_f64()).sum();
        result.insert("model".to_owned(), self.transcription.model.clone().into());
        result.insert("format".to_owned(), self.wanted.format.word().into());
        result.insert("seconds".to_owned(), json!((seconds * 10.0).round() / 10.0));
        if 1 < pieces.len() {
            result.insert("pieces".to_owned(), pieces.len().into());
        }
    }

    async fn call(&self, piece: &Piece) -> Result<Receipt, ProviderError> {
        let now = clock::unix_now().as_secs() as i64;
        let (recording, wanted) = (&piece.recording, &self.wanted);
        let call = self
            .transcription
            .client
            .call(caller(self.job), |client| async move { client.transcribe(recording, wanted, now).await });
        let answer = call.await;
        self.pay(piece, &answer);
        answer
    }

    fn pay(&self, piece: &Piece, answer: &Result<Receipt, ProviderError>) {
        if answer
            .as_ref()
            .is_err_and(|error| error.was_not_sent() || error.code.as_deref() == Some("format_of_model"))
        {
            return;
        }
        let Transcription { model, settings, kept, .. } = self.transcription;
        let (seconds, teller) = match answer {
            Ok(receipt) => (billed(receipt).unwrap_or(piece.recording.billed_seconds()), Teller::Table),
            Err(error) if error.may_be_billed() => (piece.recording.billed_seconds(), Teller::Estimate),
            Err(_) => (0, Teller::Table),
        };
        let (spent, cost_from) = match settings.cost(model, seconds) {
            Some(spent) => (spent, teller),
            None => (Dollars::default(), Teller::Nobody),
        };
        let label = if settings.prices.contains_key(model) { model.clone() } else { "other".to_owned() };
        counter!(TRANSCRIPTION_SECONDS, "model" => label.clone()).increment(seconds);
        counter!(TRANSCRIPTION_COST, "model" => label).increment(spent.nanos() / 1_000);
        let error = answer.as_ref().err().map(|error| error.class.name());
        let paid =
            Paid { model: model.clone(), seconds, cost_usd: spent.as_f64(), cost_from, error, calls: None };
        kept.owe(self.job.id, paid, Instant::now());
    }

    /// An error as the run fails with it. One that only makes the job wait leaves no record, so what was paid is kept for
    /// the next run to tell.
    fn told(&self, error: ProviderError) -> Error {
        if waits(&error) {
            self.transcription.kept.forget_free(self.job.id);
            return error.into();
        }
        let usage = self.usage();
        if matches!(error.class, ErrorClass::Permanent | ErrorClass::Gone) {
            self.transcription.kept.forget(self.job.id);
        }
        error.with_detail(json!({ "usage": usage })).into()
    }

    /// What all calls took of which no record tells yet.
    fn usage(&self) -> Value {
        let calls = self.transcription.kept.untold(self.job.id);
        let dollars: Dollars = calls.iter().map(|paid| Dollars::new(paid.cost_usd)).sum();
        let seconds: u64 = calls.iter().map(|paid| paid.seconds).sum();
        json!({ "seconds": seconds, "cost_usd": dollars.as_f64(), "calls": rows(calls) })
    }
}

/// A row for each call; where these would be too many for an outcome, one for all that are alike.
fn rows(calls: Vec<Paid>) -> Vec<Paid> {
    if calls.len() <= MOST_ROWS {
        return calls;
    }
    let mut rows: Vec<Paid> = Vec::new();
    for call in calls {
        match rows.iter_mut().find(|row| row.is_like(&call)) {
            Some(row) => row.add(&call),
            None => rows.push(call),
        }
    }
    rows
}

/// Seconds that the provider says it bills.
fn billed(receipt: &Receipt) -> Option<u64> {
    let seconds = receipt.detail.as_ref()?["usage"]["seconds"].as_f64()?;
    Some(seconds.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paid(error: Option<&'static str>) -> Paid {
        let cost_from = if error.is_some() { Teller::Estimate } else { Teller::Table };
        Paid { model: "whisper-1".to_owned(), seconds: 7, cost_usd: 0.0007, cost_from, error, calls: None }
    }

    #[test]
    fn few_calls_are_told_one_by_one() {
        let told = json!(rows(vec![paid(None); MOST_ROWS]));

        let call = json!({ "model": "whisper-1", "seconds": 7, "cost_usd": 0.0007, "cost_from": "table" });
        assert_eq!(told, json!(vec![call; MOST_ROWS]));
    }

    #[test]
    fn many_calls_are_told_together_and_nothing_of_what_they_cost_is_lost() {
        let mut calls = vec![paid(None); 1_000];
        calls.insert(500, paid(Some("timeout")));

        let told = json!(rows(calls));

        let heard = json!({ "model": "whisper-1", "seconds": 7_000, "cost_usd": 0.7, "cost_from": "table", "calls": 1_000 });
        let lost = json!(paid(Some("timeout")));
        assert_eq!(told, json!([heard, lost]));
    }
}
