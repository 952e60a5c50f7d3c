//! The commands of the pages that take a newcomer by the hand do what the pages say, against what `flota dev` starts.
//!
//! A block is run when `<!-- run -->` stands on the line before it. All blocks of a page are one session of a shell, so
//! that a variable set in one is there in the next. A command that is meant to fail says so: `# exit code 1`.

use std::process::Stdio;

use flota_tests::{
    PATIENCE,
    fleet::eventually,
    program::{Installation, built},
};
use tokio::{process::Command, time::timeout};

use super::{read, shell_words};

/// What a command says about how it ends, when that is not well.
const EXIT: &str = "# exit code ";

#[tokio::test]
async fn the_five_minute_start_works_as_it_is_written() {
    walk_through("docs/quickstart.md", 6).await;
}

#[tokio::test]
async fn the_guide_for_producers_works_as_it_is_written() {
    walk_through("docs/producing.md", 6).await;
}

/// Runs a page, which must have at least so many commands.
async fn walk_through(page: &str, least: usize) {
    let commands = runnable(&read(page));
    assert!(least <= commands.len(), "{page} has only {} commands to run: {commands:#?}", commands.len());
    let mut flota = Installation::new().await;
    for name in ["REDIS_URL", "DATABASE_URL", "FLOTA_KEY_PREFIX"] {
        flota.unset(name);
    }
    let program = built("flota").expect("the program is built");
    let here = program.parent().expect("a folder").display();
    let path = format!("{here}:{}", std::env::var("PATH").unwrap_or_default());
    let dev = flota.set("PATH", path).start(&["dev"]).await;
    let exports = exports(&dev).await;

    let mut shell = Command::new("sh");
    shell.args(["-c", &script(&exports, &commands)]).env_clear().env("PATH", flota.variable("PATH"));
    shell.current_dir(std::path::Path::new(flota.variable("FLOTA_QUEUES_FILE")).parent().expect("a folder"));
    shell.stdin(Stdio::null()).kill_on_drop(true);
    let output =
        timeout(PATIENCE, shell.output()).await.expect("the page comes to its end").expect("sh starts");

    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{page}\n{}\n{}", said[0], said[1]);
    dev.stop().await;
}

/// The lines that `flota dev` prints to be pasted.
async fn exports(dev: &flota_tests::program::Running) -> String {
    eventually(PATIENCE, "flota dev says what to paste", async || dev.log().contains("/__faults -d")).await;
    let log = dev.log();
    let exports: Vec<&str> = log.lines().filter(|line| line.starts_with("export ")).collect();
    exports.join("\n") + "\n"
}

fn runnable(page: &str) -> Vec<String> {
    let blocks = page.split("<!-- run -->\n```").skip(1);
    let blocks = blocks.filter_map(|block| block.split_once('\n')?.1.split_once("\n```"));
    blocks.flat_map(|(block, _)| shell_words::commands(block)).collect()
}

fn script(exports: &str, commands: &[String]) -> String {
    let mut script = exports.to_owned();
    for command in commands {
        let code = command.split_once(EXIT).map_or("0", |(_, code)| code.trim());
        let quoted = command.replace('\'', "'\\''");
        script.push_str(&format!("{command}\n"));
        script.push_str(&format!(
            "[ $? -eq {code} ] || {{ echo 'THIS DID NOT END WITH {code}: {quoted}' >&2; exit 1; }}\n"
        ));
    }
    script
}

#[test]
fn a_session_stops_at_the_first_command_that_ends_otherwise_than_written() {
    let page = "<!-- run -->\n```console\n$ false   # exit code 1\nsaid\n$ true\n```\n\n```sh\nrm -r x\n```\n<!-- run -->\n```sh\nfalse\necho on\n```\n";

    let commands = runnable(page);
    let output = std::process::Command::new("sh").args(["-c", &script("", &commands)]).output().expect("sh");

    assert_eq!(commands, ["false   # exit code 1", "true", "false", "echo on"]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "THIS DID NOT END WITH 0: false\n");
    assert!(output.stdout.is_empty());
}
