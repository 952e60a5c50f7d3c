//! Waiting awake: the answer of a Redis nearby is here before a thread has gone to sleep and has been woken.
//!
//! To wake another core costs each side up to 40 µs on a virtual machine, more than Redis needs for a short call. So who
//! waits for the answer to one looks for it again and again for a moment, in which the other tasks of its thread go on,
//! and goes to sleep only then. Where answers take longer this is soon given up, and tried again now and then. Of several
//! who wait at one link only one looks: what it finds wakes the others.

use std::{
    pin::pin,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    task::Poll,
    time::{Duration, Instant},
};

use futures_util::poll;
use tokio::task::yield_now;

/// How long somebody stays awake: twice what a call takes on one machine.
const MOMENT: Duration = Duration::from_micros(100);
/// Answers in a row that took longer, after which they are taken to be always so.
const ENOUGH: u32 = 4;
/// One call of so many tries again, in case that Redis has come nearer.
const RARELY: u32 = 256;

/// Who waits awake at one link, and whether it is worth it.
#[derive(Debug, Default)]
pub(super) struct Awake {
    taken: AtomicBool,
    /// Waits in a row that were no use, and calls since then.
    in_vain: AtomicU32,
}

/// The right to stay awake.
struct Turn<'a>(&'a Awake);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.taken.store(false, Relaxed);
    }
}

impl Awake {
    /// Waits for an answer, at first without going to sleep.
    pub(super) async fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        let mut answer = pin!(answer);
        if let Some(_turn) = self.turn() {
            let until = Instant::now() + MOMENT;
            while Instant::now() < until {
                if let Poll::Ready(answer) = poll!(&mut answer) {
                    self.in_vain.store(0, Relaxed);
                    return answer;
                }
                yield_now().await;
            }
            self.in_vain.fetch_add(1, Relaxed);
        }
        answer.await
    }

    fn turn(&self) -> Option<Turn<'_>> {
        let in_vain = self.in_vain.load(Relaxed);
        if ENOUGH <= in_vain && !self.in_vain.fetch_add(1, Relaxed).is_multiple_of(RARELY) {
            return None;
        }
        (!self.taken.swap(true, Relaxed)).then_some(Turn(self))
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::{sync::oneshot, time::sleep};

    use super::*;

    #[tokio::test]
    async fn an_answer_is_heard_while_the_other_tasks_of_the_thread_go_on() {
        let awake = Awake::default();
        let (answer, told) = oneshot::channel();

        tokio::spawn(async move { answer.send(7) });

        assert_eq!(awake.wait(told).await, Ok(7));
    }

    #[tokio::test]
    async fn only_one_of_several_stays_awake_and_its_turn_ends_with_it() {
        let awake = Awake::default();
        let first = awake.turn();

        assert!(first.is_some() && awake.turn().is_none());
        drop(first);
        let mut given_up = Box::pin(awake.wait(pending::<()>()));
        assert!(poll!(&mut given_up).is_pending() && awake.turn().is_none());
        drop(given_up);
        assert!(awake.turn().is_some());
    }

    #[tokio::test]
    async fn where_answers_take_longer_hardly_anybody_stays_awake_until_one_is_there_at_once() {
        let awake = Awake::default();
        let turns = |calls: u32| (0..calls).filter(|_| awake.turn().is_some()).count();

        for _ in 0..ENOUGH {
            awake.wait(sleep(50 * MOMENT)).await;
        }
        let rare = turns(2 * RARELY);
        awake.in_vain.store(RARELY, Relaxed);
        awake.wait(ready(())).await;

        assert_eq!((rare, turns(8)), (2, 8));
    }
}
