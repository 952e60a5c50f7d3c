//! The one table of what is served: whose API, which operation, where.
//!
//! Each provider's API stands under a folder of its own, so that one address serves them all and each client gets its
//! base URL. Webhooks go to any path below `/webhooks/`, as receivers do.

use axum::http::Method;

use super::{
    call::{Answer, Call, Outcome},
    chat, google_token, push, sendgrid, ses, smtp, storage, transcription, twilio, vision, webhook, whatsapp,
};

/// One API.
pub(super) struct Provider {
    /// Its name in the journal and in faults.
    pub(super) name: &'static str,
    pub(super) routes: &'static [Route],
    /// The body that the vendor gives this status.
    pub(super) error: fn(u16) -> Answer,
    /// A success that says inside that it failed.
    pub(super) ok_with_error: fn() -> Answer,
}

/// One operation.
pub(super) struct Route {
    pub(super) operation: &'static str,
    pub(super) method: Method,
    /// `{}` stands for one part of the path, `{*}` at the end for all that is left.
    pub(super) path: &'static str,
    pub(super) serve: fn(&Call<'_>) -> Outcome,
}

const fn post(operation: &'static str, path: &'static str, serve: fn(&Call<'_>) -> Outcome) -> Route {
    Route { operation, method: Method::POST, path, serve }
}

const fn get(operation: &'static str, path: &'static str, serve: fn(&Call<'_>) -> Outcome) -> Route {
    Route { operation, method: Method::GET, path, serve }
}

/// Everything over HTTP. A path with fewer `{}` stands before one that it would also fit.
pub(super) const PROVIDERS: &[Provider] = &[
    Provider {
        name: "sendgrid",
        routes: &[
            post("send", "/sendgrid/v3/mail/send", sendgrid::send),
            get("scopes", "/sendgrid/v3/scopes", sendgrid::scopes),
        ],
        error: sendgrid::error,
        ok_with_error: sendgrid::ok_with_error,
    },
    Provider {
        name: "ses",
        routes: &[
            post("send", "/ses/v2/email/outbound-emails", ses::send),
            get("account", "/ses/v2/email/account", ses::account),
        ],
        error: ses::error,
        ok_with_error: ses::ok_with_error,
    },
    Provider {
        name: "twilio",
        routes: &[
            post("send", "/twilio/2010-04-01/Accounts/{}/Messages.json", twilio::send),
            get("account", "/twilio/2010-04-01/Accounts/{}", twilio::account),
        ],
        error: twilio::error,
        ok_with_error: twilio::ok_with_error,
    },
    Provider {
        name: "whatsapp",
        routes: &[
            post("send", "/whatsapp/{}/{}/messages", whatsapp::messages),
            post("upload", "/whatsapp/{}/{}/media", whatsapp::media::upload),
            get("download", "/whatsapp/attachments/{}", whatsapp::media::download),
            get("read", "/whatsapp/{}/{}", whatsapp::read),
        ],
        error: whatsapp::error,
        ok_with_error: whatsapp::ok_with_error,
    },
    Provider {
        name: "push",
        routes: &[post("send", "/push/{}", push::send)],
        error: push::error,
        ok_with_error: push::ok_with_error,
    },
    Provider {
        name: "llm",
        routes: &[
            post("complete", "/llm/v1/chat/completions", chat::complete),
            get("key", "/llm/v1/key", chat::key),
            get("models", "/llm/v1/models", chat::models),
        ],
        error: chat::error,
        ok_with_error: chat::ok_with_error,
    },
    Provider {
        name: "openai",
        routes: &[
            post("transcribe", "/openai/v1/audio/transcriptions", transcription::transcribe),
            get("models", "/openai/v1/models", transcription::models),
        ],
        error: transcription::error,
        ok_with_error: transcription::ok_with_error,
    },
    Provider {
        name: "google_vision",
        routes: &[post("annotate", "/vision/v1/images:annotate", vision::annotate)],
        error: vision::error,
        ok_with_error: vision::ok_with_error,
    },
    Provider {
        name: "google_token",
        routes: &[post("exchange", "/google/token", google_token::exchange)],
        error: google_token::error,
        ok_with_error: google_token::ok_with_error,
    },
    Provider {
        name: "webhook",
        routes: &[post("deliver", "/webhooks/{*}", webhook::deliver)],
        error: webhook::error,
        ok_with_error: webhook::ok_with_error,
    },
];

/// What a request is for.
pub(super) enum Found<'a> {
    /// This operation, with what stands where the route has `{}`.
    Route(&'static Provider, &'static Route, Vec<&'a str>),
    /// This provider's, but with another method.
    OtherMethod(&'static Provider),
    /// Nobody's.
    Nothing,
}

/// Looks a request up.
pub(super) fn find<'a>(method: &Method, path: &'a str) -> Found<'a> {
    let mut other = Found::Nothing;
    for provider in PROVIDERS {
        for route in provider.routes {
            match fit(route.path, path) {
                Some(arguments) if route.method == *method => {
                    return Found::Route(provider, route, arguments);
                }
                Some(_) => other = Found::OtherMethod(provider),
                None => {}
            }
        }
    }
    other
}

/// The names of all providers.
pub(super) fn names() -> Vec<&'static str> {
    PROVIDERS.iter().map(|provider| provider.name).chain([smtp::NAME, storage::NAME]).collect()
}

/// The operations of a provider; `None` when there is no such one.
pub(super) fn operations(name: &str) -> Option<Vec<&'static str>> {
    if name == smtp::NAME {
        return Some(smtp::operations());
    }
    if name == storage::NAME {
        return Some(storage::operations());
    }
    let provider = PROVIDERS.iter().find(|provider| provider.name == name)?;
    Some(provider.routes.iter().map(|route| route.operation).collect())
}

fn fit<'a>(pattern: &str, path: &'a str) -> Option<Vec<&'a str>> {
    let (mut arguments, mut rest) = (Vec::new(), path.strip_prefix('/')?);
    let mut wanted = pattern.strip_prefix('/')?.split('/').peekable();
    while let Some(part) = wanted.next() {
        if part == "{*}" {
            arguments.push(rest);
            return (!rest.is_empty()).then_some(arguments);
        }
        let (found, after) = rest.split_once('/').map_or((rest, None), |(found, after)| (found, Some(after)));
        match part {
            "{}" if !found.is_empty() => arguments.push(found),
            part if part == found => {}
            _ => return None,
        }
        match (after, wanted.peek()) {
            (Some(after), Some(_)) => rest = after,
            (None, None) => return Some(arguments),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_fits_its_pattern_and_gives_its_arguments() {
        assert_eq!(fit("/a/{}/c", "/a/b/c"), Some(vec!["b"]));
        assert_eq!(fit("/hooks/{*}", "/hooks/a/b"), Some(vec!["a/b"]));
        for path in ["/a/b", "/a/b/c/d", "/a//c", "/a/b/", "a/b/c", ""] {
            assert_eq!(fit("/a/{}/c", path), None, "{path}");
        }
        assert_eq!(fit("/hooks/{*}", "/hooks/"), None);
    }

    #[test]
    fn every_route_is_found_by_its_own_path() {
        for route in PROVIDERS.iter().flat_map(|provider| provider.routes) {
            let path = route.path.replace("{*}", "x").replace("{}", "x");
            let Found::Route(_, found, _) = find(&route.method, &path) else { panic!("{path}") };
            assert_eq!(found.path, route.path);
            assert!(matches!(find(&Method::PATCH, &path), Found::OtherMethod(_)));
        }
    }
}
