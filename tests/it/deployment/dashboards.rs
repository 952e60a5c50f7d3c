//! Every panel of every dashboard asks for metrics and labels that exist, and every metric is on a dashboard.

use serde_json::Value;

use super::{assert_none, files, optional_program, promql, read, run};
use flota_worker::telemetry::metrics::METRICS;

fn dashboards() -> Vec<(String, Value)> {
    let read = |path: String| {
        let dashboard = serde_json::from_str(&read(&path));
        (path.clone(), dashboard.unwrap_or_else(|error| panic!("{path}: {error}")))
    };
    files("deploy/grafana/dashboards", "json").into_iter().map(read).collect()
}

/// Every question of a dashboard, with where it is.
fn expressions(path: &str, dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| {
        let place = format!("{path}, {}", panel["title"]);
        let targets = panel["targets"].as_array().expect("targets").iter();
        targets.map(move |target| (place.clone(), target["expr"].as_str().expect("expr").to_owned()))
    });
    targets.collect()
}

#[test]
fn every_panel_asks_for_what_exists() {
    let mut problems = Vec::new();
    for (path, dashboard) in dashboards() {
        for (place, expression) in expressions(&path, &dashboard) {
            let found = promql::problems(&expression, &super::alerts::recorded());
            problems.extend(found.into_iter().map(|problem| format!("{place}: {problem}")));
        }
        for variable in dashboard["templating"]["list"].as_array().expect("variables") {
            let Some(query) = variable["query"]["query"].as_str() else { continue };
            let inside = query.trim_start_matches("label_values(").trim_end_matches(')');
            let (metric, label) = inside.split_once(", ").expect("label_values(metric, label)");
            problems.extend(promql::problems(&format!("sum by ({label}) ({metric})"), &[]));
        }
    }
    assert_none(&problems);
}

#[test]
fn every_metric_is_on_a_dashboard() {
    let all: String = dashboards().iter().map(|(_, dashboard)| dashboard.to_string()).collect();

    let missing = METRICS.iter().filter(|metric| !all.contains(metric.name));

    assert_none(&missing.map(|metric| format!("{} is on no dashboard", metric.name)).collect::<Vec<_>>());
}

#[test]
fn panels_do_not_cover_each_other_and_ids_are_unique() {
    let mut problems = Vec::new();
    let mut uids: Vec<String> = Vec::new();
    for (path, dashboard) in dashboards() {
        uids.push(dashboard["uid"].to_string());
        let panels = dashboard["panels"].as_array().expect("panels");
        for (at, panel) in panels.iter().enumerate() {
            for other in &panels[..at] {
                if panel["id"] == other["id"] || overlap(&panel["gridPos"], &other["gridPos"]) {
                    problems.push(format!("{path}: {} and {}", panel["title"], other["title"]));
                }
            }
        }
    }
    uids.dedup();
    assert_eq!(uids.len(), dashboards().len(), "{uids:?}");
    assert_none(&problems);
}

#[test]
fn promtool_can_parse_every_panel() {
    let Some(promtool) = optional_program("promtool") else { return };
    let mut rules = String::from("groups:\n- name: panels\n  rules:\n");
    let all = dashboards();
    let all = all.iter().flat_map(|(path, dashboard)| expressions(path, dashboard));
    for (number, (_, expression)) in all.enumerate() {
        let expression = expression.replace("$__rate_interval", "5m");
        rules.push_str(&format!("  - record: panel:{number}\n    expr: {}\n", Value::String(expression)));
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("panels.yaml");
    std::fs::write(&path, rules).expect("a file");

    run(&promtool, &["check", "rules", "--lint=none", path.to_str().expect("UTF-8")]);
}

fn overlap(one: &Value, other: &Value) -> bool {
    let side = |place: &Value, from: &str, size: &str| {
        let from = place[from].as_u64().expect("a place");
        (from, from + place[size].as_u64().expect("a size"))
    };
    let meet = |(a, b): (u64, u64), (c, d): (u64, u64)| a < d && c < b;
    meet(side(one, "x", "w"), side(other, "x", "w")) && meet(side(one, "y", "h"), side(other, "y", "h"))
}
