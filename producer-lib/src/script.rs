//! Lua scripts by name.
//!
//! Each script is part of the program. A build for fault tests (feature `chaos`) also looks into the directory that
//! `FLOTA_CHAOS_SCRIPTS` names: a `<name>.lua` there stands in for the script of that name, so that a test can put a
//! mistake into it and see whether it is noticed. No released build can do that.

use redis::{Cmd, Script};

#[cfg(all(feature = "chaos", not(debug_assertions)))]
compile_error!(
    "the feature `chaos` lets scripts be exchanged and must never be part of a release build: leave it out"
);

const COMMAND: &str = "EVALSHA";
/// Most digits of the number of keys.
const DIGITS: usize = 2;

/// The script of this name, without its ending, whose text is `built_in`.
pub fn script(name: &str, built_in: &str) -> Script {
    script_with("", name, built_in)
}

/// The same with functions before it that several scripts share.
pub fn script_with(shared: &str, name: &str, built_in: &str) -> Script {
    let text = replacement(name);
    Script::new(&format!("{shared}{}", text.as_deref().unwrap_or(built_in)))
}

/// The beginning of a call of this script with these keys; its arguments follow one by one, without a copy of each.
/// [`crate::link::Link::call`] sends it.
///
/// `room` is for the arguments: how many there will be, and how many bytes of them.
pub fn call(script: &Script, keys: &[String], room: (usize, usize)) -> Cmd {
    let bytes =
        COMMAND.len() + script.get_hash().len() + DIGITS + keys.iter().map(String::len).sum::<usize>();
    let mut command = Cmd::with_capacity(3 + keys.len() + room.0, bytes + room.1);
    command.arg(COMMAND).arg(script.get_hash()).arg(keys.len()).arg(keys);
    command
}

#[cfg(not(feature = "chaos"))]
fn replacement(_: &str) -> Option<String> {
    None
}

#[cfg(feature = "chaos")]
fn replacement(name: &str) -> Option<String> {
    let directory = std::env::var_os("FLOTA_CHAOS_SCRIPTS")?;
    let file = std::path::Path::new(&directory).join(name).with_extension("lua");
    match std::fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        // A test that believes it runs with a changed script must not run with the built-in one.
        Err(error) => panic!("{} cannot be read: {error}", file.display()),
    }
}
