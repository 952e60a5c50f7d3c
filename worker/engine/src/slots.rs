//! The places of one queue in this process: how many jobs run at once, and changing that while they run.
//!
//! More places are there at once. Fewer come about as runs end: nothing that runs is stopped, and the places that are to
//! go are taken before anything new is fetched, because a semaphore serves who asked first.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Places that somebody holds, at least one.
pub(crate) type Places = OwnedSemaphorePermit;

#[derive(Debug)]
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    size: AtomicUsize,
}

impl Slots {
    pub(crate) fn new(size: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(size)), size: AtomicUsize::new(size) }
    }

    /// How many there are.
    pub(crate) fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    /// All free places up to `most`, at least one. `None` when it is time to stop.
    pub(crate) async fn take(&self, most: usize, stop: &CancellationToken) -> Option<Places> {
        let first = stop.run_until_cancelled(self.free.clone().acquire_owned()).await?;
        let mut places = first.expect("the slots are never closed");
        let more = self.free.available_permits().min(most - 1);
        if 0 < more
            && let Ok(others) = self.free.clone().try_acquire_many_owned(more as u32)
        {
            places.merge(others);
        }
        Some(places)
    }

    /// Makes them `wanted`, at least one; waits for runs to end when there are too many. May be dropped at any time: what
    /// has changed until then is kept.
    pub(crate) async fn resize(&self, wanted: usize) {
        let wanted = wanted.max(1);
        let size = self.size();
        if size < wanted {
            self.free.add_permits(wanted - size);
            self.size.store(wanted, Ordering::Relaxed);
        }
        while wanted < self.size() {
            self.free.acquire().await.expect("the slots are never closed").forget();
            self.size.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn fewer_places_come_about_as_runs_end_and_before_anything_new_is_taken() {
        let (slots, stop) = (Arc::new(Slots::new(3)), CancellationToken::new());
        let mut held = slots.take(9, &stop).await.unwrap();
        let shrinking = tokio::spawn({
            let slots = slots.clone();
            async move { slots.resize(1).await }
        });
        tokio::task::yield_now().await;

        drop(held.split(2));
        shrinking.await.unwrap();

        assert_eq!((slots.size(), slots.free.available_permits()), (1, 0));
        drop(held);
        assert_eq!(slots.free.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_change_that_was_given_up_halfway_goes_on_from_there() {
        let (slots, stop) = (Slots::new(4), CancellationToken::new());
        let mut held = slots.take(4, &stop).await.unwrap();
        drop(held.split(1));

        let given_up = tokio::time::timeout(std::time::Duration::from_millis(1), slots.resize(1)).await;
        slots.resize(5).await;

        assert!(given_up.is_err(), "three places are still in use");
        assert_eq!((slots.size(), slots.free.available_permits()), (5, 2));
    }
}
