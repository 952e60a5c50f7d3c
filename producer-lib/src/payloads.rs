//! The catalogue: one struct per job kind that comes with Flota.

mod attachment;
mod audio;
mod chat;
mod email;
mod image;
mod language;
mod media;
mod phone;
mod push;
mod sms;
mod storage_key;
mod webhook;
mod whatsapp;

pub use attachment::EmailAttachment;
pub use audio::{TranscribeAudio, TranscriptFormat, TranscriptTimes};
pub use chat::{ChatMessage, ChatRole, CompleteChat};
pub use email::{EMAIL_TEMPLATES, EmailBody, EmailTemplate, EmailVariable, EmailVariableKind, SendEmail};
pub use image::ReadImage;
pub use media::MediaSource;
pub use phone::check_number;
pub use push::{PushKeys, PushSubscription, PushUrgency, SendPush};
pub use sms::SendSms;
pub use storage_key::StorageKey;
pub use webhook::{DeliverWebhook, MAX_URL, check_public_url};
pub use whatsapp::{
    KNOWN_TEMPLATES, KnownTemplate, SendWhatsapp, WhatsappBody, WhatsappFile, WhatsappMedia, WhatsappRead,
    WhatsappTemplate, WhatsappText,
};
