//! The collector of traces: OpenTelemetry's own variable names and forms, read like all others of ours.

use std::collections::HashMap;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::reader::Reader;

/// Where spans go.
#[derive(Debug, Clone)]
pub struct TraceVariables {
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`, with the path for traces.
    pub endpoint: Url,
    /// `OTEL_EXPORTER_OTLP_HEADERS`: `name=value,name=value`.
    headers: Option<SecretString>,
}

impl TraceVariables {
    /// Headers of every message, such as a key.
    pub fn headers(&self) -> HashMap<String, String> {
        let text = self.headers.as_ref().map_or("", |headers| headers.expose_secret());
        pairs(text).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<TraceVariables> {
    let endpoint = reader.parse("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    let headers = reader.parse("OTEL_EXPORTER_OTLP_HEADERS", headers);
    Some(TraceVariables { endpoint: endpoint?, headers })
}

/// The specification of OTLP exporters: the path of the signal is added to the general address.
fn endpoint(text: &str) -> Result<Url, String> {
    let remedy = "write the address of a collector that speaks OTLP over HTTP, such as http://localhost:4318";
    let mut url = Url::parse(text).map_err(|error| format!("it is no URL ({error}); {remedy}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("it is not an http or https URL; {remedy}"));
    }
    let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

/// Values are not repeated in the problem: they may be keys.
fn headers(text: &str) -> Result<SecretString, String> {
    let parts = text.split(',').filter(|part| !part.trim().is_empty()).count();
    if pairs(text).count() == parts {
        return Ok(text.into());
    }
    Err("it is not of the form name=value,name=value".to_owned())
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = text.split(',').filter_map(|part| part.split_once('='));
    pairs.map(|(name, value)| (name.trim(), value.trim())).filter(|(name, _)| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_traces_is_added_to_the_address_of_the_collector() {
        for (text, url) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("https://otel.example/base/", "https://otel.example/base/v1/traces"),
        ] {
            assert_eq!(endpoint(text).unwrap().as_str(), url);
        }
        for wrong in ["localhost:4318", "grpc://localhost:4317", "http://", "collector"] {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn headers_that_cannot_be_read_are_refused_without_being_repeated() {
        let problem = headers("api-key=s3cret,s3cret").unwrap_err();

        assert!(!problem.contains("s3cret"), "{problem}");
        assert!(headers("api-key=s3cret, x-team=a=b,").is_ok());
    }
}
