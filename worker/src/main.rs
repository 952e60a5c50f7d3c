//! The `flota` program; see `cli.rs`.

use std::process::ExitCode;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[global_allocator]
static ALLOCATOR: flota_worker::Allocator = flota_worker::Allocator;

fn main() -> ExitCode {
    flota_worker::cli::main()
}
