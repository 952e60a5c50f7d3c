//! [`JobRunner`] on the apalis worker runtime, with our own `Backend`.
//!
//! What the runtime asks of a backend decides this file's shape (docs/decisions/0002-apalis-backend.md):
//! an error would end the worker and drop its runs, so ours cannot occur (`Infallible`); the runtime decodes nothing
//! (`Ephemeral`); each job gets a task of its own (`parallelize`, outermost), so a busy one does not hold up the rest;
//! and the worker is told to stop before the stream ends, because an ended stream alone leaves it waiting.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use apalis::prelude::{
    Data, ParallelizeExt, Task, TaskBuilder, WorkerBuilder, WorkerBuilderExt, WorkerContext,
};
use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    error::BoxDynError,
};
use futures_util::FutureExt;
use tokio::sync::mpsc;
use tower::layer::util::Identity;
use tracing::{debug, error};

use crate::{
    leased::Leased,
    runner::{Execute, JobRunner},
};

/// Runs jobs on the apalis worker runtime.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApalisRunner;

impl JobRunner for ApalisRunner {
    fn run(
        &self,
        name: String,
        jobs: mpsc::UnboundedReceiver<Vec<Leased>>,
        execute: Arc<dyn Execute>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let worker = WorkerBuilder::new(name.clone())
            .backend(LeasedJobs { jobs, next: VecDeque::new() })
            .parallelize(tokio::spawn)
            // A processor's panic is caught in run.rs, where it becomes a verdict; this is the wall behind it.
            .catch_panic()
            .data(execute)
            .build(execute_one);
        // An async block around the runtime's future is not provably Send for the compiler; a combinator is.
        Box::pin(worker.run().map(move |ended| match ended {
            Ok(()) => debug!("Worker {name} has ended"),
            Err(error) => {
                error!(error = &error as &dyn std::error::Error, "Worker {name} ended early: {error}");
            }
        }))
    }
}

async fn execute_one(leased: Leased, execute: Data<Arc<dyn Execute>>) -> Result<(), BoxDynError> {
    execute.execute(leased).await;
    Ok(())
}

/// The stream of leased jobs, as apalis wants it.
struct LeasedJobs {
    jobs: mpsc::UnboundedReceiver<Vec<Leased>>,
    next: VecDeque<Leased>,
}

impl Backend for LeasedJobs {
    type Task = Task<Leased>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Task<Leased>, Infallible>>> {
        loop {
            if let Some(leased) = self.next.pop_front() {
                return Poll::Ready(Some(Ok(TaskBuilder::new(leased).build())));
            }
            match self.jobs.poll_recv(cx) {
                Poll::Ready(Some(jobs)) => self.next.extend(jobs),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => {
                    if let Err(error) = worker.stop() {
                        debug!(error = &error as &dyn std::error::Error, "The worker was stopped before");
                    }
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for LeasedJobs {
    type Args = Leased;
    type Id = uuid::Uuid;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}
