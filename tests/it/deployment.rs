//! What is deployed and what is written about it agree with the program: names of metrics and variables, ports, command
//! lines, alerts and their runbooks, links. Where a checking program is there (promtool, systemd-analyze, helm), it checks.

mod alerts;
mod chart;
mod command_lines;
mod dashboards;
mod image;
mod links;
mod ports;
mod promql;
mod shell_words;
mod units;
mod unprivileged;
mod variables;
mod walkthrough;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

use flota_tests::generated_text::repository;
use serde_json::Value;

/// A file of the repository.
fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A YAML file of the repository.
fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below a folder of the repository, by its path from the root, in order.
fn files(folder: &str, extension: &str) -> Vec<String> {
    let root = repository();
    let (mut found, mut folders) = (Vec::new(), vec![root.join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let path = path.strip_prefix(&root).expect("below the root");
                found.push(path.display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// Every page for people.
fn pages() -> Vec<String> {
    let mut pages = files("docs", "md");
    pages.extend(["README.md", "producer-lib/README.md"].map(str::to_owned));
    pages
}

/// A program that only some machines have; the test says so when it is missing.
fn optional_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        skipped(&format!("{name} is not installed here, so what only it can check was not checked"));
    }
    found
}

/// Says that something was not checked, past the test runner, which keeps what a passing test prints to itself.
fn skipped(why: &str) {
    let _ = writeln!(io::stderr(), "SKIPPED: {why}");
}

/// Runs a checking program; it must be content.
fn run(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(repository()).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{} {arguments:?}\n{said}", program.display());
    said
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
