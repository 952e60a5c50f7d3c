//! The list of job kinds: to add one, write its file and add the two lines below.

use flota_engine::Registry;

use crate::services::Services;

mod deliver_webhook;
mod send_email;

/// Every kind that this worker runs.
pub fn registry() -> Registry<Services> {
    Registry::new().with::<flota_producer::DeliverWebhook>().with::<flota_producer::SendEmail>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_in_processors_is_on_the_list() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/processors");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        files.sort_unstable();

        assert_eq!(
            registry().names().collect::<Vec<_>>(),
            files,
            "a file or a line in processors.rs is missing"
        );
    }
}
