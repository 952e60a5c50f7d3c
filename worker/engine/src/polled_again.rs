//! Polling again at once what woke itself.
//!
//! A task that is woken while it is polled goes to the end of the queue, and tokio wakes another thread up to take it from there:
//! 10 to 40 µs before anything that it has just started can begin. The runtime of `apalis_runner.rs` wakes itself at the end
//! of each of its tasks. So a wake that comes during a poll is not passed on, and leads to another poll, a few times in a row;
//! then it is left to tokio, since others want their turn.
//!
//! No wake is lost: one is noted before it is seen whether a poll is under way, and the poll is over before it is seen
//! whether one was noted.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::task::AtomicWaker;

/// Polls in a row.
const MOST: usize = 8;

/// The same future, which is polled again at once when it woke itself.
pub(crate) fn polled_again<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut future = Box::pin(future);
    poll_fn(move |cx| {
        wakes.passed_on.register(cx.waker());
        for _ in 0..MOST {
            wakes.during_poll.store(true, SeqCst);
            wakes.noted.swap(false, SeqCst);
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(output);
            }
            wakes.during_poll.store(false, SeqCst);
            if !wakes.noted.load(SeqCst) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

#[derive(Default)]
struct Wakes {
    noted: AtomicBool,
    during_poll: AtomicBool,
    passed_on: AtomicWaker,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.noted.store(true, SeqCst);
        if !self.during_poll.load(SeqCst) {
            self.passed_on.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::{Mutex, atomic::AtomicUsize},
    };

    use tokio::sync::mpsc;

    use super::*;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    /// Wakes itself so many times, and is ready then.
    fn waking(times: usize) -> impl Future<Output = usize> {
        let mut polls = 0;
        poll_fn(move |cx| {
            polls += 1;
            if times < polls {
                return Poll::Ready(polls);
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    #[test]
    fn who_wakes_itself_goes_on_at_once_and_nobody_else_hears_of_it() {
        let heard = Arc::new(Counted::default());
        let waker = Waker::from(Arc::clone(&heard));
        let mut future = pin!(polled_again(waking(3)));

        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));

        assert_eq!((polled, heard.0.load(SeqCst)), (Poll::Ready(4), 0));
    }

    #[test]
    fn who_does_not_stop_waking_itself_lets_others_have_their_turn() {
        let heard = Arc::new(Counted::default());
        let waker = Waker::from(Arc::clone(&heard));
        let mut future = pin!(polled_again(waking(MOST)));

        let first = future.as_mut().poll(&mut Context::from_waker(&waker));
        let second = future.as_mut().poll(&mut Context::from_waker(&waker));

        assert_eq!((first, heard.0.load(SeqCst)), (Poll::Pending, 1));
        assert_eq!(second, Poll::Ready(MOST + 1));
    }

    #[test]
    fn a_wake_between_two_polls_is_passed_on() {
        let heard = Arc::new(Counted::default());
        let waker = Waker::from(Arc::clone(&heard));
        let kept = Mutex::new(None);
        let mut future = pin!(polled_again(poll_fn(|cx| {
            *kept.lock().unwrap() = Some(cx.waker().clone());
            Poll::<()>::Pending
        })));

        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(heard.0.load(SeqCst), 0);
        kept.lock().unwrap().take().unwrap().wake();

        assert_eq!(heard.0.load(SeqCst), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_that_other_threads_send_is_missed() {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let reading = tokio::spawn(polled_again(async move {
            let mut sum = 0_u64;
            while let Some(number) = receiver.recv().await {
                sum += number;
            }
            sum
        }));

        for number in 1..=100_000 {
            sender.send(number).unwrap();
            if number % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
        drop(sender);

        assert_eq!(reading.await.unwrap(), 5_000_050_000);
    }
}
