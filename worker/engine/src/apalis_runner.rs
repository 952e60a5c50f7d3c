//! [`JobRunner`] on the apalis worker runtime, with our own `Backend`.
//!
//! What the runtime asks of a backend decides this file's shape (docs/decisions/0002-apalis-backend.md):
//! an error would end the worker and drop its runs, so ours cannot occur (`Infallible`); the runtime decodes nothing
//! (`Ephemeral`); what is fetched together is one task of the runtime, which is a third cheaper than one each, and has tasks
//! of its own for its jobs, so a busy one does not hold up the rest, nor the next fetch (`parallelize`, outermost); and the
//! worker is told to stop before the stream ends, because an ended stream alone leaves it waiting.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use apalis::prelude::{Data, ParallelizeExt, Task, TaskBuilder, WorkerBuilder, WorkerContext};
use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    error::BoxDynError,
};
use futures_util::{FutureExt, future::BoxFuture};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
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
    ) -> BoxFuture<'static, ()> {
        let worker = WorkerBuilder::new(name.clone())
            .backend(LeasedJobs { jobs })
            .parallelize(tokio::spawn)
            .data(execute)
            .build(execute_all);
        // An async block around the runtime's future is not provably Send for the compiler; a combinator is.
        Box::pin(worker.run().map(move |ended| match ended {
            Ok(()) => debug!("Worker {name} has ended"),
            Err(error) => {
                error!(error = &error as &dyn std::error::Error, "Worker {name} ended early: {error}");
            }
        }))
    }
}

/// Executes what was fetched together, each job in a task of its own; one job alone needs none.
async fn execute_all(mut jobs: Vec<Leased>, execute: Data<Arc<dyn Execute>>) -> Result<(), BoxDynError> {
    let last = jobs.pop();
    let others = TaskTracker::new();
    for leased in jobs {
        others.spawn(Arc::clone(&execute).execute(leased));
    }
    if let Some(leased) = last {
        Arc::clone(&execute).execute(leased).await;
    }
    others.close();
    others.wait().await;
    Ok(())
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
