//! The labelled pictures of `fixtures/ocr`: what is read of them, compared with what is on them.
//!
//! The accuracy that docs/ocr-accuracy.md states is computed here; `UPDATE_DOCS=1` writes it. A code that is read but is
//! not there fails the test: a missed code is asked for again, a wrong one sells the wrong thing.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs::{self, File},
    path::PathBuf,
    time::Duration,
};

use flota_providers::{
    barcode::BarcodeReader,
    content::Content,
    ocr::Wanted,
    picture::Picture,
    price_tag::PriceTag,
    tesseract::{TesseractClient, TesseractSettings},
};
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::json;

use crate::installed::{installed, skipped};

/// Kinds of picture, in the order of the table.
const VARIANTS: [&str; 7] = ["plain", "rotated", "photo", "perspective", "several", "angles", "format"];
const UPDATE: &str = "UPDATE_DOCS=1 cargo test -p flota-providers --test it ocr_accuracy";
/// Threads that decode at a time.
const CORES: usize = 2;

#[derive(Deserialize)]
struct Labels {
    barcodes: Vec<Labelled>,
    tags: Vec<Tag>,
}

/// A picture with codes.
#[derive(Deserialize)]
struct Labelled {
    file: String,
    variant: String,
    codes: Vec<Code>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Code {
    symbology: String,
    text: String,
}

/// A picture of a shelf tag.
#[derive(Deserialize)]
struct Tag {
    file: String,
    written: String,
    recognised: String,
    name: String,
    price_cents: u64,
    before_cents: Option<u64>,
    currency: String,
}

/// How many were right, of how many.
#[derive(Default, Clone, Copy)]
struct Score {
    right: usize,
    all: usize,
}

impl Score {
    fn count(&mut self, is_right: bool) {
        self.all += 1;
        self.right += usize::from(is_right);
    }

    fn shown(self) -> String {
        if self.all == 0 { "–".to_owned() } else { format!("{} of {}", self.right, self.all) }
    }
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/ocr"))
}

fn labels() -> Labels {
    serde_json::from_slice(&fs::read(folder().join("labels.json")).unwrap()).unwrap()
}

fn picture(file: &str) -> Picture {
    Picture::look_at(Content::of_file(File::open(folder().join(file)).unwrap()).unwrap()).unwrap()
}

async fn codes_on(file: &str, reader: &BarcodeReader) -> Vec<Code> {
    let read = serde_json::to_value(reader.read(picture(file)).await.unwrap()).unwrap();
    let code = |code: &serde_json::Value| {
        assert_ne!(code["check_digit"], "invalid", "{file}: {code}");
        let text = |name: &str| code[name].as_str().unwrap().to_owned();
        Code { symbology: text("symbology"), text: text("text") }
    };
    read.as_array().unwrap().iter().map(code).collect()
}

#[tokio::test]
async fn barcodes_are_read_as_often_as_the_documentation_says_and_never_wrong() {
    let reader = BarcodeReader::new(CORES).patient(Duration::from_mins(5));
    let mut scores: BTreeMap<String, BTreeMap<String, Score>> = BTreeMap::new();
    let (mut total, mut missed) = (Score::default(), Vec::new());

    let all = labels().barcodes;
    let read = join_all(all.iter().map(|labelled| codes_on(&labelled.file, &reader))).await;
    for (labelled, read) in all.into_iter().zip(read) {
        let wrong: Vec<&Code> = read.iter().filter(|code| !labelled.codes.contains(code)).collect();
        assert!(wrong.is_empty(), "{}: {wrong:?} is not there", labelled.file);
        for code in &labelled.codes {
            let is_read = read.contains(code);
            let variants = scores.entry(code.symbology.clone()).or_default();
            variants.entry(labelled.variant.clone()).or_default().count(is_read);
            total.count(is_read);
            missed.extend((!is_read).then(|| format!("`{}` on {}", code.symbology, labelled.file)));
        }
    }

    for (symbology, variants) in &scores {
        let plain = variants["plain"];
        assert_eq!(plain.right, plain.all, "{symbology} is not even read where it is plain");
    }
    check_documentation("barcodes", &table_of_codes(&scores, total, &missed));
}

/// One thread runs everything here, so whoever decoded on it would stop the clock.
#[tokio::test]
async fn decoding_leaves_the_thread_that_runs_jobs_to_them() {
    let reader = BarcodeReader::new(1).patient(Duration::from_mins(5));
    let picture = picture("barcodes/several-label.png");
    let mut ticks = 0;
    let ticking = async {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            ticks += 1;
        }
    };

    let read = tokio::select! {
        read = reader.read(picture) => read,
        () = ticking => unreachable!("it ticks for ever"),
    };

