//! Lock files name versions and hashes, and no machine that packages were once fetched from: whoever builds this uses a
//! registry of their own.

use std::fs;

use flota_tests::generated_text::repository;

/// What Cargo writes for every crate, wherever it was fetched from.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[test]
fn lock_files_name_no_host() {
    for name in
        ["Cargo.lock", "fuzz/Cargo.lock", "tests/peers/Cargo.lock", "tests/peers/bullmq/package-lock.json"]
    {
        let text =
            fs::read_to_string(repository().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));

        let hosts: Vec<&str> =
            text.lines().filter(|line| line.contains("://") && !line.contains(CRATES_IO)).collect();

        assert!(hosts.is_empty(), "{name}: {hosts:#?}");
    }
}
