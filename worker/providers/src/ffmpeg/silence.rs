//! Where a long recording is cut: in its pauses, so that no word is.

use std::time::Duration;

/// A pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// When it begins.
    pub from: Duration,
    /// When it ends.
    pub until: Duration,
}

impl Silence {
    fn middle(self) -> Duration {
        (self.from + self.until) / 2
    }
}

/// Times at which a recording of this length is cut into pieces of at most `most`: in the last pause of the second half
/// of each piece, or at its end when nobody pauses there. Pure.
pub fn cuts(length: Duration, most: Duration, silences: &[Silence]) -> Vec<Duration> {
    let (mut cuts, mut at) = (Vec::new(), Duration::ZERO);
    while !most.is_zero() && at + most < length {
        let (earliest, latest) = (at + most / 2, at + most);
        let fits = |middle: &Duration| earliest <= *middle && *middle <= latest;
        at = silences.iter().map(|silence| silence.middle()).filter(fits).max().unwrap_or(latest);
        cuts.push(at);
    }
    cuts
}

/// The silences of which ffmpeg's `silencedetect` tells on standard error.
pub(super) fn told(said: &str) -> Vec<Silence> {
    let (mut silences, mut began) = (Vec::new(), None);
    for line in said.lines() {
        if let Some(from) = time_after(line, "silence_start: ") {
            began = Some(from);
        } else if let (Some(until), Some(from)) = (time_after(line, "silence_end: "), began) {
            silences.push(Silence { from, until });
            began = None;
        }
    }
    silences
}

fn time_after(line: &str, word: &str) -> Option<Duration> {
    let (_, rest) = line.split_once(word)?;
    let seconds: f64 = rest.split([' ', '|']).next()?.parse().ok()?;
    // A silence at the very start begins a little before it.
    Duration::try_from_secs_f64(seconds.max(0.0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn silence(from: u64, until: u64) -> Silence {
        Silence { from: at(from), until: at(until) }
    }

    #[test]
    fn what_ffmpeg_says_of_silences_is_understood() {
        let said = "[silencedetect @ 0x55] silence_start: -0.01\n\
                    [silencedetect @ 0x55] silence_end: 1.5 | silence_duration: 1.51\n\
                    [silencedetect @ 0x55] silence_start: 7\nsize=N/A time=00:00:09\n";

        let told = told(said);

        assert_eq!(told, [Silence { from: Duration::ZERO, until: Duration::from_millis(1_500) }]);
    }

    #[test]
    fn pieces_end_in_the_last_pause_of_their_second_half() {
        let silences = [silence(10, 12), silence(30, 32), silence(50, 54), silence(58, 66)];

        assert_eq!(cuts(at(100), at(60), &silences), [at(52)]);
        assert_eq!(cuts(at(200), at(60), &silences), [at(52), at(112), at(172)]);
        assert!(cuts(at(60), at(60), &silences).is_empty());
        assert_eq!(cuts(at(61), at(60), &[]), [at(60)]);
        assert!(cuts(at(61), at(0), &[]).is_empty());
    }
}
