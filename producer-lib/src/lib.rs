#![doc = include_str!("../README.md")]

pub mod clock;
pub mod envelope;
#[doc(hidden)]
pub mod exact;
pub mod keys;
pub mod link;
pub mod payload;
pub mod payloads;
pub mod public_address;
pub mod settings;

pub mod handover;

mod error;
mod job_id;
mod new_job;
#[cfg(feature = "outbox")]
mod outbox;
mod outgoing;
mod producer;
mod script;

pub use envelope::{Envelope, EnvelopeError, MAX_BYTES, Trace};
pub use error::EnqueueError;
pub use job_id::JobId;
pub use keys::Priority;
pub use new_job::{DEFAULT_KEY_WINDOW, NewJob, When, check_tenant};
#[cfg(feature = "outbox")]
pub use outbox::{Outbox, OutboxError};
pub use outgoing::BATCH;
pub use payload::{Invalid, Payload, SecretFields, read_payload};
pub use payloads::{
    ChatMessage, ChatRole, CompleteChat, DeliverWebhook, EMAIL_TEMPLATES, EmailAttachment, EmailBody,
    EmailTemplate, EmailVariable, EmailVariableKind, KNOWN_TEMPLATES, KnownTemplate, MediaSource, PushKeys,
    PushSubscription, PushUrgency, ReadImage, SendEmail, SendPush, SendSms, SendWhatsapp, StorageKey,
    TranscribeAudio, TranscriptFormat, TranscriptTimes, WhatsappBody, WhatsappFile, WhatsappMedia,
    WhatsappRead, WhatsappTemplate, WhatsappText,
};
pub use producer::{Producer, Receipt};
pub use script::{call, script, script_with};
pub use settings::{Settings, SettingsError};
