//! Settings of the outside services → their clients.
//!
//! Time limits are those of one call; the queue's own limit stands behind them.

use std::{num::NonZero, sync::Arc, time::Duration};

use flota_providers::{
    ProviderError,
    api::ApiSettings,
    chat::{self, ChatClient, ChatSettings},
    google_token::{ApiKey, ServiceAccount, TokenSource},
    ocr::{TextReader, TextReaders},
    pipeline::{Pipeline, Provider},
    push::VapidKey,
    sms::{SmsClient, SmsSender, SmsSettings},
    tesseract::{TesseractClient, TesseractSettings},
    transcription::{TranscriptionClient, TranscriptionSettings},
    vision::{VisionClient, VisionSettings},
    whatsapp::{WhatsappClient, WhatsappSettings, media::WhatsappMediaClient},
};

use super::AssembleError;
use crate::config::env::{
    ChatVariables, OcrProvider, OcrVariables, PushVariables, SmsFrom, SmsVariables, TranscriptionVariables,
    VisionCredential, VisionVariables, WhatsappVariables,
};

/// Messages are accepted in a second or two.
const MESSAGE: Duration = Duration::from_secs(20);
/// 100 MB have to go up or down.
const MEDIA: Duration = Duration::from_mins(2);
/// Models think, and long answers take their time.
const MODEL: Duration = Duration::from_mins(2);
/// 25 MiB have to be uploaded and listened to.
const SPEECH: Duration = Duration::from_mins(5);
/// 7 MB have to be uploaded and looked at.
const PICTURE: Duration = Duration::from_mins(1);
/// A page of text on a slow core; three tries of it fit into the queue's own limit with room for the rest.
const RECOGNITION: Duration = Duration::from_secs(40);

pub(super) fn push(push: &PushVariables) -> Result<VapidKey, AssembleError> {
    Ok(VapidKey::new(&push.public_key, &push.private_key, &push.subject)?)
}

pub(super) fn whatsapp(whatsapp: &WhatsappVariables) -> Result<WhatsappClient, AssembleError> {
    WhatsappClient::new(whatsapp_settings(whatsapp, MESSAGE)).map_err(because_of("WHATSAPP_BASE_URL"))
}

pub(super) fn whatsapp_media(whatsapp: &WhatsappVariables) -> Result<WhatsappMediaClient, AssembleError> {
    WhatsappMediaClient::new(whatsapp_settings(whatsapp, MEDIA)).map_err(because_of("WHATSAPP_BASE_URL"))
}

fn whatsapp_settings(whatsapp: &WhatsappVariables, timeout: Duration) -> WhatsappSettings {
    WhatsappSettings {
        api: ApiSettings::new(&whatsapp.base_url, timeout),
        phone_number_id: whatsapp.phone_number_id.clone(),
        access_token: whatsapp.access_token.clone(),
    }
}

pub(super) fn sms(sms: &SmsVariables) -> Result<SmsClient, AssembleError> {
    let client = SmsClient::new(SmsSettings {
        api: ApiSettings::new(&sms.base_url, MESSAGE),
        account_sid: sms.account_sid.clone(),
        auth_token: sms.auth_token.clone(),
        from: match &sms.from {
            SmsFrom::Number(number) => SmsSender::Number(number.clone()),
            SmsFrom::Service(service) => SmsSender::Service(service.clone()),
        },
    });
    let client = client.map_err(because_of("TWILIO_BASE_URL"))?;
    Ok(client.with_status_callback(sms.status_callback.clone()))
}

pub(super) fn chat(variables: &ChatVariables) -> Result<ChatClient, AssembleError> {
    let client = ChatClient::new(ChatSettings {
        api: ApiSettings::new(&variables.base_url, MODEL),
        api_key: variables.api_key.clone(),
        stall: chat::STALL,
    });
    client.map_err(because_of("LLM_BASE_URL"))
}

pub(super) fn transcription(speech: &TranscriptionVariables) -> Result<TranscriptionClient, AssembleError> {
    let client = TranscriptionClient::new(TranscriptionSettings {
        api: ApiSettings::new(&speech.base_url, SPEECH),
        api_key: speech.api_key.clone(),
        model: speech.model.clone(),
    });
    client.map_err(because_of("OPENAI_BASE_URL"))
}

/// Whoever reads text on pictures and is there, in the order of `FLOTA_OCR_PROVIDERS`.
pub(super) fn text_readers(
    ocr: &OcrVariables,
    vision: Option<&VisionVariables>,
    pipeline: &Pipeline,
) -> Result<Option<TextReaders>, AssembleError> {
    let mut readers = Vec::new();
    for provider in &ocr.order {
        match (provider, vision, &ocr.tesseract) {
            (OcrProvider::GoogleVision, Some(variables), _) => {
                let client = self::vision(variables)?;
                readers.push(TextReader::Vision(Arc::new(Provider::global(client, pipeline))));
            }
            (OcrProvider::Tesseract, _, Some(program)) => {
                let settings =
                    TesseractSettings { program: program.clone(), timeout: RECOGNITION, cores: cores() };
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

fn vision(vision: &VisionVariables) -> Result<VisionClient, AssembleError> {
    let client = VisionClient::new(VisionSettings {
        api: ApiSettings::new(&vision.base_url, PICTURE),
        tokens: tokens(&vision.credential)?,
        project: vision.project.clone(),
    });
    client.map_err(because_of("GOOGLE_VISION_BASE_URL"))
}

fn tokens(credential: &VisionCredential) -> Result<Arc<dyn TokenSource>, AssembleError> {
    match credential {
        VisionCredential::ApiKey(key) => Ok(Arc::new(ApiKey(key.clone()))),
        VisionCredential::ServiceAccount(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|source| AssembleError::ServiceAccount { path: path.clone(), source })?;
            let account = ServiceAccount::from_json(&text, MESSAGE)
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
pub(super) fn longest_notification() -> Duration {
    MEDIA + MESSAGE + MESSAGE
}
