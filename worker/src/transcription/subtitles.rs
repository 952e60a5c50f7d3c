//! Subtitles of pieces → subtitles of the whole: times are shifted, numbers begin anew, and there is one heading. Pure.
//!
//! A line counts as times only when all of it is, so that an arrow that somebody says is left alone.

use std::time::Duration;

use flota_providers::transcription::TranscriptFormat;

const ARROW: &str = " --> ";

/// `SubRip`: blocks of a number, times and lines.
pub(super) fn srt(pieces: &[(Duration, &str)]) -> String {
    let mut blocks = Vec::new();
    for (from, text) in pieces {
        for block in blocks_of(text) {
            let lines: Vec<&str> = block.lines().collect();
            let numbered = lines.first().is_some_and(|first| first.trim().parse::<u64>().is_ok());
            let lines = lines[usize::from(numbered)..].iter().map(|line| shifted(line, *from, ','));
            let number = (blocks.len() + 1).to_string();
            blocks.push([number].into_iter().chain(lines).collect::<Vec<_>>().join("\n"));
        }
    }
    blocks.join("\n\n")
}

/// `WebVTT`: a heading, then blocks of times and lines.
pub(super) fn vtt(pieces: &[(Duration, &str)]) -> String {
    let mut blocks = vec!["WEBVTT".to_owned()];
    for (from, text) in pieces {
        for block in blocks_of(text).into_iter().filter(|block| !block.starts_with("WEBVTT")) {
            blocks.push(block.lines().map(|line| shifted(line, *from, '.')).collect::<Vec<_>>().join("\n"));
        }
    }
    blocks.join("\n\n")
}

/// Whether nobody says anything in this document.
pub(super) fn is_silent(format: TranscriptFormat, document: &str) -> bool {
    match format {
        TranscriptFormat::Srt | TranscriptFormat::Vtt => !blocks_of(document).iter().any(|block| {
            let mut lines = block.lines().skip_while(|line| times(line).is_none()).skip(1);
            lines.any(|line| !line.trim().is_empty())
        }),
        TranscriptFormat::Json | TranscriptFormat::Text | TranscriptFormat::VerboseJson => {
            document.trim().is_empty()
        }
    }
}

/// Blocks, whatever the ends of lines: an empty line between them may be one of CRLF.
fn blocks_of(document: &str) -> Vec<String> {
    let document = document.replace("\r\n", "\n");
    let blocks = document.split("\n\n").map(|block| block.trim_matches('\n'));
    blocks.filter(|block| !block.trim().is_empty()).map(str::to_owned).collect()
}

/// The line, later by this much if it is one of times.
fn shifted(line: &str, by: Duration, point: char) -> String {
    let Some((start, end, settings)) = times(line) else { return line.to_owned() };
    format!("{}{ARROW}{}{settings}", written(start + by, point), written(end + by, point))
}

/// Start, end, and what `WebVTT` may say behind them.
fn times(line: &str) -> Option<(Duration, Duration, &str)> {
    let (start, rest) = line.split_once(ARROW)?;
    let (end, settings) = rest.split_at(rest.find(' ').unwrap_or(rest.trim_end().len()));
    Some((read(start)?, read(end)?, settings))
}

/// `01:02:03,004`, or with a point; `WebVTT` may leave the hours out.
fn read(time: &str) -> Option<Duration> {
    let (clock, millis) = time.trim().split_once([',', '.'])?;
    let parts: Vec<u64> = clock.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let millis: u64 = Some(millis).filter(|digits| digits.len() == 3)?.parse().ok()?;
    if !(2..=3).contains(&parts.len()) || parts.iter().any(|part| 1_000 < *part) {
        return None;
    }
    let seconds = parts.iter().fold(0, |sum, part| sum * 60 + part);
    Some(Duration::from_millis(seconds * 1_000 + millis))
}

fn written(time: Duration, point: char) -> String {
    let (seconds, millis) = (time.as_secs(), time.subsec_millis());
    format!("{:02}:{:02}:{:02}{point}{millis:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Duration = Duration::from_millis(3_599_500);

    #[test]
    fn subrip_is_numbered_through_and_shifted() {
        let first = "1\n00:00:00,000 --> 00:00:01,000\nBuenos días.\n\n2\n00:00:01,000 --> 00:00:02,500\nUno --> dos\n";
        let second = "1\n00:00:00,600 --> 00:00:01,000\nAdiós.\n7 --> 8\n";

        let whole = srt(&[(Duration::ZERO, first), (LATER, second), (LATER, "")]);

        assert_eq!(
            whole,
            "1\n00:00:00,000 --> 00:00:01,000\nBuenos días.\n\n2\n00:00:01,000 --> 00:00:02,500\nUno --> dos\n\n\
             3\n01:00:00,100 --> 01:00:00,500\nAdiós.\n7 --> 8"
        );
    }

    #[test]
    fn webvtt_has_one_heading_and_keeps_its_settings() {
        let first = "WEBVTT\n\n00:00.000 --> 00:01.000\nBuenos días.\n";
        let second = "WEBVTT - Kind: captions\n\n00:00:00.600 --> 00:00:01.000 align:start\nAdiós.\n";

        let whole = vtt(&[(Duration::ZERO, first), (LATER, second)]);

        assert_eq!(
            whole,
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nBuenos días.\n\n01:00:00.100 --> 01:00:00.500 align:start\nAdiós."
        );
    }

    #[test]
    fn lines_that_end_as_on_windows_are_joined_like_others() {
        let first = "1\n00:00:00,000 --> 00:00:01,000\nUno.\n\n2\n00:00:01,000 --> 00:00:02,000\nDos.\n";
        let second = "1\n00:00:00,600 --> 00:00:01,000\nTres.\n";
        let heading = |subtitles: &str| format!("WEBVTT\n\n{}", subtitles.replace(',', "."));
        let headed = [first, second].map(heading);
        let windows = |text: &str| text.replace('\n', "\r\n");
        let both = |first: &str, second: &str, join: fn(&[(Duration, &str)]) -> String| {
            join(&[(Duration::ZERO, first), (LATER, second)])
        };

        let srt_whole = both(&windows(first), &windows(second), srt);
        let vtt_whole = both(&windows(&headed[0]), &windows(&headed[1]), vtt);

        assert_eq!(srt_whole, both(first, second, srt));
        assert_eq!(vtt_whole, both(&headed[0], &headed[1], vtt));
        assert!(srt_whole.contains("\n\n3\n01:00:00,100 --> "), "{srt_whole}");
    }

    #[test]
    fn silence_is_seen_in_every_format() {
        let rows = [
            (TranscriptFormat::Json, " \n", true),
            (TranscriptFormat::Text, "Hola", false),
            (TranscriptFormat::Srt, "", true),
            (TranscriptFormat::Srt, "1\n00:00:00,000 --> 00:00:01,000\n", true),
            (TranscriptFormat::Srt, "1\n00:00:00,000 --> 00:00:01,000\nHola", false),
            (
                TranscriptFormat::Srt,
                "1\r\n00:00:00,000 --> 00:00:01,000\r\n\r\n2\r\n00:00:01,000 --> 00:00:02,000\r\n",
                true,
            ),
            (TranscriptFormat::Vtt, "WEBVTT\n", true),
            (TranscriptFormat::Vtt, "WEBVTT\n\n00:00.000 --> 00:01.000\nHola", false),
        ];
        for (format, document, silent) in rows {
            assert_eq!(is_silent(format, document), silent, "{format:?} {document:?}");
        }
    }
}
