//! Bytes that somebody may put where an envelope belongs, and what has to become of each.
//!
//! Broken, lying, huge, newer than we are: the same seed gives the same bytes on every machine. They go into the `jobs`
//! hash directly, since a producer of ours would not write them. What a fleet has to do with each is written beside it,
//! so that a story can count fates and not only crashes. Fates hold for workers that know the kind `toy`
//! ([`crate::toys`]).

mod envelopes;
mod payload;
mod text;
pub mod urls;

/// What has to become of the job behind some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fate {
    /// A dead letter of class `undecodable`.
    Dead,
    /// Set aside for a newer worker: an unknown kind or version.
    Parked,
    /// Its deadline had passed.
    Expired,
    /// Odd, but a job like any other.
    Succeeded,
}

/// One envelope's bytes.
#[derive(Debug, Clone)]
pub struct Hostile {
    /// What is wrong with them, in a few words; equal for those that are made alike.
    pub what: &'static str,
    /// What goes into the `jobs` hash.
    pub bytes: Vec<u8>,
    /// What has to become of the job.
    pub fate: Fate,
    /// Whether the outbox relay's hand-over refuses these bytes, so that they never get as far as a queue.
    pub refused_at_enqueue: bool,
}

/// So many hostile envelopes, each kind of trouble in turn.
pub fn payloads(seed: u64, count: usize) -> impl Iterator<Item = Hostile> {
    let makers: Vec<Maker> =
        envelopes::MAKERS.iter().chain(payload::MAKERS).chain(text::MAKERS).copied().collect();
    let mut dice = Dice::new(seed);
    (0..count).map(move |n| {
        let (what, make) = makers[n % makers.len()];
        let (bytes, fate) = make(&mut dice);
        // The relay reads envelopes and leaves payloads to processors.
        let undecodable = fate == Fate::Dead && !WHOLE.contains(&what);
        let too_large = flota_producer::MAX_BYTES < bytes.len();
        Hostile {
            what,
            refused_at_enqueue: undecodable || too_large || NAMELESS.contains(&what),
            bytes,
            fate,
        }
    })
}

/// Troubles inside the payload: the envelope around it is a good one.
const WHOLE: &[&str] = payload::WHAT;
/// Troubles that a producer's rules about names refuse, while a worker runs the job.
const NAMELESS: &[&str] = text::BAD_NAMES;

/// A way to make bytes: what it is called, and how.
type Maker = (&'static str, fn(&mut Dice) -> (Vec<u8>, Fate));

/// A payload that the processor of toys is glad of.
const GOOD: &str = r#"{"acts":["succeed"]}"#;

/// A whole envelope, with `extra` behind its usual fields: `,"meta":{}`.
fn envelope(kind: &str, payload: &str, extra: &str) -> Vec<u8> {
    format!(r#"{{"v":1,"kind":{kind},"payload":{payload},"at":1795280202384{extra}}}"#).into_bytes()
}

/// An envelope of a toy that would succeed.
fn toy_with(extra: &str) -> Vec<u8> {
    envelope(r#""toy""#, GOOD, extra)
}

/// Numbers that follow from the seed alone, for ever: `SplitMix64` (<https://prng.di.unimi.it/splitmix64.c>).
pub struct Dice(u64);

impl Dice {
    /// Dice that always fall the same way for the same number.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `end`, without it.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Any of these.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}
