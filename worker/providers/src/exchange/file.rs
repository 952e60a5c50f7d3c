//! An exchange whose answer is a file: it is gathered while it comes, and never whole in memory when it is large.

use bytes::BytesMut;
use reqwest::RequestBuilder;
use tokio::time::Instant;

use super::{Exchange, HttpAnswer, head, is_success};
use crate::content::{Content, FetchError, Gathering, Unkept};

impl Exchange {
    /// Sends the request and gathers the file that comes with a success. The body of a refusal is in the answer.
    pub(crate) async fn fetch(
        &self,
        request: RequestBuilder,
        file: Gathering,
    ) -> Result<(HttpAnswer, Content), FetchError> {
        let deadline = Instant::now() + self.timeout;
        let response = self.begin(request, deadline).await?;
        if !is_success(response.status().as_u16()) {
            return Ok((self.read(response, deadline).await?, Content::default()));
        }
        self.gather(response, file, deadline).await
    }

    async fn gather(
        &self,
        mut response: reqwest::Response,
        mut file: Gathering,
        deadline: Instant,
    ) -> Result<(HttpAnswer, Content), FetchError> {
        let most_bytes = file.most_bytes();
        let not_kept = |unkept| match unkept {
            Unkept::TooLarge => FetchError::from(self.too_long(most_bytes)),
            Unkept::Disk(error) => error.into(),
        };
        if let Some(length) = response.content_length() {
            file.expect(length).map_err(not_kept)?;
        }
        let (status, headers) = head(&mut response);
        while let Some(chunk) = self.next(&mut response, deadline).await? {
            file.add(&chunk).await.map_err(not_kept)?;
        }
        let answer = HttpAnswer { status, headers, body: BytesMut::new().freeze() };
        Ok((answer, file.finish().await?))
    }
}
