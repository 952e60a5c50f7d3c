//! `[providers.<name>]`: how fast a provider may be called by the whole fleet, and how long a call may take.

use std::time::Duration;

use toml::{Spanned, Value};

use super::{
    problem::{Document, Problem},
    raw::RawProvider,
};
use crate::{
    config::nearest::nearest,
    limits::{BUILT_IN, CallTimeouts, ProviderLimits, Window},
};

/// Faster than this no provider is called, and a window of it is a slip.
const MOST: u32 = 10_000_000;
/// A shorter call is no call.
const SHORTEST: Duration = Duration::from_secs(1);
/// Who waits longer than this for one call holds a slot for nothing.
const LONGEST: Duration = Duration::from_mins(30);

/// One table with its name.
pub(super) struct ProviderTable<'a> {
    pub(super) document: Document<'a>,
    pub(super) name: &'a Spanned<String>,
    pub(super) raw: &'a RawProvider,
}

impl ProviderTable<'_> {
    /// Puts what was written in the place of what is built in.
    pub(super) fn check(
        &self,
        limits: &mut ProviderLimits,
        timeouts: &mut CallTimeouts,
        problems: &mut Vec<Problem>,
    ) {
        let Some(provider) = self.known(problems) else { return };
        let RawProvider { per_second, per_minute, per_day, burst, timeout } = self.raw;
        if let Some(timeout) = self.time(timeout.as_ref(), problems) {
            timeouts.set(provider, timeout);
        }
        let burst = self.number("burst", burst.as_ref(), 1, problems);
        let written = [
            ("per_second", per_second, Duration::from_secs(1)),
            ("per_minute", per_minute, Duration::from_mins(1)),
            ("per_day", per_day, Duration::from_hours(24)),
        ];
        if written.iter().all(|(_, value, _)| value.is_none()) {
            if timeout.is_none() || burst.is_some() {
                let sentence = format!(
                    "providers.{} limits nothing; write per_second, per_minute or per_day (0 for no limit), or timeout",
                    self.name.get_ref()
                );
                problems.push(self.document.problem(self.name.span().start, sentence));
            }
            return;
        }
        let windows = written.into_iter().filter_map(|(key, value, length)| {
            let calls = self.number(key, value.as_ref(), 0, problems).filter(|calls| 0 < *calls)?;
            Some(Window::new(length, calls, burst.unwrap_or(calls / 10)))
        });
        limits.set(provider, windows.collect());
    }

    fn known(&self, problems: &mut Vec<Problem>) -> Option<&'static str> {
        let name = self.name.get_ref();
        let mut names = BUILT_IN.iter().map(|limit| limit.provider);
        if let Some(known) = names.clone().find(|known| known == name) {
            return Some(known);
        }
        let instead = match nearest(name, names.clone()) {
            Some(near) => format!("write [providers.{near}]"),
            None => format!("write one of {}", names.by_ref().collect::<Vec<_>>().join(", ")),
        };
        let sentence = format!("providers.{name} is no provider that is known here; {instead}, or remove it");
        problems.push(self.document.problem(self.name.span().start, sentence));
        None
    }

    fn time(&self, written: Option<&Spanned<Value>>, problems: &mut Vec<Problem>) -> Option<Duration> {
        let written = written?;
        let time = written.get_ref().as_str().and_then(|text| humantime::parse_duration(text).ok());
        let time = time.filter(|time| (SHORTEST..=LONGEST).contains(time));
        if time.is_none() {
            let (shown, name) = (self.document.written(written.span()), self.name.get_ref());
            let (least, most) = (humantime::format_duration(SHORTEST), humantime::format_duration(LONGEST));
            let sentence = format!(
                "providers.{name}.timeout = {shown} is not a time from \"{least}\" to \"{most}\"; write one, such as \"20s\""
            );
            problems.push(self.document.problem(written.span().start, sentence));
        }
        time
    }

    fn number(
        &self,
        key: &str,
        written: Option<&Spanned<Value>>,
        least: u32,
        problems: &mut Vec<Problem>,
    ) -> Option<u32> {
        let written = written?;
        let number = written.get_ref().as_integer().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (least..=MOST).contains(number));
        if number.is_none() {
            let shown = self.document.written(written.span());
            let name = self.name.get_ref();
            let sentence =
                format!("providers.{name}.{key} = {shown} is not a number from {least} to {MOST}; write one");
            problems.push(self.document.problem(written.span().start, sentence));
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::queues::parse;

    #[test]
    fn what_is_written_replaces_what_is_built_in() {
        let text = "[queues.x]\n[providers.whatsapp]\nper_second = 20\nper_day = 1000\nburst = 5\n\
                    [providers.google_vision]\nper_minute = 0\n";

        let limits = parse("queues.toml", text).unwrap().limits;

        let day = Duration::from_hours(24);
        assert_eq!(
            limits.of("whatsapp"),
            [Window::new(Duration::from_secs(1), 20, 5), Window::new(day, 1_000, 5)]
        );
        assert_eq!(limits.of("google_vision"), []);
        assert_eq!(limits.of("twilio"), ProviderLimits::default().of("twilio"));
    }

    #[test]
    fn a_timeout_stands_by_itself_and_leaves_the_windows_as_they_are() {
        let text = "[queues.x]\n[providers.whatsapp]\ntimeout = \"5s\"\n";

        let queues = parse("queues.toml", text).unwrap();

        assert_eq!(queues.timeouts.of("whatsapp"), Duration::from_secs(5));
        assert_eq!(queues.timeouts.of("llm"), Duration::from_mins(2));
        assert_eq!(queues.limits, ProviderLimits::default());
        for wrong in ["5", "\"0s\"", "\"31m\"", "\"soon\""] {
            let text = format!("[queues.x]\n[providers.llm]\ntimeout = {wrong}\n");
            let told = parse("queues.toml", &text).unwrap_err().to_string();
            assert!(
                told.contains(&format!(
                    "providers.llm.timeout = {wrong} is not a time from \"1s\" to \"30m\""
                )),
                "{told}"
            );
        }
    }

    #[test]
    fn what_cannot_be_meant_is_told_with_its_line() {
        let text = "[queues.x]\n[providers.whatsap]\nper_second = 1\n[providers.twilio]\nper_second = \"1\"\n\
                    per_hour = 3\n[providers.llm]\nburst = 3\n";

        let told = parse("queues.toml", text).unwrap_err().to_string();

        assert!(told.contains("queues.toml:2: providers.whatsap is no provider that is known here; write [providers.whatsapp]"), "{told}");
        assert!(
            told.contains("queues.toml:5: providers.twilio.per_second = \"1\" is not a number"),
            "{told}"
        );
        assert!(
            told.contains("queues.toml:6: providers.twilio.per_hour is not a setting of this file"),
            "{told}"
        );
        assert!(told.contains("queues.toml:7: providers.llm limits nothing"), "{told}");
    }
}
