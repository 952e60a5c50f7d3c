//! The queue of Flota: it takes jobs from Redis under a lease, runs them, decides, and settles.
//!
//! It knows neither Postgres nor HTTP nor what jobs do. The life of a job, each step with its file:
//!
//! 1. a producer enqueues it: an envelope in the `jobs` hash, its id in a ready list (`flota-producer`)
//! 2. [`fetch`](mod@self) leases as many ids as there are free slots and reads their bodies (`fetch.rs`)
//! 3. the envelope is read, or found to be unreadable, expired, unknown (`run.rs`)
//! 4. the runtime executes the job in a task of its own ([`JobRunner`], `apalis_runner.rs`)
//! 5. its processor runs under a time limit; a panic is caught (`run.rs`, [`Processor`])
//! 6. meanwhile the lease keeper lengthens its lease from a thread of its own (`lease.rs`)
//! 7. [`decide`] turns result and counters into a [`Verdict`]: pure (`policy.rs`)
//! 8. the verdict is carried out in one script together with its record (`settle.rs`, `scripts/settle.lua`)
//! 9. what has to wait lies in `delayed` until it is due (`promote.rs`)
//! 10. what a vanished worker held comes back after two sightings (`recover.rs`)
//!
//! `docs/life-of-a-job.md` holds the states, the structures and what is true at every step.

mod apalis_runner;
pub mod browse;
pub mod chaos;
pub mod control;
mod drain;
mod event;
mod failpoint;
mod failure;
mod fetch;
mod fleet;
pub mod inspect;
mod lease;
mod leased;
mod marks;
#[cfg(feature = "measured")]
pub mod measured;
mod policy;
mod polled_again;
mod processor;
mod promote;
pub mod purge;
mod quarantine;
mod record;
mod recover;
mod registry;
pub mod repair;
pub mod roster;
mod run;
mod runner;
pub mod scaling;
mod settle;
mod slots;
pub mod store;
pub mod unpark;
mod wiped;

pub use apalis_runner::ApalisRunner;
pub use drain::DrainTime;
pub use event::{Event, Observer};
pub use failure::{ErrorClass, Failure, Remedy};
pub use fleet::{Fleet, FleetHandle, Parts};
pub use leased::{Finished, Leased};
pub use marks::Marks;
pub use policy::{Ended, QueuePolicy, RetryPolicy, Verdict, decide};
pub use processor::{IfRepeated, Job, Processor, Receipt};
pub use record::{Record, Status};
pub use registry::{Handlers, INVALID_PAYLOAD, Kind, Registry};
pub use runner::{Execute, JobRunner};
