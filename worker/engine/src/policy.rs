//! How a queue treats its jobs, and the decision after each run. Pure: same inputs, same verdict.

use std::{sync::Arc, time::Duration};

use crate::{
    failure::{ErrorClass, Failure, Remedy},
    marks::Marks,
    processor::Receipt,
};

/// Everything that queues.toml says of one queue.
#[derive(Debug, Clone)]
pub struct QueuePolicy {
    /// Name of the queue.
    pub name: Arc<str>,
    /// Most jobs that one process runs at once.
    pub concurrency: usize,
    /// How long a run keeps its job without a heartbeat.
    pub lease: Duration,
    /// How often leases are lengthened; at most half of `lease`.
    pub heartbeat: Duration,
    /// Longest time one run may take, unless the job says otherwise.
    pub timeout: Duration,
    /// Most failed runs before a job is buried, unless the job says otherwise.
    pub max_attempts: u32,
    /// Lost leases at which a job is buried as a poison pill.
    pub max_deliveries: u32,
    /// Most live jobs; enqueue answers `QueueFull` beyond. 0 for no limit.
    pub max_len: u64,
    /// How long "not now" lasts when nobody said how long.
    pub park: Duration,
    /// When and how often failed runs are repeated.
    pub retry: RetryPolicy,
}

/// When and how often failed runs are repeated.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// First delay, doubled with each try of the same class.
    pub base: Duration,
    /// Longest delay.
    pub cap: Duration,
    /// Delays by the number of failed runs, instead of a doubling one; the last is repeated. Empty for none.
    pub delays: Vec<Duration>,
    /// Most tries per error class, by [`ErrorClass::index`].
    pub tries: [u32; ErrorClass::ALL.len()],
}

impl RetryPolicy {
    /// Delay before the next try when `failed` tries of a class have failed, of `attempts` in all: that of the plan, or
    /// full jitter, a random share of `base × 2^(failed − 1)`, at most `cap`. `random` lies in 0..1.
    /// Full jitter spreads best: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.
    pub fn delay(&self, attempts: u32, failed: u32, random: f64) -> Duration {
        if let Some(last) = self.delays.last() {
            let planned = self.delays.get(attempts.saturating_sub(1) as usize).unwrap_or(last);
            return spread(*planned, random);
        }
        let doubled = 2_u32.saturating_pow(failed.saturating_sub(1).min(31));
        self.base.saturating_mul(doubled).min(self.cap).mul_f64(random.clamp(0.0, 1.0))
    }

    /// The same when the other side asked for a wait. It stands for a doubling delay; one of a plan it only lengthens,
    /// since a server that asks for too little must not use up all tries at once.
    fn delay_after(&self, asked: Option<Duration>, attempts: u32, failed: u32, random: f64) -> Duration {
        match asked.map(|asked| spread(asked, random)) {
            None => self.delay(attempts, failed, random),
            Some(asked) if self.delays.is_empty() => asked,
            Some(asked) => asked.max(self.delay(attempts, failed, random)),
        }
    }
}

impl Default for RetryPolicy {
    /// The seeds' table: server errors 3 tries, a timeout is retried once, network trouble with delay.
    fn default() -> Self {
        let mut tries = [1; ErrorClass::ALL.len()];
        tries[ErrorClass::ServerError.index()] = 3;
        tries[ErrorClass::Timeout.index()] = 2;
        tries[ErrorClass::Ambiguous.index()] = 2;
        tries[ErrorClass::Panic.index()] = 2;
        tries[ErrorClass::Network.index()] = 8;
        tries[ErrorClass::Internal.index()] = 8;
        Self { base: Duration::from_secs(1), cap: Duration::from_mins(15), delays: Vec::new(), tries }
    }
}

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// The processor finished its work.
    Done(Receipt),
    /// The processor failed, panicked or ran out of time.
    Failed(Failure),
    /// Somebody asked the job to stop.
    Cancelled,
    /// It was not to run here and now, through no fault of its own: the process shuts down or is cut off from Redis, or
    /// another job is about to run alone in it.
    Released,
    /// Its deadline passed before it could start.
    Expired,
    /// No processor here knows its kind or version.
    Unreadable(String),
    /// It must wait for another quarantined job of this process.
    Quarantined,
    /// The lease was lost, or may be: the job may belong to somebody else.
    Lost,
}

