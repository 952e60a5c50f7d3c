//! Product name and prices of a shelf tag, from the text that was recognised on it. Pure.
//!
//! Made for tags in Mexico: `$1,234.50`, `MXN 99`, `99.00 MN`, `Antes … Ahora …`, `3x$100`, `2 x 1`, `IVA incluido`, and
//! what recognition makes of them (`S28.50`, `3x5$50`). It is a guess by rules; docs/ocr-accuracy.md says how often it
//! is right on the labelled tags. Codes and dates on a tag are no prices, because nothing marks them as money.
//! `amount` finds money in a line, `offer` promotions, `role` what an amount is for, `name` the product.

mod amount;
mod name;
mod offer;
mod role;

use serde::Serialize;

use self::amount::Found;
pub use self::{
    amount::{Amount, Currency},
    offer::Offer,
    role::Role,
};

/// Longest text that is looked at, in characters: a tag has a few lines.
const MOST_CHARACTERS: usize = 4_000;
/// Most amounts that are told.
const MOST_AMOUNTS: usize = 32;

/// What a tag says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PriceTag {
    /// The product, as it is written.
    pub name: Option<String>,
    /// What one costs now; none, too, where cents seem to be printed that could not be read.
    pub price: Option<Amount>,
    /// What it cost before.
    pub before: Option<Amount>,
    /// Promotions.
    pub offers: Vec<Offer>,
    /// Whether IVA is in the price, when the tag says so.
    pub tax_included: Option<bool>,
    /// Every amount with what it is for, in the order of the text.
    pub amounts: Vec<Priced>,
}

/// An amount and what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Priced {
    /// What it is for.
    pub role: Role,
    /// How much.
    #[serde(flatten)]
    pub amount: Amount,
}

impl PriceTag {
    /// Reads a recognised text.
    pub fn read(text: &str) -> Self {
        let text: String = text.chars().take(MOST_CHARACTERS).collect();
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let marked = lines.iter().any(|line| amount::in_line(line).iter().any(|found| found.is_marked));
        let mut tag = Self { name: name::of(&lines), ..Self::default() };
        let mut found = Vec::new();
        // Every line is looked at, because a promotion may stand behind more amounts than are told.
        for line in &lines {
            let room = MOST_AMOUNTS - found.len();
            found.extend(tag.take(line, marked, room));
        }
        let first = |role| found.iter().find(|(priced, _)| priced.role == role);
        // No price is better than a wrong one: it does not fall back to another amount either.
        let read = |(priced, is_whole): &(Priced, bool)| is_whole.then_some(priced.amount);
        tag.price = role::BY_WEIGHT.into_iter().find_map(first).and_then(read);
        tag.before = first(Role::Before).and_then(read);
        tag.tax_included = lines.iter().find_map(|line| role::tax_included(line));
        tag.amounts = found.into_iter().filter_map(|(priced, is_whole)| is_whole.then_some(priced)).collect();
        tag
    }

