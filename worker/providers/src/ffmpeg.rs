//! ffmpeg, a program on this machine: turns sound of any known format into small speech, finds its silences, cuts it.
//!
//! It is fed files that strangers made, so it gets as little as it needs: an anonymous file as its standard input (no name
//! anywhere, and nothing left behind even after SIGKILL), a pipe for its output, no environment, no protocol but `file`
//! and `pipe`, only containers that hold sound and lead nowhere else (no playlists), one thread, an end in time and in
//! bytes. Nothing of a job is on its command line. It is killed when its time is over or its job is given up.

mod silence;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{process::Command, sync::Semaphore};

pub use self::silence::{Silence, cuts};
use crate::{
    child::{self, Bounds, Failed, Heard},
    content::{Content, HELD, Spool, SpoolError},
    text::one_line,
};

/// What it is called in `PATH`.
pub const PROGRAM: &str = "ffmpeg";
/// Most that is said of its complaints, in bytes.
const MOST_SAID: usize = 300;
/// Most that is heard of it on standard error, in bytes: every silence of a long recording is a line.
const MOST_HEARD: u64 = 4 * 1024 * 1024;
/// Speech is encoded at 2 KB/s; more than this a second is something else.
const MOST_BYTES_PER_SECOND: u64 = 4_000;
/// What it may allocate at once, in bytes.
const MOST_ALLOCATED: &str = "268435456";
/// Containers that hold what they play. Playlists (HLS, concat, DASH) name files and addresses, and are left out.
const CONTAINERS: &str = "aac,aiff,amr,ape,asf,au,avi,caf,flac,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,\
                          ogg,wav,wv";
/// One voice, as the API would make of it anyway: mono, 16 kHz, 16 kbit/s, at a third of what Opus can take pains.
const SPEECH: &str = "-map 0:a:0 -vn -sn -dn -map_metadata -1 -map_chapters -1 -fflags +bitexact -ac 1 -ar 16000 \
                      -c:a libopus -b:a 16k -application voip -compression_level 3";
/// A pause between sentences: half a second below -35 dB.
const PAUSE: &str = "silencedetect=noise=-35dB:duration=0.5";

/// Where the program is and how long it may take.
#[derive(Debug, Clone)]
pub struct FfmpegSettings {
    /// The program.
    pub program: PathBuf,
    /// Most time for one run of it.
    pub timeout: Duration,
    /// How many may run at a time.
    pub cores: usize,
    /// Where its files lie.
    pub spool: Spool,
}

/// Runs the program. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ffmpeg {
    settings: FfmpegSettings,
    turns: Arc<Semaphore>,
}

/// Why there is no speech.
#[derive(Debug, thiserror::Error)]
pub enum FfmpegError {
    /// It is not there any more.
    #[error("ffmpeg cannot be run; install it (Debian: apt-get install ffmpeg) where PATH leads")]
    NotThere(#[source] std::io::Error),
    /// There is no sound in it.
    #[error(
        "there is no sound track in the file, so there is nothing to transcribe; send the file that has the sound"
    )]
    NoSound,
    /// It cannot read the file.
    #[error("ffmpeg could not read the recording; save it again as mp3 or ogg. It said: {0}")]
    Unreadable(String),
    /// It made more than speech can be.
    #[error("ffmpeg made more of the recording than speech can be; save it again as mp3 or ogg")]
    TooLarge,
    /// It took too long.
    #[error("ffmpeg did not finish within {} s and was stopped; the job is repeated later. Shorten the recording if this goes on", .0.as_secs())]
    TooSlow(Duration),
    /// The disk did not take the file.
    #[error(transparent)]
    Disk(#[from] SpoolError),
}

impl Ffmpeg {
    /// Nothing is run yet.
    pub fn new(settings: FfmpegSettings) -> Self {
        let turns = Arc::new(Semaphore::new(settings.cores.max(1)));
        Self { settings, turns }
    }

