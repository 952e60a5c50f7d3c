//! What a queues file may say, and the sentence for everything that it may not.

use std::time::Duration;

use flota_engine::{ErrorClass, Failure, IfRepeated, Job, Processor, Receipt, RetryPolicy};
use flota_producer::{DeliverWebhook, SendEmail};
use insta::assert_snapshot;

use super::*;
use crate::config::generated_text;

fn good(text: &str) -> Vec<QueuePolicy> {
    parse("queues.toml", text).unwrap_or_else(|error| panic!("{error}")).policies
}

fn refused(text: &str) -> String {
    match parse("queues.toml", text) {
        Err(QueuesError::Refused(problems)) => QueuesError::Refused(problems).to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_built_in_file_has_a_queue_for_every_kind() {
    let queues = Queues::built_in().unwrap();

    let names: Vec<&str> = queues.policies.iter().map(|policy| &*policy.name).collect();
    assert_eq!(names, ["email", "llm", "notification", "ocr", "transcription", "webhook"]);
    assert_eq!(queues.get("webhook").unwrap().timeout, Duration::from_secs(30));
    assert!(queues.get("fax").is_none());
}

#[test]
fn the_built_in_file_repeats_the_defaults_of_the_code() {
    let defaults = BUILT_IN.split("\n[queues.").next().unwrap();
    let written = good(&format!("{defaults}\n[queues.x]"));

    let silent = good("[queues.x]");

    assert_eq!(format!("{written:?}"), format!("{silent:?}"));
    assert_eq!(silent[0].retry, RetryPolicy::default());
}

#[test]
fn the_header_of_the_built_in_file_explains_every_key() {
    let header = BUILT_IN.split("\n[defaults]").next().unwrap();

    for key in &keys::KEYS {
        let name = key.name.rsplit('.').next().unwrap();
        let explained =
            header.lines().any(|line| line.trim_start_matches(['#', ' ']).starts_with(&format!("{name} ")));
        assert!(explained, "{name} is not explained in the header of queues.toml");
        if !key.name.starts_with("tries.") {
            assert!(header.contains(&key.written(key.most)), "the limit of {name} is not in the header");
        }
    }
}

#[test]
fn a_queue_overrides_the_defaults_and_they_override_what_is_built_in() {
    let policies = good(
        r#"
        [defaults]
        lease = "1m"
        tries = { network = 4 }
        [queues.a]
        lease = "3s"
        heartbeat = "500ms"
        backoff.cap = "1h"
        [queues.b]
        "#,
    );

    let (a, b) = (&policies[0], &policies[1]);
    assert_eq!((a.lease, a.heartbeat), (Duration::from_secs(3), Duration::from_millis(500)));
    assert_eq!((b.lease, b.heartbeat), (Duration::from_mins(1), Duration::from_secs(5)));
    assert_eq!((a.retry.cap, b.retry.cap), (Duration::from_hours(1), Duration::from_mins(15)));
    assert_eq!(a.retry.tries[ErrorClass::Network.index()], 4);
    assert_eq!(a.retry.tries[ErrorClass::ServerError.index()], 3);
    assert_eq!(a.retry.tries[ErrorClass::Permanent.index()], 1);
}

#[test]
fn a_short_lease_says_how_long_it_must_be() {
    assert_snapshot!(refused("[queues.email]\nlease = \"3s\"\n"), @r#"queues.toml:2: queues.email.lease = "3s" is shorter than two heartbeats of 5s; write at least "10s", or a shorter heartbeat"#);
}

#[test]
fn a_slow_heartbeat_says_how_quick_it_must_be() {
    assert_snapshot!(refused("[queues.email]\nheartbeat = \"20s\"\n"), @r#"queues.toml:2: queues.email.heartbeat = "20s" is longer than half of the lease of 30s; write at most "15s", or a longer lease"#);
}

#[test]
fn a_bad_pair_of_defaults_is_one_problem() {
    assert_snapshot!(refused("[defaults]\nlease = \"8s\"\n[queues.a]\n[queues.b]\n"), @r#"queues.toml:2: defaults.lease = "8s" is shorter than two heartbeats of 5s; write at least "10s", or a shorter heartbeat"#);
}

#[test]
fn values_outside_their_limits_say_the_limits() {
    let text = r#"
[queues.email]
concurrency = 0
lease = "1s"
heartbeat = "100ms"
timeout = "25h"
max_attempts = 101
max_deliveries = 2
max_len = -1
park = "1ms"
backoff = { base = "1ms", cap = "2days" }
tries = { network = 0, panic = 1000 }
"#;

    assert_snapshot!(refused(text), @r#"
    queues.toml:3: queues.email.concurrency = 0 is less than 1; write a number from 1 to 4096
    queues.toml:4: queues.email.lease = "1s" is shorter than 3s; write a time from "3s" to "1h"
    queues.toml:5: queues.email.heartbeat = "100ms" is shorter than 500ms; write a time from "500ms" to "30m"
    queues.toml:6: queues.email.timeout = "25h" is longer than 1day; write a time from "100ms" to "1day"
    queues.toml:7: queues.email.max_attempts = 101 is more than 100; write a number from 1 to 100
    queues.toml:8: queues.email.max_deliveries = 2 is less than 3; write a number from 3 to 100
    queues.toml:9: queues.email.max_len = -1 is less than 0; write a number from 0 to 1000000000
    queues.toml:10: queues.email.park = "1ms" is shorter than 100ms; write a time from "100ms" to "1day"
    queues.toml:11: queues.email.backoff.base = "1ms" is shorter than 10ms; write a time from "10ms" to "1h"
    queues.toml:11: queues.email.backoff.cap = "2days" is longer than 1day; write a time from "10ms" to "1day"
    queues.toml:12: queues.email.tries.network = 0 is less than 1; write a number from 1 to 100
    queues.toml:12: queues.email.tries.panic = 1000 is more than 100; write a number from 1 to 100
    "#);
}

#[test]
fn values_of_another_sort_say_how_to_write_them() {
    let text = r#"
[queues.email]
concurrency = "16"
lease = 30
heartbeat = 5.5
timeout = "sixty seconds"
max_attempts = 2.5
max_deliveries = true
max_len = "many"
park = "10"
backoff.base = ["1s",
  "2s"]
backoff.cap = "99999999999999999999years"
"#;

    assert_snapshot!(refused(text), @r#"
    queues.toml:3: queues.email.concurrency = "16" is text; write the number without quotes: 16
    queues.toml:4: queues.email.lease = 30 has no unit; write "30s" for seconds or "30ms"
    queues.toml:5: queues.email.heartbeat = 5.5 is not a time; write a number with a unit in quotes, such as "5s"
    queues.toml:6: queues.email.timeout = "sixty seconds" is not a time (expected number at 0); write a number with a unit, such as "1m"
    queues.toml:7: queues.email.max_attempts = 2.5 is not a whole number; write one from 1 to 100, such as 10
    queues.toml:8: queues.email.max_deliveries = true is not a whole number; write one from 3 to 100, such as 4
    queues.toml:9: queues.email.max_len = "many" is not a whole number; write one from 0 to 1000000000, such as 0
    queues.toml:10: queues.email.park = "10" is not a time (time unit needed, for example 10sec or 10ms); write a number with a unit, such as "10s"
    queues.toml:11: queues.email.backoff.base = ["1s",… is not a time; write a number with a unit in quotes, such as "1s"
    queues.toml:13: queues.email.backoff.cap = "99999999999999999999years" is not a time (number is too large or cannot be represented without a lack of precision (values below 1ns are not supported)); write a number with a unit, such as "15m"
    "#);
}

#[test]
fn a_refused_value_is_not_compared_with_others() {
    assert_snapshot!(refused("[queues.email]\nlease = \"forty\"\nheartbeat = \"20s\"\n"), @r#"queues.toml:2: queues.email.lease = "forty" is not a time (expected number at 0); write a number with a unit, such as "30s""#);
}

#[test]
fn a_base_above_the_cap_is_refused_where_it_was_written() {
    let text = "[defaults]\nbackoff.cap = \"10s\"\n[queues.email]\nbackoff.base = \"20s\"\n";

    assert_snapshot!(refused(text), @r#"queues.toml:4: queues.email.backoff.base = "20s" is longer than the cap of 10s; write at most "10s", or a longer cap"#);
    assert_snapshot!(refused("[queues.email]\nbackoff.cap = \"10ms\"\n"), @r#"queues.toml:2: queues.email.backoff.cap = "10ms" is shorter than the base of 1s; write at least "1s", or a shorter base"#);
}

#[test]
fn unknown_keys_are_named_with_the_nearest_one() {
    let text = r#"
[default]
lease = "30s"
[queues.email]
concurency = 4
colour = "red"
backoff = { bas = "1s" }
tries = { severe_error = 3, rate_limited = 3, bogus = 1 }
"#;

    assert_snapshot!(refused(text), @r#"
    queues.toml:2: default is not a setting of this file; write defaults, or remove it
    queues.toml:5: queues.email.concurency is not a setting of this file; write concurrency, or remove it
    queues.toml:6: queues.email.colour is not a setting of this file; write one of concurrency, lease, heartbeat, timeout, max_attempts, max_deliveries, max_len, park, backoff, tries, or remove it
    queues.toml:7: queues.email.backoff.bas is not a setting of this file; write base, or remove it
    queues.toml:8: queues.email.tries.bogus is not a setting of this file; write one of server_error, timeout, network, ambiguous, internal, panic, or remove it
    queues.toml:8: queues.email.tries.rate_limited is not a setting of this file; remove it: errors of class rate_limited are never retried
    queues.toml:8: queues.email.tries.severe_error is not a setting of this file; write server_error, or remove it
    "#);
}

#[test]
fn tables_and_values_are_not_mixed_up() {
    let text = r#"
defaults = 1
[queues]
email = 4
[queues.webhook]
backoff = "1s"
tries = 3
[queues.webhook.lease]
seconds = 30
"#;

    assert_snapshot!(refused(text), @r#"
    queues.toml:2: defaults = 1 should be a table; write [defaults] on a line of its own
    queues.toml:4: queues.email = 4 should be a table; write [queues.email] on a line of its own
    queues.toml:6: queues.webhook.backoff = "1s" is no plan of delays; write "standard-webhooks", a list of times such as ["5s", "5m"], or { base = "1s", cap = "15m" }
    queues.toml:7: queues.webhook.tries = 3 should be a table; write tries = { server_error = 3 }
    queues.toml:8: queues.webhook.lease is one value, not a table; write lease = …
    "#);
    assert_snapshot!(refused("queues = []"), @r#"queues.toml:1: queues = [] should be a table; write [queues.<name>] on a line of its own"#);
}

#[test]
fn a_plan_of_delays_stands_for_a_doubling_backoff() {
    let text = r#"
[defaults]
backoff = ["1s", "1m 30s"]
[queues.a]
[queues.b]
backoff = "standard-webhooks"
[queues.c]
backoff = { base = "2s", cap = "1m" }
[queues.d]
backoff = { delays = ["10ms"] }
"#;

    let queues = parse("queues.toml", text).unwrap();

    let delays = |name: &str| queues.get(name).unwrap().retry.delays.clone();
    assert_eq!(delays("a"), [1, 90].map(Duration::from_secs));
    let hours: u64 = delays("b").iter().map(Duration::as_secs).sum::<u64>() / 3600;
    assert_eq!((delays("b").len(), hours), (9, 75));
    assert!(delays("c").is_empty());
    assert_eq!(delays("d"), [Duration::from_millis(10)]);
    assert_eq!(Queues::built_in().unwrap().get("webhook").unwrap().retry.delays, delays("b"));
}

#[test]
fn a_plan_of_delays_that_cannot_be_followed_is_refused() {
    let text = r#"
[queues.a]
backoff = []
[queues.b]
backoff = ["5s", 5]
[queues.c]
backoff = ["1ms"]
[queues.d]
backoff = ["8days"]
[queues.e]
backoff = { delays = ["5s"], base = "1s" }
[queues.f]
backoff = "standard"
"#;

    assert_snapshot!(refused(text), @r#"
    queues.toml:3: queues.a.backoff = [] is an empty list; write "standard-webhooks", a list of times such as ["5s", "5m"], or { base = "1s", cap = "15m" }
    queues.toml:5: queues.b.backoff = ["5s", 5] holds 5, which is not a time; write "standard-webhooks", a list of times such as ["5s", "5m"], or { base = "1s", cap = "15m" }
    queues.toml:7: queues.c.backoff = ["1ms"] holds "1ms"; write times from "10ms" to "7days"
    queues.toml:9: queues.d.backoff = ["8days"] holds "8days"; write times from "10ms" to "7days"
    queues.toml:11: queues.e.backoff = ["5s"] stands beside base or cap, which a list of delays replaces; remove one of them
    queues.toml:13: queues.f.backoff = "standard" is no plan of delays; write "standard-webhooks", a list of times such as ["5s", "5m"], or { base = "1s", cap = "15m" }
    "#);
}

#[test]
fn a_name_that_cannot_be_a_key_is_refused() {
    assert_snapshot!(refused("[queues.Email]\n[queues.\"a b\"]\n"), @r#"
    queues.toml:1: queue name `Email` is not usable: write 1 to 64 of a-z, 0-9, `_`, `-`
    queues.toml:2: queue name `a b` is not usable: write 1 to 64 of a-z, 0-9, `_`, `-`
    "#);
}

#[test]
fn a_file_without_queues_is_refused() {
    assert_snapshot!(refused("# nothing here\n"), @r#"queues.toml:1: there is no queue in this file; write [queues.<name>], for example [queues.email]"#);
    assert_snapshot!(refused("[defaults]\nlease = \"1m\"\n"), @r#"queues.toml:1: there is no queue in this file; write [queues.<name>], for example [queues.email]"#);
}

#[test]
fn text_that_is_not_toml_is_shown_by_line_and_column() {
    let text = "[queues.email]\nlease = 30s\nconcurrency =\n[queues.webhook\n";

    assert_snapshot!(refused(text), @r#"
    queues.toml:2:9: this is not TOML: string values must be quoted, expected literal string; correct this line
    queues.toml:3:14: this is not TOML: string values must be quoted, expected literal string; correct this line
    queues.toml:4:16: this is not TOML: unclosed table, expected `]`; correct this line
    "#);
}

#[test]
fn a_key_written_twice_is_refused() {
    assert_snapshot!(refused("[queues.email]\nlease = \"30s\"\nlease = \"40s\"\n[queues.email]\n"), @r#"
    queues.toml:3:1: this is not TOML: duplicate key; correct this line
    queues.toml:4:9: this is not TOML: duplicate key; correct this line
    "#);
}

#[test]
fn problems_come_in_the_order_of_the_file() {
    let text = "[queues.webhook]\nlease = 1\n[queues.email]\ncolour = 1\n[defaults]\npark = 1\n";

    let lines: Vec<usize> = match parse("queues.toml", text) {
        Err(QueuesError::Refused(problems)) => problems.iter().map(|problem| problem.line).collect(),
        other => panic!("{other:?}"),
    };

    assert_eq!(lines, [2, 4, 6]);
}

#[test]
fn a_named_file_must_be_there_and_the_usual_one_need_not() {
    let directory = tempfile::tempdir().unwrap();
    let usual = Queues::load_in(directory.path(), None).unwrap();
    let missing = Queues::load_in(directory.path(), Some(Path::new("/no/such/queues.toml"))).unwrap_err();
    fs::write(directory.path().join(FILE), "[queues.llm]").unwrap();
    let found = Queues::load_in(directory.path(), None).unwrap();

    assert_eq!(usual.source, Source::BuiltIn);
    assert!(found.get("llm").is_some());
    assert_snapshot!(missing.to_string(), @r#"/no/such/queues.toml cannot be read; set FLOTA_QUEUES_FILE to a file of queues, or unset it to use queues.toml here or the built-in one"#);
}

/// Stands for the services of processors, which are never called here.
struct Services;

impl Processor<Services> for SendEmail {
    const IF_REPEATED: IfRepeated = IfRepeated {
        at_worst: "The ledger has one line more.",
        key: "The job's id.",
        receiver: "Count them.",
    };

    type Error = Failure;

    async fn run(self, _: &Job, _: &Services) -> Result<Receipt, Failure> {
        Ok(Receipt::default())
    }
}

impl Processor<Services> for DeliverWebhook {
    const IF_REPEATED: IfRepeated = IfRepeated {
        at_worst: "The ledger has one line more.",
        key: "The job's id.",
        receiver: "Count them.",
    };

    type Error = Failure;

    async fn run(self, _: &Job, _: &Services) -> Result<Receipt, Failure> {
        Ok(Receipt::default())
    }
}

#[test]
fn kinds_and_queues_that_do_not_meet_are_noted() {
    let queues = parse("queues.toml", "[queues.bulk]\n[queues.email]\n").unwrap();
    let registry = Registry::new().with::<SendEmail>().with::<DeliverWebhook>();

    let notes = queues.notes::<Services>(&registry);

    let told: Vec<String> = notes.iter().map(ToString::to_string).collect();
    assert_snapshot!(told.join("\n"), @r#"
    Jobs of kind deliver_webhook go to queue webhook, which has no table and is not worked on here; add [queues.webhook] to queues.toml
    No kind of job goes to queue bulk by default; it gets only jobs whose producer names it
    "#);
}

#[test]
fn the_documentation_is_the_table() {
    generated_text::check_part("docs/configuration.md", "queues", &markdown());
}
