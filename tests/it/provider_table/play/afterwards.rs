//! What a row leaves behind: whether other jobs go on, the recipient, the endpoint.

use std::time::Duration;

use flota_engine::Verdict;
use flota_producer::NewJob;
use flota_worker::endpoints;

use super::{Stage, is_decided, job};

/// How much longer a refused allowance is left alone than its provider asked for, for as long as anybody looks.
const LONGER: Duration = Duration::from_hours(1);

impl Stage {
    /// What happens to another job of the same account, for somebody else, while the wait of the first one lasts.
    pub(super) async fn others(&self) -> &'static str {
        self.lengthen_waits().await;
        self.sandbox.clear_faults();
        let id = self.enqueue(job(self, 2, true)).await;
        let seen =
            self.queue.witness.wait_until("the other is decided on", |seen| is_decided(seen, id)).await;
        match seen.last(id) {
            Some(Verdict::Complete) => "; others go on",
            Some(Verdict::Park(_)) => "; others wait too",
            other => panic!("{other:?}"),
        }
    }

    /// Makes what a provider has asked for last until the test has looked: a second may be over before the next job has
    /// its turn. An allowance that nobody refused stays as it is.
    async fn lengthen_waits(&self) {
        let link = &self.queue.link;
        let mut command = redis::cmd("KEYS");
        let allowances: Vec<String> = link
            .query(command.arg(format!("{}:{{limit:*}}", self.queue.prefix())))
            .await
            .expect("Redis answers");
        for allowance in allowances {
            let refused: Option<f64> =
                link.query(redis::cmd("HGET").arg(&allowance).arg("blocked")).await.expect("Redis answers");
            if refused.is_none_or(|until| until <= 0.0) {
                continue;
            }
            // Both, as a refusal does: the clock of the allowance stands still meanwhile.
            let mut pipeline = redis::pipe();
            for field in ["blocked", "shift"] {
                pipeline
                    .cmd("HINCRBYFLOAT")
                    .arg(&allowance)
                    .arg(field)
                    .arg(LONGER.as_millis() as u64)
                    .ignore();
            }
            link.pipeline::<()>(&pipeline).await.expect("Redis answers");
        }
    }

    /// What happens to the next job for the same recipient.
    pub(super) async fn recipient_afterwards(&self, job: NewJob) -> &'static str {
        self.sandbox.clear_faults();
        let id = self.enqueue(job).await;
        self.queue.witness.wait_until("the next one is decided on", |seen| is_decided(seen, id)).await;
        let records = self.queue.records().await;
        let record = records.into_iter().find(|(_, record)| record.id == id).map(|(_, record)| record);
        match record.and_then(|record| record.code) {
            Some(code) if code == "suppressed" => "; nothing more is sent there",
            _ => "",
        }
    }

    pub(super) async fn endpoint_afterwards(&self) -> &'static str {
        let Some(id) = &self.endpoint else { return "" };
        let rows = endpoints::list(&self.pool, None).await.expect("Postgres answers");
        let disabled = rows.iter().any(|row| row.id == *id && row.disabled.is_some());
        if disabled { "; the endpoint is disabled" } else { "" }
    }
}
