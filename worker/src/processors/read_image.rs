//! Reads the text on a picture, and names what is on it when asked to.

use flota_engine::{IfRepeated, Job, Processor, Receipt};
use flota_producer::{ReadImage, clock};
use flota_providers::vision::{MOST_IMAGE_BYTES, VisionRequest};

use crate::{failure::Error, files, services::Services};

impl Processor<Services> for ReadImage {
    const IF_REPEATED: IfRepeated = IfRepeated {
        at_worst: "The picture is read and paid twice; only the last result is kept.",
        key: "None: reading changes nothing.",
        receiver: "Nothing: the result of the job is recorded once.",
    };

    type Error = Error;

    async fn run(self, job: &Job, services: &Services) -> Result<Receipt, Error> {
        let variable = "GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_VISION_API_KEY";
        let missing = Error::NotConfigured { what: "Google Vision", variable };
        let client = services.vision.as_ref().ok_or(missing)?;
        let files = services.files.as_ref();
        let image = files::read(&self.image, MOST_IMAGE_BYTES, job, services).await?;
        let wanted = VisionRequest { sparse: self.sparse, labels: self.labels, languages: self.languages };
        let (image, wanted, now) = (&image, &wanted, clock::unix_now().as_secs() as i64);
        let mut done = client
            .call(super::caller(job), |client| async move { client.read(image, wanted, now).await })
            .await?;
        if let Some(result) = done.detail.take() {
            done.detail = Some(files::fit(job.id, result, "text", files).await?);
        }
        Ok(super::receipt(done))
    }
}
