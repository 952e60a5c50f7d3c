//! Letters for other programs: one JSON document per line, or CSV that a spreadsheet may open.
//!
//! A cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return is a formula to a spreadsheet, and letters
//! hold text from strangers. Such cells get a leading apostrophe (OWASP, "CSV Injection").

use std::{borrow::Cow, io};

use sqlx::PgPool;

use super::{Filter, letters};
use crate::exit::Stop;

/// Letters read at once.
const PAGE: u32 = 1_000;
/// The first line of the CSV form.
pub const COLUMNS: &str = "id,queue,kind,tenant,error_class,code,error,attempts,died_at,state,fingerprint,replay_of,replayed_as,payload";

/// How letters are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// One JSON document per line.
    Jsonl,
    /// Comma separated values (RFC 4180).
    Csv,
}

/// Writes every letter that fits, newest first. Answers how many.
///
/// # Errors
/// When Postgres is away or the output is closed.
pub async fn export(
    pool: &PgPool,
    filter: &Filter,
    form: Form,
    out: &mut impl io::Write,
) -> Result<u64, Stop> {
    let (mut before, mut written) = (None, 0);
    if form == Form::Csv {
        write!(out, "{COLUMNS}\r\n")?;
    }
    loop {
        let page = letters::page_in_full(pool, filter, before, PAGE).await?;
        for letter in &page {
            match form {
                Form::Jsonl => writeln!(out, "{}", serde_json::to_string(letter).map_err(io::Error::from)?)?,
                Form::Csv => write!(out, "{}\r\n", line(letter))?,
            }
        }
        out.flush()?;
        written += page.len() as u64;
        match page.last() {
            Some(last) if page.len() == PAGE as usize => before = Some(last.row.position()),
            _ => return Ok(written),
        }
    }
}

fn line(letter: &letters::LetterRow) -> String {
    let row = &letter.row;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let job = |id: Option<flota_producer::JobId>| id.map(|id| id.to_string()).unwrap_or_default();
    let cells = [
        row.id.to_string(),
        row.queue.clone(),
        row.kind.clone(),
        text(&row.tenant),
        text(&row.error_class),
        text(&letter.code),
        text(&row.error),
        row.attempts.to_string(),
        row.died_at.to_rfc3339(),
        row.state.clone(),
        letter.fingerprint.clone(),
        job(letter.replay_of),
        job(letter.replayed_as),
        letter.payload.as_ref().map(ToString::to_string).unwrap_or_default(),
    ];
    cells.map(|text| cell(&text).into_owned()).join(",")
}

/// One cell: harmless, and quoted where it has to be.
fn cell(text: &str) -> Cow<'_, str> {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let quoted = text.contains([',', '"', '\n', '\r']);
    match (formula, quoted) {
        (false, false) => text.into(),
        (true, false) => format!("'{text}").into(),
        _ => format!("\"{}{}\"", if formula { "'" } else { "" }, text.replace('"', "\"\"")).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_no_formula_and_no_second_cell() {
        for (text, expected) in [
            ("plain", "plain"),
            ("=cmd|'/c calc'!A1", "'=cmd|'/c calc'!A1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("=1,\"2\"", "\"'=1,\"\"2\"\"\""),
            ("a,b", "\"a,b\""),
            ("say \"hi\"\n", "\"say \"\"hi\"\"\n\""),
        ] {
            assert_eq!(cell(text), expected, "{text:?}");
        }
    }
}
