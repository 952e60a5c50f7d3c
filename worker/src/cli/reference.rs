//! The command line as a document: `docs/cli.md`, made from what clap knows, so that it is what `--help` says.

use clap::{Arg, Command};

/// The reference in Markdown.
pub(super) fn markdown(program: Command) -> String {
    let mut text = String::from(
        "# Command line\n\n\
         Made from the program itself; `flota COMMAND --help` says the same. Everything prints a table on a terminal and \
         JSON in a pipe, unless `--output` says otherwise.\n",
    );
    let mut program = program;
    program.build();
    let options: Vec<&Arg> = program.get_arguments().filter(|arg| shown(arg)).collect();
    text.push_str("\n## Everywhere\n\n");
    for arg in options {
        text.push_str(&argument(arg));
    }
    if let Some(after) = program.get_after_help() {
        text.push_str(&format!("\n{after}\n"));
    }
    for noun in program.get_subcommands().filter(|command| command.get_name() != "help") {
        section(&mut text, noun, "flota", 2);
    }
    text
}

fn section(text: &mut String, command: &Command, before: &str, depth: usize) {
    let name = format!("{before} {}", command.get_name());
    text.push_str(&format!("\n{} {name}\n\n", "#".repeat(depth)));
    if let Some(about) = command.get_about() {
        text.push_str(&format!("{about}.\n"));
    }
    let verbs: Vec<&Command> = command.get_subcommands().filter(|verb| verb.get_name() != "help").collect();
    if verbs.is_empty() {
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").replace('\n', " ");
        text.push_str(&format!("\n```text\n{usage}\n```\n\n"));
        let own = command.get_arguments().filter(|arg| shown(arg) && !arg.is_global_set());
        for arg in own {
            text.push_str(&argument(arg));
        }
    }
    if let Some(after) = command.get_after_help() {
        let after = after.to_string();
        text.push_str(&format!("\n```text\n{}\n```\n", after.trim_end()));
    }
    for verb in verbs {
        section(text, verb, &name, depth + 1);
    }
}

fn shown(arg: &Arg) -> bool {
    !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version")
}

/// One line: `- --limit <LIMIT>: Most rows (50 unless given)`.
fn argument(arg: &Arg) -> String {
    // clap writes the value's name and the dots of repetition as --help does.
    let name = arg.to_string();
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let values: Vec<String> =
        arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    let takes_value = arg.get_action().takes_values();
    let values = if values.is_empty() || !takes_value {
        String::new()
    } else {
        format!("; one of {}", values.join(", "))
    };
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = if defaults.is_empty() || !takes_value {
        String::new()
    } else {
        format!(" (`{}` unless given)", defaults.join(" "))
    };
    format!("- `{name}`: {help}{values}{default}\n")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::{cli::Cli, config::generated_text};

    #[test]
    fn the_documentation_is_the_command_line() {
        let remedy = "UPDATE_DOCS=1 cargo test -p flota-worker --lib the_documentation_is";
        generated_text::check_whole("docs/cli.md", &markdown(Cli::command()), remedy);
    }

    #[test]
    fn every_command_has_an_example() {
        let mut without = Vec::new();
        look(&Cli::command(), "flota", &mut without);

        assert_eq!(without, Vec::<String>::new(), "add after_help = \"Example: …\"");
    }

    fn look(command: &Command, name: &str, without: &mut Vec<String>) {
        for verb in command.get_subcommands() {
            let name = format!("{name} {}", verb.get_name());
            let after = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            if verb.get_subcommands().next().is_none() && !after.contains("Example") {
                without.push(name.clone());
            }
            look(verb, &name, without);
        }
    }
}
