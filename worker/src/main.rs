//! The `flota` program; see `cli.rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    flota_worker::cli::main()
}
