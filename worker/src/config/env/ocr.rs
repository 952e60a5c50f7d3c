//! Who reads text on pictures, and in which order.
//!
//! Both readers are in the order unless it is set, and the one that is not there is passed over. Whoever sets the order
//! counts on what it names, so a Tesseract that cannot be found is told then.

use std::path::PathBuf;

use super::{integrations::or_default, programs, reader::Reader};

const ORDER: &str = "FLOTA_OCR_PROVIDERS";
const PROGRAM: &str = "tesseract";

/// The readers of text.
#[derive(Debug, Clone, Default)]
pub struct OcrVariables {
    /// Who is asked, first to last.
    pub order: Vec<OcrProvider>,
    /// The program, when it is in the order and `PATH` leads to it.
    pub tesseract: Option<PathBuf>,
}

/// A reader of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OcrProvider {
    /// Google Vision.
    GoogleVision,
    /// Tesseract, where it is installed.
    Tesseract,
}

pub(super) fn read(reader: &mut Reader<'_>) -> OcrVariables {
    let is_set = reader.text(ORDER).is_some();
    let order = match order(&or_default(reader, ORDER)) {
        Ok(order) => order,
        Err(problem) => {
            reader.refuse(ORDER, problem);
            return OcrVariables::default();
        }
    };
    let tesseract =
        order.contains(&OcrProvider::Tesseract).then(|| programs::in_path(reader, PROGRAM)).flatten();
    if is_set && order.contains(&OcrProvider::Tesseract) && tesseract.is_none() {
        let problem = "it names tesseract, but PATH leads to no such program; install it (Debian: tesseract-ocr and \
                       tesseract-ocr-spa), or leave it out";
        reader.refuse(ORDER, problem);
    }
    OcrVariables { order, tesseract }
}

fn order(text: &str) -> Result<Vec<OcrProvider>, String> {
    let mut order = Vec::new();
    for word in text.split(',').map(str::trim) {
        let provider = match word {
            "google_vision" => OcrProvider::GoogleVision,
            "tesseract" => OcrProvider::Tesseract,
            other => {
                let other = other.escape_debug();
                return Err(format!(
                    "\"{other}\" is no reader of text; write google_vision, tesseract or both"
                ));
            }
        };
        if order.contains(&provider) {
            return Err(format!("it names {word} twice; write each once, first the one that is asked first"));
        }
        order.push(provider);
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_names_each_reader_once() {
        assert_eq!(
            order("tesseract, google_vision"),
            Ok(vec![OcrProvider::Tesseract, OcrProvider::GoogleVision])
        );
        for wrong in ["", "google", "tesseract,tesseract", "google_vision,"] {
            assert!(order(wrong).is_err(), "{wrong}");
        }
    }
}
