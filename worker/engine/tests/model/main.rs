//! The lease protocol, checked in every order in which things can happen.
//!
//! Two workers and one or two jobs. What each script does to Redis is in `scripts.rs`, what workers and people do in
//! `protocol.rs`, what goes wrong in `fleet.rs`. A handful of faults is allowed per history; between them everything may
//! happen in any order, and each order is looked at.
//!
//! Actions: enqueued jobs are fetched (reply lost or not), have their effect, are settled (succeed, retry, reply lost and
//! sent again), cancelled, promoted; heartbeats (reply lost or not); a worker is paused and resumed, killed and started
//! again, cut off and connected again; it fences itself; leases end; recovery sees an ended lease once and a second time;
//! Redis restarts after so long that every lease has ended.
//!
//! Invariants: one terminal outcome at most, and no job gone without one; a result is taken only from the run that holds
//! the lease; a live job is in exactly one place; of jobs in order exactly the first is on its way; effects repeat only after a fault that explains it, and a restart of
//! Redis or a lost reply does not; from every state an end can be reached.
//!
//! Each rule that the protocol rests on can be broken by name ([`Rule`]), and then a counterexample must be found: an
//! invariant that nothing violates would prove nothing.
//!
//! Left out: batches, priorities, keys, quarantine, `maxmemory` (`tests/it/scripts.rs` of the workspace has them, against a
//! real Redis), the loss of acknowledged writes, and clocks: time passes when an action says so. Two things are assumed of
//! time, and stories with real processes check them: a worker that is neither paused nor cut off sends a heartbeat within
//! two heartbeats, so before any second sighting, and one that is cut off but not paused has fenced itself by then.

mod fleet;
mod protocol;
mod scripts;

use std::{
    collections::{HashMap, VecDeque},
    env,
    time::Instant,
};

use stateright::{Checker, HasDiscoveries, Model};

use self::{
    fleet::Fleet,
    protocol::{Protocol, Rule},
};

/// Everything that can be reached, and for each state the states that lead to it.
fn explore(protocol: &Protocol) -> (Vec<Fleet>, Vec<Vec<usize>>) {
    let mut numbers: HashMap<Fleet, usize> = HashMap::new();
    let (mut states, mut before, mut waiting) = (Vec::new(), Vec::new(), VecDeque::new());
    let mut number_of = |state: Fleet, states: &mut Vec<Fleet>, waiting: &mut VecDeque<usize>| {
        *numbers.entry(state.clone()).or_insert_with(|| {
            states.push(state);
            waiting.push_back(states.len() - 1);
            states.len() - 1
        })
    };
    for state in protocol.init_states() {
        number_of(state, &mut states, &mut waiting);
    }
    while let Some(from) = waiting.pop_front() {
        for state in protocol.next_states(&states[from].clone()) {
            let to = number_of(state, &mut states, &mut waiting);
            before.resize(states.len(), Vec::new());
            before[to].push(from);
        }
    }
    (states, before)
}

/// States from which no end can be reached any more.
fn stuck(states: &[Fleet], before: &[Vec<usize>]) -> Vec<usize> {
    let mut ends = vec![false; states.len()];
    let mut waiting: Vec<usize> = (0..states.len()).filter(|n| states[*n].is_over()).collect();
    for n in &waiting {
        ends[*n] = true;
    }
    while let Some(state) = waiting.pop() {
        for earlier in &before[state] {
            if !std::mem::replace(&mut ends[*earlier], true) {
                waiting.push(*earlier);
            }
        }
    }
    (0..states.len()).filter(|n| !ends[*n]).collect()
}

fn check(protocol: Protocol) {
    let started = Instant::now();
    let checker = protocol.clone().checker().threads(2).spawn_bfs().join();
    println!("{} states of {protocol:?} in {:.1?}", checker.unique_state_count(), started.elapsed());
    checker.assert_properties();
}

/// Half a million states, and ten times as long, with `FLOTA_MODEL_FAULTS=3`.
#[test]
fn one_job_survives_two_faults_in_any_order() {
    let faults = env::var("FLOTA_MODEL_FAULTS").ok().and_then(|faults| faults.parse().ok()).unwrap_or(2);
    check(Protocol { faults, ..Protocol::SMALL });
}

#[test]
fn two_jobs_survive_a_fault_in_any_order() {
    check(Protocol { jobs: 2, restarts: 0, faults: 1, ..Protocol::SMALL });
}

#[test]
fn two_jobs_in_order_survive_a_fault_in_any_order() {
    check(Protocol { jobs: 2, restarts: 0, faults: 1, in_order: true, ..Protocol::SMALL });
}

#[test]
fn a_line_comes_to_its_end_from_everywhere() {
    let protocol = Protocol { jobs: 2, restarts: 0, faults: 1, in_order: true, ..Protocol::SMALL };

    let (states, before) = explore(&protocol);

    assert_eq!(stuck(&states, &before), Vec::<usize>::new(), "of {} states", states.len());
}

#[test]
fn from_everywhere_an_end_can_be_reached() {
    let protocol = Protocol { faults: 1, ..Protocol::SMALL };

    let (states, before) = explore(&protocol);

    let stuck = stuck(&states, &before);
    assert!(
        stuck.is_empty(),
        "{} of {} states lead nowhere, such as {:#?}",
        stuck.len(),
        states.len(),
        states[stuck[0]]
    );
}

#[test]
fn each_broken_rule_is_found_out() {
    for rule in Rule::ALL {
        let small = Protocol { broken: Some(rule), ..Protocol::SMALL };
        let protocol = match rule {
            // Nothing is buried before its third lost lease.
            Rule::BuriedEndsMoveTheLine => {
                Protocol { jobs: 2, in_order: true, faults: 3, restarts: 0, cancels: 0, ..small }
            }
            rule if rule.is_about_lines() => Protocol { jobs: 2, in_order: true, ..small },
            _ => small,
        };

        let checker = protocol.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();

        let found = Protocol::INVARIANTS.iter().find_map(|name| Some((name, checker.discovery(name)?)));
        let (invariant, path) =
            found.unwrap_or_else(|| panic!("{rule:?} could be broken without anybody noticing"));
        println!("{rule:?} breaks `{invariant}`: {:?}", path.into_actions());
    }
}
