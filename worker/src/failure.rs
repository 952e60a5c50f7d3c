//! The one place that says retry, wait or bury.
//!
//! Everything that can go wrong in a processor becomes an [`Error`]; one exhaustive match turns it into the engine's
//! [`Failure`]. A new error does not compile until its author has decided here. How often a class is retried is for
//! queues.toml.

use std::time::Duration;

use flota_engine::{ErrorClass, Failure, INVALID_PAYLOAD, Remedy};
use flota_producer::{Invalid, link::LinkError};
use flota_providers::{
    ErrorClass as ProviderClass, ProviderError, Standing, barcode::Unsearched,
    email::templates::TemplateError, ffmpeg::FfmpegError, picture::BadPicture, recording::BadRecording,
};

use crate::{
    endpoints::{EndpointError, NoPlace},
    files::FileError,
    llm::{BadSchema, BudgetSpent, UnknownTier},
    service_settings::with_variables,
    suppressions::{Channel, NotReadYet},
    transcription::Untranscribable,
};

/// How long work waits for a person to mend a credential, a quota or a setting, before it is tried again.
const FOR_A_PERSON: Duration = Duration::from_mins(5);
/// How long work waits while the suppression list is read for the first time: that takes a moment.
const FOR_THE_LIST: Duration = Duration::from_millis(200);
/// How long work waits for Postgres before it is tried again.
const FOR_POSTGRES: Duration = Duration::from_secs(5);

/// How long work waits for room on the disk: a worker elsewhere may have some.
const FOR_ROOM: Duration = Duration::from_secs(30);
/// How long work waits for Redis to say whether it may begin.
const FOR_REDIS: Duration = Duration::from_secs(1);

