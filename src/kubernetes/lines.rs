//! A body of lines that are each held in memory: each is limited in length.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tower::BoxError;

/// A body that ends with an error when a line is too long.
pub(crate) struct ShortLines<B> {
    body: B,
    /// Bytes since the last end of a line.
    length: usize,
    limit: usize,
}

impl<B> ShortLines<B> {
    pub(crate) fn new(body: B, limit: usize) -> Self {
        Self { body, length: 0, limit }
    }
}

impl<B> Body for ShortLines<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.length = match data.iter().rposition(|byte| *byte == b'\n') {
                Some(end) => data.len() - end - 1,
                None => self.length + data.len(),
            };
            if self.length > self.limit {
                let text = format!("a line of the answer is longer than {} bytes", self.limit);
                return Poll::Ready(Some(Err(text.into())));
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    async fn read(chunks: &[&'static str]) -> Result<usize, String> {
        let frames: Vec<_> = chunks
            .iter()
            .map(|chunk| Ok::<_, BoxError>(Frame::data(Bytes::from_static(chunk.as_bytes()))))
            .collect();
        let body = ShortLines::new(StreamBody::new(futures::stream::iter(frames)), 8);
        let whole = body.collect().await.map_err(|error| error.to_string())?;
        Ok(whole.to_bytes().len())
    }

    #[tokio::test]
    async fn lines_may_go_on_for_ever_and_each_of_them_may_not() {
        assert_eq!(read(&["1234\n", "12345678", "\n1234", "5678\n12"]).await, Ok(25));
        assert!(
            read(&["1\n12345", "6789"])
                .await
                .is_err_and(|text| text.contains("8 bytes"))
        );
    }
}
