//! What others say of a question, without the question: some repeat it in their errors, and it is in none of ours.

use std::collections::HashMap;

use super::{ChatRequest, answer::Completion};

/// Bytes in a row that are taken for a repeat; of a shorter message all of it.
const REPEAT: usize = 16;
/// Shorter messages are words like any others.
const SHORTEST: usize = 4;
/// Most characters of an error that are looked through and kept: only its beginning is ever told.
const MOST_SAID: usize = 2_000;
const MASK: &str = "***";

impl Completion {
    /// The same with errors that repeat nothing of this question.
    pub(super) fn without_echo(mut self, question: &ChatRequest) -> Self {
        let of_choices = self.choices.iter_mut().filter_map(|choice| choice.error.as_mut());
        for error in self.error.iter_mut().chain(of_choices) {
            error.message = without_echo(&error.message, question);
        }
        self
    }
}

fn without_echo(said: &str, question: &ChatRequest) -> String {
    let said: String = said.chars().take(MOST_SAID).collect();
    let mut is_echo = vec![false; said.len()];
    for (_, content) in &question.messages {
        mark(&said, content.trim().as_bytes(), &mut is_echo);
    }
    let mut told = String::with_capacity(said.len());
    for (at, letter) in said.char_indices() {
        let is_hidden = is_echo[at..at + letter.len_utf8()].contains(&true);
        match is_hidden {
            true if told.ends_with(MASK) => {}
            true => told.push_str(MASK),
            false => told.push(letter),
        }
    }
    told
}

/// Marks every byte of what is said that stands in the content, too, with enough around it.
fn mark(said: &str, content: &[u8], is_echo: &mut [bool]) {
    let length = content.len().min(REPEAT);
    if length < SHORTEST || said.len() < length {
        return;
    }
    let mut places: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (at, part) in said.as_bytes().windows(length).enumerate() {
        places.entry(part).or_default().push(at);
    }
    for part in content.windows(length) {
        // Taken out, because a part that stands in the content again marks nothing new.
        for at in places.remove(part).unwrap_or_default() {
            is_echo[at..at + length].fill(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(said: &str, contents: &[&str]) -> String {
        let messages = contents.iter().map(|content| ("user".to_owned(), (*content).to_owned()));
        without_echo(said, &ChatRequest { messages: messages.collect(), ..ChatRequest::default() })
    }

    #[test]
    fn what_is_repeated_of_a_question_is_hidden_whole_cut_short_or_from_its_middle() {
        let question = "Mi número de seguro es 4821-93, ¿qué hago?";

        assert_eq!(
            told(&format!("Bad input: {question}"), &["Be kind to people.", question]),
            "Bad input: ***"
        );
        assert_eq!(told("Bad input: Mi número de seguro es…", &[question]), "Bad input: ***…");
        assert_eq!(told("Flagged (seguro es 4821-93, ¿qué)", &[question]), "Flagged (***)");
        assert_eq!(told("Hola is no question.", &["Hola"]), "*** is no question.");
    }

    #[test]
    fn what_is_said_otherwise_stays() {
        for said in ["", "some/model is not a valid model ID", "Your credit can only afford 12 tokens."] {
            assert_eq!(told(said, &["Which model can I afford?", "a", ""]), said);
        }
    }
}
