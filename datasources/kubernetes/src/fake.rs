//! An API server in memory, which answers what the test says, in order.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use kube::{Client, client::Body};
use parking_lot::Mutex;
use serde_json::Value;
use tower::{BoxError, service_fn};

#[derive(Clone, Default)]
pub(crate) struct Fake {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

struct Answer {
    status: u16,
    text: String,
    /// Whether more may come after the text.
    stays_open: bool,
}

impl Fake {
    pub(crate) fn answer(&self, status: u16, body: &Value) -> &Self {
        self.push(status, body.to_string(), false)
    }

    /// Answers a watch with these events, and ends it or keeps it open.
    pub(crate) fn events(&self, events: &[Value], stays_open: bool) -> &Self {
        self.push(200, events.iter().map(|event| format!("{event}\n")).collect(), stays_open)
    }

    fn push(&self, status: u16, text: String, stays_open: bool) -> &Self {
        self.answers.lock().push_back(Answer { status, text, stays_open });
        self
    }

    /// What was asked for since the last time: methods with paths, and bodies.
    pub(crate) fn asked(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut *self.asked.lock())
    }

    pub(crate) fn client(&self) -> Client {
        let fake = self.clone();
        let serve = move |request: Request<Body>| {
            let fake = fake.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or_default();
                fake.asked.lock().push((format!("{} {}", parts.method, parts.uri), body));
                let answer = fake.answers.lock().pop_front().ok_or("the fake has no more answers")?;
                let text = stream::iter([Ok(http_body::Frame::data(Bytes::from(answer.text)))]);
                let body: stream::BoxStream<'static, Result<_, std::io::Error>> = match answer.stays_open {
                    true => text.chain(stream::pending()).boxed(),
                    false => text.boxed(),
                };
                Ok::<_, BoxError>(Response::builder().status(answer.status).body(StreamBody::new(body))?)
            }
        };
        Client::new(service_fn(serve), "default")
    }
}
