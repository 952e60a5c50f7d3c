//! What may happen to a queue, as proptest makes it up.
//!
//! Operations name jobs and runs by an [`Index`] into those that there are, so that a shortened sequence still means
//! something.

use flota_engine::browse::LiveState;
use flota_producer::Priority;
use proptest::{collection::vec, prelude::*, sample::Index};

/// One call of a script, or one thing that happens around them.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    Enqueue {
        jobs: Vec<Sent>,
        late: bool,
    },
    Fetch {
        most: usize,
        first: Priority,
        lease: Lease,
        high_water: usize,
    },
    Heartbeat {
        runs: Vec<Index>,
        lease: Lease,
    },
    Settle {
        runs: Vec<(Index, End)>,
    },
    Promote,
    Recover {
        runs: Vec<Index>,
        max_deliveries: u32,
    },
    Cancel {
        job: Index,
    },
    Unpark {
        jobs: Vec<Index>,
    },
    /// Something that no script wrote turns up in the running set.
    Stray,
    SetAside,
    Purge {
        place: LiveState,
    },
    Hurry {
        job: Index,
    },
    Pause,
    Resume,
    MaxLen(u64),
    /// Redis is at `maxmemory`, or no longer.
    Full(bool),
    /// The window of an idempotency key ends.
    ForgetKey(u8),
    /// The recorder takes everything.
    Drain,
    /// An idle worker takes one wake-up.
    Bell,
}

/// One job on its way into the queue.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// Sends a live job once more, as after a lost reply.
    pub(super) again: Option<Index>,
    pub(super) priority: Priority,
    pub(super) due: Due,
    pub(super) key: Option<u8>,
    pub(super) unique: Option<u8>,
    /// Ordering key; then it is due now.
    pub(super) order: Option<u8>,
    /// Jobs with one key and different bodies are in conflict.
    pub(super) body: u8,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Due {
    Now,
    LongAgo,
    FarAhead,
}

/// How long a lease is: it has ended as soon as it is given, or does not end in this test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lease {
    Ended,
    Kept,
}

/// How a run ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Succeed,
    Bury,
    /// Charged, with a record.
    RetryNow,
    RetryLater,
    /// Not charged, no record.
    ParkNow,
    Release,
    Shelve,
    /// As [`End::Succeed`], by something that knows nothing of lines.
    LeaveLineStanding,
}

/// Sequences of operations.
pub(super) fn sequences() -> impl Strategy<Value = Vec<Operation>> {
    vec(operation(), 1..80)
}

fn operation() -> impl Strategy<Value = Operation> {
    let runs = || vec(any::<Index>(), 1..6);
    prop_oneof![
        8 => (vec(sent(), 1..6), prop::bool::weighted(0.05)).prop_map(|(jobs, late)| Operation::Enqueue { jobs, late }),
        8 => fetch(),
        2 => (runs(), lease()).prop_map(|(runs, lease)| Operation::Heartbeat { runs, lease }),
        8 => vec((any::<Index>(), end()), 1..6).prop_map(|runs| Operation::Settle { runs }),
        3 => Just(Operation::Promote),
        4 => (runs(), 1_u32..5).prop_map(|(runs, max_deliveries)| Operation::Recover { runs, max_deliveries }),
        3 => any::<Index>().prop_map(|job| Operation::Cancel { job }),
        2 => vec(any::<Index>(), 1..4).prop_map(|jobs| Operation::Unpark { jobs }),
        1 => Just(Operation::Stray),
        1 => Just(Operation::SetAside),
        1 => prop::sample::select(vec![LiveState::Ready, LiveState::Delayed, LiveState::Parked, LiveState::Running, LiveState::InLine])
            .prop_map(|place| Operation::Purge { place }),
        2 => any::<Index>().prop_map(|job| Operation::Hurry { job }),
        1 => Just(Operation::Pause),
        2 => Just(Operation::Resume),
        1 => prop::sample::select(vec![0_u64, 2, 5]).prop_map(Operation::MaxLen),
        2 => any::<bool>().prop_map(Operation::Full),
        1 => (0_u8..3).prop_map(Operation::ForgetKey),
        1 => Just(Operation::Drain),
        1 => Just(Operation::Bell),
    ]
}

fn fetch() -> impl Strategy<Value = Operation> {
    let high_water = prop_oneof![9 => Just(1_000_usize), 1 => 0_usize..3];
    (1_usize..6, priority(), lease(), high_water)
        .prop_map(|(most, first, lease, high_water)| Operation::Fetch { most, first, lease, high_water })
}

fn sent() -> impl Strategy<Value = Sent> {
    let due = prop_oneof![6 => Just(Due::Now), 1 => Just(Due::LongAgo), 3 => Just(Due::FarAhead)];
    let again = prop::option::weighted(0.1, any::<Index>());
    let name = || prop::option::weighted(0.3, 0_u8..3);
    let order = prop::option::weighted(0.5, 0_u8..3);
    (again, priority(), due, name(), name(), order, 0_u8..2).prop_map(
        |(again, priority, due, key, unique, order, body)| {
            let due = if order.is_some() { Due::Now } else { due };
            Sent { again, priority, due, key, unique, order, body }
        },
    )
}

fn priority() -> impl Strategy<Value = Priority> {
    prop::sample::select(vec![Priority::Normal, Priority::High, Priority::Low])
}

fn lease() -> impl Strategy<Value = Lease> {
    prop_oneof![1 => Just(Lease::Ended), 2 => Just(Lease::Kept)]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        4 => Just(End::Succeed),
        1 => Just(End::Bury),
        2 => Just(End::RetryNow),
        1 => Just(End::RetryLater),
        1 => Just(End::ParkNow),
        1 => Just(End::Release),
        2 => Just(End::Shelve),
        1 => Just(End::LeaveLineStanding),
    ]
}
