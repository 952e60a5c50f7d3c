//! Codes of languages: ISO 639-1 for speech, and BCP 47, which begins with them, for text on pictures.

/// Every code of ISO 639-1 (<https://www.loc.gov/standards/iso639-2/php/English_list.php>), in order.
const CODES: &str = "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz \
                     ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii \
                     ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi \
                     mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw \
                     sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk \
                     ur uz ve vi vo wa wo xh yi yo za zh zu";

/// What Google Vision says for Hebrew (<https://cloud.google.com/vision/docs/languages>), as ISO 639-1 did before 1989.
const HEBREW: &str = "iw";
/// Longest tag that RFC 5646 (section 4.4.1) asks for room for.
pub(super) const MAX_TAG: usize = 35;

/// Whether this is a tag of BCP 47 whose language a reader of pictures may know. A code of three letters is only looked at
/// for its form, because Vision alone knows dozens of them; so is what follows the language (script, region, variant).
pub(super) fn is_tag_of_text(tag: &str) -> bool {
    let lower = tag.to_ascii_lowercase();
    let mut parts = lower.split('-');
    let language = parts.next().unwrap_or_default();
    let is_part =
        |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_of_three = language.len() == 3 && language.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_language = is_known(language) || is_of_three || language == HEBREW;
    tag.len() <= MAX_TAG && is_language && parts.all(is_part)
}

/// Whether there is such a code of ISO 639-1.
pub(super) fn is_known(code: &str) -> bool {
    code.len() == 2 && CODES.split_ascii_whitespace().any(|known| known == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole_and_in_order() {
        let codes: Vec<&str> = CODES.split_ascii_whitespace().collect();

        assert_eq!(codes.len(), 184);
        assert!(codes.is_sorted() && codes.iter().all(|code| code.len() == 2));
    }

    #[test]
    fn names_regions_and_nonsense_are_no_codes() {
        assert!(is_known("es") && is_known("zu"));
        for code in ["", "e", "es-MX", "spa", "xx", "ES", "s ", "a ab"] {
            assert!(!is_known(code), "{code}");
        }
    }

    #[test]
    fn a_tag_of_text_begins_with_a_language_that_there_is() {
        for tag in [
            "es",
            "es-MX",
            "ES-mx",
            "pt-BR",
            "zh-Hant-TW",
            "ru-PETR1708",
            "fil",
            "grc",
            "spa",
            "haw-US",
            "iw",
            "en-t-i0-handwrit",
        ] {
            assert!(is_tag_of_text(tag), "{tag}");
        }
        for tag in [
            "",
            "-",
            "xx",
            "spanish",
            "sp1",
            "spañ",
            "es_MX",
            "es-",
            "es-méxico",
            "es-andalusian",
            "x-es",
            "es; rm",
        ] {
            assert!(!is_tag_of_text(tag), "{tag}");
        }
        assert!(!is_tag_of_text(&["es", "MX"].join("-").repeat(9)));
    }
}
