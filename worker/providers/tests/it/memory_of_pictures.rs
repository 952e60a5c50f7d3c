//! Memory of the worst pictures that are accepted: a test runs itself once more in a process of its own and asks the kernel
//! how much that process ever held.

use std::{fs::File, process::Command};

use flota_providers::{
    barcode::{BarcodeReader, MEMORY_MIB, Unsearched},
    content::Content,
    picture::Picture,
};
use futures_util::future::join_all;

use crate::pictures_made::{
    jpeg_with_profile, packed_zeros, png_with, tiff_of_a_wide_tile, tiff_with_values, white_png,
};

const INSIDE: &str = "FLOTA_TEST_MEMORY_OF_PICTURES";
/// What the process holds besides the picture: program, runtime, the search.
const BESIDES_MIB: u64 = 96;

/// Most memory that this process ever held, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// Reads each of these files so many times at once in a process of its own that runs this test alone, and answers how much
/// that took there, in MiB; `None` where that process has done so. `refused` is the word that is expected for the file.
fn taken_by(test: &str, files: &[fn() -> Vec<u8>], times: usize, refused: Option<&str>) -> Option<u64> {
    let Some(file) = std::env::var_os(INSIDE) else {
        for file in files {
            let place = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(place.path(), file()).unwrap();
            let run = Command::new(std::env::current_exe().unwrap())
                .args([&format!("memory_of_pictures::{test}"), "--exact", "--nocapture"])
                .env(INSIDE, place.path())
                .status();
            assert!(run.unwrap().success());
        }
        return None;
    };
    let file = Content::of_file(File::open(file).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let before = peak();

    runtime.block_on(async {
        let reader = BarcodeReader::new(4);
        let picture = Picture::look_at(file).unwrap();
        for read in join_all((0..times).map(|_| reader.read(picture.clone()))).await {
            match (read, refused) {
                (Ok(codes), None) => assert!(codes.is_empty()),
                (Err(Unsearched::Refused(error)), Some(_)) => assert_eq!(error.code.as_deref(), refused),
                (other, _) => panic!("{other:?}"),
            }
        }
    });
    Some(peak() - before)
}

/// 74 million pixels with transparency: 282 MiB when decoded, from a file of less than a MiB.
#[test]
fn two_of_the_worst_pictures_at_once_stay_within_the_memory_that_is_set_aside() {
    let test = "two_of_the_worst_pictures_at_once_stay_within_the_memory_that_is_set_aside";
    let Some(taken) = taken_by(test, &[|| white_png(9_250, 8_000)], 2, None) else { return };

    println!("two pictures of 74 million pixels at once: {taken} MiB");
    assert!(taken <= u64::from(MEMORY_MIB) + BESIDES_MIB, "{taken} MiB");
}

/// 512 MiB when unpacked, from a file of 3 MiB.
#[test]
fn a_profile_is_not_unpacked_however_small_it_is_packed() {
    let test = "a_profile_is_not_unpacked_however_small_it_is_packed";
    let bomb: fn() -> Vec<u8> =
        || png_with(b"iCCP", &[&b"bomb\0\0"[..], &packed_zeros(512 * 1024 * 1024)].concat());
    let Some(taken) = taken_by(test, &[bomb], 1, None) else { return };

    assert!(taken <= BESIDES_MIB, "{taken} MiB");
}

#[test]
fn texts_and_comments_of_a_picture_are_not_held_in_memory() {
    let test = "texts_and_comments_of_a_picture_are_not_held_in_memory";
    let commented: fn() -> Vec<u8> =
        || png_with(b"tEXt", &[&b"Comment\0"[..], &vec![b'x'; 19_000_000]].concat());
    let Some(taken) = taken_by(test, &[commented], 1, None) else { return };

    println!("a picture of 60,000 pixels in 19 MB: {taken} MiB");
    assert!(taken <= 16, "{taken} MiB");
}

/// Each of 9 million values takes 32 bytes when it is read, from a file of 18 MB.
#[test]
fn values_of_a_tiff_are_counted_before_its_decoder_reads_them() {
    let test = "values_of_a_tiff_are_counted_before_its_decoder_reads_them";
    // Extra samples, lengths of strips, and a width of which there are many.
    let files: [fn() -> Vec<u8>; 3] = [
        || tiff_with_values(338, 9_000_000),
        || tiff_with_values(279, 9_000_000),
        || tiff_with_values(256, 9_000_000),
    ];
    let Some(taken) = taken_by(test, &files, 1, Some("too_large_at_once")) else { return };

    assert!(taken <= 16, "{taken} MiB");
}

#[test]
fn a_row_of_a_tile_that_is_far_wider_than_its_picture_is_not_unpacked() {
    let test = "a_row_of_a_tile_that_is_far_wider_than_its_picture_is_not_unpacked";
    let Some(taken) = taken_by(test, &[tiff_of_a_wide_tile], 1, Some("too_large_at_once")) else { return };

    assert!(taken <= 16, "{taken} MiB");
}

/// A JPEG is looked at by one decoder and unpacked by another, and both gather profiles: here almost 8 MiB, which is the most
/// that is taken.
#[test]
fn metadata_of_a_jpeg_is_held_once_at_a_time() {
    let test = "metadata_of_a_jpeg_is_held_once_at_a_time";
    let Some(taken) = taken_by(test, &[|| jpeg_with_profile(127)], 1, None) else { return };

    println!("a JPEG with 8 MiB of metadata: {taken} MiB");
    assert!(taken <= 18, "{taken} MiB");
}
