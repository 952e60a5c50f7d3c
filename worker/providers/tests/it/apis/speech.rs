//! Transcription.

use flota_providers::transcription::TranscriptFormat;

use super::*;

#[tokio::test]
async fn a_recording_goes_out_with_the_name_of_what_it_is() {
    let (receiver, result) =
        answered(Api::Speech, 200, json!({ "text": "Hola", "usage": { "seconds": 2 } })).await;

    let got = &receiver.received()[0];
    let body = String::from_utf8_lossy(&got.body);
    assert_eq!(result.unwrap().detail.unwrap()["text"], "Hola");
    assert_eq!(got.path, "/v1/audio/transcriptions");
    assert!(got.header("content-type").starts_with("multipart/form-data; boundary="));
    for part in
        ["filename=\"audio.ogg\"", "Content-Type: audio/ogg", "OggS", "whisper-1", "name=\"language\""]
    {
        assert!(body.contains(part), "{part} in {body}");
    }
}

#[tokio::test]
async fn every_answer_of_the_transcription_api_has_its_class() {
    let error =
        |kind: &str, code: Option<&str>| json!({ "error": { "message": "no", "type": kind, "code": code } });
    let rows = [
        (400, error("invalid_request_error", None), ErrorClass::Permanent),
        (401, error("invalid_request_error", Some("invalid_api_key")), ErrorClass::Auth),
        (
            403,
            error("request_forbidden", Some("unsupported_country_region_territory")),
            ErrorClass::Permanent,
        ),
        (404, error("invalid_request_error", Some("model_not_found")), ErrorClass::Permanent),
        (408, Value::Null, ErrorClass::ServerError),
        (409, Value::Null, ErrorClass::ServerError),
        (413, Value::Null, ErrorClass::Permanent),
        (429, error("insufficient_quota", Some("insufficient_quota")), ErrorClass::Quota),
        (429, error("requests", Some("rate_limit_exceeded")), LIMITED),
        (429, Value::Null, LIMITED),
        (500, error("server_error", None), ErrorClass::ServerError),
        (502, Value::Null, ErrorClass::ServerError),
        (503, error("server_error", Some("slow_down")), ErrorClass::ServerError),
        (503, Value::Null, ErrorClass::ServerError),
        (200, json!({ "surprise": true }), ErrorClass::ServerError),
    ];

    for (status, body, class) in rows {
        check(Api::Speech, status, body, class).await;
    }
}

/// One call with these wishes, answered with this.
async fn heard(
    model: &str,
    wanted: Hearing,
    content_type: &'static str,
    body: &str,
) -> (Receiver, Result<Receipt, ProviderError>) {
    let headers = vec![("content-type", content_type.to_owned())];
    let answer = Answer { status: 200, headers, body: body.as_bytes().to_vec() };
    let receiver = Receiver::start(answer).await;
    let api = ApiSettings::new(format!("http://{}/v1", receiver.address), Duration::from_secs(5));
    let settings = TranscriptionSettings { api, api_key: SECRET.into(), model: model.into() };
    let result = TranscriptionClient::new(settings).unwrap().transcribe(&spoken(), &wanted, NOW).await;
    (receiver, result)
}

fn as_format(format: TranscriptFormat) -> Hearing {
    Hearing { format, ..Hearing::default() }
}

#[tokio::test]
async fn each_format_is_asked_for_and_read_as_what_it_is() {
    let verbose = json!({ "task": "transcribe", "language": "spanish", "duration": 6.8, "text": "Hola",
        "segments": [{ "id": 0, "start": 0.0, "end": 6.8, "text": "Hola" }], "usage": { "type": "duration", "seconds": 7 } });
    let srt = "1\n00:00:00,000 --> 00:00:06,800\nHola\n\n";
    let rows = [
        (TranscriptFormat::Json, json!({ "text": "Hola" }).to_string(), "Hola"),
        (TranscriptFormat::Text, "Hola\n".to_owned(), "Hola"),
        (TranscriptFormat::Srt, srt.to_owned(), srt.trim_end()),
        (TranscriptFormat::Vtt, "WEBVTT\n\n".to_owned(), "WEBVTT"),
        (TranscriptFormat::VerboseJson, verbose.to_string(), "Hola"),
    ];

    for (format, body, text) in rows {
        let (receiver, result) = heard("whisper-1", as_format(format), "text/plain", &body).await;

        let sent = String::from_utf8_lossy(&receiver.received()[0].body).into_owned();
        let detail = result.unwrap().detail.unwrap();
        assert!(sent.contains(&format!("\r\n\r\n{}\r\n", format.word())), "{format:?}: {sent}");
        assert_eq!((&detail["text"], &detail["model"]), (&json!(text), &json!("whisper-1")), "{format:?}");
        let is_verbose = format == TranscriptFormat::VerboseJson;
        assert_eq!(detail["segments"].is_array(), is_verbose, "{format:?}");
    }
}

