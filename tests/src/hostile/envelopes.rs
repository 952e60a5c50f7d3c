//! Troubles of the envelope's shape: fields, types, versions, bytes that are no JSON at all.

use super::{Fate, GOOD, Maker, toy_with};

pub(super) const MAKERS: &[Maker] = &[
    ("nothing at all", |_| (Vec::new(), Fate::Dead)),
    ("random bytes", |dice| {
        let count = dice.below(2_000);
        // No JSON begins like this, whatever follows.
        ([b"\xff".as_slice(), &dice.bytes(count)].concat(), Fate::Dead)
    }),
    ("no object", |dice| {
        let text =
            dice.one_of(&["null", "true", "0", "-1e308", "\"toy\"", "[]", "[1]", "[[[[]]]]", "{}", "   "]);
        (text.into(), Fate::Dead)
    }),
    ("an array in place of the object", |_| {
        (format!(r#"[1,"toy",null,{GOOD},1795280202384]"#).into(), Fate::Dead)
    }),
    ("a missing field", |dice| {
        let left_out = dice.below(4);
        let fields = [r#""v":1"#, r#""kind":"toy""#, &format!(r#""payload":{GOOD}"#), r#""at":1"#];
        let kept: Vec<&str> =
            fields.iter().enumerate().filter(|(n, _)| *n != left_out).map(|(_, field)| *field).collect();
        (format!("{{{}}}", kept.join(",")).into(), Fate::Dead)
    }),
    ("a wrong type", |dice| {
        let field = dice.one_of(&[
            r#""tenant":{}"#,
            r#""tenant":7"#,
            r#""max_attempts":-1"#,
            r#""max_attempts":"3""#,
            r#""max_attempts":4294967296"#,
            r#""deadline":"soon""#,
            r#""deadline":-5"#,
            r#""timeout_ms":1.5"#,
            r#""timeout_ms":[]"#,
            r#""priority":"urgent""#,
            r#""priority":7"#,
            r#""key":[]"#,
            r#""unique":{"a":1}"#,
            r#""trace":"00-1-2-01""#,
            r#""trace":{}"#,
            r#""replay_of":"not-an-id""#,
            r#""parent":5"#,
            r#""meta":[1]"#,
        ]);
        (toy_with(&format!(",{field}")), Fate::Dead)
    }),
    ("a wrong type where a value has to be", |dice| {
        let (from, to) = dice.one_of(&[
            (r#""v":1"#, r#""v":"1""#),
            (r#""v":1"#, r#""v":1.0"#),
            (r#""v":1"#, r#""v":-1"#),
            (r#""v":1"#, r#""v":null"#),
            (r#""kind":"toy""#, r#""kind":7"#),
            (r#""kind":"toy""#, r#""kind":["toy"]"#),
            (r#""at":1795280202384"#, r#""at":"now""#),
            (r#""at":1795280202384"#, r#""at":-1"#),
            (r#""at":1795280202384"#, r#""at":1e400"#),
            (r#""at":1795280202384"#, r#""at":18446744073709551616"#),
        ]);
        (replaced(&toy_with(""), from, to), Fate::Dead)
    }),
    ("a field twice", |dice| {
        let field = dice.one_of(&[r#""v":1"#, r#""kind":"toy""#, r#""at":9"#, r#""payload":null"#]);
        (toy_with(&format!(",{field}")), Fate::Dead)
    }),
    ("an unknown field twice", |_| (toy_with(r#","x":1,"x":[2]"#), Fate::Succeeded)),
    ("no JSON number", |dice| {
        let number = dice.one_of(&["NaN", "Infinity", "-Infinity", "0x10", "01", "1e", "+1", ".5", "nan"]);
        (toy_with(&format!(r#","meta":{{"n":{number}}}"#)), Fate::Dead)
    }),
    ("a huge number where any goes", |dice| {
        let number = dice.one_of(&["18446744073709551615", "-9223372036854775808", "1e308", "0.1e-400"]);
        (toy_with(&format!(r#","meta":{{"n":{number}}}"#)), Fate::Succeeded)
    }),
    ("limits at their end", |dice| {
        let fields = dice.one_of(&[
            r#","timeout_ms":18446744073709551615"#,
            r#","deadline":18446744073709551615"#,
            r#","max_attempts":4294967295"#,
            r#","max_attempts":0"#,
        ]);
        (toy_with(fields), Fate::Succeeded)
    }),
    ("enqueued at the end of time", |_| {
        let at = r#""at":18446744073709551615"#;
        (replaced(&toy_with(""), r#""at":1795280202384"#, at), Fate::Succeeded)
    }),
    ("a deadline long ago", |dice| {
        (toy_with(&format!(r#","deadline":{}"#, dice.below(1_000_000))), Fate::Expired)
    }),
    ("a future version", |dice| {
        let version = dice.one_of(&[0, 3, 4, 255, 4_294_967_296, u64::MAX]);
        let rest =
            dice.one_of(&[r#","body":{}"#, r#","kind":7"#, "", r#","kind":"toy","payload":null,"at":1"#]);
        (format!(r#"{{"v":{version}{rest}}}"#).into(), Fate::Parked)
    }),
    ("cut off", |dice| {
        let whole = toy_with(r#","meta":{"a":[1,2,3]},"tenant":"acme""#);
        let end = dice.below(whole.len());
        (whole[..end].to_vec(), Fate::Dead)
    }),
    ("something behind it", |dice| {
        let behind = dice.one_of(&["x", "}", "{}", "\0", ",", "\u{feff}"]);
        ([toy_with(""), behind.into()].concat(), Fate::Dead)
    }),
    ("space around it", |_| {
        ([b" \t\r\n".to_vec(), toy_with(""), b"\n\n".to_vec()].concat(), Fate::Succeeded)
    }),
    ("a byte order mark", |_| ([b"\xef\xbb\xbf".to_vec(), toy_with("")].concat(), Fate::Dead)),
    ("UTF-16", |_| {
        let text = String::from_utf8(toy_with("")).expect("it is text");
        (text.encode_utf16().flat_map(u16::to_le_bytes).collect(), Fate::Dead)
    }),
    ("a flipped quote", |dice| {
        let mut bytes = toy_with("");
        let quotes: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b'"').collect();
        bytes[dice.one_of(&quotes)] = b'\'';
        (bytes, Fate::Dead)
    }),
    ("deep labels", |dice| {
        let depth = 200 + dice.below(10_000);
        let deep = format!("{}{}", r#"{"a":"#.repeat(depth), "}".repeat(depth - 1));
        (toy_with(&format!(r#","meta":{deep}1}}"#)), Fate::Dead)
    }),
    ("many labels", |dice| {
        let count = 1_000 + dice.below(9_000);
        let labels: Vec<String> = (0..count).map(|n| format!(r#""k{n}":{n}"#)).collect();
        (toy_with(&format!(r#","meta":{{{}}}"#, labels.join(","))), Fate::Succeeded)
    }),
];

fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    String::from_utf8_lossy(bytes).replace(from, to).into_bytes()
}
