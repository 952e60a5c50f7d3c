//! Pictures on the disk: read as those in memory, little of them at a time, and told apart from a disk that fails.

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
    time::Duration,
};

use flota_providers::{
    barcode::{Barcode, BarcodeReader, MOST_AT_ONCE_MIB, Unsearched},
    content::Content,
    ocr::Wanted,
    picture::{BadPicture, Picture},
    tesseract::{TesseractClient, TesseractSettings},
};

use image::{DynamicImage, ImageFormat};

use crate::{
    pictures_made::{gif, jpeg, on_disk, png, tiff_of_parts, webp, with_chunk},
    tesseract::script,
};

const MIB: usize = 1024 * 1024;
/// A machine that is busy with other tests looks no shorter.
const PATIENCE: Duration = Duration::from_mins(5);

fn labelled() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ocr");
    let files = ["barcodes", "tags"].map(|kind| fs::read_dir(folder.join(kind)).unwrap());
    files.into_iter().flatten().map(|file| file.unwrap().path()).collect()
}

fn from_disk(path: &Path) -> Content {
    Content::of_file(fs::File::open(path).unwrap()).unwrap()
}

async fn codes(content: impl Into<Content>) -> Vec<Barcode> {
    let reader = BarcodeReader::new(1).patient(PATIENCE);
    reader.read(Picture::look_at(content).unwrap()).await.unwrap()
}

#[test]
fn every_labelled_picture_is_judged_the_same_on_the_disk_as_in_memory_whole_or_not() {
    for path in labelled() {
        let file = fs::read(&path).unwrap();
        let shown = |content: Content| Picture::look_at(content).map(|picture| format!("{picture:?}"));

        for end in [0, 1, 7, 8, 100, file.len() / 2, file.len() - 1, file.len()] {
            let part = file[..end].to_vec();
            assert_eq!(shown(on_disk(&part)), shown(part.into()), "{end} bytes of {}", path.display());
        }
        assert_eq!(shown(from_disk(&path)), shown(file.into()));
    }
}

#[tokio::test]
async fn a_picture_of_each_format_has_the_same_codes_on_the_disk_as_in_memory() {
    let mut formats = labelled();
    formats.sort();
    formats.dedup_by_key(|path| path.extension().map(ToOwned::to_owned));
    assert!(5 <= formats.len(), "{formats:?}");

    for path in formats {
        assert_eq!(
            codes(from_disk(&path)).await,
            codes(fs::read(&path).unwrap()).await,
            "{}",
            path.display()
        );
    }
}

/// A chunk `tRNS` names a shade or colour that is see-through: here white, so that the code stands on nothing.
#[tokio::test]
async fn a_code_on_a_see_through_colour_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ocr/barcodes");
    let plain = fs::read(folder.join("ean_13-plain.png")).unwrap();
    let image = image::load_from_memory(&plain).unwrap();
    let expected = codes(plain).await;
    let kinds = [
        DynamicImage::ImageLuma8(image.to_luma8()),
        DynamicImage::ImageLuma16(image.to_luma16()),
        DynamicImage::ImageRgb8(image.to_rgb8()),
        DynamicImage::ImageRgb16(image.to_rgb16()),
    ];

    for image in kinds {
        let (mut file, color) = (Cursor::new(Vec::new()), image.color());
        image.write_to(&mut file, ImageFormat::Png).unwrap();
        // Two bytes for each channel, whatever the depth.
        let sample = if color.bytes_per_pixel() == color.channel_count() { [0, 255] } else { [255, 255] };
        let white = sample.repeat(color.channel_count().into());
        let file = with_chunk(file.get_ref(), b"tRNS", &white);

        assert_eq!(codes(file).await, expected, "{color:?}");
    }
    assert_eq!(expected.len(), 1);
}

