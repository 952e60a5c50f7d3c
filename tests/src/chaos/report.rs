//! The page of the repository that shows what came of telling the stories: docs/chaos-report.md.
//!
//! People write the page; the parts between `<!-- NAME:begin -->` and `<!-- NAME:end -->` are ours.

use std::{io, path::Path, process::Command};

use chrono::DateTime;
use flota_producer::clock;

/// Puts a text into its part of a page.
///
/// # Errors
/// When the page cannot be read or written, or has no such part.
pub fn put(page: &Path, part: &str, text: &str) -> io::Result<()> {
    let before = std::fs::read_to_string(page)?;
    let after = with_part(&before, part, text).ok_or_else(|| {
        let (page, lines) = (page.display(), format!("<!-- {part}:begin --> and <!-- {part}:end -->"));
        io::Error::other(format!("{page} has no place for {part}: add the lines {lines}"))
    })?;
    std::fs::write(page, after)
}

fn with_part(page: &str, part: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {part}:begin -->\n"), format!("<!-- {part}:end -->"));
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{text}{end}{after}"))
}

/// When this was told, and with what.
pub fn heading() -> String {
    let day = DateTime::from_timestamp(clock::unix_now().as_secs() as i64, 0).unwrap_or_default();
    let (cores, build) = (
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        if cfg!(debug_assertions) { "development" } else { "release" },
    );
    let (commit, redis, postgres) = (
        said("git", &["rev-parse", "--short", "HEAD"]),
        said("redis-server", &["--version"]),
        said("sh", &["-c", "$(ls -1 /usr/lib/postgresql/*/bin/postgres | tail -1) --version"]),
    );
    let redis = redis.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or("?").to_owned();
    format!(
        "Told on {} at commit {commit}: Redis {redis}, {postgres}, {cores} cores, a {build} build; `appendfsync everysec` \
         unless a story says otherwise; leases of 3 s, heartbeats of 500 ms.\n\n",
        day.format("%Y-%m-%d"),
    )
}

/// The first line that a program says, or a question mark.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().map_or_else(|| "?".to_owned(), |line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_part_of_a_page_is_written() {
        let page = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n";

        assert_eq!(with_part(page, "x", "new\n").unwrap(), "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nb\n");
        assert_eq!(with_part(page, "y", "new\n"), None);
    }
}
