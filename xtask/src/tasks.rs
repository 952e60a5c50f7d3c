//! The three tasks: which steps each one takes, in which order.

use std::{
    env,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

use crate::{
    direction,
    install::{self, Need},
    program::{cargo, root},
    steps::{Outcome, Steps},
};

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
    // Built into the same folder as this program, wherever CARGO_TARGET_DIR puts that.
    let binary = env::current_exe().unwrap_or_default().with_file_name("flota");
    println!("==> demo: {} demo {}", binary.display(), arguments.join(" "));
    // Replacing this process hands over the terminal, the signals and the exit code.
    let error = Command::new(&binary).current_dir(root()).arg("demo").args(arguments).exec();
    eprintln!(
        "{} could not be started: {error}. Run `cargo build -p flota-worker` and try again.",
        binary.display()
    );
    ExitCode::FAILURE
}

/// Everything that must hold. `quick` leaves out lints and documentation.
pub(crate) fn test(quick: bool) -> ExitCode {
    let mut steps = Steps::default();
    if let Err(exit) = install::ensure(&[Need::Compiler, Need::Servers, Need::Tests]) {
        return exit;
    }
    format(&mut steps);
    if quick {
        steps.skip("clippy");
    } else {
        clippy(&mut steps);
    }
    // The fleet's tests start the binary that this builds.
    steps.command("build", cargo(&["build", "--workspace", "--bin", "flota"]));
    steps.tests("test", cargo(&["test", "--workspace", "--no-fail-fast"]));
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

fn format(steps: &mut Steps) {
    steps.command("fmt", cargo(&["fmt", "--all", "--", "--check"]));
}

fn clippy(steps: &mut Steps) {
    steps.command("clippy", cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]));
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