#[tokio::test]
async fn what_is_not_unpacked_little_by_little_is_refused_above_what_may_be_held() {
    let reader = BarcodeReader::new(1);
    let most = MOST_AT_ONCE_MIB as usize * MIB;
    let segment = |name: u8| [&[0xff, name, 0xff, 0xff][..], &vec![0; 0xfffd]].concat();
    let into_jpeg = |before: Vec<u8>, between: Vec<u8>| {
        let mut file = jpeg(10, 10, true);
        let scans_end = file.len() - 2;
        file.splice(scans_end..scans_end, between);
        file.splice(2..2, before);
        file
    };
    let many = most / 0xffff + 1;
    let gathered = [
        into_jpeg(segment(0xe2).repeat(many), Vec::new()),
        into_jpeg(Vec::new(), segment(0xe1).repeat(many)),
        png(10, 10, &[(b"eXIf", &vec![0; most + 1])], true),
        {
            let mut file = gif(10, 10, 1);
            let blocks = [&[0xff][..], &[1; 255]].concat().repeat(most / 256 + 1);
            file.splice(13..13, [&b"!\xff"[..], &blocks, b"\0"].concat());
            file
        },
        {
            let mut file = webp(10, 10, 0);
            file.extend(b"VP8 ");
            file.extend((most as u32 + 1).to_le_bytes());
            file.extend(vec![0; most + 1]);
            file
        },
        tiff_of_parts(10, 10, 5, &vec![(8, 1); most / 64 + 1], 1),
    ];

    for file in gathered {
        let picture = Picture::look_at(on_disk(&file)).unwrap();
        let format = picture.format();
        let Err(Unsearched::Refused(refused)) = reader.read(picture).await else { panic!("{format}") };
        assert_eq!(refused.code.as_deref(), Some("too_large_at_once"), "{format}: {refused}");
        assert!(refused.message.contains("save it as PNG or JPEG"), "{refused}");
    }
    // Of a comment nothing is kept, nor of what looks like a segment among other data.
    let comments = into_jpeg(segment(0xfe).repeat(many), segment(0xef).repeat(many));
    let inside = [&[0xff, 0xe0, 0xff, 0xff][..], &[0xff, 0xe2].repeat(0x7ffe), &[0]].concat();
    let lossless = tiff_of_parts(10, 10, 5, &[(8, most as u32 + 1)], most + 1);
    for file in [comments, into_jpeg(Vec::new(), inside.repeat(9)), lossless] {
        let picture = Picture::look_at(on_disk(&file)).unwrap();
        assert!(picture.bytes_at_once() < 1_000, "{picture:?}: {}", picture.bytes_at_once());
    }
}

#[tokio::test]
async fn a_file_that_gets_shorter_meanwhile_is_no_bad_picture_and_reads_as_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let reader = BarcodeReader::new(1);
    let mut formats = labelled();
    formats.sort();
    formats.dedup_by_key(|path| path.extension().map(ToOwned::to_owned));

    for original in formats {
        let path = folder.path().join("picture");
        fs::copy(&original, &path).unwrap();
        let length = fs::metadata(&path).unwrap().len();
        let content = from_disk(&path);
        let picture = Picture::look_at(content.clone()).unwrap();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length / 2).unwrap();

        let searched = reader.read(picture).await;
        let looked = Picture::open(content).await;

        assert!(
            matches!(searched, Err(Unsearched::Picture(BadPicture::Unread))),
            "{original:?}: {searched:?}"
        );
        // Where all that is looked at is still there, nothing is amiss.
        assert!(matches!(looked, Ok(_) | Err(BadPicture::Unread)), "{original:?}: {looked:?}");
    }
}

#[tokio::test]
async fn tesseract_gets_all_of_a_file_each_time_it_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let program = script(folder.path(), "cat | wc -c");
    let settings = TesseractSettings { program, timeout: Duration::from_mins(2), cores: 2 };
    let file = png(10, 10, &[(b"skIP", &vec![0; 3 * MIB])], true);
    let pictures = [Picture::look_at(on_disk(&file)).unwrap(), Picture::look_at(file.clone()).unwrap()];
    let client = TesseractClient::new(settings);

    for _ in 0..2 {
        let detail = client.read(&pictures, &Wanted::default()).await.unwrap().detail.unwrap();
        for image in detail["images"].as_array().unwrap() {
            assert_eq!(image["text"].as_str().unwrap().trim(), file.len().to_string());
        }
    }
}
