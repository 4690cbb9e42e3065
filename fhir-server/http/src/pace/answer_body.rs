//! An answer's body that knows whether it waits for the client or for the server.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::Begun;

/// Bytes that are given to the connection at once. HTTP/2 keeps what it is given until the client takes it: of a long answer
/// to a client that takes none of it, no more than this is out of sight.
const PART_BYTES_MAX: usize = 64 * 1024;

/// What comes after an answer's head. The request is over when this is dropped.
#[derive(Debug)]
pub(crate) struct AnswerBody<B> {
    inner: B,
    /// Data that is there already and was more than one part.
    rest: Bytes,
    request: Begun,
    /// The next part is there, as far as is known, and the client has not taken the last one. Not so while who makes the
    /// body is waited for.
    is_untaken: bool,
}

impl<B> AnswerBody<B> {
    /// The body of the answer to `request`.
    pub(crate) fn new(inner: B, request: Begun) -> AnswerBody<B> {
        request.set_untaken(true);
        AnswerBody { inner, rest: Bytes::new(), request, is_untaken: true }
    }

    fn set_untaken(&mut self, is_untaken: bool) {
        if self.is_untaken != is_untaken {
            self.is_untaken = is_untaken;
            self.request.set_untaken(is_untaken);
        }
    }

    fn part(&mut self) -> Frame<Bytes> {
        let length = self.rest.len().min(PART_BYTES_MAX);
        Frame::data(self.rest.split_to(length))
    }
}

impl<B> Drop for AnswerBody<B> {
    fn drop(&mut self) {
        self.set_untaken(false);
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for AnswerBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        if !this.rest.is_empty() {
            return Poll::Ready(Some(Ok(this.part())));
        }
        let frame = Pin::new(&mut this.inner).poll_frame(cx);
        this.set_untaken(frame.is_ready());
        match ready!(frame) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if data.len() > PART_BYTES_MAX => {
                    this.rest = data;
                    Poll::Ready(Some(Ok(this.part())))
                }
                Ok(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
                Err(trailers) => Poll::Ready(Some(Ok(trailers))),
            },
            other => Poll::Ready(other),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.inner.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(inner.lower() + rest);
        hint
    }
}
