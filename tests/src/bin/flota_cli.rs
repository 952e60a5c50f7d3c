//! The command line, for stories that start it as a process of its own.

fn main() -> std::process::ExitCode {
    flota_worker::cli::main()
}
