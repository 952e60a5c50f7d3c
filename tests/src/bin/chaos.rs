//! Tells stories of the chaos suite; see `chaos/runner.rs`.

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    flota_tests::chaos::runner::main()
}
