//! What a failed request to S3 means.
//!
//! The words are those of the S3 API reference, "Error responses"; where a service of its own adds some, they are named.
//! A bucket that is missing or elsewhere is a setting to mend, which every job meets alike, so it counts as `Auth` and
//! jobs wait instead of being buried. Of what the server says only its sentence is kept, without our credentials.

use std::{error::Error, time::Duration};

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::{PROVIDER, StorageClient, download::GET};
use crate::{ErrorClass, MAX_RETRY_AFTER, ProviderError, Standing, retry_after::seconds};

/// The code of an upload to a key that is taken.
pub const TAKEN: &str = "PreconditionFailed";
/// The code of an upload that did not arrive as it was sent.
pub(super) const DAMAGED: &str = "BadDigest";
/// How much of a server's sentence is kept, in bytes.
const MOST_SAID: usize = 400;

/// The class of an answer, by S3's word for it and its status.
pub(super) fn class(word: &str, status: u16, retry_after: Option<Duration>) -> ErrorClass {
    match (word, status) {
        (
            "SlowDown" | "TooManyRequests" | "RequestLimitExceeded" | "Throttling" | "ThrottlingException",
            _,
        )
        | (_, 429) => ErrorClass::RateLimited { retry_after },
        // The last two are MinIO's.
        ("QuotaExceeded" | "AccountProblem" | "XMinioStorageFull" | "XMinioAdminBucketQuotaExceeded", _)
        | (_, 507) => ErrorClass::Quota,
        (
            "AccessDenied"
            | "AllAccessDisabled"
            | "AuthorizationHeaderMalformed"
            | "ExpiredToken"
            | "InvalidAccessKeyId"
            | "InvalidBucketName"
            | "InvalidToken"
            | "NoSuchBucket"
            | "NotSignedUp"
            | "PermanentRedirect"
            | "RequestTimeTooSkewed"
            | "SignatureDoesNotMatch",
            _,
        )
        | (_, 301 | 307 | 401 | 403) => ErrorClass::Auth,
        ("RequestTimeout" | "OperationAborted" | "ConditionalRequestConflict", _)
        | (_, 408 | 409 | 500..) => ErrorClass::ServerError,
        _ => ErrorClass::Permanent,
    }
}

/// Whom a refusal is about. Without s3:ListBucket a file that is not there is refused like one that may not be read
/// (`GetObject` in the S3 API reference, "Permissions"), so that refusal is no reason to let the credential of all jobs rest.
fn standing(operation: &str, word: &str) -> Standing {
    let is_about_one = operation == GET && word == "AccessDenied";
    if is_about_one { Standing::OneRecipient } else { Standing::Answered }
}

/// What to do next.
fn advice(operation: &str, word: &str, class: ErrorClass) -> &'static str {
    match (word, class) {
        ("NoSuchBucket" | "InvalidBucketName", _) => {
            "The bucket does not exist: make it, or correct its name in the settings."
        }
        ("NoSuchKey" | "NotFound", _) => "There is no such file: it was never stored, or it was removed.",
        ("RequestTimeTooSkewed", _) => "The clock of this machine is wrong: set it by NTP.",
        ("SignatureDoesNotMatch", _) => "The secret of the access key is wrong: correct the settings.",
        ("InvalidAccessKeyId", _) => "The access key is not known: correct the settings, or make a new one.",
        ("PermanentRedirect" | "AuthorizationHeaderMalformed", _) => {
            "The bucket is in another region: correct region and address in the settings."
        }
        (TAKEN, _) => "A file is kept under this key already, and files are never replaced: use a new key.",
        (DAMAGED, _) => {
            "What arrived is not what was sent, twice: look for what changes requests on the way."
        }
        ("EntityTooLarge", _) => "The file is larger than the storage takes.",
        ("QuotaExceeded" | "XMinioStorageFull" | "XMinioAdminBucketQuotaExceeded", _) => {
            "The storage is full: make room, or allow more."
        }
        (_, ErrorClass::Auth) if operation == GET => {
            "The access key may not read it, or there is no such file: give the key the rights s3:GetObject and \
             s3:ListBucket; with the latter a file that is missing is told as such."
        }
        (_, ErrorClass::Auth) => {
            "The access key may not do this: give it the right (s3:GetObject, s3:PutObject, s3:ListBucket)."
        }
        (_, ErrorClass::Quota) => "The account may store no more until that is mended.",
        (_, ErrorClass::RateLimited { .. }) => "It asks us to slow down.",
        (_, ErrorClass::Permanent) => "A repeat would give the same answer.",
        _ => "The call is repeated later.",
    }
}

