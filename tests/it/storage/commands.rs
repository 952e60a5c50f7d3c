//! `flota storage` and what the doctor says of the bucket.

use std::process::Stdio;

use flota_tests::program::Installation;
use flota_worker::sandbox::{Fault, Sandbox};

use super::{MIB, leftovers};

/// A person's settings that lead to a sandbox's storage.
async fn installation() -> (Sandbox, Installation) {
    let (sandbox, mut flota) = (Sandbox::start().await.expect("a sandbox"), Installation::new().await);
    for (name, value) in sandbox.environment() {
        if name.starts_with("MINIO_") || name.starts_with("STORAGE_") {
            flota.set(name, value);
        }
    }
    (sandbox, flota)
}

#[tokio::test]
async fn a_file_goes_up_is_listed_comes_down_and_is_removed() {
    let (sandbox, flota) = installation().await;
    let path = flota.write("note.ogg", "OggS-sound-");

    let put = flota.flota(&["storage", "put", &path, "--tenant", "acme"]).await.expect(0).json();
    let key = put["key"].as_str().unwrap();
    let listed = flota.flota(&["storage", "list", "--tenant", "acme"]).await.expect(0).json();
    let piped = flota.flota(&["storage", "get", key]).await.expect(0).stdout;
    let got = flota.flota(&["storage", "get", key, "copy.ogg"]).await.expect(0).json();
    let asked = flota.flota(&["storage", "remove", key]).await.expect(5);
    flota.flota(&["storage", "remove", key, "--yes"]).await.expect(0);

    assert!(key.starts_with("acme/") && put["media_type"] == "audio/ogg" && put["bytes"] == 11, "{put}");
    assert_eq!((&listed[0]["key"], &listed[0]["bytes"]), (&put["key"], &put["bytes"]));
    assert_eq!((piped.as_str(), &got["bytes"]), ("OggS-sound-", &put["bytes"]));
    assert!(asked.refusal().contains("--yes"), "{asked:?}");
    assert!(!sandbox.bucket().join(key).exists());
    for gone in [vec!["storage", "get", key, "x"], vec!["storage", "remove", key, "--yes"]] {
        flota.flota(&gone).await.expect(3);
    }
}

#[tokio::test]
async fn what_comes_from_a_pipe_is_stored_under_a_key_that_is_printed_alone() {
    let (sandbox, flota) = installation().await;

    let said = flota.flota_reading("a,b\n", &["storage", "put", "-", "--as", "text/csv", "-o", "id"]).await;

    let key = said.expect(0).stdout.trim().to_owned();
    assert!(!key.contains('/'), "{key} is no tenant's");
    assert_eq!(std::fs::read_to_string(sandbox.bucket().join(&key)).unwrap(), "a,b\n");
}

#[tokio::test]
async fn a_full_disk_is_told_and_no_half_file_is_left() {
    let (sandbox, flota) = installation().await;
    let path = flota.write("large", &"x".repeat(4 * MIB));
    let key = flota.flota(&["storage", "put", &path, "-o", "id"]).await.expect(0).stdout.trim().to_owned();

    let mut to_full = flota.command(&["storage", "get", &key, "-"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = to_full.stdout(Stdio::from(full)).spawn().unwrap().wait_with_output().await.unwrap();
    // A limit on the size of files stands for a small disk; without the signal the write itself fails.
    let limited = flota.command(&["storage", "get", &key, "copy"]);
    let program = limited.as_std().get_program().to_str().unwrap().to_owned();
    let mut shell = tokio::process::Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 1024; exec \"$0\" storage get \"$1\" copy";
    let folder = limited.as_std().get_current_dir().unwrap().to_owned();
    shell.args(["-c", script, &program, &key]).current_dir(&folder).env_clear();
    shell.envs(limited.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))));
    let small = shell.stdin(Stdio::null()).output().await.unwrap();

    for output in [output, small] {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("there is no room for it"), "{said}");
    }
    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name());
    let files: Vec<String> = files.map(|name| name.to_string_lossy().into_owned()).collect();
    assert!(!files.iter().any(|name| name == "copy" || name.starts_with(".tmp")), "{files:?}");
    assert_eq!(leftovers(&sandbox), Vec::<String>::new());
}

