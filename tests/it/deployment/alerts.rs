//! Alerts speak of metrics that exist, each has its runbook and each runbook its alert, and the integration directive's
//! three thresholds are there.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{assert_none, files, optional_program, promql, read, run, yaml};

const ALERTS: &str = "deploy/prometheus/alerts.yaml";

fn rules() -> Vec<Value> {
    let groups = yaml(ALERTS)["groups"].as_array().expect("groups").clone();
    groups.iter().flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
}

fn alerts() -> Vec<Value> {
    rules().into_iter().filter(|rule| rule["alert"].is_string()).collect()
}

/// Names of recording rules, with their labels.
pub(super) fn recorded() -> Vec<(String, Vec<String>)> {
    let rules = rules().into_iter().filter_map(|rule| {
        let labels = promql::groupings(rule["expr"].as_str()?);
        Some((
            rule["record"].as_str()?.to_owned(),
            if labels.is_empty() { vec!["provider".to_owned()] } else { labels },
        ))
    });
    rules.collect()
}

#[test]
fn every_rule_speaks_of_metrics_and_labels_that_exist() {
    let recorded = recorded();

    let rules = rules();
    let problems = rules.iter().flat_map(|rule| promql::problems(text(&rule["expr"]), &recorded));

    assert_none(&problems.collect::<Vec<_>>());
}

#[test]
fn every_alert_has_its_runbook_and_every_runbook_its_alert() {
    let mut problems = Vec::new();
    let mut named = BTreeSet::new();
    for alert in alerts() {
        let (name, page) = (text(&alert["alert"]), text(&alert["annotations"]["runbook_url"]));
        let expected = format!("docs/runbooks/{}.md", with_dashes(name));
        if page != expected {
            problems.push(format!("{name}: its runbook_url is {page}, not {expected}"));
        }
        if !matches!(text(&alert["labels"]["severity"]), "page" | "ticket") {
            problems.push(format!("{name}: its severity is neither page nor ticket"));
        }
        named.insert(expected);
    }
    let there: BTreeSet<String> = files("docs/runbooks", "md").into_iter().collect();
    problems.extend(named.difference(&there).map(|page| format!("{page} is missing")));
    let index = "docs/runbooks/README.md".to_owned();
    let alone = there.difference(&named).filter(|page| **page != index);
    problems.extend(alone.map(|page| format!("{page} belongs to no alert")));
    assert_none(&problems);
}

#[test]
fn every_runbook_says_what_it_means_how_to_look_and_what_to_do() {
    let mut problems = Vec::new();
    for alert in alerts() {
        let name = text(&alert["alert"]);
        let page = read(text(&alert["annotations"]["runbook_url"]));
        for line in [format!("# {name}"), "## Meaning".into(), "## Look".into(), "## Do".into()] {
            if !page.lines().any(|found| found == line) {
                problems.push(format!("the runbook of {name} lacks the line {line:?}"));
            }
        }
        if !read("docs/runbooks/README.md").contains(&format!("({}.md)", with_dashes(name))) {
            problems.push(format!("docs/runbooks/README.md does not list {name}"));
        }
    }
    assert_none(&problems);
}

#[test]
fn the_three_thresholds_of_the_directive_are_alerts() {
    let alerts = alerts();
    for (name, bound) in [
        ("FlotaProviderSlow", "tesseract|whatsapp_media\"} > 2\n"),
        ("FlotaProviderErrors", "ratio5m{provider!=\"webhook\"} > 0.05"),
        ("FlotaProviderLimitNearlyUsed", "flota_provider_limit_used_ratio) > 0.8"),
    ] {
        let alert = alerts.iter().find(|alert| alert["alert"] == name).expect(name);
        assert!(text(&alert["expr"]).contains(bound), "{name}: {}", alert["expr"]);
    }
}

#[test]
fn promtool_is_content_with_the_rules_and_their_tests() {
    let Some(promtool) = optional_program("promtool") else { return };

    run(&promtool, &["check", "rules", ALERTS]);
    run(&promtool, &["test", "rules", "deploy/prometheus/alerts.test.yaml"]);
    run(&promtool, &["check", "config", "deploy/prometheus/prometheus.yaml"]);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} should be a text"))
}

/// `FlotaQueueLate` is `flota-queue-late`.
fn with_dashes(name: &str) -> String {
    let mut dashed = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !dashed.is_empty() {
            dashed.push('-');
        }
        dashed.push(c.to_ascii_lowercase());
    }
    dashed
}
