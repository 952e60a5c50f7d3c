//! Troubles of the payload inside a good envelope: only the processor's own reading can find them.

use super::{Fate, Maker, envelope};

/// What the makers here call their troubles.
pub(super) const WHAT: &[&str] = &[
    "a payload of a wrong shape",
    "a deep payload",
    "a large wrong payload",
    "half a character in the payload",
];

pub(super) const MAKERS: &[Maker] = &[
    (WHAT[0], |dice| {
        let payload = dice.one_of(&[
            "null",
            "true",
            "7",
            r#""succeed""#,
            "[]",
            "{}",
            r#"{"acts":[]}"#,
            r#"{"acts":{}}"#,
            r#"{"acts":["explode"]}"#,
            r#"{"acts":[null]}"#,
            r#"{"acts":[{"sleep":-1}]}"#,
            r#"{"acts":[{"sleep":1e999}]}"#,
            r#"{"acts":[{"sleep":1,"block":1}]}"#,
            r#"{"acts":["succeed"],"acts":["succeed"]}"#,
            r#"{"acts":["succeed"],"more":1}"#,
            r#"{"Acts":["succeed"]}"#,
        ]);
        (envelope(r#""toy""#, payload, ""), Fate::Dead)
    }),
    (WHAT[1], |dice| {
        let depth = 1 + dice.below(10_000);
        let payload = format!(r#"{{"acts":[{}{}]}}"#, "[".repeat(depth), "]".repeat(depth));
        (envelope(r#""toy""#, &payload, ""), Fate::Dead)
    }),
    (WHAT[2], |dice| {
        let text = "x".repeat(dice.one_of(&[1_000, 50_000, 1_000_000]));
        (envelope(r#""toy""#, &format!(r#"{{"acts":["{text}"]}}"#), ""), Fate::Dead)
    }),
    (WHAT[3], |dice| {
        let half = dice.one_of(&[r"\ud800", r"\udc00", r"\ud800\ud800", r"\udfff\udbff"]);
        (envelope(r#""toy""#, &format!(r#"{{"acts":["{half}"]}}"#), ""), Fate::Dead)
    }),
];
