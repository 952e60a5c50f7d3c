//! The places of one queue in this process: how many jobs run at once, and changing that while they run.
//!
//! More places are there at once. Fewer come about as runs end: nothing that runs is stopped. The places that are too many
//! are given up by whoever gets hold of them first, the fetcher or the change itself, and each is counted once.
//!
//! A run that has ended needs no place, but what it left behind lies in memory until Redis knows of it. So it takes a seat
//! while it waits for that, and the next job its place. There are as many seats as places were at first; who finds none
//! stays where it is, so a Redis that gives jobs and takes no verdicts is not asked for more and more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Places that somebody holds.
#[derive(Debug)]
pub(crate) struct Places {
    held: OwnedSemaphorePermit,
    seats: Arc<Semaphore>,
}

/// What one job holds: its place while it runs, a seat afterwards if there is one.
#[derive(Debug)]
pub(crate) struct Place {
    held: OwnedSemaphorePermit,
    seats: Arc<Semaphore>,
}

#[derive(Debug)]
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    seats: Arc<Semaphore>,
    all_seats: usize,
    size: AtomicUsize,
    wanted: AtomicUsize,
    known: CancellationToken,
}

impl Slots {
    pub(crate) fn new(size: usize) -> Self {
        let [free, seats] = [size; 2].map(|size| Arc::new(Semaphore::new(size)));
        let known = CancellationToken::new();
        let [places, wanted] = [size; 2].map(AtomicUsize::new);
        Self { free, seats, all_seats: size, size: places, wanted, known }
    }

    /// Resolves when it has been found out how many there should be, or after `patience`.
    pub(crate) async fn known(&self, patience: Duration) {
        drop(timeout(patience, self.known.cancelled()).await);
    }

    /// From now on it is known how many there should be.
    pub(crate) fn are_known(&self) {
        self.known.cancel();
    }

    /// How many there are.
    pub(crate) fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    /// How many runs have ended and wait in a seat for Redis to know of it.
    pub(crate) fn seated(&self) -> usize {
        self.all_seats - self.seats.available_permits()
    }

    /// All free places up to `most`, at least one. `None` when it is time to stop.
    pub(crate) async fn take(&self, most: usize, stop: &CancellationToken) -> Option<Places> {
        loop {
            let first = stop.run_until_cancelled(self.free.clone().acquire_owned()).await?;
            let mut places = first.expect("the slots are never closed");
            let more = self.free.available_permits().min(most - 1);
            if 0 < more
                && let Ok(others) = self.free.clone().try_acquire_many_owned(more as u32)
            {
                places.merge(others);
            }
            let surplus = self.give_up(places.num_permits());
            if let Some(gone) = places.split(surplus) {
                gone.forget();
            }
            if 0 < places.num_permits() {
                return Some(Places { held: places, seats: self.seats.clone() });
            }
        }
    }

    /// Counts up to `most` places as gone, as far as there are too many. Who calls it holds that many and forgets them.
    fn give_up(&self, most: usize) -> usize {
        let wanted = self.wanted.load(Ordering::Relaxed);
        let going = |size: usize| size.saturating_sub(wanted).min(most);
        let counted =
            self.size.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |size| Some(size - going(size)));
        going(counted.unwrap_or_default())
    }

    /// From now on there should be `wanted`, at least one.
    pub(crate) fn want(&self, wanted: usize) {
        self.wanted.store(wanted.max(1), Ordering::Relaxed);
    }

    /// Makes them `wanted`, at least one; waits for runs to end when there are too many. May be dropped at any time: what
    /// has changed until then is kept.
    pub(crate) async fn resize(&self, wanted: usize) {
        let wanted = wanted.max(1);
        self.want(wanted);
        let missing = wanted.saturating_sub(self.size());
        self.size.fetch_add(missing, Ordering::Relaxed);
        self.free.add_permits(missing);
        while wanted < self.size() {
            let place = self.free.acquire().await.expect("the slots are never closed");
            if 0 < self.give_up(1) {
                place.forget();
            }
        }
    }
}

impl Places {
    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        self.held.num_permits()
    }

    /// One of them, while there is one.
    pub(crate) fn split_off(&mut self) -> Option<Place> {
        let held = self.held.split(1)?;
        Some(Place { held, seats: self.seats.clone() })
    }
}

impl Place {
    /// Makes room for the next run, when the own one has ended and there is a seat to wait in.
    pub(crate) fn free(&mut self) {
        if let Ok(seat) = self.seats.clone().try_acquire_owned() {
            self.held = seat;
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

        drop([held.split_off(), held.split_off()]);
        shrinking.await.unwrap();

        assert_eq!((slots.size(), slots.free.available_permits()), (1, 0));
        drop(held);
        assert_eq!(slots.free.available_permits(), 1);
    }

    #[tokio::test]
    async fn who_takes_all_places_of_a_queue_at_rest_gives_up_those_that_are_too_many() {
        let (slots, stop) = (Arc::new(Slots::new(64)), CancellationToken::new());
        let held = slots.take(64, &stop).await.unwrap();
        let shrinking = tokio::spawn({
            let slots = slots.clone();
            async move { slots.resize(2).await }
        });
        tokio::task::yield_now().await;

        drop(held);
        let again = slots.take(64, &stop).await.unwrap();
        let many = again.len();
        drop(again);
        shrinking.await.unwrap();

        assert!(many <= 2, "{many}");
        assert_eq!((slots.size(), slots.free.available_permits()), (2, 2));
    }

    #[tokio::test]
    async fn a_change_that_was_given_up_halfway_goes_on_from_there() {
        let (slots, stop) = (Slots::new(4), CancellationToken::new());
        let mut held = slots.take(4, &stop).await.unwrap();
        drop(held.split_off());

        let given_up = tokio::time::timeout(std::time::Duration::from_millis(1), slots.resize(1)).await;
        slots.resize(5).await;

        assert!(given_up.is_err(), "three places are still in use");
        assert_eq!((slots.size(), slots.free.available_permits()), (5, 2));
    }

    #[tokio::test]
    async fn who_has_run_makes_room_while_there_are_seats() {
        let (slots, stop) = (Slots::new(2), CancellationToken::new());
        let mut first = slots.take(9, &stop).await.unwrap();
        let mut ran: Vec<Place> = std::iter::from_fn(|| first.split_off()).collect();

        ran.iter_mut().for_each(Place::free);
        let mut next = slots.take(9, &stop).await.unwrap();
        let mut third = next.split_off().unwrap();
        third.free();
        drop(next);

        assert_eq!((slots.free.available_permits(), slots.seated()), (1, 2), "the third found no seat");
        ran.clear();
        third.free();
        assert_eq!((slots.free.available_permits(), slots.seated()), (2, 1));
    }
}
