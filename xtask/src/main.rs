//! Project tasks: `cargo xtask demo | test | chaos | bench | check`.
//!
//! Only the standard library, so that it is built in a second on a machine that has nothing yet. What a task needs
//! is installed first (`install.rs`); a task is a list of steps (`steps.rs`), each printed with its time.

use std::{env, process::ExitCode};

mod direction;
mod install;
mod instructions;
mod program;
mod steps;
mod summary;
mod tasks;

const HELP: &str = "\
Project tasks.

  cargo xtask demo [ARGUMENTS]   build `flota` and run `flota demo ARGUMENTS` on private servers
  cargo xtask test [--quick]     format, lints, all tests, the quick set of the chaos suite, documentation, direction of
                                 the crates
                                 --quick leaves out lints and documentation
  cargo xtask chaos [ARGUMENTS]  build the chaos suite and tell its stories; `cargo xtask chaos --help` says which
  cargo xtask bench [ARGUMENTS]  build for release and measure, with --peers beside other queues;
                                 `cargo xtask bench --help` says how much
  cargo xtask check              format, lints, documentation, direction of the crates; needs no servers
  cargo xtask check --perf       how many instructions a job takes, compared with tests/instructions.txt
                                 --update writes them down anew
  cargo xtask help               this text

`demo`, `test`, `chaos` and `bench` need a Redis and a Postgres server program and a C compiler with make, `test` also
Python's aiosmtpd, `bench --peers` npm; `check` needs the compiler, with `--perf` valgrind. Tests of ffmpeg and Tesseract are skipped
where those are not to be had. What is missing is installed with apt-get, if this is root or has passwordless sudo. No
system service is started.

Exit codes: 0 all held, 1 a step failed, 2 wrong usage, 6 something is missing and cannot be installed here.
`demo`, `chaos` and `bench` end with the exit code of what they start.
";

/// Wrong usage, as everywhere in this project.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (task, rest) =
        arguments.split_first().map_or(("help", &[][..]), |(task, rest)| (task.as_str(), rest));
    match (task, rest) {
        ("demo", rest) => tasks::demo(rest),
        ("test", []) => tasks::test(false),
        ("test", [only]) if only == "--quick" => tasks::test(true),
        ("chaos", rest) => tasks::chaos(rest),
        ("bench", rest) => tasks::bench(rest),
        ("check", []) => tasks::check(),
        ("check", [perf]) if perf == "--perf" => tasks::check_perf(false),
        ("check", [perf, update]) if perf == "--perf" && update == "--update" => tasks::check_perf(true),
        ("help" | "--help" | "-h", _) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("`cargo xtask {}` is not a task.\n\n{HELP}", arguments.join(" "));
            ExitCode::from(USAGE)
        }
    }
}
