//! What a receiver was sent, in order of arrival, and a way to wait for it without sleeping.

use std::{collections::VecDeque, time::Duration};

use tokio::{sync::watch, time::timeout};

/// Fewer things arrived than were waited for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("only {arrived} of {wanted} {what} arrived within {deadline:?}: see what the sender logged")]
pub struct TooFewArrived {
    /// How many there were when the wait ended.
    pub arrived: usize,
    /// How many were waited for.
    pub wanted: usize,
    /// What was waited for, in the plural.
    pub what: &'static str,
    /// How long it was waited.
    pub deadline: Duration,
}

/// A list that can be waited for.
#[derive(Debug)]
pub(super) struct Arrivals<T> {
    what: &'static str,
    /// Most that are remembered; older ones are counted only.
    most: usize,
    list: watch::Sender<Remembered<T>>,
}

#[derive(Debug)]
struct Remembered<T> {
    last: VecDeque<T>,
    forgotten: usize,
}

impl<T> Remembered<T> {
    fn count(&self) -> usize {
        self.forgotten + self.last.len()
    }
}

impl<T: Clone> Arrivals<T> {
    /// Remembers all of them.
    pub(super) fn of(what: &'static str) -> Self {
        Self::last_of(what, usize::MAX)
    }

    /// Remembers the last `most`.
    pub(super) fn last_of(what: &'static str, most: usize) -> Self {
        let list = watch::Sender::new(Remembered { last: VecDeque::new(), forgotten: 0 });
        Self { what, most, list }
    }

    pub(super) fn push(&self, arrival: T) {
        self.list.send_modify(|list| {
            list.last.push_back(arrival);
            while self.most < list.last.len() {
                list.last.pop_front();
                list.forgotten += 1;
            }
        });
    }

    /// All that are remembered, oldest first.
    pub(super) fn all(&self) -> Vec<T> {
        self.after(0).0
    }

    /// Those that came after the first `told` and are remembered, and how many there have been.
    pub(super) fn after(&self, told: usize) -> (Vec<T>, usize) {
        let list = self.list.borrow();
        let known = told.saturating_sub(list.forgotten);
        (list.last.iter().skip(known).cloned().collect(), list.count())
    }

    /// Everything that has arrived, as soon as that is at least `wanted`.
    pub(super) async fn wait_for(&self, wanted: usize, deadline: Duration) -> Result<Vec<T>, TooFewArrived> {
        let mut changes = self.list.subscribe();
        let enough = timeout(deadline, changes.wait_for(|list| list.count() >= wanted)).await;
        match enough {
            Ok(Ok(list)) => Ok(list.last.iter().cloned().collect()),
            // The sender lives as long as we do, so the other error cannot happen.
            Ok(Err(_)) | Err(_) => {
                Err(TooFewArrived { arrived: self.list.borrow().count(), wanted, what: self.what, deadline })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_waiter_is_woken_by_the_arrival_that_makes_it_enough() {
        let arrivals = Arrivals::of("letters");
        let wait = arrivals.wait_for(2, Duration::from_secs(10));
        let send = async {
            arrivals.push("first");
            tokio::task::yield_now().await;
            arrivals.push("second");
        };

        let (all, ()) = tokio::join!(wait, send);

        assert_eq!(all.unwrap(), ["first", "second"]);
    }

    #[test]
    fn only_the_last_are_remembered_and_all_are_counted() {
        let arrivals = Arrivals::last_of("letters", 2);

        for letter in ["first", "second", "third"] {
            arrivals.push(letter);
        }

        assert_eq!(arrivals.all(), ["second", "third"]);
        assert_eq!(arrivals.after(2), (vec!["third"], 3));
        assert_eq!(arrivals.after(0), (vec!["second", "third"], 3));
    }

    #[tokio::test]
    async fn a_wait_in_vain_says_how_much_was_missing() {
        let arrivals = Arrivals::of("letters");
        arrivals.push("only");

        let error = arrivals.wait_for(3, Duration::from_millis(1)).await.unwrap_err();

        assert!(error.to_string().starts_with("only 1 of 3 letters arrived within 1ms"), "{error}");
    }
}
