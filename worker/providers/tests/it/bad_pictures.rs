//! Pictures that must not be decoded, and pictures that lie: each is refused with a sentence and a word.

use std::io::Write;

use flota_providers::{
    ErrorClass, ProviderError,
    barcode::{BarcodeReader, Unsearched},
    content::Content,
    picture::{BadPicture, Format, MOST_BYTES, Picture},
};

use crate::{
    apis::PIXEL,
    pictures_made::{bmp, gif, jpeg, on_disk, png, tiff, tiff_of_parts, tiff_of_rows, webp, white_png},
};

/// Looks at it in memory and on the disk, which is the same.
fn look_at(file: impl Into<Vec<u8>>) -> Result<Format, BadPicture> {
    let file = file.into();
    let looked = Picture::look_at(on_disk(&file));
    let shown = |looked: Result<Picture, BadPicture>| looked.map(|picture| format!("{picture:?}"));
    assert_eq!(shown(looked.clone()), shown(Picture::look_at(file)));
    looked.map(|picture| picture.format())
}

async fn refused(reader: &BarcodeReader, file: Vec<u8>) -> ProviderError {
    match reader.read(Picture::look_at(on_disk(&file)).unwrap()).await {
        Err(Unsearched::Refused(refused)) => refused,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bomb_is_refused_by_its_header_whatever_it_would_unpack_to() {
    let bombs = [
        png(50_000, 50_000, &[], true),
        png(u32::MAX, u32::MAX, &[], true),
        gif(65_535, 65_535, 1),
        webp(16_000_000, 16_000_000, 0),
        tiff(1_000_000, 1_000_000, 0, 0),
        jpeg(65_500, 65_500, true),
        bmp(100_000, -100_000),
    ];

    for bomb in bombs {
        let error = look_at(bomb).unwrap_err();
        assert!(matches!(error, BadPicture::TooManyPixels { .. }), "{error}");
        assert!(error.to_string().contains("75 million"), "{error}");
    }
    assert_eq!(look_at(png(15_000, 5_000, &[], true)), Ok(Format::Png));
    assert!(look_at(png(15_001, 5_000, &[], true)).is_err());
}

#[test]
fn what_is_cut_off_or_moves_or_is_empty_is_refused() {
    let (whole, half) = (PIXEL.to_vec(), &PIXEL[..PIXEL.len() / 2]);
    let rows = [
        (Vec::new(), BadPicture::Empty),
        (half.to_vec(), BadPicture::Truncated(Format::Gif)),
        (whole[..whole.len() - 1].to_vec(), BadPicture::Truncated(Format::Gif)),
        (png(10, 10, &[], false), BadPicture::Truncated(Format::Png)),
        (b"\x89PNG\r\n\x1a\n".to_vec(), BadPicture::Truncated(Format::Png)),
        (jpeg(10, 10, false), BadPicture::Truncated(Format::Jpeg)),
        (b"\xff\xd8\xff".to_vec(), BadPicture::Truncated(Format::Jpeg)),
        (tiff(10, 10, 500, 0), BadPicture::Truncated(Format::Tiff)),
        (bmp(10, 10), BadPicture::Truncated(Format::Bmp)),
        (webp(10, 10, 0)[..28].to_vec(), BadPicture::Truncated(Format::Webp)),
        (gif(10, 10, 0), BadPicture::Truncated(Format::Gif)),
        (gif(10, 10, 2), BadPicture::Several(Format::Gif)),
        (png(10, 10, &[(b"acTL", &[0; 8])], true), BadPicture::Several(Format::Png)),
        (webp(10, 10, 0x02), BadPicture::Several(Format::Webp)),
        (tiff(10, 10, 4, 8), BadPicture::Several(Format::Tiff)),
        (png(0, 10, &[], true), BadPicture::BadHeader(Format::Png)),
        // A width that is a fraction.
        (
            tiff_of_rows(&[(256, 5, 1, 8), (257, 4, 1, 1), (273, 4, 1, 8), (279, 4, 1, 4)], 0, &[]),
            BadPicture::BadHeader(Format::Tiff),
        ),
        (vec![b'B'; MOST_BYTES + 1], BadPicture::TooLarge(MOST_BYTES as u64 + 1)),
    ];

    for (file, expected) in rows {
        let error = look_at(file).unwrap_err();
        assert_eq!(error, expected);
        assert!(!error.code().is_empty() && !error.to_string().is_empty());
    }
    assert_eq!((look_at(whole), look_at(jpeg(10, 10, true))), (Ok(Format::Gif), Ok(Format::Jpeg)));
}

#[test]
fn the_bytes_say_what_a_file_is_and_its_name_does_not() {
    let rows: [(&[u8], &str, &str); 9] = [
        (b"<!DOCTYPE html><html>", "format", "a web page"),
        (b"PK\x03\x04word/document.xml", "format", "ZIP"),
        (b"\0\0\0\x1cftypheic", "format", "HEIC"),
        (b"<svg xmlns=", "format", "SVG"),
        (b"OggS", "format", "a recording"),
        (b"\x7fELF", "format", "a program"),
        (b"hello", "format", "of no known format"),
        (b"%PDF-1.7 trailer << /Root 1 0 R >>", "pdf", "a PDF"),
        (b"%PDF-1.7 trailer << /Encrypt 5 0 R >>", "encrypted_pdf", "encrypted"),
    ];

    for (file, code, said) in rows {
        let error = look_at(file).unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn no_cut_and_no_flipped_byte_breaks_the_look() {
    let files = [
        PIXEL.to_vec(),
        white_png(5, 5),
        png(10, 10, &[(b"acTL", &[0; 8])], true),
        jpeg(10, 10, true),
        tiff(10, 10, 4, 0),
        webp(10, 10, 0),
        bmp(10, 10),
        b"\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0\x04\0\0\0\x16\0\0\0abcd".to_vec(),
    ];

    let mut looked = 0;
    for file in files {
        for at in 0..file.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut other = file.clone();
                other[at] ^= flip;
                // Whatever comes out: it came out, and a picture that passes is small enough.
                if let Ok(picture) = Picture::look_at(other.clone()) {
                    assert!(picture.pixels() <= 75_000_000);
                }
                let _ = look_at(other);
                looked += 1;
            }
            let _ = look_at(&file[..at]);
        }
    }
    assert!(looked > 1_000);
}

#[tokio::test]
async fn a_header_that_lies_about_its_pixels_fails_without_growing() {
    let reader = BarcodeReader::new(1);
    let honest = white_png(300, 200);
    let mut lying = honest.clone();
    // The width in the header: the pixels behind it are of another.
    lying[16..20].copy_from_slice(&60_u32.to_be_bytes());

    let read = reader.read(Picture::look_at(honest).unwrap()).await;
    let refused = refused(&reader, lying).await;

    assert_eq!(read.unwrap(), []);
    assert_eq!((refused.class, refused.code.as_deref()), (ErrorClass::Permanent, Some("undecodable")));
    assert!(refused.message.contains("save it again"), "{refused}");
}

#[tokio::test]
async fn a_picture_as_long_as_a_street_is_searched_in_the_memory_of_a_picture() {
    let reader = BarcodeReader::new(1);

    for (width, height) in [(2_000_000, 1), (1, 2_000_000), (300_000, 12), (12, 300_000)] {
        let picture = Picture::look_at(on_disk(&white_png(width, height))).unwrap();
        assert_eq!(reader.read(picture).await.unwrap(), [], "{width} x {height}");
    }
}

#[tokio::test]
async fn what_takes_too_much_memory_is_refused_before_it_is_decoded() {
    let reader = BarcodeReader::new(1);
    let deep = [&75_000_000_u32.to_be_bytes()[..], &1_u32.to_be_bytes(), &[16, 6, 0, 0, 0]].concat();
    let mut file = png(75_000_000, 1, &[], true);
    file[16..29].copy_from_slice(&deep);

    let refused = refused(&reader, file).await;

    assert_eq!(refused.code.as_deref(), Some("too_large_decoded"));
    assert!(refused.message.contains("573 MiB"), "{refused}");
}

#[tokio::test]
async fn a_tiff_of_jpegs_is_not_unpacked_as_they_say_themselves_how_large_they_are() {
    let file = tiff_of_parts(10, 10, 7, &[(8, 20)], 20);

    let refused = refused(&BarcodeReader::new(1), file).await;

    assert_eq!((refused.class, refused.code.as_deref()), (ErrorClass::Permanent, Some("format")));
    assert!(refused.message.contains("TIFFs packed as JPEG"), "{refused}");
}

#[tokio::test]
async fn a_tiff_of_jpegs_that_the_disk_does_not_give_a_second_time_is_still_known_as_one() {
    let file = tempfile::tempfile().unwrap();
    (&file).write_all(&tiff_of_parts(10, 10, 7, &[(8, 20)], 20)).unwrap();
    let picture = Picture::look_at(Content::of_file(file.try_clone().unwrap()).unwrap()).unwrap();
    file.set_len(0).unwrap();

    let refused = BarcodeReader::new(1).read(picture).await.unwrap_err();

    let Unsearched::Refused(refused) = refused else { panic!("{refused:?}") };
    assert!(refused.message.contains("TIFFs packed as JPEG"), "{refused}");
}
