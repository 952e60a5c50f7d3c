//! Pieces are what they are made of, say their length in advance, and never end early as if they were whole.

use base64::{Engine, prelude::BASE64_STANDARD};
use lettre::message::{Body, header::ContentTransferEncoding};

use super::*;
use crate::content::Spool;

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 ^ (at >> 8) as u8).collect()
}

async fn on_disk(bytes: &[u8]) -> Content {
    let mut file = Spool::default().gather(bytes.len()).holding(0);
    file.add(bytes).await.unwrap();
    file.finish().await.unwrap()
}

fn all(pieces: &Pieces) -> Vec<u8> {
    pieces.chunks().collect::<io::Result<Vec<Bytes>>>().unwrap().concat()
}

#[tokio::test]
async fn base64_of_every_length_is_what_it_is_of_the_whole_and_its_length_is_known_before() {
    let lengths = [0, 1, 2, 3, 56, 57, 58, 113, 114, 115, 57 * 40, PIECE, PIECE + 1, 2 * PIECE + 56];
    for length in lengths {
        let bytes = bytes(length);
        let of_mail = Body::new_with_encoding(bytes.clone(), ContentTransferEncoding::Base64).unwrap();
        for content in [Content::from(bytes.clone()), on_disk(&bytes).await] {
            let one = Pieces::from(content.clone()).base64(Lines::One);
            let lines = Pieces::from(content).base64(Lines::OfMail);

            assert!(all(&one) == BASE64_STANDARD.encode(&bytes).into_bytes(), "{length} bytes on one line");
            assert!(all(&lines) == of_mail.as_ref(), "{length} bytes on lines");
            assert_eq!((one.length(), lines.length()), (all(&one).len() as u64, all(&lines).len() as u64));
        }
    }
}

#[tokio::test]
async fn base64_of_pieces_does_not_depend_on_where_they_were_cut() {
    let bytes = bytes(400);
    for lines in [Lines::One, Lines::OfMail] {
        let expected = all(&Pieces::from(bytes.clone()).base64(lines));
        for step in [1, 2, 3, 5, 56, 57, 58, 399] {
            let cut = bytes.chunks(step).fold(Pieces::default(), |all, part| all.then(part.to_vec()));

            assert_eq!(all(&cut.clone().base64(lines)), expected, "{lines:?} by {step}");
            assert_eq!(all(&cut), bytes);
        }
    }
}

#[tokio::test]
async fn a_mail_inside_json_is_read_again_from_its_beginning_and_has_one_digest() {
    let file = bytes(2 * PIECE + 1);
    let of = |content: Content| {
        let mail =
            Pieces::from("before\r\n").then(Pieces::from(content).base64(Lines::OfMail)).then("\r\nafter");
        Pieces::from("{\"").then(mail.base64(Lines::One)).then("\"}")
    };
    let (held, disk) = (of(file.clone().into()), of(on_disk(&file).await));

    let once = all(&disk);

    assert!(once == all(&disk) && once == all(&held));
    assert_eq!(disk.length(), once.len() as u64);
    let expected = Content::from(once).sha256().await.unwrap();
    assert_eq!([disk.sha256().await.unwrap(), held.sha256().await.unwrap()], [expected; 2]);
}

#[tokio::test]
async fn only_what_is_small_and_in_memory_is_joined() {
    let small = Pieces::from("a").then("b").then(Pieces::from("c").base64(Lines::One));

    assert_eq!(small.joined().as_bytes().unwrap(), &b"abYw=="[..]);
    assert!(Pieces::from("a").then(on_disk(b"b").await).joined().as_bytes().is_none());
    assert!(Pieces::from("a").then(bytes(HELD)).joined().as_bytes().is_none());
}

#[tokio::test]
async fn a_file_that_was_made_shorter_is_an_error_and_then_the_end() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes(2 * PIECE)).unwrap();
    let content = Content::of_file(file.reopen().unwrap()).unwrap();
    let pieces = Pieces::from(content).base64(Lines::OfMail).then("the end");

    file.as_file().set_len(PIECE as u64 + 1).unwrap();

    let mut chunks = pieces.chunks();
    assert!(chunks.next().unwrap().is_ok() && chunks.next().unwrap().is_err());
    assert!(chunks.next().is_none(), "what is behind it comes all the same");
    assert!(pieces.sha256().await.is_err());
}
