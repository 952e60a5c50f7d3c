//! Installs what a bare Debian or Ubuntu lacks, or says which command does.
//!
//! Nothing is changed on a machine that has everything. The installing is a shell script (`install.sh`), because it
//! must put the system's policy back even when this process is killed, and because sudo can run a script.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use crate::program::{any_in_path, is_program};

const INSTALL: &str = include_str!("install.sh");

/// The project's exit code for "a server cannot be reached".
const UNREACHABLE: u8 = 6;

/// What a task is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Compile and link.
    Compiler,
    /// Start private servers.
    Servers,
    /// Test against software that is not ours.
    Tests,
    /// Count instructions.
    Counter,
    /// Tests that say that they are skipped where this is missing.
    Extras,
}

/// Something that must be on the machine.
struct Tool {
    name: &'static str,
    need: Need,
    /// Debian packages; of `a|b` the first that exists.
    packages: &'static [&'static str],
    is_here: fn() -> bool,
}

const TOOLS: [Tool; 11] = [
    Tool {
        name: "a C compiler",
        need: Need::Compiler,
        packages: &["gcc", "libc6-dev"],
        is_here: || any_in_path(&["cc", "gcc", "clang"]),
    },
    Tool {
        name: "make",
        need: Need::Compiler,
        packages: &["make"],
        is_here: || any_in_path(&["make", "gmake"]),
    },
    Tool {
        name: "pkg-config",
        need: Need::Compiler,
        packages: &["pkg-config"],
        is_here: || any_in_path(&["pkg-config", "pkgconf"]),
    },
    Tool { name: "OpenSSL's headers", need: Need::Compiler, packages: &["libssl-dev"], is_here: has_openssl },
    Tool {
        name: "a Redis server",
        need: Need::Servers,
        packages: &["redis-server|valkey-server"],
        is_here: || any_in_path(&["redis-server", "valkey-server", "redis-check-rdb"]),
    },
    Tool { name: "a Postgres server", need: Need::Servers, packages: &["postgresql"], is_here: has_postgres },
    Tool {
        name: "a mail server to test against",
        need: Need::Tests,
        packages: &["python3-aiosmtpd"],
        is_here: has_aiosmtpd,
    },
    Tool {
        name: "valgrind",
        need: Need::Counter,
        packages: &["valgrind"],
        is_here: || any_in_path(&["valgrind"]),
    },
    Tool { name: "ffmpeg", need: Need::Extras, packages: &["ffmpeg"], is_here: || any_in_path(&["ffmpeg"]) },
    Tool {
        name: "Tesseract",
        need: Need::Extras,
        packages: &["tesseract-ocr", "tesseract-ocr-spa"],
        is_here: || any_in_path(&["tesseract"]),
    },
    Tool {
        name: "promtool",
        need: Need::Extras,
        packages: &["prometheus"],
        is_here: || any_in_path(&["promtool"]),
    },
];

/// How packages can be installed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    Root,
    Sudo,
    Nothing,
}

/// Returns when everything needed is here; otherwise the exit code to end with, after saying what to run.
pub(crate) fn ensure(needs: &[Need]) -> Result<(), ExitCode> {
    let started = Instant::now();
    let missing = missing(needs);
    if missing.is_empty() {
        println!("==> tools: everything needed is installed ({:.1} s)", started.elapsed().as_secs_f64());
        return Ok(());
    }
    let packages = packages_of(&missing);
    let means = means();
    if means == Means::Nothing {
        return Err(give_up(&missing, "this is neither root with apt-get nor a user with passwordless sudo"));
    }
    println!("==> install: {} (for {})", by_hand(&packages), names_of(&missing));
    let succeeded = command(means, "", &packages).status().is_ok_and(|status| status.success());
    let still_missing = self::missing(needs);
    println!(
        "==> install: {} ({:.1} s)",
        if succeeded { "ok" } else { "FAILED" },
        started.elapsed().as_secs_f64()
    );
    match (succeeded, still_missing.as_slice()) {
        (_, []) => Ok(()),
        (true, _) => Err(give_up(&still_missing, "apt-get succeeded, but it is still not found")),
        (false, _) => Err(give_up(&still_missing, "apt-get failed; its messages are above")),
    }
}

