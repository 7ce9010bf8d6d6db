use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use sentinel_core::Outcome;

use crate::Guard;

pin_project! {
    /// A response body that ends the call when it ends.
    ///
    /// It says of itself, its length and its end what the body inside says.
    pub struct GuardedBody<B> {
        #[pin]
        content: Content<B>,
    }
}

pin_project! {
    #[project = ContentProjection]
    enum Content<B> {
        Guarded {
            #[pin]
            body: B,
            // Bytes still to come, if it is known.
            left: Option<u64>,
            guard: Option<Guard>,
            outcome: Outcome,
        },
        Refusal { text: Option<Bytes> },
    }
}

impl<B> GuardedBody<B> {
    pub(super) fn new(body: B, left: Option<u64>, guard: Guard, outcome: Outcome) -> Self {
        Self { content: Content::Guarded { body, left, guard: Some(guard), outcome } }
    }

    pub(super) fn of_refusal(text: Bytes) -> Self {
        Self { content: Content::Refusal { text: (!text.is_empty()).then_some(text) } }
    }
}

impl<B> Body for GuardedBody<B>
where
    B: Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let (mut body, left, guard, outcome) = match self.project().content.project() {
            ContentProjection::Refusal { text } => return Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            ContentProjection::Guarded { body, left, guard, outcome } => (body, left, guard, *outcome),
        };
        // On the stack while the body is polled, so that a panic there ends the call as failed.
        let held = guard.take();
        let frame = body.as_mut().poll_frame(context);
        let Some(held) = held else { return frame };
        match &frame {
            Poll::Pending => *guard = Some(held),
            Poll::Ready(None) => held.conclude(outcome),
            Poll::Ready(Some(Err(_))) => held.conclude(Outcome::Error),
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(left), Some(data)) = (left.as_mut(), frame.data_ref()) {
                    *left = left.saturating_sub(data.len() as u64);
                }
                if frame.is_trailers() || *left == Some(0) || body.is_end_stream() {
                    held.conclude(outcome);
                } else {
                    *guard = Some(held);
                }
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Guarded { body, .. } => body.is_end_stream(),
            Content::Refusal { text } => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Guarded { body, .. } => body.size_hint(),
            Content::Refusal { text } => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}

impl<B> fmt::Debug for GuardedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedBody").finish_non_exhaustive()
    }
}
