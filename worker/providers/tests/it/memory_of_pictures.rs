//! Memory of the worst pictures that are accepted: a test runs itself once more in a process of its own and asks the kernel
//! how much that process ever held.

use std::{fs::File, process::Command};

use flota_providers::{
    barcode::{BarcodeReader, MEMORY_MIB},
    content::Content,
    picture::Picture,
};
use futures_util::future::join_all;

use crate::pictures_made::{packed_zeros, png_with, white_png};

const INSIDE: &str = "FLOTA_TEST_MEMORY_OF_PICTURES";
/// What the process holds besides the picture: program, runtime, the search.
const BESIDES_MIB: u64 = 96;

/// Most memory that this process ever held, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// Reads pictures in a process of its own that runs this test alone, and answers how much they took there, in MiB; `None`
/// where that process has done so.
fn taken_by(test: &str, file: fn() -> Vec<u8>, times: usize) -> Option<u64> {
    let Some(file) = std::env::var_os(INSIDE) else {
        let place = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(place.path(), file()).unwrap();
        let run = Command::new(std::env::current_exe().unwrap())
            .args([&format!("memory_of_pictures::{test}"), "--exact", "--nocapture"])
            .env(INSIDE, place.path())
            .status();
        assert!(run.unwrap().success());
        return None;
    };
    let file = Content::of_file(File::open(file).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let before = peak();

    runtime.block_on(async {
        let reader = BarcodeReader::new(4);
        let picture = Picture::look_at(file).unwrap();
        let read = join_all((0..times).map(|_| reader.read(picture.clone()))).await;
        assert!(read.into_iter().all(|codes| codes.unwrap().is_empty()));
    });
    Some(peak() - before)
}

/// 74 million pixels with transparency: 282 MiB when decoded, from a file of less than a MiB.
#[test]
fn two_of_the_worst_pictures_at_once_stay_within_the_memory_that_is_set_aside() {
    let test = "two_of_the_worst_pictures_at_once_stay_within_the_memory_that_is_set_aside";
    let Some(taken) = taken_by(test, || white_png(9_250, 8_000), 2) else { return };

    println!("two pictures of 74 million pixels at once: {taken} MiB");
    assert!(taken <= u64::from(MEMORY_MIB) + BESIDES_MIB, "{taken} MiB");
}

/// 512 MiB when unpacked, from a file of 3 MiB.
#[test]
fn a_profile_is_not_unpacked_however_small_it_is_packed() {
    let test = "a_profile_is_not_unpacked_however_small_it_is_packed";
    let bomb = || png_with(b"iCCP", &[&b"bomb\0\0"[..], &packed_zeros(512 * 1024 * 1024)].concat());
    let Some(taken) = taken_by(test, bomb, 1) else { return };

    assert!(taken <= BESIDES_MIB, "{taken} MiB");
}

#[test]
fn texts_and_comments_of_a_picture_are_not_held_in_memory() {
    let test = "texts_and_comments_of_a_picture_are_not_held_in_memory";
    let commented = || png_with(b"tEXt", &[&b"Comment\0"[..], &vec![b'x'; 19_000_000]].concat());
    let Some(taken) = taken_by(test, commented, 1) else { return };

    println!("a picture of 60,000 pixels in 19 MB: {taken} MiB");
    assert!(taken <= 16, "{taken} MiB");
}
