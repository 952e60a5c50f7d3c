//! Every command line of `flota` in documents, runbooks, units, compose file and chart is one that it takes.

use flota_worker::cli::{check_command_line, check_mention};
use serde_json::Value;

use super::{assert_none, files, pages, read, shell_words, yaml};

/// Fenced blocks of shell, and the rest of the page.
fn parts(page: &str) -> (Vec<String>, String) {
    let (mut blocks, mut rest) = (Vec::new(), String::new());
    let mut open: Option<(bool, String)> = None;
    for line in page.lines() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(language)) => {
                open = Some((matches!(language, "sh" | "console" | "bash"), String::new()));
            }
            (Some(_), Some(_)) => {
                let (is_shell, block) = open.take().expect("it is open");
                blocks.extend(is_shell.then_some(block));
            }
            (Some((_, block)), None) => block.push_str(&format!("{line}\n")),
            (None, None) => rest.push_str(&format!("{line}\n")),
        }
    }
    (blocks, rest)
}

/// Arguments of `flota` in one command, which may follow variables or run inside a container.
fn arguments(words: &[String]) -> Option<&[String]> {
    let at = words.iter().position(|word| word == "flota" || word.ends_with("/flota"))?;
    let before = &words[..at];
    let is_ours =
        before.iter().all(|word| word.contains('=')) || before.last().is_some_and(|word| word == "--");
    (is_ours && !words[at + 1..].is_empty()).then_some(&words[at + 1..])
}

#[test]
fn every_command_of_a_page_is_whole_and_right() {
    let mut problems = Vec::new();
    for page in pages() {
        for block in parts(&read(&page)).0 {
            for command in shell_words::commands(&block) {
                let words = shell_words::words(&command);
                let Some(arguments) = arguments(&words) else { continue };
                // A reader fills these in; what they stand for is checked as a mention.
                let has_gaps = arguments.iter().any(|word| word.contains('…') || word.contains('['));
                let checked = if has_gaps { mention(arguments) } else { check_command_line(arguments) };
                problems.extend(checked.err().map(|error| format!("{page}: {command}\n{error}")));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn every_mention_of_a_command_names_what_exists() {
    let mut problems = Vec::new();
    for page in pages() {
        let (_, rest) = parts(&read(&page));
        for span in rest.split('`').skip(1).step_by(2) {
            let span = span.replace('\n', " ").replace("\\|", "|");
            let words = shell_words::words(&span);
            let Some(arguments) = arguments(&words) else { continue };
            problems.extend(mention(arguments).err().map(|error| format!("{page}: `{span}`: {error}")));
        }
    }
    assert_none(&problems);
}

fn mention(arguments: &[String]) -> Result<(), String> {
    check_mention(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn check(place: &str, arguments: &[String]) -> Option<String> {
    check_command_line(arguments)
        .err()
        .map(|error| format!("{place}: flota {}\n{error}", arguments.join(" ")))
}

#[test]
fn every_unit_starts_what_exists() {
    let mut problems = Vec::new();
    for path in files("deploy/systemd", "service") {
        let unit = read(&path);
        let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/flota "));
        let mut words = shell_words::words(line.unwrap_or_else(|| panic!("{path} starts no flota")));
        words.retain(|word| !word.starts_with('$'));
        problems.extend(check(&path, &words));
    }
    assert_none(&problems);
}

#[test]
fn every_service_of_compose_runs_what_exists() {
    let compose = yaml("deploy/compose.yaml");
    let mut problems = Vec::new();
    for (name, service) in compose["services"].as_object().expect("services") {
        if service["image"] != "flota:local" {
            continue;
        }
        let words = service["command"].as_array().expect("a command");
        let words: Vec<String> = words.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        problems.extend(check(&format!("compose.yaml, {name}"), &words));
    }
    assert_none(&problems);
}

#[test]
fn every_container_of_the_chart_runs_what_exists() {
    let mut problems = Vec::new();
    let mut seen = 0;
    for path in files("deploy/helm/flota/templates", "yaml") {
        let template = read(&path);
        let Some((_, after)) = template.split_once("          args:") else { continue };
        let words = chart_arguments(after);
        problems.extend(check(&path, &words));
        seen += 1;
    }
    assert_eq!(seen, 3, "workers, serve and migrate have arguments");
    assert_none(&problems);
}

/// The list after `args:`, with values in place of what the chart fills in.
fn chart_arguments(after: &str) -> Vec<String> {
    if let Some(list) = after.trim_start_matches(' ').strip_prefix('[') {
        let (list, _) = list.split_once(']').expect("a list");
        return list.split(", ").map(str::to_owned).collect();
    }
    let items = after.lines().skip(1).map(str::trim);
    let items = items.take_while(|line| line.starts_with(['-', '{', '#']));
    let items = items.filter_map(|line| line.strip_prefix("- "));
    items.map(|item| item.replace("{{ . }}", "email").replace("{{ $worker.drainSeconds }}", "25")).collect()
}
