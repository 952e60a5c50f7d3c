//! Who reads text on pictures, and in which order.
//!
//! Both readers are in the order unless it is set, and the one that is not there is passed over. Whoever sets the order
//! counts on what it names, so a Tesseract that cannot be found is told then.

use std::path::{Path, PathBuf};

use super::{integrations::or_default, reader::Reader};

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
    // PATH is no setting of ours, so it is not in the table of variables; what cannot be read leads nowhere.
    let path = (reader.lookup)("PATH").ok().flatten().unwrap_or_default();
    let tesseract = order.contains(&OcrProvider::Tesseract).then(|| program(&path)).flatten();
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

/// The program in the first folder that has it.
fn program(path: &str) -> Option<PathBuf> {
    // An empty part would mean the working directory, which is nobody's place for programs.
    let folders = path.split(':').filter(|folder| !folder.is_empty());
    folders.map(|folder| Path::new(folder).join(PROGRAM)).find(|program| program.is_file())
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

    #[test]
    fn the_program_is_looked_for_in_the_folders_of_the_path() {
        let (without, with) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(with.path().join(PROGRAM), "").unwrap();
        let path = format!(":{}:{}", without.path().display(), with.path().display());

        assert_eq!(program(&path), Some(with.path().join(PROGRAM)));
        assert_eq!(program(&without.path().display().to_string()), None);
    }
}
