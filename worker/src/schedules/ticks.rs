//! When a schedule ticks: pure functions of its pattern, its zone and the time.
//!
//! Daylight saving time follows what cron daemons do: a fixed time that the clock skips (02:30 when it jumps from two to
//! three) ticks right after the gap, one that comes twice ticks once, and patterns with `*` or steps simply follow the
//! clock on the wall.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::Cron;

use super::CatchUp;

/// A tick seen this late was missed: no worker was there to see it in time.
const LATE: TimeDelta = TimeDelta::minutes(1);

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing until the next tick.
    Nothing,
    /// Enqueue the job of this tick.
    Run(DateTime<Utc>),
    /// This tick has passed unseen, and is not made up for.
    Missed(DateTime<Utc>),
}

/// The first tick after this moment; `None` when the pattern never ticks again.
pub fn next(cron: &Cron, timezone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let next = cron.find_next_occurrence(&after.with_timezone(&timezone), false).ok()?;
    Some(next.with_timezone(&Utc))
}

/// The last tick up to this moment.
pub fn previous(cron: &Cron, timezone: Tz, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let last = cron.find_previous_occurrence(&until.with_timezone(&timezone), true).ok()?;
    Some(last.with_timezone(&Utc))
}

/// What there is to do now, when everything up to `dealt_with` has been. Of several ticks that passed only the last
/// counts.
pub fn due(
    cron: &Cron,
    timezone: Tz,
    catch_up: CatchUp,
    dealt_with: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Due {
    match previous(cron, timezone, now) {
        Some(tick) if tick <= dealt_with => Due::Nothing,
        Some(tick) if catch_up == CatchUp::None && LATE < now - tick => Due::Missed(tick),
        Some(tick) => Due::Run(tick),
        None => Due::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::{America::Mexico_City, Europe::Berlin};

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn cron(pattern: &str) -> Cron {
        pattern.parse().unwrap()
    }

    fn ticks(pattern: &str, timezone: Tz, from: &str, count: usize) -> Vec<String> {
        let first = next(&cron(pattern), timezone, at(from));
        let ticks = std::iter::successors(first, |tick| next(&cron(pattern), timezone, *tick));
        ticks
            .take(count)
            .map(|tick| tick.with_timezone(&timezone).format("%d %H:%M %z").to_string())
            .collect()
    }

    #[test]
    fn a_pattern_means_the_clock_on_the_wall_of_its_zone() {
        let weekdays = ticks("0 6 * * 1-5", Mexico_City, "2026-11-20T00:00:00Z", 3);

        assert_eq!(weekdays, ["20 06:00 -0600", "23 06:00 -0600", "24 06:00 -0600"]);
    }

    #[test]
    fn a_fixed_time_that_the_clock_skips_ticks_right_after_the_gap() {
        let nights = ticks("30 2 * * *", Berlin, "2026-03-28T00:00:00Z", 3);

        assert_eq!(nights, ["28 02:30 +0100", "29 03:00 +0200", "30 02:30 +0200"]);
    }

    #[test]
    fn a_fixed_time_that_comes_twice_ticks_once() {
        let nights = ticks("30 2 * * *", Berlin, "2026-10-24T12:00:00Z", 2);

        assert_eq!(nights, ["25 02:30 +0200", "26 02:30 +0100"]);
    }

    #[test]
    fn every_half_hour_is_every_half_hour_through_gap_and_overlap() {
        let spring = ticks("*/30 * * * *", Berlin, "2026-03-29T00:29:00Z", 3);
        let autumn = ticks("*/30 * * * *", Berlin, "2026-10-24T23:59:00Z", 5);

        assert_eq!(spring, ["29 01:30 +0100", "29 03:00 +0200", "29 03:30 +0200"]);
        assert_eq!(
            autumn,
            ["25 02:00 +0200", "25 02:30 +0200", "25 02:00 +0100", "25 02:30 +0100", "25 03:00 +0100"]
        );
    }

    #[test]
    fn looking_back_finds_the_ticks_that_looking_ahead_finds() {
        let patterns =
            ["30 2 * * *", "*/30 * * * *", "0 3 * * *", "15 1-3 * * *", "0 0 1 * *", "0 6 * * 1-5"];
        for start in ["2026-03-27T00:00:00Z", "2026-10-23T00:00:00Z"] {
            for pattern in patterns.map(cron) {
                let mut tick = next(&pattern, Berlin, at(start)).unwrap();
                for _ in 0..250 {
                    let following = next(&pattern, Berlin, tick).unwrap();
                    let before = following - TimeDelta::seconds(1);
                    assert_eq!(previous(&pattern, Berlin, tick), Some(tick), "{pattern:?}");
                    assert_eq!(
                        previous(&pattern, Berlin, before),
                        Some(tick),
                        "{pattern:?} before {following}"
                    );
                    tick = following;
                }
            }
        }
    }

    #[test]
    fn of_the_ticks_that_nobody_saw_the_last_is_made_up_for_or_none() {
        let (hourly, last) = (cron("0 * * * *"), at("2026-11-21T10:00:00Z"));
        let due = |catch_up, now| due(&hourly, Tz::UTC, catch_up, last, at(now));

        assert_eq!(due(CatchUp::Last, "2026-11-21T10:59:59Z"), Due::Nothing);
        assert_eq!(due(CatchUp::None, "2026-11-21T11:00:30Z"), Due::Run(at("2026-11-21T11:00:00Z")));
        assert_eq!(due(CatchUp::Last, "2026-11-21T15:20:00Z"), Due::Run(at("2026-11-21T15:00:00Z")));
        assert_eq!(due(CatchUp::None, "2026-11-21T15:20:00Z"), Due::Missed(at("2026-11-21T15:00:00Z")));
    }

    #[test]
    fn a_clock_that_was_put_back_repeats_nothing() {
        let due = due(
            &cron("0 * * * *"),
            Tz::UTC,
            CatchUp::Last,
            at("2026-11-21T11:00:00Z"),
            at("2026-11-21T10:30:00Z"),
        );

        assert_eq!(due, Due::Nothing);
    }
}
