//! The tasks: which steps each one takes, in which order.

use std::{
    env,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use crate::{
    direction,
    install::{self, Need},
    instructions,
    program::{cargo, root},
    steps::{Outcome, Steps},
};

/// Failpoints for the chaos suite. Tests and lints use the same, so that nothing is compiled twice.
const CHAOS: [&str; 2] = ["--features", "flota-tests/chaos"];

/// Builds the binary and becomes it.
pub(crate) fn demo(arguments: &[String]) -> ExitCode {
    let mut steps = Steps::default();
    if let Err(exit) = install::ensure(&[Need::Compiler, Need::Servers]) {
        return exit;
    }
    steps.command("build", cargo(&["build", "-p", "flota-worker", "--bin", "flota"]));
    if !steps.all_held() {
        return ExitCode::FAILURE;
    }
    become_program("demo", built("flota"), &[&["demo".to_owned()][..], arguments].concat())
}

/// Builds the chaos suite and becomes it.
pub(crate) fn chaos(arguments: &[String]) -> ExitCode {
    let mut steps = Steps::default();
    if let Err(exit) = install::ensure(&[Need::Compiler, Need::Servers]) {
        return exit;
    }
    let programs = ["build", "-p", "flota-worker", "-p", "flota-tests", "--bins"];
    steps.command("build", cargo(&[&programs[..], &CHAOS].concat()));
    if !steps.all_held() {
        return ExitCode::FAILURE;
    }
    become_program("chaos", built("chaos"), arguments)
}

/// Builds the measures, and what they measure, for release and becomes them.
pub(crate) fn bench(arguments: &[String]) -> ExitCode {
    let mut steps = Steps::default();
    if let Err(exit) = install::ensure(&[Need::Compiler, Need::Servers]) {
        return exit;
    }
    let programs = ["--bin", "flota", "--bin", "bench", "--bin", "bench_worker"];
    let build = ["build", "--release", "-p", "flota-worker", "-p", "flota-tests"];
    steps.command("build", cargo(&[&build[..], &programs].concat()));
    if !steps.all_held() {
        return ExitCode::FAILURE;
    }
    become_program("bench", built_for_release("bench"), arguments)
}

/// A program of this workspace: in the same folder as this one, wherever `CARGO_TARGET_DIR` puts that.
fn built(name: &str) -> PathBuf {
    env::current_exe().unwrap_or_default().with_file_name(name)
}

/// The same of a release build: in the folder next to this program's.
fn built_for_release(name: &str) -> PathBuf {
    let here = built(name);
    let target = here.parent().and_then(Path::parent).unwrap_or(Path::new("target"));
    target.join("release").join(name)
}

/// Replacing this process hands over the terminal, the signals and the exit code.
fn become_program(task: &str, program: PathBuf, arguments: &[String]) -> ExitCode {
    println!("==> {task}: {} {}", program.display(), arguments.join(" "));
    let error = Command::new(&program).current_dir(root()).args(arguments).exec();
    eprintln!(
        "{} could not be started: {error}. Run `cargo xtask {task}` again; it builds what is missing.",
        program.display()
    );
    ExitCode::FAILURE
}

/// Everything that must hold. `quick` leaves out lints and documentation.
pub(crate) fn test(quick: bool) -> ExitCode {
    let mut steps = Steps::default();
    if let Err(exit) = install::ensure(&[Need::Compiler, Need::Servers, Need::Tests]) {
        return exit;
    }
    install::try_extras();
    format(&mut steps);
    if quick {
        steps.skip("clippy");
    } else {
        clippy(&mut steps);
    }
    // The fleet's tests and the chaos suite start the programs that this builds.
    let programs = ["build", "--workspace", "--bin", "flota", "--bin", "chaos", "--bin", "chaos_worker"];
    steps.command("build", cargo(&[&programs[..], &CHAOS].concat()));
    steps.tests("test", cargo(&[&["test", "--workspace", "--no-fail-fast"][..], &CHAOS].concat()));
    let mut smoke = Command::new(built("chaos"));
    smoke.arg("--smoke").current_dir(root());
    steps.command("chaos", smoke);
    if quick {
        steps.skip("doc");
    } else {
        documentation(&mut steps);
    }
    steps.work("direction", direction);
    steps.finish()
}

/// Everything that needs neither servers nor tests.
pub(crate) fn check() -> ExitCode {
    let mut steps = Steps::default();
    if let Err(exit) = install::ensure(&[Need::Compiler]) {
        return exit;
    }
    format(&mut steps);
    clippy(&mut steps);
    documentation(&mut steps);
    steps.work("direction", direction);
    steps.finish()
}

/// Whether a job takes as many instructions as it did; `update` writes down how many they are.
pub(crate) fn check_perf(update: bool) -> ExitCode {
    let mut steps = Steps::default();
    if let Err(exit) = install::ensure(&[Need::Compiler, Need::Counter]) {
        return exit;
    }
    steps.command("build", instructions::build());
    if steps.all_held() {
        steps.work("count", || instructions::guard(update));
    }
    steps.finish()
}

fn format(steps: &mut Steps) {
    steps.command("fmt", cargo(&["fmt", "--all", "--", "--check"]));
}

fn clippy(steps: &mut Steps) {
    let all = ["clippy", "--workspace", "--all-targets"];
    steps.command("clippy", cargo(&[&all[..], &CHAOS, &["--", "-D", "warnings"]].concat()));
}

fn documentation(steps: &mut Steps) {
    let mut command = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    steps.command("doc", command);
}

fn direction() -> Outcome {
    let violations = direction::violations();
    for violation in &violations {
        println!("{violation}");
    }
    if violations.is_empty() { Outcome::Held } else { Outcome::Failed }
}