    assert!(!read.unwrap().is_empty());
    // Were it done on this thread, there would be none; how many there are depends on what else the machine does.
    assert!(ticks > 0, "{ticks} ticks");
}

fn table_of_codes(
    scores: &BTreeMap<String, BTreeMap<String, Score>>,
    total: Score,
    missed: &[String],
) -> String {
    let mut text =
        format!("| symbology | {} |\n|---|{}\n", VARIANTS.join(" | "), "---|".repeat(VARIANTS.len()));
    for (symbology, variants) in scores {
        let score = |variant: &&str| variants.get(*variant).copied().unwrap_or_default().shown();
        let row: Vec<String> = VARIANTS.iter().map(score).collect();
        writeln!(text, "| `{symbology}` | {} |", row.join(" | ")).unwrap();
    }
    let share = 100 * total.right / total.all;
    writeln!(
        text,
        "\nIn all {} codes, {share} %, and no wrong one. Missed: {}.",
        total.shown(),
        missed.join(", ")
    )
    .unwrap();
    text
}

/// Name, price and price of before, as far as they are right, and prices that are told and wrong.
#[derive(Default)]
struct TagScores {
    name: Score,
    price: Score,
    wrong: usize,
    before: Score,
}

impl TagScores {
    fn count(&mut self, tag: &Tag, text: &str) {
        let read = PriceTag::read(text);
        let amount = |cents: u64| json!({ "cents": cents, "currency": tag.currency });
        let is_named = |name: &String| name.to_lowercase() == tag.name.to_lowercase();
        self.name.count(read.name.as_ref().is_some_and(is_named));
        let is_right = json!(read.price) == amount(tag.price_cents);
        self.price.count(is_right);
        self.wrong += usize::from(read.price.is_some() && !is_right);
        self.before.count(json!(read.before) == tag.before_cents.map_or(json!(null), amount));
    }

    fn row(&self, what: &str) -> String {
        let [price, before, name] = [self.price, self.before, self.name].map(Score::shown);
        format!("| {what} | {price} | {} | {before} | {name} |\n", self.wrong)
    }
}

/// The recognised texts are fixtures, so that the rules are measured on the same mistakes everywhere.
#[test]
fn prices_and_names_are_found_as_often_as_the_documentation_says() {
    let (mut written, mut recognised) = (TagScores::default(), TagScores::default());

    for tag in labels().tags {
        written.count(&tag, &tag.written);
        recognised.count(&tag, &fs::read_to_string(folder().join(&tag.recognised)).unwrap());
    }

    let table = [
        "| text | price | wrong price | price of before | name, letter for letter |\n|---|---|---|---|---|\n",
        &written.row("as it is written on the tag"),
        &recognised.row("as Tesseract 5.3 recognised it"),
    ];
    assert_eq!((written.wrong, recognised.wrong), (0, 0), "no price is better than a wrong one");
    assert!(95 * written.price.all <= 100 * written.price.right);
    assert!(90 * recognised.price.all <= 100 * recognised.price.right);
    check_documentation("tags", &table.concat());
}

/// Versions of Tesseract differ, so only a floor is asked for.
#[tokio::test]
async fn tags_are_read_for_real_where_tesseract_is_installed() {
    let Some(program) = installed("tesseract", "tesseract-ocr tesseract-ocr-spa") else { return };
    let settings = TesseractSettings { program, timeout: Duration::from_mins(1), cores: CORES };
    let client = TesseractClient::new(settings);
    let wanted = Wanted { sparse: true, languages: vec!["es".into()], ..Wanted::default() };
    let mut scores = TagScores::default();

    for tag in labels().tags {
        let read = match client.read(&[picture(&tag.file)], &wanted).await {
            Err(error) if error.code.as_deref() == Some("language") => {
                skipped("Spanish for tesseract", "tesseract-ocr-spa");
                return;
            }
            read => read.unwrap(),
        };
        scores.count(&tag, read.detail.unwrap()["images"][0]["text"].as_str().unwrap());
    }

    println!("{}", scores.row("Tesseract, now"));
    assert!(85 * scores.price.all <= 100 * scores.price.right, "{} prices", scores.price.shown());
}

/// Compares a part of the document, or writes it.
fn check_documentation(name: &str, expected: &str) {
    let place = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ocr-accuracy.md"));
    let text = fs::read_to_string(&place).unwrap();
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"));
    let (before, rest) = text.split_once(&begin).expect("the part of the document");
    let (_, after) = rest.split_once(&end).expect("the end of the part");
    let expected = format!("{before}{begin}{expected}{end}{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(place, expected).unwrap();
    } else {
        assert_eq!(text, expected, "docs/ocr-accuracy.md does not say what was measured; run `{UPDATE}`");
    }
}
