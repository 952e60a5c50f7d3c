//! Enqueueing with a history: every answer a producer gets is written down.

use std::time::Duration;

use flota_producer::{EnqueueError, JobId, NewJob, Producer, Receipt};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use super::Scene;
use crate::chaos::history::{History, What};

impl Scene {
    /// Enqueues jobs. Answers the ids of those that were accepted for certain; the rest is in the history.
    pub async fn enqueue(&self, jobs: Vec<NewJob>) -> Vec<JobId> {
        enqueue(&self.producer, &self.history, jobs).await
    }

    /// Enqueues jobs in order, one after the other. Answers the ids of those that were accepted for certain.
    pub async fn enqueue_in_order(&self, line: &str, jobs: Vec<NewJob>) -> Vec<JobId> {
        let accepted = self.enqueue(jobs.into_iter().map(|job| job.in_order(line)).collect()).await;
        for job in &accepted {
            self.history.tell(What::InOrder { job: *job, line: line.to_owned() });
        }
        accepted
    }

    /// Enqueues the same job many times.
    pub async fn enqueue_many(&self, count: usize, job: &NewJob) -> Vec<JobId> {
        self.enqueue(vec![job.clone(); count]).await
    }

    /// Enqueues a few jobs again and again in the background, until the answer is stopped.
    ///
    /// # Errors
    /// When the address of Redis cannot be read, which is never.
    pub fn load(&self, at_once: usize, every: Duration, job: NewJob) -> anyhow::Result<Load> {
        let producer = Producer::new(self.producer_settings()?)?;
        let (history, stop) = (self.history.clone(), CancellationToken::new());
        let told = stop.clone();
        let task = tokio::spawn(async move {
            let mut accepted = Vec::new();
            while !told.is_cancelled() {
                accepted.extend(enqueue(&producer, &history, vec![job.clone(); at_once]).await);
                sleep(every).await;
            }
            accepted
        });
        Ok(Load { stop, task })
    }

    /// Writes down what a producer was answered.
    pub fn tell_of_enqueue(&self, outcome: &Result<Receipt, EnqueueError>) {
        self.history.tell(What::from(outcome));
    }

    /// How a producer of this scene reaches Redis.
    ///
    /// # Errors
    /// When the address cannot be read, which is never.
    pub fn producer_settings(&self) -> anyhow::Result<flota_producer::Settings> {
        let port = self.redis_proxy.as_ref().map_or(self.redis.port(), super::Proxy::port);
        Ok(flota_producer::Settings::from_url(&super::redis_url(port))?)
    }
}

async fn enqueue(producer: &Producer, history: &History, jobs: Vec<NewJob>) -> Vec<JobId> {
    let mut accepted = Vec::new();
    for outcome in producer.enqueue_all(jobs).await {
        history.tell(What::from(&outcome));
        accepted.extend(outcome.ok().map(|receipt| receipt.id));
    }
    accepted
}

/// A producer in the background.
pub struct Load {
    stop: CancellationToken,
    task: JoinHandle<Vec<JobId>>,
}

impl Load {
    /// Ends it. Answers the ids of the jobs that were accepted for certain.
    ///
    /// # Errors
    /// When it has panicked.
    pub async fn stop(self) -> anyhow::Result<Vec<JobId>> {
        self.stop.cancel();
        Ok(self.task.await?)
    }
}
