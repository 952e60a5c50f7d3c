//! The fingerprint of a dead letter: equal for what failed in the same way, so that a thousand letters show as one.
//!
//! Words that differ from case to case (numbers, ids, addresses, quoted values) are left out of the error text before
//! it is hashed together with kind, class and code. A change of these rules parts old letters from new ones, so they
//! change rarely.

use aws_lc_rs::digest::{SHA256, digest};

/// Characters of a fingerprint: 64 bits, which tell millions of kinds of failure apart.
const LENGTH: usize = 16;

/// The fingerprint of one failure.
pub(super) fn fingerprint(kind: &str, class: &str, code: &str, error: &str) -> String {
    let parts = [kind, class, code, &pattern(error)].join("\0");
    let mut fingerprint = hex::encode(digest(&SHA256, parts.as_bytes()));
    fingerprint.truncate(LENGTH);
    fingerprint
}

/// The error text with `#` for every word that is peculiar to one case.
fn pattern(error: &str) -> String {
    let mut words: Vec<&str> =
        error.split_whitespace().map(|word| if is_peculiar(word) { "#" } else { word }).collect();
    words.dedup_by(|next, previous| next == previous && *next == "#");
    words.join(" ")
}

fn is_peculiar(word: &str) -> bool {
    let marked = |c: char| c.is_ascii_digit() || matches!(c, '@' | '"' | '`' | '«' | '»');
    word.contains(marked) || word.contains("://")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(error: &str) -> String {
        fingerprint("send_email", "permanent", "550", error)
    }

    #[test]
    fn what_failed_alike_has_one_fingerprint() {
        assert_eq!(of("no mailbox <ana@example.com> here"), of("no mailbox <luis@example.org> here"));
        assert_eq!(of("took 31.2 s, limit 30 s"), of("took 45 s, limit 30 s"));
        assert_eq!(of("POST https://a.example/x failed"), of("POST https://b.example/y failed"));
        assert_eq!(of("ids 1 2 3 missing"), of("ids 4 missing"));
    }

    #[test]
    fn what_failed_differently_has_another() {
        let one = of("no mailbox here");

        assert_ne!(one, of("mailbox full"));
        assert_ne!(one, fingerprint("send_email", "permanent", "551", "no mailbox here"));
        assert_ne!(one, fingerprint("send_sms", "permanent", "550", "no mailbox here"));
        assert_eq!(one.len(), LENGTH);
    }
}
