//! Troubles of text: encodings, control characters, lengths, and writing that deceives those who read it.

use super::{Dice, Fate, GOOD, Maker, envelope, toy_with};

/// What the makers here call names that no producer of ours lets through.
pub(super) const BAD_NAMES: &[&str] = &["a tenant that moves a key", "a key with control characters"];

/// Text that shows as something else than it is: bidi overrides, terminal commands, invisible and tall characters.
const DECEIVING: &[&str] = &[
    "\u{202e}gpj.exe",
    "\u{2066}admin\u{2069}",
    r"\u001b[31mred\u001b[0m",
    r"\u001b]0;title\u0007",
    r"\u009b2J",
    "a\u{200b}b\u{feff}c",
    "Z\u{0351}\u{036b}\u{0343}\u{036a}\u{0302}",
    "<script>alert(1)</script>",
    "'; DROP TABLE outcomes; --",
    "=cmd|'/c calc'!A1",
    "{{7*7}}${7*7}",
    "../../etc/passwd",
    r"%s%n\r\nSet-Cookie: a=b",
];

pub(super) const MAKERS: &[Maker] = &[
    ("a deceiving kind", |dice| {
        let kind = dice.one_of(DECEIVING);
        (envelope(&format!("\"{kind}\""), GOOD, ""), Fate::Parked)
    }),
    ("an unknown kind", |dice| {
        let kind =
            dice.one_of(&["", "TOY", "toy ", " toy", "toy\\u0000", "t\\u200boy", "toy:1", "{toy}", "fax"]);
        (envelope(&format!("\"{kind}\""), GOOD, ""), Fate::Parked)
    }),
    ("a long kind", |dice| {
        let kind = "k".repeat(dice.one_of(&[65, 10_000, 1_000_000]));
        (envelope(&format!("\"{kind}\""), GOOD, ""), Fate::Parked)
    }),
    ("deceiving labels", |dice| {
        let (name, value) = (dice.one_of(DECEIVING), dice.one_of(DECEIVING));
        (toy_with(&format!(r#","meta":{{"{name}":"{value}"}}"#)), Fate::Succeeded)
    }),
    ("NUL characters in labels", |_| (toy_with(r#","meta":{"a\u0000b":"\u0000"}"#), Fate::Succeeded)),
    ("a large label", |dice| {
        let text = "y".repeat(dice.one_of(&[60_000, 1_000_000]));
        (toy_with(&format!(r#","meta":{{"a":"{text}"}}"#)), Fate::Succeeded)
    }),
    ("raw control characters", |dice| {
        let character = dice.one_of(&["\0", "\n", "\u{1b}", "\u{7}"]);
        (toy_with(&format!(r#","meta":{{"a":"{character}"}}"#)), Fate::Dead)
    }),
    ("invalid UTF-8", |dice| {
        let bad: &[u8] = dice.one_of(&[
            b"\xff".as_slice(),
            b"\xc0\x80",
            b"\xed\xa0\x80",
            b"\xf5\x80\x80\x80",
            b"\xe2\x82",
            b"\x80",
        ]);
        (spliced(dice, bad), Fate::Dead)
    }),
    ("half a character", |dice| {
        let half = dice.one_of(&[r"\ud800", r"\udc00", r"\ud800x", r"\udbff\ud800"]);
        (toy_with(&format!(r#","meta":{{"a":"{half}"}}"#)), Fate::Dead)
    }),
    ("an escape that is none", |dice| {
        let escape = dice.one_of(&[r"\x41", r"\u12", r"\uzzzz", r"\'", r"\0"]);
        (toy_with(&format!(r#","meta":{{"a":"{escape}"}}"#)), Fate::Dead)
    }),
    (BAD_NAMES[0], |dice| {
        let tenant = dice.one_of(&["a:b", "}{", "", "\\u0000", "a b", "../x", "\u{202e}", "ñ"]);
        (toy_with(&format!(r#","tenant":"{tenant}""#)), Fate::Succeeded)
    }),
    (BAD_NAMES[1], |dice| {
        let (field, text) =
            (dice.one_of(&["key", "unique"]), dice.one_of(&["", r"\u0000", r"a\nb", r"\u001b[2J"]));
        (toy_with(&format!(r#","{field}":"{text}""#)), Fate::Succeeded)
    }),
];

/// An envelope with these bytes inside one of its texts: the kind, a label, the payload.
fn spliced(dice: &mut Dice, bad: &[u8]) -> Vec<u8> {
    let (before, after) = dice.one_of(&[
        (r#"{"v":1,"kind":""#, r#"toy","payload":{"acts":["succeed"]},"at":1}"#),
        (r#"{"v":1,"kind":"toy","payload":{"acts":[""#, r#""]},"at":1}"#),
        (r#"{"v":1,"kind":"toy","payload":null,"at":1,"meta":{"a":""#, r#""}}"#),
    ]);
    [before.as_bytes(), bad, after.as_bytes()].concat()
}
