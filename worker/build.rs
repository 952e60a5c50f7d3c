//! How the program is linked: with its table of addresses packed.
//!
//! A program that may lie anywhere in memory is told where it lies by a table that is read when it starts and counts as its
//! memory from then on: 2 MB, or 0.1 MB in the form that loaders know since glibc 2.36 (`DT_RELR`). A program linked like
//! that does not start with an older one, so it is done only where the one of the building machine is new enough.

use std::{env, process::Command};

/// The first glibc that reads the packed form, of 2022.
const FIRST: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |variable: &str, value: &str| env::var(variable).is_ok_and(|is| is == value);
    let for_here = env::var("HOST").ok() == env::var("TARGET").ok();
    if for_here
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && glibc().is_some_and(|version| FIRST <= version)
    {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine: `getconf` says `glibc 2.36`.
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
