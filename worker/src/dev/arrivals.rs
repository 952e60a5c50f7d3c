//! What a receiver was sent, in order of arrival, and a way to wait for it without sleeping.

use std::time::Duration;

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
    list: watch::Sender<Vec<T>>,
}

impl<T: Clone> Arrivals<T> {
    pub(super) fn of(what: &'static str) -> Self {
        Self { what, list: watch::Sender::new(Vec::new()) }
    }

    pub(super) fn push(&self, arrival: T) {
        self.list.send_modify(|list| list.push(arrival));
    }

    pub(super) fn all(&self) -> Vec<T> {
        self.list.borrow().clone()
    }

    /// Everything that has arrived, as soon as that is at least `wanted`.
    pub(super) async fn wait_for(&self, wanted: usize, deadline: Duration) -> Result<Vec<T>, TooFewArrived> {
        let mut changes = self.list.subscribe();
        let enough = timeout(deadline, changes.wait_for(|list| list.len() >= wanted)).await;
        match enough {
            Ok(Ok(list)) => Ok(list.clone()),
            // The sender lives as long as we do, so the other error cannot happen.
            Ok(Err(_)) | Err(_) => {
                Err(TooFewArrived { arrived: self.list.borrow().len(), wanted, what: self.what, deadline })
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

    #[tokio::test]
    async fn a_wait_in_vain_says_how_much_was_missing() {
        let arrivals = Arrivals::of("letters");
        arrivals.push("only");

        let error = arrivals.wait_for(3, Duration::from_millis(1)).await.unwrap_err();

        assert!(error.to_string().starts_with("only 1 of 3 letters arrived within 1ms"), "{error}");
    }
}