    /// The sound of a file as mono Opus in Ogg; of a longer one a little more than `longest`, so that it shows.
    ///
    /// # Errors
    /// See [`FfmpegError`].
    pub async fn speech(&self, file: &Content, longest: Duration) -> Result<Content, FfmpegError> {
        let longest = longest + Duration::from_secs(2);
        let most = longest.as_secs() * MOST_BYTES_PER_SECOND;
        let (until, bytes) = (seconds(longest), most.to_string());
        let mut arguments: Vec<&str> = SPEECH.split(' ').collect();
        arguments.extend(["-t", &until, "-fs", &bytes, "-f", "ogg", "pipe:1"]);
        let heard = self.run(&[], file, &arguments, (most, HELD)).await?;
        Ok(heard.output)
    }

    /// The silences of what [`Ffmpeg::speech`] made.
    ///
    /// # Errors
    /// See [`FfmpegError`].
    pub async fn silences(&self, speech: &Content) -> Result<Vec<Silence>, FfmpegError> {
        let arguments = ["-loglevel", "info", "-nostats", "-af", PAUSE, "-f", "null", "-"];
        let heard = self.run(&[], speech, &arguments, (0, 0)).await?;
        Ok(silence::told(&heard.complaints))
    }

    /// A part of what [`Ffmpeg::speech`] made, byte for byte the same each time; in memory when it has at most `most_held`
    /// bytes.
    ///
    /// # Errors
    /// See [`FfmpegError`].
    pub async fn cut(
        &self,
        speech: &Content,
        (from, until): (Duration, Duration),
        most_held: usize,
    ) -> Result<Content, FfmpegError> {
        let length = until.saturating_sub(from);
        let most = (length.as_secs() + 2) * MOST_BYTES_PER_SECOND;
        let (from, length) = (seconds(from), seconds(length));
        let arguments = ["-t", &length, "-c", "copy", "-fflags", "+bitexact", "-f", "ogg", "pipe:1"];
        let heard = self.run(&["-ss", &from], speech, &arguments, (most, most_held)).await?;
        Ok(heard.output)
    }

    /// Runs the program on this file, with options for the input and for the output, of which there may be so much, and so
    /// much in memory.
    async fn run(
        &self,
        before: &[&str],
        file: &Content,
        after: &[&str],
        (most, most_held): (u64, usize),
    ) -> Result<Heard, FfmpegError> {
        // The semaphore is never closed, so there is always a permit in the end.
        let _turn = self.turns.acquire().await.ok();
        let mut command = Command::new(&self.settings.program);
        command
            .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-threads", "1"])
            .args(["-max_alloc", MOST_ALLOCATED])
            .args(["-protocol_whitelist", "file,pipe", "-format_whitelist", CONTAINERS])
            .args(before)
            .args(["-i", "file:/dev/stdin"])
            .args(after)
            .env_clear()
            .current_dir("/")
            .stdin(file.as_input(&self.settings.spool).await?);
        let time = self.settings.timeout;
        let output = self.settings.spool.gather(most as usize).holding(most_held);
        match child::run(&mut command, b"", Bounds { time, memory: None, output, complaints: MOST_HEARD })
            .await
        {
            Ok(heard) if heard.succeeded => Ok(heard),
            Ok(heard) => Err(refused(&heard.complaints)),
            Err(Failed::NotThere(error)) => Err(FfmpegError::NotThere(error)),
            Err(Failed::TooSlow) => Err(FfmpegError::TooSlow(time)),
            Err(Failed::TooMuch) => Err(FfmpegError::TooLarge),
            Err(Failed::Disk(error)) => Err(error.into()),
        }
    }
}

fn refused(said: &str) -> FfmpegError {
    // The last complaint is the one that ended it.
    let last = said.trim().lines().last().unwrap_or_default();
    if said.contains("matches no streams") {
        return FfmpegError::NoSound;
    }
    FfmpegError::Unreadable(one_line(last.as_bytes(), MOST_SAID))
}

fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}
