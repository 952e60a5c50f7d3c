//! As much of `PromQL` as is needed to see that an expression speaks of metrics, labels and values that exist.

use std::collections::BTreeSet;

use flota_worker::telemetry::metrics::{METRICS, Metric, MetricKind};

/// Labels that Prometheus adds by itself.
const ADDED: [&str; 2] = ["instance", "job"];

/// What is wrong with an expression. `recorded` are names of recording rules, each with the labels that it has.
pub(super) fn problems(expression: &str, recorded: &[(String, Vec<String>)]) -> Vec<String> {
    let (mut problems, mut all) = (Vec::new(), BTreeSet::from(ADDED.map(str::to_owned)));
    for (name, matchers) in selectors(expression) {
        let Some(labels) = labels_of(&name, recorded) else {
            problems.push(format!("there is no metric {name}"));
            continue;
        };
        for (label, value) in matchers {
            if !labels.contains(&label) && !ADDED.contains(&label.as_str()) {
                problems.push(format!("{name} has no label {label}"));
            }
            problems.extend(unknown_values(&name, &label, &value));
        }
        all.extend(labels);
    }
    let grouped = groupings(expression).into_iter().filter(|label| !all.contains(label));
    problems.extend(grouped.map(|label| format!("no metric here has the label {label} to group by")));
    problems.into_iter().map(|problem| format!("{problem}: {}", expression.trim())).collect()
}

/// The labels that an expression is grouped by at its end: those of a recording rule.
pub(super) fn groupings(expression: &str) -> Vec<String> {
    let parts = expression.split(" by (").skip(1).filter_map(|rest| rest.split(')').next());
    let labels = parts.flat_map(|labels| labels.split(','));
    labels.map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()).collect()
}

/// Every metric of ours in an expression, with its matchers.
fn selectors(expression: &str) -> Vec<(String, Vec<(String, String)>)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let (mut found, mut rest) = (Vec::new(), expression);
    while let Some(start) = rest.find("flota") {
        let end = rest[start..].find(|c| !is_part(c)).map_or(rest.len(), |length| start + length);
        let name = rest[start..end].to_owned();
        rest = &rest[end..];
        let inside = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(inside, _)| inside);
        found.push((name, matchers(inside.unwrap_or_default())));
    }
    found
}

fn matchers(inside: &str) -> Vec<(String, String)> {
    let one = |matcher: &str| {
        let operator = matcher.find(['=', '!']).unwrap_or(matcher.len());
        let (label, value) = matcher.split_at(operator);
        (label.trim().to_owned(), value.trim_matches(['=', '!', '~', '"']).to_owned())
    };
    inside.split(", ").flat_map(|part| part.split("\",")).filter(|part| !part.is_empty()).map(one).collect()
}

fn labels_of(name: &str, recorded: &[(String, Vec<String>)]) -> Option<Vec<String>> {
    if let Some((_, labels)) = recorded.iter().find(|(known, _)| known == name) {
        return Some(labels.clone());
    }
    let (metric, is_bucket) = metric(name)?;
    let mut labels: Vec<String> = metric.labels.iter().map(|(label, _)| (*label).to_owned()).collect();
    if is_bucket {
        labels.push("le".to_owned());
    }
    Some(labels)
}

/// A histogram is three series; its own name is none.
fn metric(name: &str) -> Option<(&'static Metric, bool)> {
    let is_histogram = |metric: &&Metric| metric.kind == MetricKind::Histogram;
    for (suffix, is_bucket) in [("_bucket", true), ("_sum", false), ("_count", false)] {
        let base = name.strip_suffix(suffix);
        let found = METRICS.iter().filter(is_histogram).find(|metric| Some(metric.name) == base);
        if let Some(metric) = found {
            return Some((metric, is_bucket));
        }
    }
    METRICS.iter().find(|metric| metric.name == name && !is_histogram(metric)).map(|metric| (metric, false))
}

/// The table lists the values of a label in backticks, when there are only so many.
fn unknown_values(name: &str, label: &str, value: &str) -> Option<String> {
    let (metric, _) = metric(name)?;
    let (_, listed) = metric.labels.iter().find(|(known, _)| *known == label)?;
    if !listed.starts_with('`') || value.starts_with('$') {
        return None;
    }
    let unknown = value.split('|').find(|value| !listed.contains(&format!("`{value}`")))?;
    // The words of error classes are not listed, but for `ok`.
    (label != "result" || !name.starts_with("flota_provider"))
        .then(|| format!("{name} has no {label}=\"{unknown}\", only {listed}"))
}

#[test]
fn an_expression_with_a_slip_is_found_out() {
    for (expression, slip) in [
        ("rate(flota_job_attempt_total[5m])", "there is no metric flota_job_attempt_total"),
        ("flota_job_duration_seconds", "there is no metric flota_job_duration_seconds"),
        ("flota_queue_jobs{stat!~\"ready\"}", "flota_queue_jobs has no label stat"),
        ("max by (que) (flota_queue_paused)", "no metric here has the label que"),
        ("flota_queue_jobs{queue=~\"a|b\", state=\"running\"}", "has no state=\"running\""),
        ("sum by (le) (flota_job_attempts_total)", "no metric here has the label le"),
    ] {
        let problems = problems(expression, &[]);
        assert!(problems.iter().any(|problem| problem.contains(slip)), "{expression}: {problems:?}");
    }
    let good = "histogram_quantile(0.9, sum by (le, queue) (rate(flota_job_duration_seconds_bucket{outcome!=\"dead\"}[5m])))";
    assert_eq!(problems(good, &[]), Vec::<String>::new());
}
