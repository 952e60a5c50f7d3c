//! What each provider may answer, and what must follow: one file per provider, one row per line of its manual.
//!
//! To add a provider, write its file and add it to the list in `subject.rs`.

pub(super) mod llm;
pub(super) mod push;
pub(super) mod sendgrid;
pub(super) mod ses;
pub(super) mod smtp;
pub(super) mod storage;
pub(super) mod twilio;
pub(super) mod vision;
pub(super) mod webhook;
pub(super) mod whatsapp;
pub(super) mod whisper;
