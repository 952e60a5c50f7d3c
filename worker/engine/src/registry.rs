//! Which processor runs which kind.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc};

use flota_producer::{Invalid, Payload, SecretFields};
use futures_util::{FutureExt, future::BoxFuture};
use serde_json::{Value, value::RawValue};

use crate::{
    failure::{ErrorClass, Failure, Remedy},
    processor::{IfRepeated, Job, Processor, Receipt},
};

/// The list of job kinds, each with its processor, for services of type `S`.
pub struct Registry<S> {
    kinds: BTreeMap<&'static str, Kind<S>>,
}

/// One job kind.
pub struct Kind<S> {
    /// The queue it goes to by default.
    pub queue: &'static str,
    /// Checks a payload without running it.
    pub check: fn(&RawValue) -> Result<(), Invalid>,
    /// What a repeated run means outside.
    pub if_repeated: IfRepeated,
    /// What of its payload and result only some people may see.
    pub secret: SecretFields,
    /// JSON Schema of its payload, where there is one.
    pub schema: fn() -> Option<Value>,
    run: for<'a> fn(&'a Job, &'a S) -> BoxFuture<'a, Result<Receipt, Failure>>,
}

impl<S: Send + Sync + 'static> Registry<S> {
    /// An empty list.
    pub fn new() -> Self {
        Self { kinds: BTreeMap::new() }
    }

    /// Adds a processor.
    ///
    /// # Panics
    /// When its kind is on the list already: two processors for one kind are a programming error.
    pub fn with<P: Processor<S>>(mut self) -> Self {
        let kind = Kind {
            queue: P::QUEUE,
            check: check::<P>,
            if_repeated: P::IF_REPEATED,
            secret: P::SECRET,
            schema: P::schema,
            run: |job, services| run::<P, S>(job, services).boxed(),
        };
        assert!(self.kinds.insert(P::KIND, kind).is_none(), "kind {} has two processors", P::KIND);
        self
    }

    /// The kind with this name.
    pub fn get(&self, kind: &str) -> Option<&Kind<S>> {
        self.kinds.get(kind)
    }

    /// Names of all kinds, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.kinds.keys().copied()
    }

    /// Queues that the kinds go to by default, in order, each once.
    pub fn queues(&self) -> Vec<&'static str> {
        let mut queues: Vec<_> = self.kinds.values().map(|kind| kind.queue).collect();
        queues.sort_unstable();
        queues.dedup();
        queues
    }

    /// The processors with everything they need.
    pub fn bind(self, services: S) -> Handlers {
        Handlers(Arc::new(Bound { registry: self, services }))
    }
}

impl<S: Send + Sync + 'static> Default for Registry<S> {
    fn default() -> Self {
        Self::new()
    }
}

/// Processors with their services, ready to run. Cheap to clone.
#[derive(Clone)]
pub struct Handlers(Arc<dyn Handle>);

trait Handle: Send + Sync {
    fn knows(&self, kind: &str) -> bool;
    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Receipt, Failure>>;
}

struct Bound<S> {
    registry: Registry<S>,
    services: S,
}

impl<S: Send + Sync + 'static> Handle for Bound<S> {
    fn knows(&self, kind: &str) -> bool {
        self.registry.kinds.contains_key(kind)
    }

    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Receipt, Failure>> {
        match self.registry.get(&job.envelope.kind) {
            Some(kind) => (kind.run)(job, &self.services),
            None => std::future::ready(Err(Failure::internal("no processor for this kind"))).boxed(),
        }
    }
}

impl Handlers {
    /// True when a processor for this kind is here.
    pub fn knows(&self, kind: &str) -> bool {
        self.0.knows(kind)
    }

    /// Runs a job once. A panic becomes a failure: it must not take the neighbours with it.
    pub(crate) async fn run(&self, job: &Job) -> Result<Receipt, Failure> {
        let run = AssertUnwindSafe(async { self.0.run(job).await });
        run.catch_unwind().await.unwrap_or_else(|panic| {
            let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            let message = format!("the processor panicked: {said}");
            Err(Failure::new(ErrorClass::Panic, Remedy::Retry { after: None }, message))
        })
    }
}

fn check<P: Payload>(payload: &RawValue) -> Result<(), Invalid> {
    decode::<P>(payload)?.validate()
}

fn decode<P: Payload>(payload: &RawValue) -> Result<P, Invalid> {
    let mut deserializer = serde_json::Deserializer::from_str(payload.get());
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let field = error.path().to_string();
        let field = if field == "." { "payload".to_owned() } else { field };
        Invalid::new(field, format!("cannot be read: {}", error.into_inner()))
    })
}

/// Producers check payloads too, but other languages and other releases write jobs as well.
async fn run<P: Processor<S>, S>(job: &Job, services: &S) -> Result<Receipt, Failure> {
    let undecodable = |error: Invalid| {
        Failure::new(ErrorClass::Undecodable, Remedy::Bury, format!("the payload is not valid: {error}"))
    };
    let payload: P = decode(&job.envelope.payload).map_err(undecodable)?;
    payload.validate().map_err(undecodable)?;
    payload.run(job, services).await.map_err(Into::into)
}
