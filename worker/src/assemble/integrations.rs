//! Settings of the outside services → their clients.
//!
//! Time limits are those of one call, from queues.toml; the queue's own limit stands behind them.

use std::{num::NonZero, path::PathBuf, sync::Arc, time::Duration};

use flota_providers::{
    ProviderError,
    api::ApiSettings,
    chat::{self, ChatClient, ChatSettings},
    content::Spool,
    ffmpeg::{Ffmpeg, FfmpegSettings},
    google_token::{ApiKey, ServiceAccount, TokenSource},
    ocr::{TextReader, TextReaders},
    pipeline::{Pipeline, Provider},
    push::VapidKey,
    sms::{self, SmsClient, SmsSender, SmsSettings},
    tesseract::{self, TesseractClient, TesseractSettings},
    transcription::{self, TranscriptionClient, TranscriptionSettings},
    vision::{self, VisionClient, VisionSettings},
    whatsapp::{
        self, WhatsappClient, WhatsappSettings,
        media::{self, WhatsappMediaClient},
    },
};

use tracing::{info, warn};

use super::AssembleError;
use crate::{
    config::env::{
        ChatVariables, OcrProvider, OcrVariables, PushVariables, SmsFrom, SmsVariables,
        TranscriptionVariables, VisionCredential, VisionVariables, WhatsappVariables,
    },
    failure::chain,
    limits::CallTimeouts,
};

/// Most time to get a token of Google's.
const TOKEN: Duration = Duration::from_secs(20);
/// Most time for one run of ffmpeg: half a day of sound on a slow core.
const CONVERSION: Duration = Duration::from_mins(5);

pub(crate) fn push(push: &PushVariables) -> Result<VapidKey, AssembleError> {
    Ok(VapidKey::new(&push.public_key, &push.private_key, &push.subject)?)
}

pub(super) fn whatsapp(
    variables: &WhatsappVariables,
    timeouts: &CallTimeouts,
) -> Result<WhatsappClient, AssembleError> {
    WhatsappClient::new(whatsapp_settings(variables, timeouts.of(whatsapp::PROVIDER)))
        .map_err(because_of("WHATSAPP_BASE_URL"))
}

pub(super) fn whatsapp_media(
    variables: &WhatsappVariables,
    timeouts: &CallTimeouts,
) -> Result<WhatsappMediaClient, AssembleError> {
    WhatsappMediaClient::new(whatsapp_settings(variables, timeouts.of(media::PROVIDER)))
        .map_err(because_of("WHATSAPP_BASE_URL"))
}

fn whatsapp_settings(variables: &WhatsappVariables, timeout: Duration) -> WhatsappSettings {
    WhatsappSettings {
        api: ApiSettings::new(&variables.base_url, timeout),
        phone_number_id: variables.phone_number_id.clone(),
        access_token: variables.access_token.clone(),
    }
}

pub(super) fn sms(variables: &SmsVariables, timeouts: &CallTimeouts) -> Result<SmsClient, AssembleError> {
    let client = SmsClient::new(SmsSettings {
        api: ApiSettings::new(&variables.base_url, timeouts.of(sms::PROVIDER)),
        account_sid: variables.account_sid.clone(),
        auth_token: variables.auth_token.clone(),
        from: match &variables.from {
            SmsFrom::Number(number) => SmsSender::Number(number.clone()),
            SmsFrom::Service(service) => SmsSender::Service(service.clone()),
        },
    });
    let client = client.map_err(because_of("TWILIO_BASE_URL"))?;
    Ok(client.with_status_callback(variables.status_callback.clone()))
}

pub(super) fn chat(variables: &ChatVariables, timeouts: &CallTimeouts) -> Result<ChatClient, AssembleError> {
    let client = ChatClient::new(ChatSettings {
        api: ApiSettings::new(&variables.base_url, timeouts.of(chat::PROVIDER)),
        api_key: variables.api_key.clone(),
        stall: chat::STALL,
    });
    client.map_err(because_of("LLM_BASE_URL"))
}

pub(super) fn transcription(
    speech: &TranscriptionVariables,
    timeouts: &CallTimeouts,
) -> Result<TranscriptionClient, AssembleError> {
    let client = TranscriptionClient::new(TranscriptionSettings {
        api: ApiSettings::new(&speech.base_url, timeouts.of(transcription::PROVIDER)),
        api_key: speech.api_key.clone(),
        model: speech.model.clone(),
    });
    client.map_err(because_of("OPENAI_BASE_URL"))
}

/// ffmpeg, where it was found.
pub(super) fn ffmpeg(speech: &TranscriptionVariables, spool: &Spool) -> Option<Ffmpeg> {
    let Some(program) = speech.ffmpeg.clone() else {
        info!(
            "PATH leads to no ffmpeg: recordings above 25 MiB, longer than a call or in other formats are refused; to have \
             them transcribed, install it (Debian: apt-get install ffmpeg) and start again"
        );
        return None;
    };
    Some(Ffmpeg::new(FfmpegSettings { program, timeout: CONVERSION, cores: cores(), spool: spool.clone() }))
}

