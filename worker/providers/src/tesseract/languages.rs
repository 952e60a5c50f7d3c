//! Languages as jobs name them (BCP 47) and as Tesseract names its data (ISO 639-2, mostly).

/// Every language that Tesseract has data for (<https://tesseract-ocr.github.io/tessdoc/Data-Files-in-different-versions.html>)
/// and that has a code of BCP 47 of today, in small letters.
const NAMES: &str = "af:afr am:amh ar:ara as:asm az-cyrl:aze_cyrl az:aze be:bel bg:bul bn:ben bo:bod br:bre bs:bos \
                     ca:cat ceb:ceb chr:chr co:cos cs:ces cy:cym da:dan de:deu dv:div dz:dzo el:ell en:eng eo:epo \
                     es:spa et:est eu:eus fa:fas fi:fin fil:fil fo:fao fr:fra fy:fry ga:gle gd:gla gl:glg grc:grc \
                     gu:guj he:heb hi:hin hr:hrv ht:hat hu:hun hy:hye id:ind is:isl it:ita iu:iku iw:heb ja:jpn jv:jav \
                     ka:kat kk:kaz km:khm kmr:kmr kn:kan ko:kor ky:kir la:lat lb:ltz lo:lao lt:lit lv:lav mi:mri \
                     mk:mkd ml:mal mn:mon mr:mar ms:msa mt:mlt my:mya ne:nep nl:nld nb:nor nn:nor no:nor oc:oci or:ori \
                     pa:pan pl:pol ps:pus pt:por qu:que ro:ron ru:rus sa:san sd:snd si:sin sk:slk sl:slv sq:sqi \
                     sr-latn:srp_latn sr:srp su:sun sv:swe sw:swa syr:syr ta:tam te:tel tg:tgk th:tha ti:tir tl:fil \
                     to:ton tr:tur tt:tat ug:uig uk:ukr ur:urd uz-cyrl:uzb_cyrl uz:uzb vi:vie yi:yid yo:yor \
                     zh-hant:chi_tra zh-hk:chi_tra zh-mo:chi_tra zh-tw:chi_tra zh:chi_sim";
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

/// The data for a language; regions and scripts make a difference only where they have data of their own.
fn name_of(language: &str) -> Option<&'static str> {
    let language = language.to_ascii_lowercase();
    let names = || NAMES.split_ascii_whitespace().filter_map(|pair| pair.split_once(':'));
    let mut tag = language.as_str();
    loop {
        if let Some((_, name)) = names().find(|(code, name)| *code == tag || *name == tag) {
            return Some(name);
        }
        (tag, _) = tag.rsplit_once('-')?;
    }
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

    #[test]
    fn a_language_is_found_by_its_code_whatever_its_region_and_by_its_script_where_that_matters() {
        let rows = [
            ("ro", Some("ron")),
            ("PT-br", Some("por")),
            ("zh", Some("chi_sim")),
            ("zh-Hans-CN", Some("chi_sim")),
            ("zh-Hant-TW", Some("chi_tra")),
            ("zh-TW", Some("chi_tra")),
            ("sr-Latn-RS", Some("srp_latn")),
            ("sr", Some("srp")),
            ("spa", Some("spa")),
            ("nb-NO", Some("nor")),
            ("zu", None),
            ("", None),
        ];

        for (language, name) in rows {
            assert_eq!(name_of(language), name, "{language}");
        }
    }
}
