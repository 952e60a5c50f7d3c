//! Reads text, labels, barcodes and prices on pictures.

use flota_engine::{Failure, IfRepeated, Job, Processor, Receipt};
use flota_producer::ReadImage;

use crate::{pictures, services::Services};

impl Processor<Services> for ReadImage {
    const IF_REPEATED: IfRepeated = IfRepeated {
        at_worst: "The picture is read and paid twice; only the last result is kept.",
        key: "None: reading changes nothing.",
        receiver: "Nothing: the result of the job is recorded once.",
    };

    type Error = Failure;

    async fn run(self, job: &Job, services: &Services) -> Result<Receipt, Failure> {
        let (provider, result) = pictures::read(&self, job, services).await?;
        let result = pictures::fit(job, result, services).await;
        Ok(Receipt { provider: Some(provider.into()), provider_ref: None, result: Some(result) })
    }
}
