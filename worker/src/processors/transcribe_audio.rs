//! Turns a recording into text or subtitles; what it took is in the result.

use flota_engine::{IfRepeated, Job, Processor, Receipt};
use flota_producer::TranscribeAudio;

use crate::{failure::Error, services::Services};

impl Processor<Services> for TranscribeAudio {
    const IF_REPEATED: IfRepeated = IfRepeated {
        at_worst: "The recording is transcribed and paid twice; only the last text is kept.",
        key: "None: the API has no idempotency key.",
        receiver: "Nothing: the result of the job is recorded once.",
    };

    type Error = Error;

    async fn run(self, job: &Job, services: &Services) -> Result<Receipt, Error> {
        let missing = crate::service_settings::TRANSCRIPTION.missing();
        services.transcription.as_ref().ok_or(missing)?.transcribe(self, job, services).await
    }
}
