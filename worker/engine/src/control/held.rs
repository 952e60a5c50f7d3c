//! What is in force: the fields of a config hash, read with the clock of Redis.

use std::collections::HashMap;

use super::{Control, MOST_CONCURRENCY, NO_REASON, Rate};

/// Something that is set and in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held<T> {
    /// What it is set to.
    pub value: T,
    /// When it ends by itself, Unix ms.
    pub until_ms: Option<u64>,
    /// Who set it; empty when it was set by a release that did not write it down.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
    /// When it was set, Unix ms.
    pub at_ms: Option<u64>,
}

/// All that is in force for a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Controls {
    /// Nothing is fetched.
    pub paused: Option<Held<()>>,
    /// Starts in all processes together, such as `10/s`.
    pub rate: Option<Held<Vec<String>>>,
    /// Jobs at once in each process.
    pub concurrency: Option<Held<usize>>,
}

/// When something ends by itself, Unix ms. What is no number is no end (`fetch.lua` has the same rule).
fn end_of(ends: &str) -> Option<u64> {
    ends.bytes().all(|byte| byte.is_ascii_digit()).then(|| ends.parse().ok()).flatten()
}

/// What the fields of a config hash mean at this time, Unix ms. What cannot be read is not in force.
pub(super) fn in_force(fields: &HashMap<String, String>, now_ms: u64) -> Controls {
    let held = |control: Control| {
        let [value, ends, by, reason, at] = control.fields().map(|field| fields.get(&field).cloned());
        let until_ms = ends.and_then(|ends| end_of(&ends));
        let over = until_ms.is_some_and(|until: u64| until <= now_ms);
        let held = Held {
            value: value?,
            until_ms,
            by: by.unwrap_or_default(),
            reason: reason.unwrap_or_default(),
            at_ms: at.and_then(|at| at.parse().ok()),
        };
        (!over).then_some(held)
    };
    Controls {
        paused: held(Control::Pause).map(|held| {
            // An older release wrote the reason where the value is now.
            let told = (held.value != NO_REASON && held.reason.is_empty()).then(|| held.value.clone());
            Held { reason: told.unwrap_or_else(|| held.reason.clone()), ..held.with(()) }
        }),
        rate: held(Control::Rate).and_then(|held| {
            let rates = held.value.split(' ').filter_map(Rate::decode).map(|rate| rate.to_string());
            let rates: Vec<String> = rates.collect();
            (!rates.is_empty()).then(|| held.with(rates))
        }),
        concurrency: held(Control::Concurrency).and_then(|held| {
            let most = held.value.parse().ok().filter(|most| (1..=MOST_CONCURRENCY).contains(most))?;
            Some(held.with(most))
        }),
    }
}

impl Held<String> {
    fn with<T>(&self, value: T) -> Held<T> {
        let Self { value: _, until_ms, by, reason, at_ms } = self.clone();
        Held { value, until_ms, by, reason, at_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_set_holds_until_its_end_and_not_a_moment_longer() {
        let set =
            fields(&[("concurrency", "4"), ("concurrency_until", "2000"), ("concurrency_by", "cli:ana")]);

        let [before, after] = [1_999, 2_000].map(|now| in_force(&set, now).concurrency);

        assert_eq!(before.map(|held| (held.value, held.by)), Some((4, "cli:ana".to_owned())));
        assert_eq!(after, None);
    }

    #[test]
    fn an_end_that_is_no_number_is_none_and_a_rate_of_nothing_is_none() {
        let paused = |until| in_force(&fields(&[("paused", "1"), ("paused_until", until)]), 5_000).paused;
        let rate = |rate| in_force(&fields(&[("rate", rate)]), 0).rate.map(|held| held.value);

        assert!(["", "soon", "+1", "1.5", "-1"].iter().all(|until| paused(until).is_some()));
        assert_eq!(paused("5000"), None);
        assert_eq!([rate("0/1000"), rate("10/0"), rate("fast")], [None, None, None]);
        assert_eq!(rate("0/1000 10/60000"), Some(vec!["10/m".to_owned()]));
    }

    #[test]
    fn a_pause_of_an_older_release_says_its_reason() {
        let paused = in_force(&fields(&[("paused", "provider is down")]), 0).paused.unwrap();
        let bare = in_force(&fields(&[("paused", "1")]), 0).paused.unwrap();

        assert_eq!([paused.reason.as_str(), bare.reason.as_str()], ["provider is down", ""]);
    }

    #[test]
    fn what_nobody_can_obey_is_not_in_force() {
        for concurrency in ["0", "-1", "4097", "many", ""] {
            assert_eq!(
                in_force(&fields(&[("concurrency", concurrency)]), 0).concurrency,
                None,
                "{concurrency}"
            );
        }
    }
}
