//! The image has everything that the program needs.

use std::process::Command;

use flota_tests::program::built;

use super::read;

/// What distroless/cc-debian12 has, of what a program may be linked to.
const IN_THE_IMAGE: [&str; 7] = [
    "libc.so.6",
    "libm.so.6",
    "libgcc_s.so.1",
    "libcrypto.so.3",
    "libssl.so.3",
    "libstdc++.so.6",
    "ld-linux",
];

#[test]
fn every_library_of_the_program_is_in_the_image() {
    // readelf comes with the linker, without which there would be no program.
    let listed =
        Command::new("readelf").arg("-d").arg(built("flota").expect("the program is built")).output();
    let listed = String::from_utf8(listed.expect("readelf is here").stdout).expect("UTF-8");
    let needed = listed.lines().filter(|line| line.contains("(NEEDED)"));
    let needed: Vec<&str> = needed.filter_map(|line| line.split(['[', ']']).nth(1)).collect();

    assert!(needed.contains(&"libc.so.6"), "{listed}");
    let missing = needed.iter().filter(|name| !IN_THE_IMAGE.iter().any(|there| name.starts_with(there)));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&&str>::new());
    assert!(read("deploy/Dockerfile").contains("FROM gcr.io/distroless/cc-debian12:nonroot"));
}

#[test]
fn what_the_program_is_built_from_is_not_left_out_of_the_build() {
    let left_out = read(".dockerignore");
    let left_out: Vec<&str> = left_out.lines().filter(|line| !line.starts_with('#')).collect();

    for needed in
        ["Cargo.toml", "Cargo.lock", "queues.toml", "migrations", "worker", "producer-lib", "tests", "xtask"]
    {
        assert!(!left_out.contains(&needed), "{needed} is left out");
    }
    assert!(left_out.contains(&".env"), "secrets would be in the build");
}
