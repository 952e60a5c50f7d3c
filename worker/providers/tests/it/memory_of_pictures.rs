//! Memory of the worst picture that is accepted: the test runs itself once more in a process of its own and asks the
//! kernel how much that process ever held.

use std::process::Command;

use bytes::Bytes;
use flota_providers::{
    barcode::{BarcodeReader, MEMORY_MIB},
    picture::Picture,
};

use crate::pictures_made::white_png;

const INSIDE: &str = "FLOTA_TEST_MEMORY_OF_PICTURES";
/// What the process holds besides the picture: program, runtime, the search.
const BESIDES_MIB: u64 = 96;

/// Most memory that this process ever held, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// 74 million pixels with transparency: 282 MiB when decoded, from a file of less than a MiB.
fn worst() -> Vec<u8> {
    white_png(9_250, 8_000)
}

#[test]
fn two_of_the_worst_pictures_at_once_stay_within_the_memory_that_is_set_aside() {
    let Some(file) = std::env::var_os(INSIDE) else {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), worst()).unwrap();
        let name =
            "memory_of_pictures::two_of_the_worst_pictures_at_once_stay_within_the_memory_that_is_set_aside";
        let run = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env(INSIDE, file.path())
            .status();
        assert!(run.unwrap().success());
        return;
    };
    let file = Bytes::from(std::fs::read(file).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let before = peak();

    runtime.block_on(async {
        let reader = BarcodeReader::new(4);
        let picture = Picture::look_at(file).unwrap();
        let (first, second) = tokio::join!(reader.read(picture.clone()), reader.read(picture));
        assert_eq!((first.unwrap(), second.unwrap()), (vec![], vec![]));
    });

    let grown = peak() - before;
    println!("two pictures of 74 million pixels at once: {grown} MiB");
    assert!(grown <= u64::from(MEMORY_MIB) + BESIDES_MIB, "{grown} MiB");
}
