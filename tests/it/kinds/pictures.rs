//! Pictures: near and far, broken and whole, and who reads them.

use super::*;

#[tokio::test]
async fn a_picture_is_downloaded_past_the_guard_and_read() {
    let stage = Stage::set(true).await;
    let server = WebhookSink::start().await.unwrap();
    stage.put("receipt.gif", WHITE);
    server
        .answer("/picture", WebhookAnswer::Respond { status: 200, headers: vec![], body: TEXT_ONLY.into() });

    let near = stage.complete(NewJob::new(ReadImage::new(MediaSource::file("receipt.gif")))).await;
    let far = stage.complete(NewJob::new(ReadImage::new(MediaSource::url(server.url("/picture"))))).await;

    assert_eq!((&near["text"], &far["text"]), (&json!("TOTAL 42.00"), &json!("TOTAL 42.00")));
    let content = stage.sent("google_vision")["requests"][0]["image"]["content"].as_str().unwrap().to_owned();
    assert_eq!(URL_SAFE_NO_PAD.decode(content.trim_end_matches('=')).unwrap(), TEXT_ONLY.as_bytes());
    stage.end().await;
}

#[tokio::test]
async fn several_pictures_keep_what_was_read_beside_those_that_are_broken() {
    let stage = Stage::set(true).await;
    stage.put("one.gif", WHITE);
    stage.put("cut.png", &WHITE[..20]);
    stage.put("page.jpg", b"<!DOCTYPE html>");
    let files = ["one.gif", "cut.png", "missing.gif", "page.jpg"].map(MediaSource::file);
    let asked = ReadImage { price_tag: true, barcodes: true, ..ReadImage::several(files.to_vec()) };

    let read = stage.complete(NewJob::new(asked)).await;

    let images = &read["images"];
    assert_eq!((&read["failed"], &images[0]["text"]), (&json!(3), &json!("TOTAL 42.00")));
    assert_eq!(images[0]["price_tag"]["price"], json!({ "cents": 4_200, "currency": "MXN" }));
    assert_eq!((&images[0]["barcodes"], &images[1]["error"]["code"]), (&json!([]), &json!("truncated")));
    assert_eq!(
        (&images[2]["error"]["class"], &images[3]["error"]["code"]),
        (&json!("permanent"), &json!("format"))
    );
    assert_eq!(stage.sent("google_vision")["requests"].as_array().unwrap().len(), 1);
    stage.put("empty.png", b"");
    stage.put("secret.pdf", b"%PDF-1.7 trailer << /Encrypt 5 0 R >>");
    for (broken, code) in [
        ("cut.png", "truncated"),
        ("page.jpg", "format"),
        ("empty.png", "empty"),
        ("secret.pdf", "encrypted_pdf"),
    ] {
        let job = NewJob::new(ReadImage::new(MediaSource::file(broken)));
        assert_eq!(stage.bury(job).await, (Some(ErrorClass::Permanent), Some(code.to_owned())), "{broken}");
    }
    stage.end().await;
}

#[tokio::test]
async fn a_picture_that_google_could_not_read_is_asked_for_again_alone() {
    let stage = Stage::set(true).await;
    stage.put("one.gif", WHITE);
    let read = |text: &str| json!({ "fullTextAnnotation": { "text": text } });
    let failed = |code: i64| json!({ "error": { "code": code, "message": "Try again." } });
    for responses in [
        json!([read("first"), failed(14), read("third")]),
        // Asked for at once, and then by the next try of the job.
        json!([failed(14)]),
        json!([failed(8)]),
    ] {
        let fault = Fault::status("google_vision", 200);
        stage.sandbox.fault(Fault { body: Some(json!({ "responses": responses })), ..fault }).unwrap();
    }

    let pictures = vec![MediaSource::file("one.gif"); 3];
    let result = stage.complete(NewJob::new(ReadImage::several(pictures))).await;

    let texts: Value =
        result["images"].as_array().unwrap().iter().map(|image| image["text"].clone()).collect();
    assert_eq!((texts, &result["failed"]), (json!(["first", "TOTAL 42.00", "third"]), &json!(0)));
    let calls = stage.sandbox.received("google_vision");
    let asked = calls.iter().map(|call| {
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        body["requests"].as_array().unwrap().len()
    });
    assert_eq!(asked.collect::<Vec<_>>(), [3, 1, 1, 1]);
    stage.end().await;
}

#[tokio::test]
async fn barcodes_need_no_account_and_text_can_come_from_a_program_here() {
    let programs = tempfile::tempdir().unwrap();
    let program = programs.path().join("tesseract");
    let does =
        "if [ \"$1\" = --list-langs ]; then echo List:; echo spa; exit; fi\ncat > /dev/null; echo LECHE";
    write_script(&program, does);
    let path = programs.path().display().to_string();
    let without_google = [("GOOGLE_VISION_API_KEY", ""), ("PATH", &*path)];
    let stage = Stage::set_with(true, &without_google).await;
    let code = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../worker/providers/tests/fixtures/ocr/barcodes/ean_13-rotated.png"
    );
    stage.put("code.png", &std::fs::read(code).unwrap());
    let image = ReadImage::new(MediaSource::file("code.png"));

    let codes = stage.complete(NewJob::new(ReadImage { text: false, barcodes: true, ..image.clone() })).await;
    let text = stage.complete(NewJob::new(image)).await;

    let code = json!({ "symbology": "ean_13", "text": "7501055300020", "check_digit": "valid" });
    assert_eq!(codes, json!({ "barcodes": [code] }));
    assert_eq!(text, json!({ "text": "LECHE", "labels": [] }));
    assert!(stage.sandbox.journal(Some("google_vision")).is_empty());
    stage.end().await;
}
