//! [`JobRunner`] on the apalis worker runtime, with our own `Backend`.
//!
//! What the runtime asks of a backend decides this file's shape (docs/decisions/0002-apalis-backend.md):
//! an error would end the worker and drop its runs, so ours cannot occur (`Infallible`); the runtime decodes nothing
//! (`Ephemeral`); what is fetched together is one task of the runtime, which is a third cheaper than one each, and ends at once:
//! it only starts tasks of their own for its jobs, so a busy one does not hold up the rest, nor the next fetch, and whoever
//! runs this waits for them; the runtime wakes itself at the end of each task, which must not hold up what it has started
//! (`polled_again.rs`); and the worker is told to stop before the stream ends, because an ended stream alone leaves it waiting.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use apalis::prelude::{Data, Task, TaskBuilder, WorkerBuilder, WorkerContext};
use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    error::BoxDynError,
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Ready, ready},
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use tower::layer::util::Identity;
use tracing::{debug, error};

use crate::{
    leased::Leased,
    polled_again::polled_again,
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
    ) -> BoxFuture<'static, ()> {
        let running = TaskTracker::new();
        let worker = WorkerBuilder::new(name.clone())
            .backend(LeasedJobs { jobs })
            .data(Start { execute, running: running.clone() })
            .build(start_all);
        // An async block around the runtime's future is not provably Send for the compiler; a combinator is.
        Box::pin(polled_again(worker.run()).then(move |ended| {
            match ended {
                Ok(()) => debug!("Worker {name} has ended"),
                Err(error) => {
                    error!(error = &error as &dyn std::error::Error, "Worker {name} ended early: {error}");
                }
            }
            running.close();
            async move { running.wait().await }
        }))
    }
}

/// How jobs are started, and those that run.
#[derive(Clone)]
struct Start {
    execute: Arc<dyn Execute>,
    running: TaskTracker,
}

/// Starts what was fetched together.
fn start_all(jobs: Vec<Leased>, start: Data<Start>) -> Ready<Result<(), BoxDynError>> {
    for leased in jobs {
        start.running.spawn(Arc::clone(&start.execute).execute(leased));
    }
    ready(Ok(()))
}

/// The stream of leased jobs, as apalis wants it.
struct LeasedJobs {
    jobs: mpsc::UnboundedReceiver<Vec<Leased>>,
}

impl Backend for LeasedJobs {
    type Task = Task<Vec<Leased>>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Task<Vec<Leased>>, Infallible>>> {
        match self.jobs.poll_recv(cx) {
            Poll::Ready(Some(jobs)) => Poll::Ready(Some(Ok(TaskBuilder::new(jobs).build()))),
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                if let Err(error) = worker.stop() {
                    debug!(error = &error as &dyn std::error::Error, "The worker was stopped before");
                }
                Poll::Ready(None)
            }
        }
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for LeasedJobs {
    type Args = Vec<Leased>;
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