#[tokio::test]
async fn times_of_words_are_asked_for_beside_those_of_segments_and_read_where_they_come() {
    let verbose =
        json!({ "text": "Hola", "segments": [], "words": [{ "word": "Hola", "start": 0.0, "end": 0.5 }] });
    let wanted = |format| Hearing { has_word_times: true, ..as_format(format) };
    let asks = |receiver: &Receiver| {
        let sent = String::from_utf8_lossy(&receiver.received()[0].body).into_owned();
        let part = |what: &str| format!("name=\"timestamp_granularities[]\"\r\n\r\n{what}\r\n");
        (sent.contains(&part("segment")), sent.contains(&part("word")))
    };

    let verbose = verbose.to_string();
    let (asked, result) =
        heard("whisper-1", wanted(TranscriptFormat::VerboseJson), "text/plain", &verbose).await;
    let (unasked, _) = heard("whisper-1", wanted(TranscriptFormat::Text), "text/plain", "Hola").await;

    assert_eq!((asks(&asked), asks(&unasked)), ((true, true), (false, false)));
    assert_eq!(result.unwrap().detail.unwrap()["words"][0]["word"], "Hola");
}

#[tokio::test]
async fn a_success_that_is_no_transcript_is_a_fault_of_the_other_side_that_may_be_billed() {
    let error = json!({ "error": { "message": "no" } }).to_string();
    for (format, body) in [
        (TranscriptFormat::Json, &*error),
        (TranscriptFormat::Text, &*error),
        (TranscriptFormat::Srt, "<html>"),
        (TranscriptFormat::Vtt, "1\n00:00:00,000 --> 00:00:06,800\nHola"),
        (TranscriptFormat::VerboseJson, "{\"text\":\"Hola\"}"),
    ] {
        let (_receiver, result) = heard("whisper-1", as_format(format), "text/plain", body).await;

        let error = result.unwrap_err();
        assert_eq!((error.class, error.may_be_billed()), (ErrorClass::ServerError, true), "{format:?}");
    }
}

#[tokio::test]
async fn a_refusal_took_nothing_and_a_lost_answer_may_have() {
    let unreached =
        Api::Speech.call("http://127.0.0.1:1/v1".into(), Duration::from_secs(5)).await.unwrap_err();
    let (_receiver, refused) = answered(Api::Speech, 500, Value::Null).await;
    let (_receiver, gave_up) = answered(Api::Speech, 504, Value::Null).await;

    assert!(!unreached.may_be_billed());
    assert!(!refused.unwrap_err().may_be_billed());
    assert!(gave_up.unwrap_err().may_be_billed());
}

#[tokio::test]
async fn wishes_go_along_and_a_format_that_the_model_cannot_write_is_refused_before_anything_is_sent() {
    let wanted = Hearing { prompt: Some("Flota".into()), temperature: Some(0.2), ..Hearing::default() };
    let (receiver, _) = heard("gpt-4o-transcribe", wanted, "text/plain", "{\"text\":\"\"}").await;
    let (unasked, refused) =
        heard("gpt-4o-transcribe", as_format(TranscriptFormat::Srt), "text/plain", "").await;

    let sent = String::from_utf8_lossy(&receiver.received()[0].body).into_owned();
    for (name, value) in [("prompt", "Flota"), ("temperature", "0.2"), ("response_format", "json")] {
        assert!(sent.contains(&format!("name=\"{name}\"\r\n\r\n{value}\r\n")), "{name} in {sent}");
    }
    let refused = refused.unwrap_err();
    assert_eq!((refused.class, refused.code.as_deref()), (ErrorClass::Permanent, Some("format_of_model")));
    assert!(refused.message.contains("whisper-1") && unasked.received().is_empty(), "{refused}");
}