/// What happens to a job after one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Terminal: succeeded.
    Complete,
    /// Again after this long; charged.
    Retry(Duration),
    /// Not now: again after this long; nothing charged.
    Park(Duration),
    /// Terminal: a dead letter.
    Bury,
    /// Terminal: cancelled.
    Cancel,
    /// Terminal: expired.
    Expire,
    /// First in line again; nothing charged.
    Release,
    /// Aside until a worker that can read it comes.
    Shelve,
}

/// What happens to a job after one run. `marks` are its counters before this run, `max_attempts` the job's own limit,
/// `random` a number in 0..1.
pub fn decide(
    ended: &Ended,
    marks: &Marks,
    max_attempts: Option<u32>,
    policy: &QueuePolicy,
    random: f64,
) -> Verdict {
    let failure = match ended {
        Ended::Done(_) => return Verdict::Complete,
        Ended::Cancelled => return Verdict::Cancel,
        Ended::Released | Ended::Lost => return Verdict::Release,
        Ended::Expired => return Verdict::Expire,
        Ended::Unreadable(_) => return Verdict::Shelve,
        Ended::Quarantined => return Verdict::Park(spread(Duration::from_secs(1), random)),
        Ended::Failed(failure) => failure,
    };
    match failure.remedy {
        Remedy::Bury => Verdict::Bury,
        Remedy::Park { after } => Verdict::Park(spread(after.unwrap_or(policy.park), random)),
        Remedy::Turn { after } => Verdict::Park(after),
        Remedy::Retry { after } => {
            let failed = marks.tries(failure.class) + 1;
            let attempts = max_attempts.unwrap_or(policy.max_attempts);
            if policy.retry.tries[failure.class.index()] <= failed || attempts <= marks.attempt + 1 {
                Verdict::Bury
            } else {
                Verdict::Retry(policy.retry.delay_after(after, marks.attempt + 1, failed, random))
            }
        }
    }
}

