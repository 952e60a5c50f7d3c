//! Languages as jobs name them (BCP 47) and as Tesseract does (ISO 639-2).

const NAMES: [(&str, &str); 14] = [
    ("ca", "cat"),
    ("da", "dan"),
    ("de", "deu"),
    ("en", "eng"),
    ("es", "spa"),
    ("fr", "fra"),
    ("it", "ita"),
    ("ja", "jpn"),
    ("ko", "kor"),
    ("nl", "nld"),
    ("pl", "pol"),
    ("pt", "por"),
    ("ru", "rus"),
    ("sv", "swe"),
];
/// What is used when a job names none, as far as it is installed.
const USUAL: [&str; 2] = ["spa", "eng"];

/// The value of `-l`: only languages that are installed, so that a job cannot put anything else there. `Err` repeats
/// what was wanted when none of it is installed.
pub(super) fn chosen(wanted: &[String], installed: &[String]) -> Result<String, String> {
    let is_installed = |name: &&str| installed.iter().any(|other| other == name);
    let names: Vec<&str> = if wanted.is_empty() {
        USUAL.into_iter().filter(is_installed).collect()
    } else {
        wanted.iter().filter_map(|language| name_of(language)).filter(is_installed).collect()
    };
    match (names.as_slice(), installed.first()) {
        ([], Some(any)) if wanted.is_empty() => Ok(any.clone()),
        ([], _) => Err(wanted.join(", ")),
        (names, _) => Ok(names.join("+")),
    }
}

/// Regions and scripts make no difference to letters.
fn name_of(language: &str) -> Option<&'static str> {
    let primary = language.split('-').next().unwrap_or_default().to_ascii_lowercase();
    let found = NAMES.iter().find(|(code, name)| *code == primary || *name == primary);
    found.map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen_of(wanted: &[&str], installed: &[&str]) -> Result<String, String> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        chosen(&owned(wanted), &owned(installed))
    }

    #[test]
    fn only_installed_languages_are_named() {
        assert_eq!(chosen_of(&["es-MX", "fr"], &["eng", "spa"]), Ok("spa".into()));
        assert_eq!(chosen_of(&[], &["eng", "spa"]), Ok("spa+eng".into()));
        assert_eq!(chosen_of(&[], &["deu"]), Ok("deu".into()));
        assert_eq!(chosen_of(&["fr", "xx"], &["eng"]), Err("fr, xx".into()));
        assert_eq!(chosen_of(&["eng; rm -rf"], &["eng"]), Err("eng; rm -rf".into()));
        assert_eq!(chosen_of(&[], &[]), Err(String::new()));
    }
}
