//! `cargo xtask bench`: see `bench.rs` of the library.

use std::{fs, path::Path, process::ExitCode};

use anyhow::Context;
use clap::Parser;
use flota_tests::{
    bench::{conduct, page, plan::Arguments, report::Report},
    chaos::report::put,
};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let report = match &arguments.from {
        Some(file) => read(file)?,
        None => Box::pin(conduct::measure(&arguments)).await?,
    };
    // First, so that a page that cannot be written costs no numbers.
    if let Some(file) = &arguments.json {
        let text = serde_json::to_string_pretty(&report)? + "\n";
        fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    let tables = page::markdown(&report);
    println!("\n{tables}");
    if let Some(page) = &arguments.page {
        put(page, page::PART, &tables)?;
    }
    Ok(if report.is_bad() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What was judged then is judged anew: the figures may have changed since.
fn read(file: &Path) -> anyhow::Result<Report> {
    let text = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let mut report: Report =
        serde_json::from_slice(&text).with_context(|| format!("{} is not a report", file.display()))?;
    report.judge();
    Ok(report)
}
