//! Asks a language model; the answer and what it took are the result.
//!
//! Neither questions nor answers are logged.

use flota_engine::{IfRepeated, Job, Processor, Receipt};
use flota_producer::{CompleteChat, clock};
use flota_providers::chat::ChatRequest;

use crate::{failure::Error, files, services::Services};

impl Processor<Services> for CompleteChat {
    const IF_REPEATED: IfRepeated = IfRepeated {
        at_worst: "The model is asked and paid twice; only the last answer is kept.",
        key: "None: the API has no idempotency key.",
        receiver: "Nothing: the result of the job is recorded once.",
    };

    type Error = Error;

    async fn run(self, job: &Job, services: &Services) -> Result<Receipt, Error> {
        let missing = Error::NotConfigured { what: "The language model", variable: "OPENROUTER_API_KEY" };
        let client = services.chat.as_ref().ok_or(missing)?;
        let messages = self.messages.into_iter();
        let question = ChatRequest {
            messages: messages.map(|message| (message.role.word().to_owned(), message.content)).collect(),
            model: self.model,
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            response_format: self.response_format,
        };
        let now = clock::unix_now().as_secs() as i64;
        let question = &question;
        let mut done = client
            .call(super::caller(job), |client| async move { client.complete(question, now).await })
            .await?;
        if let Some(result) = done.detail.take() {
            done.detail = Some(files::fit(job.id, result, "answer", services.files.as_ref()).await?);
        }
        Ok(super::receipt(done))
    }
}
