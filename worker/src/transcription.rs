//! Transcription: what a recording has to become first, who hears it, and what that cost.
//!
//! 1. `settings.rs`: what a minute costs, how long a recording may be
//! 2. `prepare.rs`: a file → recordings that one call can take, through ffmpeg where that is needed
//! 3. `hear.rs`: a call for each of them, paid for and told
//! 4. `kept.rs`: what has been heard and paid before a run broke off, for the next run of the job
//! 5. `join.rs`, `subtitles.rs`: the transcripts of pieces → one
//!
//! Neither recordings nor transcripts are logged.

mod hear;
mod join;
mod kept;
mod prepare;
mod settings;
mod subtitles;

use std::time::Duration;

use flota_engine::{Job, Receipt};
use flota_producer::{TranscribeAudio, TranscriptFormat as Asked, TranscriptTimes};
use flota_providers::{
    TOO_LARGE,
    content::Content,
    ffmpeg::{Ffmpeg, FfmpegError},
    pipeline::Provider,
    transcription::{MOST_AUDIO_BYTES, TranscriptFormat, TranscriptionClient, Wanted, limits},
};

use self::{hear::Hearing, kept::Kept, prepare::Preparation};
pub use self::{
    prepare::Untranscribable,
    settings::{SpeechSettings, Written},
};
use crate::{
    failure::Error,
    files::{self, FileError},
    results,
    services::Services,
};

/// Largest file that ffmpeg is given, in bytes.
const MOST_SOURCE_BYTES: usize = 100 * 1024 * 1024;

/// Transcribes recordings on behalf of jobs.
pub struct Transcription {
    client: Provider<TranscriptionClient>,
    model: String,
    ffmpeg: Option<Ffmpeg>,
    settings: SpeechSettings,
    kept: Kept,
}

impl Transcription {
    /// With this client, whose model this is; `ffmpeg` where it is installed.
    pub fn new(
        client: Provider<TranscriptionClient>,
        model: String,
        ffmpeg: Option<Ffmpeg>,
        settings: SpeechSettings,
    ) -> Self {
        Self { client, model, ffmpeg, settings, kept: Kept::default() }
    }

    /// Transcribes the recording of a job.
    ///
    /// # Errors
    /// When it cannot be had or is of no use, and what the API refuses.
    pub(crate) async fn transcribe(
        &self,
        asked: TranscribeAudio,
        job: &Job,
        services: &Services,
    ) -> Result<Receipt, Error> {
        let file = self.read(&asked, job, services).await?;
        let preparation = Preparation {
            ffmpeg: self.ffmpeg.as_ref(),
            longest: self.settings.longest,
            longest_call: self.longest_call(),
        };
        let pieces = preparation.pieces(file).await.map_err(of_the_disk)?;
        let heard = Hearing::new(self, job, wanted(asked)).hear(&pieces).await?;
        let mut result = results::fit(job, heard.result, "text", services).await;
        // What it took is never cut: costs are added up from it.
        result["usage"] = heard.usage;
        Ok(Receipt { provider: Some(heard.provider.into()), provider_ref: heard.id, result: Some(result) })
    }

    fn longest_call(&self) -> Duration {
        let of_model = limits(&self.model).longest;
        self.settings.longest_call.map_or(of_model, |longest| longest.min(of_model))
    }

    async fn read(&self, asked: &TranscribeAudio, job: &Job, services: &Services) -> Result<Content, Error> {
        let has_ffmpeg = self.ffmpeg.is_some();
        let most = if has_ffmpeg { MOST_SOURCE_BYTES } else { MOST_AUDIO_BYTES };
        let file = services.spool.gather(most);
        files::fetch(&asked.audio, file, job, services).await.map_err(|error| match error {
            Error::File(FileError::TooLarge { .. }) if !has_ffmpeg => Untranscribable::too_large().into(),
            Error::Provider(error) if !has_ffmpeg && error.code.as_deref() == Some(TOO_LARGE) => {
                Untranscribable::too_large().into()
            }
            other => other,
        })
    }
}

/// A disk without room says nothing of the recording.
fn of_the_disk(error: Untranscribable) -> Error {
    match error {
        Untranscribable::Ffmpeg(FfmpegError::Disk(error)) => FileError::Spool(error).into(),
        other => other.into(),
    }
}

fn wanted(asked: TranscribeAudio) -> Wanted {
    let format = match asked.format {
        Asked::Json => TranscriptFormat::Json,
        Asked::Text => TranscriptFormat::Text,
        Asked::Srt => TranscriptFormat::Srt,
        Asked::Vtt => TranscriptFormat::Vtt,
        Asked::VerboseJson => TranscriptFormat::VerboseJson,
    };
    let has_word_times = asked.timestamps == TranscriptTimes::Words;
    let TranscribeAudio { language, prompt, temperature, .. } = asked;
    Wanted { language, prompt, format, has_word_times, temperature }
}
