//! The program as `nobody`, without any capability, on a root that nobody can write to, as in the image: it passes the
//! whole demo there.

use std::{process::Stdio, time::Duration};

use flota_tests::program::built;
use serde_json::Value;
use tokio::{process::Command, time::timeout};

use super::{optional_program, skipped};

const PATIENCE: Duration = Duration::from_secs(180);

/// Inside a mount namespace of its own: only /tmp can be written to, and only what is in memory. The program goes there,
/// wherever it was built: that may be below /tmp itself, or where only its owner looks.
const SEALED: &str = r#"
set -e
exec 3<"$1"
mount --make-rprivate /
mount -o remount,bind,ro /
mount -t tmpfs -o mode=1777 tmpfs /tmp
cat <&3 >/tmp/flota
exec 3<&-
chmod 755 /tmp/flota
if touch /flota-was-here 2>/dev/null; then echo "the root can be written to" >&2; exit 97; fi
exec setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all \
    /tmp/flota demo -o json
"#;

#[tokio::test]
async fn as_nobody_on_a_read_only_root_it_passes_the_demo() {
    let (Some(unshare), Some(_)) = (optional_program("unshare"), optional_program("setpriv")) else { return };
    let may = Command::new(&unshare).args(["--mount", "true"]).stderr(Stdio::null()).status().await;
    if !may.is_ok_and(|status| status.success()) {
        skipped("only root may make a read-only root; run this test as root");
        return;
    }
    let program = built("flota").expect("the program is built");
    let mut demo = Command::new(unshare);
    demo.args(["--mount", "sh", "-c", SEALED, "sealed"]).arg(program);
    demo.env_clear().env("PATH", std::env::var("PATH").unwrap_or_default()).current_dir("/");
    demo.stdin(Stdio::null()).kill_on_drop(true);

    let output = timeout(PATIENCE, demo.output()).await.expect("the demo ends").expect("it starts");

    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}\n{log}", output.status);
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {log}"));
    let checks = report["checks"].as_array().expect("checks");
    assert!(checks.iter().all(|check| check["held"] == true) && 5 < checks.len(), "{checks:#?}");
}