/// Where files lie while jobs work with them. One that takes nothing is told now, before jobs wait for it.
pub(super) fn spool(directory: Option<&PathBuf>) -> Spool {
    let spool = Spool::new(directory.cloned());
    if let Err(error) = spool.check() {
        let why = chain(&error);
        warn!(
            "Jobs with files above 1 MiB will wait: {why}. Mend that, or set FLOTA_SPOOL_DIR and start again"
        );
    }
    spool
}

/// Whoever reads text on pictures and is there, in the order of `FLOTA_OCR_PROVIDERS`.
pub(super) fn text_readers(
    ocr: &OcrVariables,
    vision: Option<&VisionVariables>,
    timeouts: &CallTimeouts,
    pipeline: &Pipeline,
) -> Result<Option<TextReaders>, AssembleError> {
    let mut readers = Vec::new();
    for provider in &ocr.order {
        match (provider, vision, &ocr.tesseract) {
            (OcrProvider::GoogleVision, Some(variables), _) => {
                let client = self::vision(variables, timeouts)?;
                readers.push(TextReader::Vision(Arc::new(Provider::global(client, pipeline))));
            }
            (OcrProvider::Tesseract, _, Some(program)) => {
                let settings = TesseractSettings {
                    program: program.clone(),
                    timeout: timeouts.of(tesseract::PROVIDER),
                    cores: cores(),
                };
                let client = TesseractClient::new(settings);
                readers.push(TextReader::Tesseract(Arc::new(Provider::global(client, pipeline))));
            }
            (OcrProvider::GoogleVision, None, _) | (OcrProvider::Tesseract, _, None) => {}
        }
    }
    Ok(TextReaders::new(readers, pipeline))
}

/// How many pictures are worked on at a time where the work is ours.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

pub(super) fn vision(
    variables: &VisionVariables,
    timeouts: &CallTimeouts,
) -> Result<VisionClient, AssembleError> {
    let client = VisionClient::new(VisionSettings {
        api: ApiSettings::new(&variables.base_url, timeouts.of(vision::PROVIDER)),
        tokens: tokens(&variables.credential)?,
        project: variables.project.clone(),
    });
    client.map_err(because_of("GOOGLE_VISION_BASE_URL"))
}

fn tokens(credential: &VisionCredential) -> Result<Arc<dyn TokenSource>, AssembleError> {
    match credential {
        VisionCredential::ApiKey(key) => Ok(Arc::new(ApiKey(key.clone()))),
        VisionCredential::ServiceAccount(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|source| AssembleError::ServiceAccount { path: path.clone(), source })?;
            let account = ServiceAccount::from_json(&text, TOKEN)
                .map_err(because_of("GOOGLE_APPLICATION_CREDENTIALS"))?;
            Ok(Arc::new(account))
        }
    }
}

pub(super) fn because_of(variable: &'static str) -> impl Fn(ProviderError) -> AssembleError {
    move |source| AssembleError::Api { variable, source: Box::new(source) }
}

/// The most that a run of `send_whatsapp` takes: a file, the message, and the template in its place.
#[cfg(test)]
pub(super) fn longest_notification(timeouts: &CallTimeouts) -> Duration {
    timeouts.of(media::PROVIDER) + timeouts.of(whatsapp::PROVIDER) * 2
}

/// The most that a run of `transcribe_audio` takes for a recording of one call: one run of ffmpeg, and the call. A run on
/// a longer recording that is cut off has kept the pieces that it has heard, and the next one goes on from there.
#[cfg(test)]
pub(super) fn longest_transcription(timeouts: &CallTimeouts) -> Duration {
    CONVERSION + timeouts.of(transcription::PROVIDER)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::queues::Queues;

    #[test]
    fn the_queue_of_language_models_waits_for_every_model_that_one_run_may_ask() {
        let queues = Queues::built_in().unwrap();
        let models = &queues.llm.models;
        let next = [&models.next.trouble, &models.next.too_long, &models.next.policy].into_iter().flatten();
        let later: BTreeSet<&String> = next.flat_map(|tier| &models.tiers[tier]).collect();

        let most = models
            .tiers
            .values()
            .map(|tier| tier.iter().chain(later.iter().copied()).collect::<BTreeSet<_>>().len());
        let calls = most.max().unwrap() as u32 + 1;

        let limit = queues.get("llm").unwrap().timeout;
        let call = queues.timeouts.of(chat::PROVIDER);
        assert!(call * calls < limit, "{calls} calls of {call:?} in {limit:?}");
    }
}