#[tokio::test]
async fn settings_files_and_keys_that_are_wrong_have_their_exit_codes() {
    let (_sandbox, mut flota) = installation().await;
    let path = flota.write("note.ogg", "OggS");
    let missing = "acme/01890a5d-ac96-774b-bcce-b302099a8057";

    flota.flota(&["storage", "put", "/no/such/file"]).await.expect(3);
    flota.flota(&["storage", "get", "../etc/passwd", "x"]).await.expect(2);
    flota.flota(&["storage", "get", missing, "x"]).await.expect(3);
    flota.flota(&["storage", "put", &path, "--tenant", ".."]).await.expect(2);
    flota.flota(&["storage", "presign", missing, "--for", "13h"]).await.expect(2);
    flota.set("MINIO_BUCKET", "nowhere");
    let said = flota.flota(&["storage", "put", &path]).await.expect(2);
    assert!(said.refusal().contains("The bucket does not exist"), "{said:?}");
    flota.set("MINIO_ENDPOINT", "http://127.0.0.1:1");
    flota.flota(&["storage", "put", &path]).await.expect(6);
    flota.unset("MINIO_ENDPOINT").unset("MINIO_BUCKET").unset("MINIO_ACCESS_KEY").unset("MINIO_SECRET_KEY");
    flota.unset("STORAGE_PROVIDER");
    let said = flota.flota(&["storage", "list"]).await.expect(2);
    assert!(said.refusal().contains("set STORAGE_PROVIDER"), "{said:?}");
}

#[tokio::test]
async fn a_link_for_a_new_file_comes_with_its_key_and_its_headers() {
    let (_sandbox, flota) = installation().await;

    let link = flota
        .flota(&["storage", "presign", "--put", "--tenant", "acme", "--for", "1m"])
        .await
        .expect(0)
        .json();

    assert_eq!((&link["method"], &link["expires_in_seconds"]), (&"PUT".into(), &60.into()));
    assert_eq!(link["headers"]["if-none-match"], "*");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let put = http.put(link["url"].as_str().unwrap()).header("if-none-match", "*").body("hi");
    assert_eq!(put.send().await.unwrap().status(), 200);
    let read = flota.flota(&["storage", "get", link["key"].as_str().unwrap()]).await.expect(0);
    assert_eq!(read.stdout, "hi");
}

#[tokio::test]
async fn a_bucket_that_removes_files_before_dead_letters_is_told_and_mended() {
    let (_sandbox, mut flota) = installation().await;
    let short = "[queues.email]\n[retention]\noutcomes = \"2d\"\nwaiting_dead_letters = \"2d\"\ndead_letters = \"2d\"\n";
    let long = short.replace("2d", "100d");
    let usual = flota.variable("FLOTA_QUEUES_FILE").to_owned();
    let (short, long) = (flota.write("short.toml", short), flota.write("long.toml", &long));
    let said = |finding: &serde_json::Value| finding["found"].as_str().unwrap_or_default().to_owned();
    let doctor = async |flota: &Installation| {
        let findings = flota.flota(&["doctor"]).await.json();
        let all = findings.as_array().cloned().unwrap_or_default();
        all.into_iter().find(|finding| finding["check"] == "storage").expect("the bucket is looked at")
    };

    let without_rules = doctor(&flota).await;
    flota.set("FLOTA_QUEUES_FILE", &short);
    let applied = flota.flota(&["storage", "lifetime", "--apply"]).await.expect(0).json();
    let well = doctor(&flota).await;
    flota.set("FLOTA_QUEUES_FILE", &long);
    let too_soon = doctor(&flota).await;
    flota.flota(&["storage", "lifetime"]).await.expect(1);
    flota.flota(&["storage", "lifetime", "--apply"]).await.expect(0);
    let mended = doctor(&flota).await;
    flota.set("FLOTA_QUEUES_FILE", usual);
    let for_ever = flota.flota(&["storage", "lifetime", "--apply"]).await.expect(0).json();

    assert_eq!(without_rules["severity"], "ok", "MinIO takes back unfinished uploads by itself");
    assert_eq!((&applied["needed_days"], &applied["rules"][0]["days"]), (&34.into(), &34.into()));
    assert_eq!((well["severity"].as_str(), mended["severity"].as_str()), (Some("ok"), Some("ok")));
    assert_eq!(too_soon["severity"], "error");
    assert!(said(&too_soon).contains("after 34 days") && said(&too_soon).contains("230 days"), "{too_soon}");
    assert!(too_soon["fix"].as_str().unwrap().contains("flota storage lifetime --apply"));
    // Letters that nobody has decided on are kept for ever unless told otherwise.
    assert_eq!((&for_ever["needed_days"], &for_ever["rules"]), (&().into(), &serde_json::json!([])));
}

#[tokio::test]
async fn a_bucket_whose_rules_may_not_be_read_is_a_warning() {
    let (sandbox, flota) = installation().await;
    sandbox.fault(Fault::status("storage", 403)).unwrap();

    let findings = flota.flota(&["doctor"]).await.json();

    let finding = findings.as_array().unwrap().iter().find(|finding| finding["check"] == "storage").unwrap();
    assert_eq!(
        (finding["severity"].as_str(), finding["fix"].as_str()),
        (Some("warning"), Some("allow it s3:GetLifecycleConfiguration"))
    );
}