impl StorageClient {
    /// The error of a request that failed.
    pub(super) fn failed<E>(&self, operation: &'static str, error: &SdkError<E>) -> ProviderError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match error {
            SdkError::ServiceError(answer) => {
                self.refused(operation, answer.raw(), answer.err().code(), answer.err().message())
            }
            SdkError::ResponseError(answer) => self.refused(operation, answer.raw(), None, None),
            SdkError::TimeoutError(_) => {
                broken(operation, ErrorClass::Timeout, "No answer came in time. The call is repeated later.")
            }
            SdkError::DispatchFailure(failure) => {
                let (class, what) = if failure.is_timeout() {
                    (ErrorClass::Timeout, "No answer came in time.")
                } else if failure.is_user() {
                    (ErrorClass::Permanent, "The request could not be sent; check the settings.")
                } else {
                    (ErrorClass::Network, "The storage could not be reached, or the connection broke.")
                };
                broken(operation, class, what).with_source(root(error))
            }
            _ => {
                let what =
                    "The request could not be built; check the settings of the storage for stray characters.";
                broken(operation, ErrorClass::Permanent, what).with_source(root(error))
            }
        }
    }

    fn refused(
        &self,
        operation: &'static str,
        raw: &aws_sdk_s3::config::http::HttpResponse,
        word: Option<&str>,
        said: Option<&str>,
    ) -> ProviderError {
        let status = raw.status().as_u16();
        // Of the two forms of this header, storage services send seconds.
        let wait = raw.headers().get("retry-after").and_then(seconds).map(|wait| wait.min(MAX_RETRY_AFTER));
        // An answer to HEAD has no body, and one that cannot be read has no word. A success that failed is a fault of
        // the other side.
        let word = word.unwrap_or(match status {
            404 => "NoSuchKey",
            412 => TAKEN,
            _ => "",
        });
        let class = class(word, if status < 300 { 502 } else { status }, wait);
        let said = said.map(|said| format!(" It said: {}", self.secrets.quote(said, MOST_SAID)));
        let message = format!(
            "The storage answered {status}. {}{}",
            advice(operation, word, class),
            said.unwrap_or_default().trim_end()
        );
        let code = if word.is_empty() { status.to_string() } else { word.chars().take(64).collect() };
        let error = ProviderError::new(PROVIDER, operation, class, message).with_code(code);
        let error = match class {
            ErrorClass::Auth => error.with_standing(standing(operation, word)),
            _ => error,
        };
        match class {
            ErrorClass::RateLimited { .. } => error,
            _ => error.with_server_wait(wait),
        }
    }
}

/// A request without an answer.
pub(super) fn broken(operation: &'static str, class: ErrorClass, message: &str) -> ProviderError {
    ProviderError::new(PROVIDER, operation, class, message)
}

/// The cause underneath all others, in its own words: what stands above it are the SDK's layers.
pub(super) fn root(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_may_not_be_read_says_nothing_of_other_files_and_a_bad_key_does() {
        let table = [
            (GET, "AccessDenied", Standing::OneRecipient),
            (GET, "InvalidAccessKeyId", Standing::Answered),
            (GET, "SignatureDoesNotMatch", Standing::Answered),
            ("put", "AccessDenied", Standing::Answered),
        ];

        for (operation, word, expected) in table {
            assert_eq!(standing(operation, word), expected, "{operation} {word}");
        }
        assert!(advice(GET, "AccessDenied", ErrorClass::Auth).contains("there is no such file"));
    }

    #[test]
    fn every_word_of_the_manual_has_its_class() {
        let limited = ErrorClass::RateLimited { retry_after: None };
        let table = [
            ("SlowDown", 503, limited),
            ("TooManyRequests", 429, limited),
            ("ServiceUnavailable", 503, ErrorClass::ServerError),
            ("InternalError", 500, ErrorClass::ServerError),
            ("OperationAborted", 409, ErrorClass::ServerError),
            ("ConditionalRequestConflict", 409, ErrorClass::ServerError),
            ("RequestTimeout", 400, ErrorClass::ServerError),
            (DAMAGED, 400, ErrorClass::Permanent),
            ("AccessDenied", 403, ErrorClass::Auth),
            ("InvalidAccessKeyId", 403, ErrorClass::Auth),
            ("SignatureDoesNotMatch", 403, ErrorClass::Auth),
            ("ExpiredToken", 400, ErrorClass::Auth),
            ("RequestTimeTooSkewed", 403, ErrorClass::Auth),
            ("NoSuchBucket", 404, ErrorClass::Auth),
            ("PermanentRedirect", 301, ErrorClass::Auth),
            ("AuthorizationHeaderMalformed", 400, ErrorClass::Auth),
            ("NoSuchKey", 404, ErrorClass::Permanent),
            ("NoSuchUpload", 404, ErrorClass::Permanent),
            ("PreconditionFailed", 412, ErrorClass::Permanent),
            ("EntityTooLarge", 400, ErrorClass::Permanent),
            ("EntityTooSmall", 400, ErrorClass::Permanent),
            ("InvalidArgument", 400, ErrorClass::Permanent),
            ("XAmzContentSHA256Mismatch", 400, ErrorClass::Permanent),
            ("XMinioStorageFull", 507, ErrorClass::Quota),
            ("", 503, ErrorClass::ServerError),
            ("", 403, ErrorClass::Auth),
            ("", 418, ErrorClass::Permanent),
        ];

        for (word, status, expected) in table {
            assert_eq!(class(word, status, None), expected, "{word} {status}");
        }
    }
}
