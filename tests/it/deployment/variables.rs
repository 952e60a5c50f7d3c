//! Every variable that a deployment sets is one that the program reads.

use std::collections::BTreeSet;

use flota_worker::config::env::VARIABLES;

use super::{assert_none, files, read, yaml};

/// Variables of other programs in the same files: Postgres, Grafana, the C library, and those that only the files
/// themselves use.
const FOREIGN: [&str; 5] = ["POSTGRES_", "GF_", "MALLOC_", "GRAFANA_PASSWORD", "FLOTA_WORKER_ARGUMENTS"];

fn unknown<'a>(place: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let known: BTreeSet<&str> = VARIABLES.iter().map(|variable| variable.name).collect();
    let is_ours = |name: &&str| !FOREIGN.iter().any(|foreign| name.starts_with(foreign));
    let unread = names.into_iter().filter(is_ours).filter(|name| {
        !known.contains(name) && !name.strip_suffix("_FILE").is_some_and(|name| known.contains(name))
    });
    unread.map(|name| format!("{place}: nothing reads {name}")).collect()
}

#[test]
fn compose_sets_variables_that_are_read_and_hands_over_the_rest_from_a_file() {
    let compose = yaml("deploy/compose.yaml");
    let mut problems = Vec::new();
    for (name, service) in compose["services"].as_object().expect("services") {
        let environment = service["environment"].as_object();
        let names = environment.into_iter().flatten().map(|(name, _)| name.as_str());
        problems.extend(unknown(&format!("compose.yaml, {name}"), names));
    }
    for name in ["worker", "serve", "migrate"] {
        assert_eq!(compose["services"][name]["env_file"][0]["path"], ".env", "{name}");
    }
    assert_none(&problems);
}

#[test]
fn the_chart_sets_variables_that_are_read() {
    let values = yaml("deploy/helm/flota/values.yaml");
    let names = values["env"].as_object().expect("env").keys().map(String::as_str);
    let mut problems = unknown("values.yaml", names);
    let helpers = read("deploy/helm/flota/templates/_helpers.tpl");
    let fixed = helpers.lines().filter_map(|line| line.trim().strip_prefix("- name: "));
    let fixed = fixed.filter(|name| name.starts_with(|first: char| first.is_ascii_uppercase()));
    problems.extend(unknown("_helpers.tpl", fixed));
    assert_none(&problems);
}

#[test]
fn the_units_set_variables_that_are_read() {
    let mut problems = Vec::new();
    for path in files("deploy/systemd", "service") {
        let unit = read(&path);
        let set = unit.lines().filter_map(|line| line.strip_prefix("Environment="));
        let set = set.flat_map(str::split_whitespace).filter_map(|one| one.split('=').next());
        let used = unit
            .split('$')
            .skip(1)
            .filter_map(|rest| rest.split(|c: char| !c.is_ascii_uppercase() && c != '_').next());
        problems.extend(unknown(&path, set.chain(used)));
    }
    assert_none(&problems);
}

#[test]
fn pages_name_variables_that_are_read() {
    let groups = ["FLOTA_"];
    let mut problems = Vec::new();
    for page in super::pages() {
        let text = read(&page);
        let spans = text.split('`').skip(1).step_by(2);
        let names = spans.map(|span| span.split('=').next().unwrap_or_default());
        let names = names.filter(|name| groups.iter().any(|group| name.starts_with(group)));
        let whole = names
            .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit()));
        problems.extend(unknown(&page, whole.filter(|name| !name.ends_with('_'))));
    }
    assert_none(&problems);
}
