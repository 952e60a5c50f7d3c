//! The seeds of the fuzz targets on a stable compiler, each as it is and with some bytes changed.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::{fs, path::Path};

use flota_tests::{
    hostile,
    properties::{ALL, envelope},
};

/// Changed copies of each seed.
const COPIES: u64 = 300;

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(name);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort_unstable();
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

/// The same bytes for the same number: some are replaced, some repeated, and sometimes the end is cut off.
fn changed(seed: &[u8], number: u64) -> Vec<u8> {
    let mut dice = hostile::Dice::new(number);
    let mut bytes = seed.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        match dice.below(4) {
            0 => bytes.truncate(at.max(1)),
            1 => bytes.insert(at, dice.one_of(b"\0\n\"'{}[]0123456789-+.,: =%#@/\\\xff")),
            2 => bytes.splice(at..at, seed.iter().copied().take(40)).for_each(drop),
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << dice.below(8)),
        }
    }
    bytes
}

#[test]
fn every_property_holds_for_every_seed_and_its_changed_copies() {
    for (name, property) in ALL {
        let seeds = seeds(name);
        assert!(5 <= seeds.len(), "fuzz/seeds/{name} has only {} seeds", seeds.len());
        for seed in &seeds {
            property(seed);
            // Reading a whole queues file takes its time.
            let copies = if seed.len() < 2_000 { COPIES } else { COPIES / 10 };
            (0..copies).for_each(|number| property(&changed(seed, number)));
        }
    }
}

#[test]
fn hostile_envelopes_have_the_property_of_envelopes() {
    for hostile in hostile::payloads(11, 3_000) {
        envelope(&hostile.bytes);
    }
}

#[test]
fn every_target_has_its_property_and_its_seeds() {
    let targets = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets")).unwrap();
    let mut targets: Vec<String> =
        targets.map(|file| file.unwrap().file_name().into_string().unwrap().replace(".rs", "")).collect();
    targets.sort_unstable();

    assert_eq!(targets, ALL.map(|(name, _)| name));
}
