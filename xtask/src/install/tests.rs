//! The script runs for real, in a folder of its own and with an `apt-get` that only looks around.

use std::{env, os::unix::fs::PermissionsExt, path::PathBuf, process};

use super::*;

/// A folder that looks like the root of a file system, removed at the end.
struct Sandbox(PathBuf);

impl Sandbox {
    fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("flota-xtask-{}-{name}", process::id()));
        for inside in ["bin", "usr/sbin"] {
            fs::create_dir_all(folder.join(inside)).unwrap();
        }
        Self(folder)
    }

    fn write(&self, file: &str, content: &str) {
        let file = self.0.join(file);
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Installs with stand-ins for apt; `apt_get` is what its `install` does.
    fn install(&self, apt_get: &str, packages: &[&str]) -> process::ExitStatus {
        self.write("bin/apt-get", &format!("#!/bin/sh\n[ \"$1\" = install ] || exit 0\n{apt_get}\n"));
        self.write("bin/apt-cache", "#!/bin/sh\n[ \"$2\" != redis-server ]\n");
        let path = format!("{}:{}", self.0.join("bin").display(), env::var("PATH").unwrap());
        let mut command = command(Means::Root, self.0.to_str().unwrap(), packages);
        command.env("PATH", path).env("SEEN", self.0.join("seen")).current_dir(&self.0).status().unwrap()
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.0.join(file)).ok()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const POLICY: &str = "usr/sbin/policy-rc.d";
const CLUSTER: &str = "etc/postgresql-common/createcluster.d/flota.conf";
const LOOK_AROUND: &str = "{ echo \"$@\"; sh usr/sbin/policy-rc.d; echo \"policy $?\"; \
                           cat etc/postgresql-common/createcluster.d/flota.conf; } >\"$SEEN\"";

#[test]
fn services_and_clusters_are_forbidden_while_packages_are_installed_and_only_then() {
    let sandbox = Sandbox::new("forbids");

    let status = sandbox.install(LOOK_AROUND, &["redis-server|valkey-server", "postgresql"]);

    assert!(status.success());
    let seen = sandbox.read("seen").unwrap();
    assert!(seen.contains("valkey-server postgresql\n"), "the alternative is taken: {seen}");
    assert!(seen.contains("policy 101\n") && seen.contains("create_main_cluster = false\n"), "{seen}");
    assert_eq!((sandbox.read(POLICY), sandbox.read(CLUSTER)), (None, None));
}

#[test]
fn a_policy_that_was_there_comes_back_after_a_failure() {
    let sandbox = Sandbox::new("restores");
    sandbox.write(POLICY, "#!/bin/sh\nexit 104\n");

    let status = sandbox.install("exit 7", &["postgresql"]);

    assert_eq!(status.code(), Some(7));
    assert_eq!(sandbox.read(POLICY).as_deref(), Some("#!/bin/sh\nexit 104\n"));
    assert_eq!(sandbox.read(CLUSTER), None);
}

#[test]
fn a_policy_left_by_a_killed_run_is_not_taken_for_the_systems_own() {
    let sandbox = Sandbox::new("leftover");
    sandbox.write(&format!("{POLICY}.before-flota"), "#!/bin/sh\nexit 104\n");
    sandbox.write(POLICY, "#!/bin/sh\n# flota xtask, while it installs packages\nexit 101\n");

    sandbox.install("exit 0", &["postgresql"]);

    assert_eq!(sandbox.read(POLICY).as_deref(), Some("#!/bin/sh\nexit 104\n"));
}

#[test]
fn an_interrupted_run_puts_everything_back() {
    let sandbox = Sandbox::new("interrupted");

    let status = sandbox.install("kill -TERM $PPID", &["postgresql"]);

    assert_eq!(status.code(), Some(130));
    assert_eq!((sandbox.read(POLICY), sandbox.read(CLUSTER)), (None, None));
}

#[test]
fn the_command_for_a_person_names_every_package_and_no_alternatives() {
    let tools: Vec<&Tool> = TOOLS.iter().filter(|tool| tool.need != Need::Extras).collect();

    let command = by_hand(&packages_of(&tools));

    assert_eq!(
        command,
        "apt-get install -y --no-install-recommends gcc libc6-dev make pkg-config libssl-dev redis-server \
         postgresql python3-aiosmtpd valgrind"
    );
}

#[test]
fn sudo_is_asked_never_to_ask_for_a_password() {
    let command = command(Means::Sudo, "", &["postgresql"]);

    let words: Vec<_> = command.get_args().collect();
    assert_eq!(command.get_program(), "sudo");
    assert_eq!(words[..3], ["-n", "sh", "-c"]);
    assert_eq!(words[words.len() - 1], "postgresql");
}

#[test]
fn what_tests_can_do_without_stops_no_task() {
    let extras: Vec<&str> =
        TOOLS.iter().filter(|tool| tool.need == Need::Extras).map(|tool| tool.name).collect();

    let needed = missing(&[Need::Compiler, Need::Servers, Need::Tests]);

    assert_eq!(extras, ["ffmpeg", "Tesseract", "promtool"]);
    assert!(needed.iter().all(|tool| !extras.contains(&tool.name)));
}
