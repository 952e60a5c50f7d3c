//! Failpoints of this crate; what they can do is in [`flota_engine::chaos`].

/// Every failpoint of this crate.
///
/// | name | the process has just |
/// |---|---|
/// | `record-written` | written a batch of records, and not committed it |
/// | `record-committed` | committed it, and not taken it out of the stream |
/// | `record-removed` | taken it out of the stream |
/// | `relay-taken` | marked outbox rows as sent, and not sent them |
/// | `relay-sent` | sent them, and not written down the answer |
/// | `relay-noted` | written down the answer |
/// | `bulk-created` | frozen the selection of an operation |
/// | `bulk-locked` | locked the letters of a step |
/// | `bulk-stepped` | carried out a step, and not committed it |
/// | `bulk-committed` | committed a step |
/// | `schedule-enqueued` | enqueued the job of a tick, and not written down the tick |
///
/// Each can also return `error`: the connection counts as cut off there.
pub const ALL: [&str; 11] = [
    "record-written",
    "record-committed",
    "record-removed",
    "relay-taken",
    "relay-sent",
    "relay-noted",
    "bulk-created",
    "bulk-locked",
    "bulk-stepped",
    "bulk-committed",
    "schedule-enqueued",
];

/// What Postgres answers when its connection is cut on purpose.
#[cfg(feature = "chaos")]
pub fn cut_off() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    /// Names of the failpoints that the sources under a directory use.
    fn used_under(directory: &Path) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                names.append(&mut used_under(&path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let uses = text.split(concat!("failpoint", "!(\"")).skip(1);
                names.extend(uses.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
            }
        }
        names
    }

    #[test]
    fn the_lists_name_exactly_the_failpoints_that_are_used() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));

        assert_eq!(used_under(&here.join("src")), super::ALL.map(str::to_owned).into());
        let of_the_engine = flota_engine::chaos::ALL.map(str::to_owned).into();
        assert_eq!(used_under(&here.join("engine/src")), of_the_engine);
    }
}