/// What can go wrong while a processor works.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A provider failed or refused.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The payload asks for what cannot be done.
    #[error("the payload is not valid: {0}")]
    Payload(#[from] Invalid),
    /// An email template cannot be rendered.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A webhook endpoint cannot be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// A webhook endpoint bears no further delivery now.
    #[error(transparent)]
    Place(#[from] NoPlace),
    /// A file of the job cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A picture of the job cannot be read.
    #[error(transparent)]
    Picture(#[from] BadPicture),
    /// A recording of the job cannot be transcribed.
    #[error(transparent)]
    Recording(#[from] Untranscribable),
    /// Everybody that it is for is not to be written to.
    #[error(
        "{who} of this job is on the suppression list of channel {channel}, so nothing was sent; see `flota suppression list --channel {channel}`"
    )]
    Suppressed {
        /// How they would be written to.
        channel: Channel,
        /// Whom, for people: `the recipient`, `each of 3 recipients`.
        who: String,
    },
    /// Nobody can tell yet who is not to be written to.
    #[error(transparent)]
    Suppressions(#[from] NotReadYet),
    /// A tenant has nothing left to spend on language models.
    #[error(transparent)]
    BudgetSpent(#[from] BudgetSpent),
    /// Nobody can tell what a tenant may spend.
    #[error("the budget of the job's tenant cannot be read, so nothing is asked")]
    Budget(#[from] LinkError),
    /// A job asks for a tier of models that is not there.
    #[error(transparent)]
    Tier(#[from] UnknownTier),
    /// A job wants answers after a schema that is none.
    #[error(transparent)]
    Schema(#[from] BadSchema),
    /// The job waited longer than its effect is worth.
    #[error(
        "the job waited {waited} s, but its notification was worth sending for {ttl} s only; nothing was sent"
    )]
    TooLate {
        /// Seconds since it was enqueued.
        waited: u32,
        /// Seconds that it asked for.
        ttl: u32,
    },
    /// The worker lacks a setting that this kind of job needs.
    #[error("{what} is not configured: set {variable}")]
    NotConfigured {
        /// What is missing, for people.
        what: &'static str,
        /// The variable to set.
        variable: &'static str,
    },
}

impl From<Unsearched> for Error {
    fn from(error: Unsearched) -> Self {
        match error {
            Unsearched::Refused(error) => error.into(),
            Unsearched::Picture(error) => error.into(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Provider(error) => from_provider(error),
            Error::Payload(_) => {
                Self { code: Some(INVALID_PAYLOAD.into()), ..Self::permanent(error.to_string()) }
            }
            Error::Template(error) => {
                Self { code: Some("template".into()), ..Self::permanent(chain(&error)) }
            }
            Error::Endpoint(error) => from_endpoint(&error),
            Error::Place(error) => from_place(&error),
            Error::File(error) => from_file(&error),
            Error::Picture(error) => from_picture(&error),
            Error::Recording(error) => from_recording(&error),
            // A subscription is on the list because it has ended, for whoever was not told the first time.
            Error::Suppressed { channel: Channel::Push, .. } => Self {
                code: Some("suppressed".into()),
                ..Self::new(ErrorClass::Gone, Remedy::Bury, error.to_string())
            },
            Error::Suppressed { .. } => {
                Self { code: Some("suppressed".into()), ..Self::permanent(error.to_string()) }
            }
            Error::Suppressions(_) => park(ErrorClass::Internal, FOR_THE_LIST, error.to_string()),
            Error::BudgetSpent(error) => Self {
                code: Some("budget_spent".into()),
                // Exactly then, and a little spread: all jobs of the tenant wait for the same moment.
                ..Self::new(
                    ErrorClass::Quota,
                    Remedy::Turn { after: error.wait + spread() },
                    error.to_string(),
                )
            },
            Error::Budget(_) => park(ErrorClass::Internal, FOR_REDIS, chain(&error)),
            Error::Tier(error) => Self::permanent(error.to_string()),
            Error::Schema(error) => Self::permanent(error.to_string()),
            Error::TooLate { .. } => Self::permanent(error.to_string()),
            Error::NotConfigured { .. } => park(ErrorClass::Auth, FOR_A_PERSON, error.to_string()),
        }
    }
}

fn from_provider(error: ProviderError) -> Failure {
    let (class, remedy) = remedy(&error);
    let mut message = chain(&error);
    if class == ErrorClass::Auth {
        message = with_variables(error.provider, message);
    }
    Failure {
        class,
        remedy,
        message: message.into(),
        code: error.code.map(Into::into),
        provider: Some(error.provider.into()),
        result: error.detail,
    }
}

/// Whether a job that fails like this waits without being charged for it, and so without a record.
pub(crate) fn waits(error: &ProviderError) -> bool {
    match remedy(error).1 {
        Remedy::Park { .. } | Remedy::Turn { .. } => true,
        Remedy::Retry { .. } | Remedy::Bury => false,
    }
}

/// How long a job that fails like this waits for its next run, where that is not for the policy of its queue.
pub(crate) fn wait(error: &ProviderError) -> Option<Duration> {
    match remedy(error).1 {
        Remedy::Retry { after } | Remedy::Park { after } => after,
        Remedy::Turn { after } => Some(after),
        Remedy::Bury => None,
    }
}

fn remedy(error: &ProviderError) -> (ErrorClass, Remedy) {
    let wait = error.retry_after();
    let (class, remedy) = match error.class {
        ProviderClass::Permanent => (ErrorClass::Permanent, Remedy::Bury),
        ProviderClass::Gone => (ErrorClass::Gone, Remedy::Bury),
        // A backlog is never buried for a credential or an allowance: it waits until a person has mended it.
        ProviderClass::Auth => (ErrorClass::Auth, Remedy::Park { after: Some(FOR_A_PERSON) }),
        ProviderClass::Quota => (ErrorClass::Quota, Remedy::Park { after: wait.or(Some(FOR_A_PERSON)) }),
        ProviderClass::RateLimited { retry_after } => {
            (ErrorClass::RateLimited, Remedy::Park { after: retry_after })
        }
        ProviderClass::ServerError => (ErrorClass::ServerError, Remedy::Retry { after: wait }),
        ProviderClass::Timeout => (ErrorClass::Timeout, Remedy::Retry { after: wait }),
        ProviderClass::Network => (ErrorClass::Network, Remedy::Retry { after: None }),
        ProviderClass::Ambiguous => (ErrorClass::Ambiguous, Remedy::Retry { after: None }),
    };
    match (error.standing, wait) {
        (Standing::Turn | Standing::RefusedWithTurn, Some(after)) => (class, Remedy::Turn { after }),
        // Nothing was sent, so no try has been used up, whatever the class.
        (Standing::NotSent, after) => (class, Remedy::Park { after }),
        _ => (class, remedy),
    }
}

fn from_endpoint(error: &EndpointError) -> Failure {
    let message = chain(error);
    match error {
        EndpointError::Unknown(_) | EndpointError::Foreign(_) => Failure::permanent(message),
        EndpointError::Disabled { .. } => Failure::new(ErrorClass::Gone, Remedy::Bury, message),
        EndpointError::Secret(..) => park(ErrorClass::Auth, FOR_A_PERSON, message),
        EndpointError::Away(..) => park(ErrorClass::Internal, FOR_POSTGRES, message),
    }
}

fn from_place(error: &NoPlace) -> Failure {
    let message = chain(error);
    match error {
        NoPlace::Full { after, .. } => {
            Failure::new(ErrorClass::RateLimited, Remedy::Turn { after: *after }, message)
        }
        NoPlace::Away(..) => park(ErrorClass::Internal, FOR_REDIS, message),
    }
}

fn from_file(error: &FileError) -> Failure {
    let message = chain(error);
    match error {
        FileError::NotThere(_)
        | FileError::TooLarge { .. }
        | FileError::NoKey(_)
        | FileError::Foreign(_)
        | FileError::NotTaken { .. } => Failure::permanent(message),
        FileError::Disk(_) => Failure { code: Some("disk".into()), ..Failure::internal(message) },
        // A backlog is not buried because somebody has to make room.
        FileError::Spool(_) => {
            Failure { code: Some("spool".into()), ..park(ErrorClass::Internal, FOR_ROOM, message) }
        }
    }
}

fn from_picture(error: &BadPicture) -> Failure {
    let message = error.to_string();
    let failure = match error {
        BadPicture::Unread => Failure::internal(message),
        _ => Failure::permanent(message),
    };
    Failure { code: Some(error.code().into()), ..failure }
}

fn from_recording(error: &Untranscribable) -> Failure {
    let message = chain(error);
    let failure = match error {
        Untranscribable::Ffmpeg(FfmpegError::TooSlow(_)) => {
            Failure::new(ErrorClass::Timeout, Remedy::Retry { after: None }, message)
        }
        Untranscribable::Ffmpeg(FfmpegError::Disk(_)) | Untranscribable::Recording(BadRecording::Unread) => {
            Failure::internal(message)
        }
        Untranscribable::Ffmpeg(FfmpegError::NotThere(_)) => park(ErrorClass::Auth, FOR_A_PERSON, message),
        _ => Failure::permanent(message),
    };
    Failure { code: Some(error.code().into()), ..failure }
}

fn park(class: ErrorClass, after: Duration, message: String) -> Failure {
    Failure::new(class, Remedy::Park { after: Some(after) }, message)
}

/// Up to a minute, so that what waits for one moment does not come in one.
fn spread() -> Duration {
    Duration::from_mins(1).mul_f64(rand::random())
}

/// An error and its causes in one line, each said once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.truncate(text.trim_end_matches('.').len());
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod disk;
#[cfg(test)]
mod notifications;

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy_of(class: ProviderClass) -> (ErrorClass, Remedy) {
        let failure = Failure::from(Error::Provider(ProviderError::new("smtp", "send", class, "told to")));
        (failure.class, failure.remedy)
    }

    #[test]
    fn every_class_of_a_provider_has_its_remedy() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let retry = Remedy::Retry { after: None };
        let table = [
            (ProviderClass::Permanent, ErrorClass::Permanent, Remedy::Bury),
            (ProviderClass::Gone, ErrorClass::Gone, Remedy::Bury),
            (ProviderClass::Auth, ErrorClass::Auth, Remedy::Park { after: seconds(300) }),
            (ProviderClass::Quota, ErrorClass::Quota, Remedy::Park { after: seconds(300) }),
            (
                ProviderClass::RateLimited { retry_after: seconds(7) },
                ErrorClass::RateLimited,
                Remedy::Park { after: seconds(7) },
            ),
            (ProviderClass::ServerError, ErrorClass::ServerError, retry),
            (ProviderClass::Timeout, ErrorClass::Timeout, retry),
            (ProviderClass::Network, ErrorClass::Network, retry),
            (ProviderClass::Ambiguous, ErrorClass::Ambiguous, retry),
        ];

        for (class, expected, remedy) in table {
            assert_eq!(remedy_of(class), (expected, remedy));
        }
    }

    #[test]
    fn what_was_not_sent_is_not_charged_whatever_its_class() {
        let after = Duration::from_millis(250);
        let limited = ProviderClass::RateLimited { retry_after: Some(after) };
        let table = [
            (limited, Standing::Turn, Remedy::Turn { after }),
            (limited, Standing::RefusedWithTurn, Remedy::Turn { after }),
            (limited, Standing::NotSent, Remedy::Park { after: Some(after) }),
            (limited, Standing::OneRecipient, Remedy::Park { after: Some(after) }),
            (ProviderClass::ServerError, Standing::NotSent, Remedy::Park { after: Some(after) }),
            (ProviderClass::ServerError, Standing::Answered, Remedy::Retry { after: Some(after) }),
            (ProviderClass::ServerError, Standing::Overloaded, Remedy::Retry { after: Some(after) }),
        ];

        for (class, standing, remedy) in table {
            let error = ProviderError::new("twilio", "send", class, "told to");
            let error = error.with_server_wait(Some(after)).with_standing(standing);

            assert_eq!(Failure::from(Error::Provider(error)).remedy, remedy, "{class:?} {standing:?}");
        }
    }

    #[test]
    fn whether_a_job_waits_for_free_and_how_long_is_what_its_remedy_says() {
        let after = Duration::from_millis(250);
        let error = |class, standing| {
            let error = ProviderError::new("twilio", "send", class, "told to");
            error.with_server_wait(Some(after)).with_standing(standing)
        };
        let table = [
            (ProviderClass::Auth, Standing::Answered, true, Some(FOR_A_PERSON)),
            (ProviderClass::Quota, Standing::Answered, true, Some(after)),
            (ProviderClass::RateLimited { retry_after: None }, Standing::OneRecipient, true, None),
            (ProviderClass::ServerError, Standing::NotSent, true, Some(after)),
            (ProviderClass::ServerError, Standing::Turn, true, Some(after)),
            (ProviderClass::ServerError, Standing::Answered, false, Some(after)),
            (ProviderClass::Ambiguous, Standing::Answered, false, None),
            (ProviderClass::Permanent, Standing::Answered, false, None),
        ];

        for (class, standing, is_free, expected) in table {
            let error = error(class, standing);

            assert_eq!((waits(&error), wait(&error)), (is_free, expected), "{class:?} {standing:?}");
        }
    }

    #[test]
    fn a_missing_setting_waits_and_names_the_variable() {
        let failure = Failure::from(Error::NotConfigured { what: "E-mail", variable: "SMTP_HOST" });

        assert!(matches!(failure.remedy, Remedy::Park { .. }));
        assert!(failure.message.contains("set SMTP_HOST"));
    }
}
