//! Codes of languages: ISO 639-1.

/// Every code of ISO 639-1 (<https://www.loc.gov/standards/iso639-2/php/English_list.php>), in order.
const CODES: &str = "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz \
                     ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii \
                     ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi \
                     mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw \
                     sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk \
                     ur uz ve vi vo wa wo xh yi yo za zh zu";

/// Whether there is such a code.
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
}
