//! How long stored files have to live, and whether the bucket lets them.
//!
//! A dead letter can be replayed as long as it is kept, and its job needs its files then; an outcome says where a long
//! result is as long as it is kept. So a file needs the longest of these lives, and some days more, because a job waits
//! before it ends. Where letters are kept for ever, files are too, and nothing removes them.

use flota_providers::{
    pipeline::Client,
    storage::{LifetimeRule, Lifetimes, StorageClient},
};

use crate::{
    checks::{Finding, Severity},
    online,
    retention::Ages,
    service_settings::Variables,
};

/// What a job may wait between the upload of its file and its end: retries, a pause, a delay.
const MARGIN_DAYS: u32 = 30;
const SECONDS_A_DAY: u64 = 24 * 60 * 60;
const CHECK: &str = "storage";
/// The command that mends the bucket's rules.
const APPLY: &str = "run `flota storage lifetime --apply`";

/// How long files have to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// As long as the bucket is there: some history has no end.
    ForEver,
    /// So many days.
    Days(u32),
}

impl Needed {
    /// What `[retention]` asks for. Pure.
    pub fn of(ages: &Ages) -> Self {
        // A letter waits until somebody decides on it, and is kept after that.
        let letters =
            ages.waiting_dead_letters.zip(ages.dead_letters).map(|(waiting, decided)| waiting + decided);
        match (ages.outcomes, letters) {
            (Some(outcomes), Some(letters)) => {
                let days = outcomes.max(letters).as_secs().div_ceil(SECONDS_A_DAY);
                Self::Days(u32::try_from(days).unwrap_or(u32::MAX).saturating_add(MARGIN_DAYS))
            }
            _ => Self::ForEver,
        }
    }

    /// The days; nothing when there is no end.
    pub fn days(self) -> Option<u32> {
        match self {
            Self::ForEver => None,
            Self::Days(days) => Some(days),
        }
    }

    /// For people.
    pub fn in_words(self) -> String {
        match self {
            Self::ForEver => "for ever".to_owned(),
            Self::Days(days) => format!("{days} days"),
        }
    }

    /// The rules that remove files sooner. Pure.
    pub fn cut_short_by(self, lifetimes: &Lifetimes) -> Vec<&LifetimeRule> {
        let too_soon = |rule: &&LifetimeRule| match (self, rule.days) {
            (Self::Days(needed), Some(days)) => days < needed,
            // A date comes for every file, and for ever is longer than any number of days.
            _ => true,
        };
        lifetimes.removing.iter().filter(too_soon).collect()
    }
}

/// What the doctor says of the bucket.
pub async fn finding(client: &StorageClient, ages: &Ages, variables: Variables) -> Finding {
    match client.lifetimes().await {
        Ok(lifetimes) => told(&lifetimes, Needed::of(ages), client.bucket()),
        Err(error) if error.code.as_deref() == Some("AccessDenied") => Finding::warning(
            CHECK,
            "the access key may not read the bucket's rules, so nobody knows how long files are kept",
            "allow it s3:GetLifecycleConfiguration",
        ),
        Err(error) => online::refused(CHECK, &error, &client.target().host, variables),
    }
}

/// What is said of a bucket's rules. Pure.
fn told(lifetimes: &Lifetimes, needed: Needed, bucket: &str) -> Finding {
    let kept = needed.in_words();
    if let Some(rule) = needed.cut_short_by(lifetimes).first() {
        let found = format!(
            "bucket {bucket} removes files {} (rule {}), but dead letters and outcomes need theirs {kept}",
            when(rule),
            rule.id,
        );
        let fix = if rule.is_ours() {
            APPLY.to_owned()
        } else {
            format!(
                "change rule {} in the storage's own console, or shorten [retention] in queues.toml",
                rule.id
            )
        };
        return Finding { check: CHECK, severity: Severity::Error, found, fix: Some(fix) };
    }
    if lifetimes.unfinished_days.is_none() {
        let found = format!("bucket {bucket} keeps uploads that were broken off, unseen and paid for");
        return Finding::warning(CHECK, found, APPLY);
    }
    let found = match lifetimes.removing.first() {
        Some(rule) => format!("bucket {bucket} removes files {}; {kept} are needed", when(rule)),
        None => format!("bucket {bucket} keeps files for ever"),
    };
    Finding { check: CHECK, severity: Severity::Ok, found, fix: None }
}

/// When a rule removes a file, for people.
pub fn when(rule: &LifetimeRule) -> String {
    let below = if rule.prefix.is_empty() { String::new() } else { format!(" below {}", rule.prefix) };
    match rule.days {
        Some(days) => format!("after {days} days{below}"),
        None => format!("on a date{below}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn days(days: u64) -> Duration {
        Duration::from_secs(days * SECONDS_A_DAY)
    }

    fn rule(id: &str, days: Option<u32>) -> Lifetimes {
        let rule = LifetimeRule { id: id.to_owned(), days, prefix: String::new() };
        Lifetimes { removing: vec![rule], unfinished_days: Some(2) }
    }

    #[test]
    fn a_file_lives_longer_than_every_letter_and_outcome_that_needs_it() {
        let ages = |outcomes: Option<u64>, waiting: Option<u64>, decided| Ages {
            outcomes: outcomes.map(days),
            waiting_dead_letters: waiting.map(days),
            dead_letters: Some(days(decided)),
            attempts: Some(days(1)),
        };

        assert_eq!(Needed::of(&ages(Some(90), Some(30), 14)), Needed::Days(90 + MARGIN_DAYS));
        assert_eq!(Needed::of(&ages(Some(90), Some(180), 365)), Needed::Days(545 + MARGIN_DAYS));
        assert_eq!(Needed::of(&ages(Some(90), None, 365)), Needed::ForEver);
        assert_eq!(Needed::of(&ages(None, Some(1), 1)), Needed::ForEver);
        assert_eq!(Needed::of(&Ages::default()), Needed::ForEver);
    }

    #[test]
    fn a_rule_that_removes_too_soon_is_told_with_the_command_that_mends_it() {
        let needed = Needed::Days(120);

        let (ours, theirs) = (rule("flota-files", Some(119)), rule("cleanup", Some(7)));
        let (dated, well) = (rule("cleanup", None), rule("flota-files", Some(120)));

        let told = |lifetimes: &Lifetimes| told(lifetimes, needed, "files");
        assert_eq!(told(&ours).severity, Severity::Error);
        assert_eq!(told(&ours).fix.as_deref(), Some(APPLY));
        assert!(told(&theirs).fix.unwrap().contains("rule cleanup"));
        assert_eq!(told(&dated).severity, Severity::Error);
        assert_eq!(told(&well).severity, Severity::Ok);
        assert_eq!(needed.cut_short_by(&well), Vec::<&LifetimeRule>::new());
        assert_eq!(Needed::ForEver.cut_short_by(&well).len(), 1);
    }

    #[test]
    fn a_bucket_without_rules_is_told_of_uploads_that_were_broken_off() {
        let finding = told(&Lifetimes::default(), Needed::ForEver, "files");

        assert_eq!((finding.severity, finding.fix.as_deref()), (Severity::Warning, Some(APPLY)));
    }
}