    /// Adds the promotions of a line, and answers as many of its amounts as there is room for, and whether each was read to
    /// its end. Amounts without a mark count only where no amount has one.
    fn take(&mut self, line: &str, marked: bool, room: usize) -> Vec<(Priced, bool)> {
        let (offers, taken) = offer::in_line(line);
        self.offers.extend(offers);
        let all = amount::in_line(line);
        let counts = |found: &&Found| {
            let is_free = taken.iter().all(|range| !range.contains(&found.range.start));
            is_free && (found.is_marked || (!marked && found.is_likely(line)))
        };
        let priced = |found: &Found| {
            let priced = Priced { role: role::of(line, &all, found), amount: found.amount };
            (priced, !found.lacks_cents)
        };
        all.iter().filter(counts).take(room).map(priced).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is said in pesos.
    fn pesos(amount: Option<Amount>) -> Option<u64> {
        amount.filter(|amount| amount.currency == Currency::Mxn).map(|amount| amount.cents)
    }

    #[test]
    fn what_is_written_on_tags_is_understood() {
        let cases: [(&str, Option<u64>, Option<u64>); 40] = [
            ("LECHE 1 L\n$28.50\nIVA incluido", Some(2_850), None),
            ("PANTALLA 55\n$12,499.00\n12 MSI de $1,041.58", Some(1_249_900), None),
            ("Taladro\n$1,234.50\nPrecio + IVA", Some(123_450), None),
            ("Tenis\nMXN 99", Some(9_900), None),
            ("Tenis\nMXN899", Some(89_900), None),
            ("Huevo\n99.00 MN", Some(9_900), None),
            ("Jamón\n$62.00 M.N.", Some(6_200), None),
            ("Laptop\n$9,999", Some(999_900), None),
            ("Silla\nAntes: $3,499.00\nHoy: $2,799.00", Some(279_900), Some(349_900)),
            ("Silla\nAntes $3,499.00 Ahora $2,799.00", Some(279_900), Some(349_900)),
            ("Café\nDe $145.00\nA $119.90", Some(11_990), Some(14_500)),
            ("Aceite\n$49.90\n$58.71 por litro", Some(4_990), None),
            ("Jitomate\n$24.90/kg", Some(2_490), None),
            ("Refresco\n3x$50\n$18.00 c/u", Some(1_800), None),
            ("Pan\nS28.50", Some(2_850), None),
            ("Pan\n$24 90", Some(2_490), None),
            ("Vino\n1.234,50 pesos", Some(123_450), None),
            ("Mesa\n$1.234", Some(123_400), None),
            ("Pan\n28.50", Some(2_850), None),
            ("Croquetas\n$1 099.00", Some(109_900), None),
            ("Auto\nMXN 1 349 900.50", Some(134_990_050), None),
            ("Leche\n$28 900 ml", Some(2_800), None),
            ("Cajas\nPaquete 3 150.00 MN", Some(15_000), None),
            ("Bolsa\n80 centavos", Some(80), None),
            ("Bolsa\n2 pesos con 50 centavos", Some(250), None),
            ("Bolsa\n$25 50 centavos", Some(2_550), None),
            ("Bolsa\n1,234 Pesos y 5 ctvs", Some(123_405), None),
            ("Bolsa\nAntes $3 con 50¢ Ahora $2 con 5¢", Some(205), Some(350)),
            ("Bolsa\n$2.00\n50 centavos menos", Some(200), None),
            ("Bolsa\n$25.90 más 50 centavos", Some(2_590), None),
            ("Salchicha 500 g\n$67.90\nPrecio por kg: $135.80", Some(6_790), None),
            ("Jamón\nPrecio por kg: $135.80", Some(13_580), None),
            ("Copias\n$1.00 c/u\n100 x $80", Some(100), None),
            ("Pan\n$299*\n* Hasta agotar existencias", Some(29_900), None),
            ("Pan\n$27.90*", Some(2_790), None),
            // Raised cents that were not read.
            ("Crema\n$39\"\n$78.00 por litro", None, None),
            ("Silla\nAntes $399.00\n$299”", None, Some(39_900)),
            ("Chicle\n50¢ pieza", Some(50), None),
            ("Pan\nPrecio: 17.5 pesos", Some(1_750), None),
            ("Pan\n7501055300020\n30/11/2026\nTalla 27", None, None),
        ];

        for (text, price, before) in cases {
            let tag = PriceTag::read(text);
            assert_eq!((pesos(tag.price), pesos(tag.before)), (price, before), "{text}: {tag:?}");
        }
    }

    #[test]
    fn other_money_is_told_apart_from_pesos() {
        for (text, currency) in [
            ("USD 59.99", Currency::Usd),
            ("$59.99 dólares", Currency::Usd),
            ("59,99 €", Currency::Eur),
            ("59 dólares con 99 centavos", Currency::Usd),
        ] {
            assert_eq!(PriceTag::read(text).price, Some(Amount { cents: 5_999, currency }), "{text}");
        }
    }

    #[test]
    fn promotions_are_told_apart_from_prices_and_sizes() {
        let cases: [(&str, &[Offer]); 9] = [
            ("3x$100", &[Offer::Several { units: 3, cents: 10_000 }]),
            ("3 por $100.50", &[Offer::Several { units: 3, cents: 10_050 }]),
            ("3x5$50", &[Offer::Several { units: 3, cents: 5_000 }]),
            ("2 x 1", &[Offer::TakeAndPay { take: 2, pay: 1 }]),
            ("3X2 en toda la línea", &[Offer::TakeAndPay { take: 3, pay: 2 }]),
            ("20% de descuento", &[Offer::Percent { percent: 20 }]),
            ("Tapete 4 x 3 cm", &[]),
            ("Madera 4x4", &[]),
            ("Alcohol 70% 500 ml", &[]),
        ];

        for (text, offers) in cases {
            assert_eq!(PriceTag::read(text).offers, offers, "{text}");
        }
    }

    #[test]
    fn a_promotion_is_found_behind_more_amounts_than_are_told() {
        let text = format!("{}20% de descuento", "$10.00\n".repeat(MOST_AMOUNTS + 8));

        let tag = PriceTag::read(&text);

        assert_eq!(tag.offers, [Offer::Percent { percent: 20 }]);
        assert_eq!(tag.amounts.len(), MOST_AMOUNTS);
    }

    #[test]
    fn one_line_of_many_amounts_tells_no_more_of_them() {
        let tag = PriceTag::read(&"$1 ".repeat(MOST_CHARACTERS / 3));

        assert_eq!((tag.amounts.len(), pesos(tag.price)), (MOST_AMOUNTS, Some(100)));
    }

    #[test]
    fn the_name_is_no_price_no_code_and_no_slogan() {
        let cases = [
            ("OFERTA\nLeche Lala 1 L\n$28.50", Some("Leche Lala 1 L")),
            ("7501055300020\nSKU 0048\nPan Blanco 680 g\n$40", Some("Pan Blanco 680 g")),
            ("Pan Blanco $40.00", Some("Pan Blanco")),
            ("Té Verde Lipton $38.00\nCaja con 25 sobres", Some("Té Verde Lipton")),
            ("12 MSI de $99.00\nPantalla Samsung", Some("Pantalla Samsung")),
            ("Pieza $9.00\nVaso de Vidrio", Some("Vaso de Vidrio")),
            ("$40.00\nIVA incluido", None),
            ("", None),
        ];

        for (text, name) in cases {
            assert_eq!(PriceTag::read(text).name.as_deref(), name, "{text}");
        }
    }

    #[test]
    fn the_tax_is_in_or_comes_on_top() {
        assert_eq!(PriceTag::read("$1 IVA incluido").tax_included, Some(true));
        assert_eq!(PriceTag::read("Precio más IVA").tax_included, Some(false));
        assert_eq!(PriceTag::read("$10.00 + I.V.A.").tax_included, Some(false));
        assert_eq!(PriceTag::read("IVA $3.20").tax_included, None);
    }

    /// 123450 → 1,234.50
    fn grouped(cents: u64, group: &str, point: &str) -> String {
        let whole = (cents / 100).to_string();
        let mut text = String::new();
        for (at, digit) in whole.chars().enumerate() {
            if at > 0 && (whole.len() - at).is_multiple_of(3) {
                text.push_str(group);
            }
            text.push(digit);
        }
        format!("{text}{point}{:02}", cents % 100)
    }

    proptest! {
        #[test]
        fn every_amount_is_read_back_in_every_form(cents in 1_u64..1_000_000_000, form in 0_usize..9) {
            let (mexican, european, plain) =
                (grouped(cents, ",", "."), grouped(cents, ".", ","), grouped(cents, "", "."));
            let text = match form {
                0 => format!("${mexican}"),
                1 => format!("$ {mexican}"),
                2 => format!("MXN {mexican}"),
                3 => format!("{mexican} MN"),
                4 => format!("{mexican} M.N."),
                5 => format!("${plain}"),
                6 => format!("{european} pesos"),
                7 => format!("Ahora ${mexican}"),
                _ => format!("Precio {plain} pesos"),
            };

            let tag = PriceTag::read(&format!("Producto\n{text}"));

            prop_assert_eq!(pesos(tag.price), Some(cents), "{}: {:?}", text, tag);
        }

        #[test]
        fn the_lower_of_before_and_now_is_what_it_costs(before in 2_u64..10_000_000, less in 1_u64..1_000_000) {
            let now = before.saturating_sub(less).max(1);
            let (then, today) = (grouped(before, ",", "."), grouped(now, ",", "."));

            let tag = PriceTag::read(&format!("Producto\nAntes ${then}\nAhora ${today}"));

            prop_assert_eq!((pesos(tag.price), pesos(tag.before)), (Some(now), Some(before)));
        }

        #[test]
        fn no_text_breaks_it_and_a_name_is_always_in_the_text(text in "(?s).{0,200}") {
            let tag = PriceTag::read(&text);

            prop_assert!(tag.amounts.len() <= MOST_AMOUNTS);
            prop_assert!(tag.name.is_none_or(|name| text.contains(&name)));
        }

        #[test]
        fn texts_of_money_and_words_do_not_break_it(text in "([$0-9.,x% /]|Antes |de |por |MN|USD|iva|€|ñ|\n){0,60}") {
            let tag = PriceTag::read(&text);

            prop_assert!(tag.price.is_none_or(|price| tag.amounts.iter().any(|priced| priced.amount == price)));
        }
    }
}
