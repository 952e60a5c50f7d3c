//! Does one thing that happens to every job, so many times: `instructions encode|decode|decide|run TIMES`.
//!
//! `cargo xtask check --perf` runs it under a counter of instructions, once with more times than once with fewer, and so
//! knows what one time costs, without the start of the program.

use std::{env, hint::black_box, time::Duration};

use flota_engine::{
    Ended, ErrorClass, Failure, IfRepeated, Job, Marks, Processor, QueuePolicy, Receipt, Registry, Remedy,
    RetryPolicy, decide, measured::RunPath,
};
use flota_producer::{Envelope, Invalid, JobId, Payload};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Jobs that are in this process at once.
const AT_ONCE: usize = 100;
/// A moment, Unix ms.
const AT: u64 = 1_795_280_202_384;

/// A job with 200 bytes that does nothing.
#[derive(Debug, Serialize, Deserialize)]
struct Nothing {
    text: String,
}

impl Payload for Nothing {
    const KIND: &'static str = "nothing";
    const QUEUE: &'static str = "nothing";

    fn validate(&self) -> Result<(), Invalid> {
        Ok(())
    }
}

impl Processor<()> for Nothing {
    const IF_REPEATED: IfRepeated = IfRepeated { at_worst: "nothing", key: "none", receiver: "nothing" };
    type Error = Failure;

    async fn run(self, _: &Job, (): &()) -> Result<Receipt, Failure> {
        black_box(self.text);
        Ok(Receipt::default())
    }
}

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let [what, times] = words.as_slice() else {
        panic!("usage: instructions encode|decode|decide|run TIMES")
    };
    let times: usize = times.parse().expect("TIMES is a number");
    match what.as_str() {
        "encode" => encode(times),
        "decode" => decode(times),
        "decide" => decide_often(times),
        "run" => run(times),
        other => panic!("`{other}` is not counted here"),
    }
}

fn envelope() -> Envelope {
    let payload = format!(r#"{{"text":"{}"}}"#, "x".repeat(189));
    let payload = RawValue::from_string(payload).expect("it is JSON");
    let mut envelope = Envelope::new(Nothing::KIND, payload, AT);
    envelope.tenant = Some("acme".to_owned());
    envelope
}

fn encode(times: usize) {
    let envelope = envelope();
    for _ in 0..times {
        black_box(black_box(&envelope).encode());
    }
}

fn decode(times: usize) {
    let bytes = envelope().encode();
    for _ in 0..times {
        black_box(Envelope::decode(black_box(&bytes)).expect("it was encoded here"));
    }
}

fn decide_often(times: usize) {
    let policy = policy();
    let failure = Failure::new(ErrorClass::ServerError, Remedy::Retry { after: None }, "503");
    let ended = [Ended::Done(Receipt::default()), Ended::Failed(failure)];
    for n in 0..times {
        black_box(decide(black_box(&ended[n % 2]), &Marks::default(), None, &policy, 0.5));
    }
}

fn run(times: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let bytes = envelope().encode();
    runtime.block_on(async {
        let mut path = RunPath::new(policy(), Registry::new().with::<Nothing>().bind(()));
        for _ in 0..times.div_ceil(AT_ONCE) {
            let bodies = (0..AT_ONCE).map(|_| (JobId::mint(), bytes.clone())).collect();
            black_box(path.run(bodies).await);
        }
    });
}

fn policy() -> QueuePolicy {
    QueuePolicy {
        name: Nothing::QUEUE.into(),
        concurrency: AT_ONCE,
        lease: Duration::from_secs(30),
        heartbeat: Duration::from_secs(5),
        timeout: Duration::from_mins(1),
        max_attempts: 10,
        max_deliveries: 4,
        max_len: 0,
        park: Duration::from_secs(60),
        retry: RetryPolicy::default(),
    }
}
