//! Reads the `Retry-After` header (RFC 9110 section 10.2.3).
//!
//! The value is seconds to wait or a date. A value that is neither, or lies in the past, says nothing: the caller
//! then waits as long as its own policy says. A very long wait is cut, because a typing error on the other side
//! must not park a job for a year.

use std::time::Duration;

use chrono::NaiveDateTime;

/// The longest wait that is taken from a provider: one day.
pub const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// The three date forms a recipient must understand (RFC 9110 section 5.6.7), the current one first.
const HTTP_DATE_FORMS: [&str; 3] =
    ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// How long to wait after `now_unix` (Unix seconds), at most [`MAX_RETRY_AFTER`].
///
/// `None` when the value is not of the standard's two forms, or a date that has passed.
pub fn parse_retry_after(value: &str, now_unix: i64) -> Option<Duration> {
    seconds(value).or_else(|| seconds_until(value.trim(), now_unix)).map(|wait| wait.min(MAX_RETRY_AFTER))
}

/// The form in seconds, however long. Only digits: `parse` alone would also take `+5`.
pub(crate) fn seconds(value: &str) -> Option<Duration> {
    let value = value.trim();
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More digits than fit are still a number, and a long one.
    Some(value.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs))
}

fn seconds_until(value: &str, now_unix: i64) -> Option<Duration> {
    let date = HTTP_DATE_FORMS.iter().find_map(|form| NaiveDateTime::parse_from_str(value, form).ok())?;
    let wait = date.and_utc().timestamp().checked_sub(now_unix)?;
    u64::try_from(wait).ok().filter(|wait| *wait > 0).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the example date of RFC 9110.
    const EXAMPLE: i64 = 784_111_777;

    #[test]
    fn seconds_and_dates_are_understood_and_everything_else_says_nothing() {
        let day = MAX_RETRY_AFTER.as_secs();
        let cases: [(&str, Option<u64>); 22] = [
            ("0", Some(0)),
            ("120", Some(120)),
            ("  7 ", Some(7)),
            ("86400", Some(day)),
            ("86401", Some(day)),
            ("99999999999999999999999999", Some(day)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sunday, 06-Nov-94 08:49:47 GMT", Some(10)),
            ("Sun Nov  6 08:49:47 1994", Some(10)),
            ("Mon, 06 Nov 1995 08:49:37 GMT", Some(day)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:36 GMT", None),
            ("Mon, 06 Nov 1994 08:49:47 GMT", None),
            ("Sun, 06 Nov 1994 08:49:47 CET", None),
            ("", None),
            ("-1", None),
            ("+5", None),
            ("1.5", None),
            ("1e3", None),
            ("5s", None),
            ("soon", None),
            ("5, 6", None),
        ];

        for (value, expected) in cases {
            let wait = parse_retry_after(value, EXAMPLE);

            assert_eq!(wait.map(|wait| wait.as_secs()), expected, "for {value:?}");
        }
    }

    #[test]
    fn a_clock_at_the_end_of_time_does_not_overflow() {
        let wait = parse_retry_after("Sun, 06 Nov 1994 08:49:47 GMT", i64::MIN);

        assert_eq!(wait, None);
    }
}