/// Never earlier than asked, and up to a fifth later, so that what was put off together does not return together.
fn spread(after: Duration, random: f64) -> Duration {
    after + after.mul_f64(random.clamp(0.0, 1.0) / 5.0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn policy() -> QueuePolicy {
        QueuePolicy {
            name: "email".into(),
            concurrency: 1,
            lease: Duration::from_secs(30),
            heartbeat: Duration::from_secs(5),
            timeout: Duration::from_mins(1),
            max_attempts: 5,
            max_deliveries: 4,
            max_len: 0,
            park: Duration::from_secs(10),
            retry: RetryPolicy::default(),
        }
    }

    fn failed(class: ErrorClass, remedy: Remedy) -> Ended {
        Ended::Failed(Failure::new(class, remedy, "it failed"))
    }

    const RETRY: Remedy = Remedy::Retry { after: None };

    #[test]
    fn a_server_error_is_buried_at_its_third_try() {
        let (policy, first) = (policy(), Marks::default());
        let second = first.charged(1, ErrorClass::ServerError, "");
        let third = second.charged(2, ErrorClass::ServerError, "");
        let ended = failed(ErrorClass::ServerError, RETRY);

        assert_eq!(decide(&ended, &first, None, &policy, 1.0), Verdict::Retry(Duration::from_secs(1)));
        assert_eq!(decide(&ended, &second, None, &policy, 1.0), Verdict::Retry(Duration::from_secs(2)));
        assert_eq!(decide(&ended, &third, None, &policy, 1.0), Verdict::Bury);
    }

    #[test]
    fn classes_count_their_own_tries_but_share_the_attempts() {
        let mut marks = Marks::default();
        for (run, class) in
            [ErrorClass::Network, ErrorClass::Timeout, ErrorClass::Network].into_iter().enumerate()
        {
            assert!(matches!(decide(&failed(class, RETRY), &marks, None, &policy(), 0.5), Verdict::Retry(_)));
            marks = marks.charged(run as u32 + 1, class, "");
        }

        assert_eq!(decide(&failed(ErrorClass::Timeout, RETRY), &marks, None, &policy(), 0.5), Verdict::Bury);
        assert_eq!(
            decide(&failed(ErrorClass::Network, RETRY), &marks, Some(4), &policy(), 0.5),
            Verdict::Bury
        );
    }

    #[test]
    fn waiting_costs_no_try_however_often() {
        let marks = (0..1000)
            .fold(Marks::default(), |marks, run| marks.excused(run, Some(ErrorClass::RateLimited), None));
        let after = Some(Duration::from_secs(7));
        let ended = failed(ErrorClass::RateLimited, Remedy::Park { after });

        assert_eq!(decide(&ended, &marks, Some(1), &policy(), 0.0), Verdict::Park(Duration::from_secs(7)));
    }

    #[test]
    fn a_turn_is_neither_spread_nor_charged() {
        let after = Duration::from_millis(1_234);
        let ended = failed(ErrorClass::RateLimited, Remedy::Turn { after });

        for random in [0.0, 0.5, 1.0] {
            assert_eq!(decide(&ended, &Marks::default(), Some(1), &policy(), random), Verdict::Park(after));
        }
    }

    #[test]
    fn a_retry_is_never_earlier_than_the_other_side_asked() {
        let after = Duration::from_mins(1);
        let ended = failed(ErrorClass::ServerError, Remedy::Retry { after: Some(after) });

        for random in [0.0, 0.5, 1.0] {
            let Verdict::Retry(delay) = decide(&ended, &Marks::default(), None, &policy(), random) else {
                panic!()
            };
            assert!(after <= delay && delay <= after.mul_f64(1.2));
        }
    }

    #[test]
    fn backoff_stays_inside_its_cap_for_any_count() {
        let retry = RetryPolicy::default();

        for failed in [0, 1, 2, 31, 32, 1000, u32::MAX] {
            assert!(retry.delay(failed, failed, 1.0) <= retry.cap);
            assert_eq!(retry.delay(failed, failed, 0.0), Duration::ZERO);
        }
    }

    #[test]
    fn a_plan_counts_all_failed_runs_and_repeats_its_last_delay() {
        let seconds = Duration::from_secs;
        let mut policy = QueuePolicy { max_attempts: 4, ..policy() };
        policy.retry.delays = vec![seconds(5), seconds(300)];
        let (mut marks, mut delays) = (Marks::default(), Vec::new());

        for class in
            [ErrorClass::ServerError, ErrorClass::Network, ErrorClass::ServerError, ErrorClass::Network]
        {
            delays.push(decide(&failed(class, RETRY), &marks, None, &policy, 0.0));
            marks = marks.charged(marks.run + 1, class, "");
        }

        let last = Verdict::Retry(seconds(300));
        assert_eq!(delays, [Verdict::Retry(seconds(5)), last, last, Verdict::Bury]);
        assert_eq!(policy.retry.delay(1, 1, 1.0), seconds(6), "up to a fifth later");
    }

    #[test]
    fn a_wish_to_wait_lengthens_a_delay_of_a_plan_and_never_shortens_it() {
        let mut policy = policy();
        policy.retry.delays = vec![Duration::from_secs(5)];
        let retry = |seconds| {
            let ended =
                failed(ErrorClass::ServerError, Remedy::Retry { after: Some(Duration::from_secs(seconds)) });
            decide(&ended, &Marks::default(), None, &policy, 0.0)
        };

        assert_eq!(retry(1), Verdict::Retry(Duration::from_secs(5)));
        assert_eq!(retry(60), Verdict::Retry(Duration::from_secs(60)));
    }
}
