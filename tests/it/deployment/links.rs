//! Links from page to page lead somewhere, to the heading too.

use std::path::Path;

use flota_tests::generated_text::repository;

use super::{assert_none, pages, read};

/// Targets of the links of a page, outside code.
fn targets(page: &str) -> Vec<String> {
    let (mut targets, mut is_code) = (Vec::new(), false);
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        let links = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        targets.extend(links.map(str::to_owned));
    }
    targets
}

/// What a heading is called in an address, as GitHub and others do it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn has_heading(page: &str, wanted: &str) -> bool {
    let headings = page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#'));
    headings.map(anchor).any(|found| found == wanted)
}

#[test]
fn every_link_leads_somewhere() {
    let mut problems = Vec::new();
    for page in pages() {
        let text = read(&page);
        let folder = Path::new(&page).parent().expect("a folder");
        for target in targets(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((&target, ""));
            let place = repository().join(if path.is_empty() {
                Path::new(&page).to_owned()
            } else {
                folder.join(path)
            });
            if !place.exists() {
                problems.push(format!("{page}: {target} does not exist"));
            } else if !heading.is_empty() && place.is_file() {
                let there = std::fs::read_to_string(&place).unwrap_or_default();
                if !has_heading(&there, heading) {
                    problems.push(format!("{page}: {target} has no such heading"));
                }
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn every_page_is_reached_from_the_readme() {
    let pages = pages();
    let (mut reached, mut next) = (vec!["README.md".to_owned()], vec!["README.md".to_owned()]);
    while let Some(page) = next.pop() {
        let folder = Path::new(&page).parent().expect("a folder").to_owned();
        for target in targets(&read(&page)) {
            let place = plain(&folder.join(target.split('#').next().unwrap_or_default()));
            // A link to a folder leads to every page in it.
            let is_there =
                |page: &&String| **page == place || Path::new(page).parent() == Some(Path::new(&place));
            for found in pages.iter().filter(is_there) {
                if !reached.contains(found) {
                    reached.push(found.clone());
                    next.push(found.clone());
                }
            }
        }
    }
    let alone = pages.iter().filter(|page| !reached.contains(page));
    assert_none(&alone.map(|page| format!("{page}: no page leads there")).collect::<Vec<_>>());
}

/// A path without `..`.
fn plain(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.iter().filter_map(|part| part.to_str()) {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
