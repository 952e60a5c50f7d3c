//! Turns a recording into text.

use flota_engine::{IfRepeated, Job, Processor, Receipt};
use flota_producer::{TranscribeAudio, clock};
use flota_providers::transcription::MOST_AUDIO_BYTES;

use crate::{failure::Error, files, results, services::Services};

impl Processor<Services> for TranscribeAudio {
    const IF_REPEATED: IfRepeated = IfRepeated {
        at_worst: "The recording is transcribed and paid twice; only the last text is kept.",
        key: "None: the API has no idempotency key.",
        receiver: "Nothing: the result of the job is recorded once.",
    };

    type Error = Error;

    async fn run(self, job: &Job, services: &Services) -> Result<Receipt, Error> {
        let missing = crate::service_settings::TRANSCRIPTION.missing();
        let client = services.transcription.as_ref().ok_or(missing)?;
        let audio = files::read(&self.audio, MOST_AUDIO_BYTES, job, services).await?;
        let (language, prompt) = (self.language.as_deref(), self.prompt.as_deref());
        let now = clock::unix_now().as_secs() as i64;
        let mut done = client
            .call(super::caller(job), |client| async move {
                client.transcribe(audio, language, prompt, now).await
            })
            .await?;
        if let Some(result) = done.detail.take() {
            done.detail = Some(results::fit(job, result, "text", services).await?);
        }
        Ok(super::receipt(done))
    }
}
