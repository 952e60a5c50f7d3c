//! Reads the argument of MAIL and RCPT: an address in angle brackets, then parameters. Pure.

/// The argument of MAIL or RCPT.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// The address between the brackets; empty for `<>`.
    pub(super) address: String,
    /// `KEYWORD` or `KEYWORD=value`, as written.
    pub(super) parameters: Vec<String>,
}

/// Reads `FROM:<a@b> SIZE=7` when `keyword` is `FROM:`. `None` when it is not written that way.
pub(super) fn parse_path(argument: &str, keyword: &str) -> Option<Path> {
    let (found, rest) = argument.split_at_checked(keyword.len())?;
    if !found.eq_ignore_ascii_case(keyword) {
        return None;
    }
    // Many clients write a space here; RFC 5321 section 3.3 does not, but servers let it pass.
    let rest = rest.trim_start().strip_prefix('<')?;
    let end = closing_bracket(rest)?;
    let (address, after) = (&rest[..end], &rest[end + 1..]);
    if !after.is_empty() && !after.starts_with(' ') {
        return None;
    }
    Some(Path {
        address: address.to_owned(),
        parameters: after.split_ascii_whitespace().map(str::to_owned).collect(),
    })
}

/// The value of `SIZE=…`, if it is given and a number.
pub(super) fn announced_size(parameters: &[String]) -> Option<usize> {
    parameters.iter().find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.eq_ignore_ascii_case("SIZE").then(|| value.parse().ok())?
    })
}

/// A bracket inside a quoted local part (`"a>b"@c`) does not close the path.
fn closing_bracket(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_its_parameters_are_told_apart() {
        let path = parse_path("from:<a@b.example> SIZE=120 BODY=8BITMIME", "FROM:").unwrap();

        assert_eq!(path.address, "a@b.example");
        assert_eq!(path.parameters, ["SIZE=120", "BODY=8BITMIME"]);
        assert_eq!(announced_size(&path.parameters), Some(120));
    }

    #[test]
    fn a_bracket_inside_quotes_belongs_to_the_address() {
        let path = parse_path(r#"TO:<"a\">b"@c.example>"#, "TO:").unwrap();

        assert_eq!(path.address, r#""a\">b"@c.example"#);
    }

    #[test]
    fn the_empty_sender_of_a_bounce_is_an_address() {
        assert_eq!(parse_path("FROM:<>", "FROM:").unwrap().address, "");
    }

    #[test]
    fn an_address_without_brackets_is_not_understood() {
        for argument in ["FROM:a@b", "FROM:<a@b", "FROM:<a@b>x", "TO:<a@b>", "", "FRÖM:<a@b>"] {
            assert_eq!(parse_path(argument, "FROM:"), None, "{argument}");
        }
    }
}
