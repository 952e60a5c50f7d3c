//! Files in memory and on the disk read the same, and none is left behind.

use std::{
    io::{Read, SeekFrom},
    path::Path,
};

use super::*;

/// Bytes that differ from place to place.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 251) as u8 ^ at as u8).collect()
}

async fn gathered(spool: &Spool, bytes: &[u8], most_held: usize) -> Content {
    let mut file = spool.gather(bytes.len()).holding(most_held);
    for piece in bytes.chunks(10_000) {
        file.add(piece).await.unwrap();
    }
    file.finish().await.unwrap()
}

/// Both forms of the same content.
async fn both(bytes: &[u8]) -> [Content; 2] {
    let on_disk = gathered(&Spool::default(), bytes, 0).await;
    assert_eq!((on_disk.held(), on_disk.length()), (0, bytes.len() as u64));
    [bytes.to_vec().into(), on_disk]
}

fn files_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn small_files_stay_in_memory_and_large_ones_have_no_name_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::new(Some(folder.path().to_owned()));
    let large = bytes(HELD + 1);

    let small = gathered(&spool, &large[..HELD], HELD).await;
    let shared = gathered(&spool, &large[..100], 99).await;
    let large = gathered(&spool, &large, HELD).await;

    assert_eq!([small.held(), shared.held(), large.held()], [HELD, 0, 0]);
    assert_eq!((large.length(), files_in(folder.path())), (HELD as u64 + 1, 0));
}

#[tokio::test]
async fn a_file_that_is_larger_than_it_may_be_is_refused_when_it_says_so_and_when_it_lies() {
    let mut honest = Spool::default().gather(100);
    let mut lying = Spool::default().gather(100);

    assert!(matches!(honest.expect(101), Err(Unkept::TooLarge)));
    lying.expect(10).unwrap();
    lying.add(&[0; 100]).await.unwrap();
    assert!(matches!(lying.add(&[0]).await, Err(Unkept::TooLarge)));
}

#[tokio::test]
async fn a_directory_that_takes_nothing_is_named_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let mut file = Spool::new(Some(missing.clone())).gather(100).holding(0);

    let Err(Unkept::Disk(error)) = file.add(b"x").await else { panic!("it was taken") };

    let told = format!("a file cannot be set aside in {}: there is no such directory", missing.display());
    assert_eq!((error.to_string(), files_in(folder.path())), (told, 0));
    assert!(Spool::new(Some(missing)).check().is_err() && Spool::default().check().is_ok());
}

#[tokio::test]
async fn it_is_read_from_any_place_and_as_often_as_is_needed() {
    let bytes = bytes(3 * PIECE + 7);
    for content in both(&bytes).await {
        let (mut first, mut second) = (content.reader(), content.reader());
        let (mut end, mut all) = (Vec::new(), Vec::new());

        first.seek(SeekFrom::End(-7)).unwrap();
        first.read_to_end(&mut end).unwrap();
        second.read_to_end(&mut all).unwrap();

        assert!(all == bytes && end == bytes[3 * PIECE..]);
        assert_eq!(content.start(5).await.unwrap(), bytes[..5]);
        assert!(content.whole().await.unwrap() == bytes);
        for _ in 0..2 {
            let body = Pieces::from(content.clone()).chunks().collect::<io::Result<Vec<Bytes>>>().unwrap();
            assert!(body.concat() == bytes, "in {} chunks", body.len());
        }
        assert!(first.seek(SeekFrom::Current(-i64::MAX)).is_err());
        assert_eq!(first.seek(SeekFrom::Start(u64::MAX)).and_then(|_| first.read(&mut [0])).unwrap(), 0);
    }
}

#[tokio::test]
async fn both_forms_have_the_same_digest() {
    let [held, on_disk] = both(&bytes(2 * PIECE + 1)).await;

    assert_eq!(held.sha256().await.unwrap(), on_disk.sha256().await.unwrap());
    assert_ne!(held.sha256().await.unwrap(), Content::default().sha256().await.unwrap());
}

#[tokio::test]
async fn a_file_that_was_made_shorter_meanwhile_is_an_error_and_no_short_body() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes(2 * PIECE)).unwrap();
    let content = Content::of_file(file.reopen().unwrap()).unwrap();

    file.as_file().set_len(PIECE as u64 + 1).unwrap();

    assert!(content.whole().await.is_err() && Pieces::from(content).chunks().any(|chunk| chunk.is_err()));
}