/// Installs what some tests can do without, as far as that is possible here. What is missing even so is a note.
pub(crate) fn try_extras() {
    let missing = missing(&[Need::Extras]);
    let means = means();
    for tool in &missing {
        // One by one, so that a package that is not to be had keeps no other away.
        let packages = packages_of(&[tool]);
        let installed = means != Means::Nothing
            && command(means, "", &packages).status().is_ok_and(|status| status.success())
            && (tool.is_here)();
        if installed {
            println!("==> install: {} is here now", tool.name);
        } else {
            println!(
                "==> NOTE: {} is not installed; its tests will be SKIPPED. {}",
                tool.name,
                by_hand(&packages)
            );
        }
    }
}

fn missing(needs: &[Need]) -> Vec<&'static Tool> {
    TOOLS.iter().filter(|tool| needs.contains(&tool.need) && !(tool.is_here)()).collect()
}

fn packages_of(tools: &[&Tool]) -> Vec<&'static str> {
    tools.iter().flat_map(|tool| tool.packages.iter().copied()).collect()
}

fn names_of(tools: &[&Tool]) -> String {
    tools.iter().map(|tool| tool.name).collect::<Vec<_>>().join(", ")
}

/// The command a person would type; of alternatives the usual one.
fn by_hand(packages: &[&str]) -> String {
    let usual = packages.iter().map(|package| package.split('|').next().unwrap_or(package));
    format!("apt-get install -y --no-install-recommends {}", usual.collect::<Vec<_>>().join(" "))
}

fn give_up(missing: &[&Tool], why: &str) -> ExitCode {
    eprintln!(
        "This task needs what is not installed here ({}), and cannot install it: {why}.\n\
         Run this as root, then the same task again:\n\n    {}\n",
        names_of(missing),
        by_hand(&packages_of(missing))
    );
    ExitCode::from(UNREACHABLE)
}

fn means() -> Means {
    if !any_in_path(&["apt-get"]) {
        return Means::Nothing;
    }
    let answer = Command::new("id").arg("-u").output();
    if answer.is_ok_and(|output| output.stdout.trim_ascii() == b"0") {
        return Means::Root;
    }
    let sudo = Command::new("sudo").args(["-n", "true"]).stdin(Stdio::null()).stderr(Stdio::null()).status();
    if sudo.is_ok_and(|status| status.success()) { Means::Sudo } else { Means::Nothing }
}

/// The installing script, with `root` in place of the root of the file system.
fn command(means: Means, root: &str, packages: &[&str]) -> Command {
    let mut command = if means == Means::Sudo { Command::new("sudo") } else { Command::new("sh") };
    if means == Means::Sudo {
        command.args(["-n", "sh"]);
    }
    command.args(["-c", INSTALL, "flota-install", root]).args(packages).stdin(Stdio::null());
    command
}

fn has_openssl() -> bool {
    let asked = Command::new("pkg-config").args(["--exists", "openssl"]).status();
    asked.is_ok_and(|status| status.success()) || Path::new("/usr/include/openssl/ssl.h").exists()
}

/// Debian keeps one folder per version outside PATH.
fn has_postgres() -> bool {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let outside_path = versions
        .map(|version| version.path().join("bin"))
        .any(|folder| is_program(&folder.join("initdb")) && is_program(&folder.join("postgres")));
    outside_path || (any_in_path(&["initdb"]) && any_in_path(&["postgres"]))
}

/// Debian installs it for its own Python, which need not be the first one in PATH.
fn has_aiosmtpd() -> bool {
    ["/usr/bin/python3", "python3"].iter().any(|python| {
        let mut asked = Command::new(python);
        asked.args(["-c", "import aiosmtpd"]).stdin(Stdio::null()).stderr(Stdio::null());
        asked.status().is_ok_and(|status| status.success())
    })
}

#[cfg(test)]
mod tests;
