//! Tesseract as a process: with programs that misbehave, and for real where it is installed.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use flota_providers::{
    ErrorClass,
    ocr::Wanted,
    tesseract::{TesseractClient, TesseractSettings},
};

use crate::{apis::pixel, script::write_script};

const SOON: Duration = Duration::from_mins(2);

/// A program that lists Spanish, and does this with pictures.
pub(crate) fn script(folder: &Path, does: &str) -> PathBuf {
    let program = folder.join("tesseract");
    write_script(
        &program,
        &format!("if [ \"$1\" = --list-langs ]; then echo List:; echo spa; exit; fi\n{does}"),
    );
    program
}

fn client(program: PathBuf, timeout: Duration) -> TesseractClient {
    TesseractClient::new(TesseractSettings { program, timeout, cores: 1 })
}

#[tokio::test]
async fn its_text_comes_back_and_only_listed_words_are_on_its_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let program = script(folder.path(), "cat > /dev/null; echo \"$@\"; printf '\\014'");
    let wanted = Wanted { sparse: true, languages: vec!["es-MX".into()], ..Wanted::default() };

    let read = client(program.clone(), SOON).read(&[pixel(), pixel()], &wanted).await.unwrap();
    let other = Wanted { languages: vec!["xx".into()], ..Wanted::default() };
    let refused = client(program, SOON).read(&[pixel()], &other).await.unwrap_err();

    let images = read.detail.unwrap()["images"].clone();
    assert_eq!(
        (images[0]["text"].as_str(), images[1]["text"].as_str()),
        (Some("- - --psm 11 -l spa"), Some("- - --psm 11 -l spa"))
    );
    assert_eq!((refused.class, refused.code.as_deref()), (ErrorClass::Permanent, Some("language")));
}

#[tokio::test]
async fn few_words_that_are_not_seen_at_all_are_looked_for_as_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let program = script(
        folder.path(),
        "cat > /dev/null; if [ \"$4\" = 11 ]; then printf '\\n\\014'; else echo \"$@\"; fi",
    );
    let few_words = Wanted { sparse: true, ..Wanted::default() };

    let read = client(program, SOON).read(&[pixel()], &few_words).await.unwrap();

    assert_eq!(read.detail.unwrap()["images"][0]["text"], "- - --psm 3 -l spa");
}

#[tokio::test]
async fn a_second_look_that_fails_takes_nothing_from_the_first_and_has_what_is_left_of_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let few_words = Wanted { sparse: true, ..Wanted::default() };
    let does = |first: &str, then: &str| {
        format!("cat > /dev/null; if [ \"$4\" = 11 ]; then {first}; else {then}; fi")
    };

    for (first, then) in [(":", "exit 1"), ("sleep 5", "exec sleep 600")] {
        let (program, began) = (script(folder.path(), &does(first, then)), Instant::now());

        let read = client(program, Duration::from_secs(10)).read(&[pixel()], &few_words).await.unwrap();

        assert_eq!(read.detail.unwrap()["images"][0]["text"], "", "{then}");
        assert!(began.elapsed() < Duration::from_secs(14), "{then}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn it_inherits_none_of_our_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let program = script(folder.path(), "cat > /dev/null; exec env");

    let read = client(program, SOON).read(&[pixel()], &Wanted::default()).await.unwrap();

    let detail = read.detail.unwrap();
    let text = detail["images"][0]["text"].as_str().unwrap();
    let names: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    // The last three are those that a shell sets by itself.
    let known = ["PATH", "TESSDATA_PREFIX", "OMP_THREAD_LIMIT", "PWD", "SHLVL", "_"];
    assert!(names.contains(&"PATH") && names.iter().all(|name| known.contains(name)), "{names:?}");
    assert!(std::env::vars_os().count() > known.len(), "the test itself has more than that");
}

#[tokio::test]
async fn one_that_does_not_end_is_killed_at_its_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let does = format!("echo $$ > {}; exec sleep 600", pid_file.display());
    let began = Instant::now();

    let error = client(script(folder.path(), &does), Duration::from_secs(5))
        .read(&[pixel()], &Wanted::default())
        .await
        .unwrap_err();

    let pid = fs::read_to_string(pid_file).unwrap().trim().to_owned();
    assert_eq!(error.class, ErrorClass::Timeout);
    assert!(began.elapsed() < SOON && error.message.contains("was stopped"), "{error}");
    assert!(!Path::new("/proc").join(pid).exists(), "it still runs");
}

#[tokio::test]
async fn what_it_cannot_read_and_what_is_not_there_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let program =
        script(folder.path(), "cat > /dev/null; echo 'Error in pixRead: no\\033[31m image' >&2; exit 1");

    let refused = client(program, SOON).read(&[pixel()], &Wanted::default()).await.unwrap_err();
    let missing =
        client("/nowhere/tesseract".into(), SOON).read(&[pixel()], &Wanted::default()).await.unwrap_err();

    assert_eq!((refused.class, refused.code.as_deref()), (ErrorClass::Permanent, Some("unreadable")));
    assert!(refused.message.contains("pixRead") && !refused.message.contains('\u{1b}'), "{refused}");
    assert_eq!((missing.class, missing.code.as_deref()), (ErrorClass::Auth, Some("not_installed")));
}
