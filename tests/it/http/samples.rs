//! A page of metrics, read as Prometheus reads it and compared with our table of metrics.

use std::collections::{BTreeMap, BTreeSet};

use flota_worker::telemetry::metrics::{METRICS, MetricKind};

/// The numbers of a metrics page, by name and labels.
#[derive(Debug)]
pub(super) struct Samples(BTreeMap<(String, BTreeMap<String, String>), f64>);

impl Samples {
    /// Reads the text format of Prometheus, and checks every line against our table of metrics.
    pub(super) fn read(page: &str) -> Self {
        let mut samples = BTreeMap::new();
        for line in page.lines().filter(|line| !line.is_empty()) {
            if let Some(comment) = line.strip_prefix("# ") {
                check_comment(comment);
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value in {line:?}"));
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("no end of labels in {line:?}"));
            let labels: BTreeMap<String, String> =
                labels.split(',').filter(|l| !l.is_empty()).map(label).collect();
            check_series(name, &labels);
            let value: f64 = value.parse().unwrap_or_else(|error| panic!("{error} in {line:?}"));
            assert!(samples.insert((name.to_owned(), labels), value).is_none(), "{line:?} is there twice");
        }
        Self(samples)
    }

    pub(super) fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.0.get(&(name.to_owned(), labels)).copied()
    }

    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.0.keys().map(|(name, _)| name.as_str()).collect()
    }
}

/// No value of ours holds a comma or a quotation mark.
fn label(text: &str) -> (String, String) {
    let (name, value) = text.split_once("=\"").unwrap_or_else(|| panic!("{text:?} is not a label"));
    (name.to_owned(), value.strip_suffix('"').unwrap_or_else(|| panic!("{text:?} has no end")).to_owned())
}

fn check_comment(comment: &str) {
    let words: Vec<&str> = comment.splitn(3, ' ').collect();
    let metric = METRICS.iter().find(|metric| metric.name == words[1]);
    let metric = metric.unwrap_or_else(|| panic!("{comment:?} is about an unknown metric"));
    match words[0] {
        "HELP" => assert_eq!(words[2], metric.help),
        "TYPE" => assert_eq!(words[2], metric.kind.word(), "{}", metric.name),
        other => panic!("{other} is not a comment of Prometheus"),
    }
}

fn check_series(name: &str, labels: &BTreeMap<String, String>) {
    let metric = METRICS.iter().find(|metric| {
        let parts = ["_bucket", "_sum", "_count"].map(|part| format!("{}{part}", metric.name));
        metric.name == name || (metric.kind == MetricKind::Histogram && parts.iter().any(|part| part == name))
    });
    let metric = metric.unwrap_or_else(|| panic!("{name} is not in the table of metrics"));
    let mut expected: BTreeSet<&str> = metric.labels.iter().map(|(label, _)| *label).collect();
    if name.ends_with("_bucket") {
        expected.insert("le");
    }
    assert_eq!(labels.keys().map(String::as_str).collect::<BTreeSet<_>>(), expected, "labels of {name}");
}
