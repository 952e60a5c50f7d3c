//! The table provider × class: every row of every manual is played with a real job, and `docs/providers.md` is that table.
//!
//! The expected answers stand in `rows/`, one file per provider. Each is brought about by the sandbox, a real job of the
//! real kind goes through the real pipeline, and what is compared is what is kept and what the engine did.
//! `UPDATE_DOCS=1 cargo test -p flota-tests --test it provider_table` writes the page.

mod page;
mod play;
mod row;
mod rows;
mod subject;

use flota_tests::generated_text::check_part;
use futures_util::{StreamExt, stream};
use tokio::{runtime::Handle, task::spawn_blocking};

use self::{
    play::{Seen, play},
    row::{CLASSES, Row},
    subject::{SUBJECTS, Subject},
};

/// Rows of one provider that are played at the same time.
const AT_ONCE: usize = 3;

/// Plays every row of a provider, with each of its words.
async fn play_all(subject: &'static Subject) {
    let all = subject.rows.iter().flat_map(|row| row.order.words().iter().map(move |word| (row, *word)));
    // Each on a thread of its own: setting a stage keeps one busy for long, and time limits of the others would pass.
    let played = stream::iter(all).map(|(row, word)| {
        let here = Handle::current();
        spawn_blocking(move || here.block_on(play_one(subject, row, word)))
    });

    let played: Vec<_> = played.buffered(AT_ONCE).collect().await;
    let wrong: Vec<String> = played.into_iter().filter_map(|one| one.expect("it is played")).collect();

    assert!(wrong.is_empty(), "{} answers are not as expected:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is wrong with one answer.
async fn play_one(subject: &'static Subject, row: &'static Row, word: &'static str) -> Option<String> {
    let seen = play(subject, row, word).await;
    let code = row.code.replace('=', word);
    let goes_on = subject.next.is_asked_after(row.class, &code);
    let expected = Seen { class: row.class.to_owned(), code, then: row.then.to_owned(), goes_on };
    (seen != expected).then(|| format!("{} {word}:\n  expected {expected:?}\n  saw      {seen:?}", row.what))
}

macro_rules! providers {
    ($($name:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $name() {
            play_all(&rows::$name::SUBJECT).await;
        })*

        #[test]
        fn every_provider_of_the_page_is_played() {
            let names = [$(rows::$name::SUBJECT.name),*];
            assert_eq!(names.to_vec(), SUBJECTS.iter().map(|subject| subject.name).collect::<Vec<_>>());
        }
    };
}

providers!(sendgrid ses smtp webhook push whatsapp twilio llm whisper vision storage);

#[test]
fn every_provider_has_every_class_or_says_why_not() {
    for subject in SUBJECTS {
        for class in CLASSES {
            let has = subject.rows.iter().any(|row| row.class == class);
            let says_why = subject.never.iter().any(|(never, why)| *never == class && !why.is_empty());
            assert!(has != says_why, "{}: {class} has a row: {has}, says why not: {says_why}", subject.name);
        }
    }
}

#[test]
fn the_page_is_the_table() {
    check_part("docs/providers.md", "classes", &page::overview(SUBJECTS));
    check_part("docs/providers.md", "answers", &page::details(SUBJECTS));
}
