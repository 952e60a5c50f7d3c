//! `flota` with the job of the measures, which counts what ran. See `bench.rs` of the library.

use std::process::ExitCode;

use flota_tests::bench::{payload::BenchJob, tally};
use flota_worker::{Additions, cli};

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[global_allocator]
static ALLOCATOR: flota_worker::Allocator = flota_worker::Allocator;

fn main() -> ExitCode {
    tally::report();
    cli::main_with(Additions { kinds: |known| known.with::<BenchJob>(), ..Additions::default() })
}
