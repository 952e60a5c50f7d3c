//! Whether command lines that stand in documents, units and charts are ones that this program takes.

use std::iter::once;

use clap::{Command, CommandFactory, Parser, error::ErrorKind};

use super::Cli;

/// Checks a whole command line, without the program's name: everything has to be there, and every value has to be one.
///
/// # Errors
/// What is wrong, in the words that a person at a terminal would read.
pub fn check_command_line(arguments: &[String]) -> Result<(), String> {
    match Cli::try_parse_from(once("flota").chain(arguments.iter().map(String::as_str))) {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Checks a mention of a command, which need not be complete: its nouns, verbs and options have to exist. Words in
/// capitals, `…` and what stands in brackets are for the reader to fill in.
///
/// # Errors
/// The word that is not known.
pub fn check_mention(words: &[&str]) -> Result<(), String> {
    let mut program = Cli::command();
    program.build();
    let mut command = &program;
    for word in words {
        let word = word.trim_matches(['[', ']', ',']);
        let option = word.split(['=', '[']).next().unwrap_or_default();
        if let Some(long) = option.strip_prefix("--").filter(|long| !long.is_empty()) {
            if !has_option(command, long) {
                return Err(format!("`{}` has no --{long}", command.get_name()));
            }
        } else if let Some(verb) = command.find_subcommand(word) {
            command = verb;
        } else if command.has_subcommands() && is_a_word(word) {
            return Err(format!("`{}` has no `{word}`", command.get_name()));
        }
    }
    Ok(())
}

fn has_option(command: &Command, long: &str) -> bool {
    matches!(long, "help" | "version") || command.get_arguments().any(|arg| arg.get_long() == Some(long))
}

/// Not a placeholder, nor punctuation between alternatives.
fn is_a_word(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_lowercase())
        && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str) -> Result<(), String> {
        check_command_line(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    fn mention(line: &str) -> Result<(), String> {
        check_mention(&line.split(' ').collect::<Vec<_>>())
    }

    #[test]
    fn a_command_line_is_whole_and_right() {
        assert_eq!(check("worker --queue email --drain-timeout 25s"), Ok(()));
        assert!(check("worker --drain-timeout soon").unwrap_err().contains("soon"));
        assert!(check("worker --drain 25s").unwrap_err().contains("--drain"));
        assert!(check("queue").unwrap_err().contains("Usage: flota queue"));
    }

    #[test]
    fn a_mention_names_what_exists() {
        for good in ["doctor [--online]", "job get | list", "endpoint enable ID", "keys …", "queue get NAME"]
        {
            assert_eq!(mention(good), Ok(()), "{good}");
        }
        assert_eq!(mention("queue gett").unwrap_err(), "`queue` has no `gett`");
        assert_eq!(mention("doctor --onlin").unwrap_err(), "`doctor` has no --onlin");
        assert_eq!(mention("quue list").unwrap_err(), "`flota` has no `quue`");
    }
}
