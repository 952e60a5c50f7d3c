//! As much of a shell as documents use: which commands a block has, and the words of each.

/// Commands of a block, without prompts, comments and what follows a pipe or a redirection. Lines that end in a
/// backslash go on.
pub(super) fn commands(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", " ");
    let prompted = joined.lines().any(|line| line.starts_with("$ "));
    let lines = joined.lines().filter(|line| !prompted || line.starts_with("$ "));
    let lines = lines.map(|line| line.strip_prefix("$ ").unwrap_or(line).trim());
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// Words of a command up to a comment, a pipe, a redirection or the next command.
pub(super) fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
    let mut letters = command.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some('"') | None, '\\') => word.get_or_insert_default().extend(letters.next()),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t') => words.extend(word.take()),
            (None, '|' | '>' | '<' | '&' | ';') => break,
            (None, '#') if word.is_none() => break,
            (_, _) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[test]
fn words_end_where_the_shell_ends_them() {
    let block = "$ flota enqueue send_email \\\n    --data '{\"a\": \"b c\"}'   # why\noutput\n$ flota keys webhook > \"a file\"\n";

    let all: Vec<Vec<String>> = commands(block).iter().map(|command| words(command)).collect();

    assert_eq!(all[0], ["flota", "enqueue", "send_email", "--data", "{\"a\": \"b c\"}"]);
    assert_eq!(all[1], ["flota", "keys", "webhook"]);
    assert_eq!(all.len(), 2);
}
