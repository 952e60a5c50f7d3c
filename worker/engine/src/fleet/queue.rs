//! The loops of one queue in this process, each with what it needs.

use std::{
    pin::Pin,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use flota_producer::{keys::QueueKeys, link::Link};
use tokio::sync::mpsc;

use super::{Gauge, Parts, publish::publish};
use crate::{
    control,
    fetch::{BELL_WAIT, Fetcher},
    lease::{Keeper, Leases},
    leased::Leased,
    policy::QueuePolicy,
    promote::Promoter,
    quarantine::Quarantine,
    recover::Recoverer,
    run::RunContext,
    settle::Settler,
    slots::Slots,
    unpark::Unparker,
    wiped::WipeWatch,
};

/// One queue of this process, before its loops start.
pub(super) struct Queue {
    pub(super) policy: QueuePolicy,
    pub(super) keys: QueueKeys,
    pub(super) context: Arc<RunContext>,
    pub(super) leases: Arc<Leases>,
    pub(super) slots: Arc<Slots>,
    pub(super) quarantine: Arc<Quarantine>,
}

impl Queue {
    pub(super) fn new(parts: &Parts, policy: &QueuePolicy, quarantine: Arc<Quarantine>) -> Self {
        let keys = parts.prefix.queue(&policy.name);
        let context = RunContext {
            policy: policy.clone(),
            keys: keys.clone(),
            handlers: parts.handlers.clone(),
            observer: parts.observer.clone(),
        };
        let slots = Arc::new(Slots::new(policy.concurrency));
        Self {
            policy: policy.clone(),
            keys,
            context: Arc::new(context),
            leases: Arc::default(),
            slots,
            quarantine,
        }
    }

    pub(super) fn gauge(&self) -> Gauge {
        Gauge { queue: self.policy.name.to_string(), slots: self.slots.clone(), leases: self.leases.clone() }
    }

    pub(super) fn keeper(&self, parts: &Parts) -> Keeper {
        Keeper {
            queue: self.policy.name.clone(),
            link: parts.link.with_response_timeout(self.policy.heartbeat.min(Duration::from_secs(2))),
            keys: self.keys.clone(),
            lease: self.policy.lease,
            heartbeat: self.policy.heartbeat,
            leases: self.leases.clone(),
        }
    }

    pub(super) fn fetcher(&self, parts: &Parts, runs: mpsc::UnboundedSender<Vec<Leased>>) -> Fetcher {
        Fetcher {
            link: parts.link.with_response_timeout(BELL_WAIT + Duration::from_secs(2)),
            side: parts.link.again(),
            worker: parts.worker.clone(),
            keys: self.keys.clone(),
            context: self.context.clone(),
            leases: self.leases.clone(),
            slots: self.slots.clone(),
            quarantine: self.quarantine.clone(),
            runs,
            rounds: AtomicU64::new(rand::random_range(0..8)),
        }
    }

    pub(super) fn settler(&self, parts: &Parts) -> Settler {
        Settler {
            queue: self.policy.name.clone(),
            worker: parts.worker.clone(),
            link: parts.link.again(),
            keys: self.keys.clone(),
            observer: parts.observer.clone(),
        }
    }

    /// The loops that look after the queue now and then, over a link that they share with those of the other queues.
    pub(super) fn upkeep(
        &self,
        parts: &Parts,
        link: &Arc<Link>,
    ) -> [Pin<Box<dyn Future<Output = ()> + Send>>; 6] {
        let queue = || self.policy.name.clone();
        let promoter = Promoter {
            queue: queue(),
            link: link.clone(),
            keys: self.keys.clone(),
            observer: parts.observer.clone(),
        };
        let recoverer = Recoverer {
            queue: queue(),
            worker: parts.worker.clone(),
            link: parts.link.again(),
            keys: self.keys.clone(),
            lease: self.policy.lease,
            heartbeat: self.policy.heartbeat,
            max_deliveries: self.policy.max_deliveries,
            observer: parts.observer.clone(),
        };
        let unparker = Unparker {
            queue: queue(),
            link: link.clone(),
            keys: self.keys.clone(),
            handlers: parts.handlers.clone(),
            observer: parts.observer.clone(),
        };
        let wipe_watch = WipeWatch {
            queue: queue(),
            link: link.clone(),
            keys: self.keys.clone(),
            heartbeat: self.policy.heartbeat,
            observer: parts.observer.clone(),
        };
        let watch = control::watch(
            (queue(), parts.worker.clone()),
            link.clone(),
            self.keys.clone(),
            self.slots.clone(),
            self.policy.concurrency,
        );
        let publish = publish(link.clone(), parts.prefix.clone(), self.policy.clone());
        [
            Box::pin(promoter.run()),
            Box::pin(recoverer.run()),
            Box::pin(unparker.run()),
            Box::pin(wipe_watch.run()),
            Box::pin(watch),
            Box::pin(publish),
        ]
    }
}
