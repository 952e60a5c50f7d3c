//! Text of pictures through Tesseract, a program on this machine: nothing leaves it, and nobody is paid.
//!
//! Each look at a picture is one process: no shell, no file with a name, nothing of a job on its command line but languages
//! from a list. Its input is the picture, through a pipe or, where that lies on the disk, the file itself. It is killed when
//! the time of its picture is over, which a second look shares, or its job is given up. It takes a core, so only so many run
//! at a time. It names no labels.

mod languages;

use std::{path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use serde_json::json;
use tokio::{
    process::Command,
    sync::{OnceCell, Semaphore, SemaphorePermit},
    time::Instant,
};

use crate::{
    ErrorClass, ProviderError, Receipt,
    child::{self, Bounds, Failed, Heard},
    content::{Content, HELD, Spool, SpoolError},
    ocr::{Reading, Wanted, gathered},
    picture::{Format, Picture},
    pipeline::{Client, Target},
    text::one_line,
};

/// The name of this provider in receipts, errors and metrics.
pub const PROVIDER: &str = "tesseract";
const READ: &str = "read";
/// Most pixels: it unpacks a picture to four bytes for each and needs several copies.
const MOST_PIXELS: u64 = 25_000_000;
/// Most memory that it may ask for, in bytes. 25 million pixels full of small letters take less than half of that; a TIFF of
/// JPEGs, whose own sizes no header of the file tells, could take any.
const MOST_MEMORY: u64 = 2 * 1024 * 1024 * 1024;
/// Most text that is taken, in bytes; none of it goes to the disk.
const MOST_TEXT: usize = HELD;
/// Most of its complaints that are kept, in bytes.
const MOST_SAID: usize = 300;
/// Automatic layout of a page.
const PAGE: &str = "3";
/// As much text as possible, in no particular order.
const SPARSE: &str = "11";

/// What it is told of our environment: where programs are, and where its language data is.
const INHERITED: [&str; 2] = ["PATH", "TESSDATA_PREFIX"];

/// Where the program is and how long it may take.
#[derive(Debug, Clone)]
pub struct TesseractSettings {
    /// The program.
    pub program: PathBuf,
    /// Most time for one picture, however often it is looked at.
    pub timeout: Duration,
    /// How many may run at a time.
    pub cores: usize,
}

/// Runs the program.
#[derive(Debug)]
pub struct TesseractClient {
    program: PathBuf,
    timeout: Duration,
    turns: Arc<Semaphore>,
    installed: OnceCell<Vec<String>>,
}

impl TesseractClient {
    /// Nothing is run yet.
    pub fn new(settings: TesseractSettings) -> Self {
        let TesseractSettings { program, timeout, cores } = settings;
        let turns = Arc::new(Semaphore::new(cores.max(1)));
        Self { program, timeout, turns, installed: OnceCell::new() }
    }

    /// Reads pictures one after the other.
    ///
    /// The receipt's detail is `{"images": […]}` in the order of the pictures, each with `text` and no `labels`, or with
    /// its own `error`.
    ///
    /// # Errors
    /// When no picture could be read, or the program cannot be run.
    pub async fn read(&self, pictures: &[Picture], wanted: &Wanted) -> Result<Receipt, ProviderError> {
        let installed = self.installed.get_or_try_init(|| self.languages()).await?;
        let languages = languages::chosen(&wanted.languages, installed).map_err(unknown_language)?;
        let mut readings: Vec<Reading> = Vec::new();
        for picture in pictures {
            readings.push(self.read_one(picture, wanted.sparse, &languages).await);
        }
        gathered(PROVIDER, READ, readings)
    }

    async fn read_one(&self, picture: &Picture, sparse: bool, languages: &str) -> Reading {
        check(picture)?;
        let _turn = self.turn().await;
        let began = Instant::now();
        let look = async |layout| {
            let left = self.timeout.saturating_sub(began.elapsed());
            self.run(&["-", "-", "--psm", layout, "-l", languages], picture.content(), left).await
        };
        let first = look(if sparse { SPARSE } else { PAGE }).await?;
        // A few words in a frame are taken for a drawing, unless they are read as a page. Whatever becomes of that second look,
        // the first was a success, though there was nothing to be seen.
        let is_again = sparse && first.trim().is_empty();
        let text = if is_again { look(PAGE).await.unwrap_or(first) } else { first };
        // Pages end with a form feed.
        let text = text.replace('\x0c', "");
        Ok(json!({ "text": text.trim_end(), "labels": [] }))
    }

    async fn languages(&self) -> Result<Vec<String>, ProviderError> {
        let _turn = self.turn().await;
        let list = self.run(&["--list-langs"], &Content::default(), self.timeout).await?;
        // The first line is a heading; `osd` tells scripts apart and reads nothing.
        let names = list.lines().skip(1).map(str::trim).filter(|name| !name.is_empty() && *name != "osd");
        Ok(names.map(str::to_owned).collect())
    }

    /// Waits for a core. The semaphore is never closed, so there is always a permit in the end.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    /// Runs the program with this on its standard input and answers its standard output. Whoever calls has a turn.
    async fn run(
        &self,
        arguments: &[&str],
        input: &Content,
        time: Duration,
    ) -> Result<String, ProviderError> {
        let (spool, mut command) = (Spool::default(), Command::new(&self.program));
        command
            .args(arguments)
            // It parses what strangers made, so it is not handed the secrets of this process.
            .env_clear()
            .envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            // One thread for each: the turns already fill the cores.
            .env("OMP_THREAD_LIMIT", "1")
            .stdin(match input {
                Content::Held(_) => Stdio::piped(),
                Content::OnDisk { .. } => {
                    let unread = |error: SpoolError| ProviderError::unread(PROVIDER, READ, error.source);
                    input.as_input(&spool).await.map_err(unread)?
                }
            });
        let input: &[u8] = if let Content::Held(bytes) = input { bytes } else { b"" };
        let output = spool.gather(MOST_TEXT);
        let bounds = Bounds { time, memory: Some(MOST_MEMORY), output, complaints: MOST_TEXT as u64 };
        match child::run(&mut command, input, bounds).await {
            Ok(Heard { succeeded: true, output: Content::Held(text), .. }) => {
                Ok(String::from_utf8_lossy(&text).into_owned())
            }
            Ok(heard) => Err(refused(&heard.complaints)),
            Err(Failed::TooMuch | Failed::Disk(_)) => Err(refused("more text than a picture can hold")),
            Err(Failed::NotThere(error)) => Err(cannot_run(error)),
            Err(Failed::TooSlow) => Err(too_slow(self.timeout)),
        }
    }
}

impl Client for TesseractClient {
    fn target(&self) -> Target {
        // Each picture has its own deadline, and waiting for a turn is no failure.
        Target {
            provider: PROVIDER,
            operation: READ,
            host: "this machine".into(),
            deadline: None,
            may_double: false,
        }
    }
}

fn check(picture: &Picture) -> Result<(), ProviderError> {
    let refuse = |code: &str, message: &str| {
        Err(ProviderError::new(PROVIDER, READ, ErrorClass::Permanent, message).with_code(code))
    };
    if MOST_PIXELS < picture.pixels() {
        let message =
            "The picture has more than the 25 million pixels that Tesseract is given; make it smaller.";
        return refuse("too_many_pixels", message);
    }
    if picture.format() == Format::Ico {
        return refuse("format", "Tesseract reads no icons; save the picture as PNG or JPEG.");
    }
    Ok(())
}

fn refused(said: &str) -> ProviderError {
    let said = one_line(said.as_bytes(), MOST_SAID);
    let message = format!("Tesseract could not read the picture; save it again as PNG. It said: {said}");
    ProviderError::new(PROVIDER, READ, ErrorClass::Permanent, message).with_code("unreadable")
}

fn too_slow(timeout: Duration) -> ProviderError {
    let seconds = timeout.as_secs_f32();
    let message = format!(
        "Tesseract did not finish within {seconds} s and was stopped; the job is repeated later. Make the picture \
         smaller if this goes on."
    );
    ProviderError::new(PROVIDER, READ, ErrorClass::Timeout, message)
}

fn cannot_run(error: std::io::Error) -> ProviderError {
    let message = "Tesseract cannot be run; install it (Debian: tesseract-ocr) where PATH leads, or take it off the list of readers.";
    ProviderError::new(PROVIDER, READ, ErrorClass::Auth, message)
        .with_code("not_installed")
        .with_source(error)
}

fn unknown_language(wanted: String) -> ProviderError {
    let message = format!(
        "Tesseract has no data for the languages {wanted}; install them (Debian: tesseract-ocr-spa for es), or name others."
    );
    ProviderError::new(PROVIDER, READ, ErrorClass::Permanent, message).with_code("language")
}
