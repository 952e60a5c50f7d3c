//! What SES's errors mean: by their type, and where that says nothing by their status.
//!
//! Types after the API model (`SendEmail`) and the common errors of AWS
//! (<https://docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html>). SES sends no `Retry-After`.

use crate::ErrorClass;

/// The type of an error: behind `#` and before `:`.
pub(super) fn kind(text: &str) -> &str {
    let before = text.split(':').next().unwrap_or_default();
    before.rsplit('#').next().unwrap_or_default().trim()
}

pub(super) fn is_about_the_clock(kind: &str, said: &str) -> bool {
    kind == "RequestExpired" || said.starts_with("Signature expired") || said.starts_with("Signature not yet")
}

/// What an error's type and a status mean. Pure.
pub(super) fn classify(kind: &str, status: u16, said: &str) -> ErrorClass {
    match kind {
        "TooManyRequestsException" | "ThrottlingException" | "Throttling" => {
            if said.contains("Daily message quota exceeded") {
                return ErrorClass::Quota;
            }
            ErrorClass::RateLimited { retry_after: None }
        }
        "LimitExceededException" | "SendingPausedException" => ErrorClass::Quota,
        "AccountSuspendedException"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "AccessDenied"
        | "AccessDeniedException"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignatureException"
        | "ExpiredTokenException"
        | "OptInRequired"
        | "RequestExpired" => ErrorClass::Auth,
        "MessageRejected"
        | "MailFromDomainNotVerifiedException"
        | "BadRequestException"
        | "NotFoundException" => ErrorClass::Permanent,
        "InternalServerErrorException" | "InternalFailure" | "ServiceUnavailable" => ErrorClass::ServerError,
        _ => by_status(status),
    }
}

fn by_status(status: u16) -> ErrorClass {
    match status {
        // A success that cannot be read was probably carried out, and a gateway that gave up does not know.
        200..=299 | 502 | 504 => ErrorClass::Ambiguous,
        401 | 403 => ErrorClass::Auth,
        429 => ErrorClass::RateLimited { retry_after: None },
        408 | 500.. => ErrorClass::ServerError,
        _ => ErrorClass::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_the_model_has_its_class() {
        let limited = ErrorClass::RateLimited { retry_after: None };
        let table = [
            ("TooManyRequestsException", 429, "Maximum sending rate exceeded.", limited),
            ("ThrottlingException", 400, "Maximum sending rate exceeded.", limited),
            ("ThrottlingException", 400, "Daily message quota exceeded.", ErrorClass::Quota),
            ("LimitExceededException", 400, "Daily message quota exceeded", ErrorClass::Quota),
            ("AccountSuspendedException", 400, "", ErrorClass::Auth),
            ("SendingPausedException", 400, "", ErrorClass::Quota),
            ("MessageRejected", 400, "Email address is not verified.", ErrorClass::Permanent),
            ("MailFromDomainNotVerifiedException", 400, "", ErrorClass::Permanent),
            ("BadRequestException", 400, "", ErrorClass::Permanent),
            ("NotFoundException", 404, "", ErrorClass::Permanent),
            ("SignatureDoesNotMatch", 403, "", ErrorClass::Auth),
            ("InvalidClientTokenId", 403, "", ErrorClass::Auth),
            ("UnrecognizedClientException", 403, "", ErrorClass::Auth),
            ("AccessDenied", 403, "", ErrorClass::Auth),
            ("RequestExpired", 403, "", ErrorClass::Auth),
            ("RequestExpired", 400, "", ErrorClass::Auth),
            ("InternalServerErrorException", 500, "", ErrorClass::ServerError),
            ("", 500, "", ErrorClass::ServerError),
            ("", 503, "", ErrorClass::ServerError),
            ("", 504, "", ErrorClass::Ambiguous),
            ("", 200, "", ErrorClass::Ambiguous),
            ("SomethingNew", 403, "", ErrorClass::Auth),
            ("SomethingNew", 400, "", ErrorClass::Permanent),
        ];

        for (kind, status, said, class) in table {
            assert_eq!(classify(kind, status, said), class, "{kind} {status} {said}");
        }
    }

    #[test]
    fn a_type_is_found_in_every_form_that_aws_writes() {
        for text in [
            "MessageRejected",
            "com.amazonaws.sesv2#MessageRejected",
            "MessageRejected:http://internal.amazon.com/coral/com.amazonaws.ses/",
            "com.amazonaws.sesv2#MessageRejected:http://internal.amazon.com/#coral",
        ] {
            assert_eq!(kind(text), "MessageRejected");
        }
    }
}
