//! An HTTP server with a document, which can be as bad as servers are.

use std::{
    collections::HashMap,
    convert::Infallible,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, channel::Channel, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderMap, HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use crate::{
    Certificates, Tls,
    ports::{free_port, loopback},
};

/// Where the document is.
const PATH: &str = "/rules";

/// What [`Fault::Oversized`] sends at once.
const PIECE: Bytes = Bytes::from_static(&[b' '; 16 << 10]);

/// How long a connection has for what it was given.
const FLUSH: Duration = Duration::from_millis(50);

/// What [`Fault::Garbage`] sends: neither text nor anything that is compressed.
const GARBAGE: &[u8] = b"\xff\xfe\x00{]}\x80";

/// A server over HTTP/1.1 with a document at [`url`](Self::url). Dropping it closes its connections.
///
/// A document has an `ETag`, and is not sent again to whom has it. Before the first one is
/// [there](Self::serve), it is not found. Clients may `PUT` one, under the conditions `If-Match` and `If-None-Match: *`.
///
/// # Example
///
/// ```
/// use sentinel_testing::http::{Fault, HttpServer};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let server = HttpServer::start().await;
/// server.serve("application/json", r#"{"flow": []}"#);
/// assert!(server.url().ends_with("/rules"));
///
/// server.fail(Fault::Status(500));
/// assert!(server.requests().is_empty());
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

/// What a server does wrong with every request until it is [mended](HttpServer::mend).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It answers with this status, and nothing else.
    Status(u16),
    /// It sends bytes that are no document.
    Garbage,
    /// It takes the request and never answers.
    Hang,
    /// It sends blanks, so many and a few more, without saying how many.
    Oversized {
        /// How many bytes at least.
        len: u64,
    },
    /// It sends the document byte by byte, with such a pause before each.
    Slow {
        /// How long it pauses.
        pause: Duration,
    },
    /// It breaks the connection in the middle of the document.
    CutShort,
}

#[derive(Debug, Default)]
struct State {
    documents: HashMap<String, Document>,
    bearer: Option<String>,
    redirect: Option<String>,
    without_etags: bool,
    headers: HeaderMap,
    fault: Option<Fault>,
    requests: Vec<Request<()>>,
}

#[derive(Debug)]
struct Document {
    content_type: String,
    bytes: Bytes,
}

impl HttpServer {
    /// Starts one that does not encrypt.
    ///
    /// # Panics
    ///
    /// Outside of a runtime, and when no port can be had.
    pub async fn start() -> Self {
        Self::start_on(None).await
    }

    /// Starts one with these certificates.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub async fn start_tls(certificates: &Certificates, tls: Tls) -> Self {
        Self::start_on(certificates.server_config(tls)).await
    }

    async fn start_on(tls: Option<Arc<ServerConfig>>) -> Self {
        let address = loopback(free_port(&[0]));
        let state = Arc::<Mutex<State>>::default();
        let task = listen(address, tls.clone(), Arc::clone(&state)).await;
        Self { address, tls, state, task }
    }

    /// Breaks all connections and refuses new ones.
    pub fn kill(&self) {
        self.task.abort();
    }

    /// Kills it if it is up, and starts it where it was and with its document.
    ///
    /// # Panics
    ///
    /// When somebody else has its port.
    pub async fn restart(&mut self) {
        self.kill();
        // One that was killed ends with an error.
        let _ = (&mut self.task).await;
        self.task = listen(self.address, self.tls.clone(), Arc::clone(&self.state)).await;
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the document is.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_none() { "http" } else { "https" };
        format!("{scheme}://{}{PATH}", self.address)
    }

    /// Has this document from now on.
    pub fn serve(&self, content_type: &str, document: impl Into<Bytes>) {
        self.serve_at(PATH, content_type, document);
    }

    /// Has this document at this path from now on, beside the others.
    pub fn serve_at(&self, path: &str, content_type: &str, document: impl Into<Bytes>) {
        let document = Document { content_type: content_type.to_owned(), bytes: document.into() };
        self.state.lock().documents.insert(path.to_owned(), document);
    }

    /// Has no document any more.
    pub fn remove(&self) {
        self.state.lock().documents.remove(PATH);
    }

    /// Sends no `ETag`, and so the document every time.
    pub fn withhold_etags(&self) {
        self.state.lock().without_etags = true;
    }

    /// Adds this header to every answer. With `Last-Modified`, the document is not sent again to whom has it from then.
    ///
    /// # Panics
    ///
    /// When this is no header.
    pub fn add_header(&self, name: HeaderName, text: &str) {
        self.state.lock().headers.insert(name, value(text));
    }

    /// Gives the document only to whom shows this token.
    pub fn require_bearer(&self, token: &str) {
        self.state.lock().bearer = Some(token.to_owned());
    }

    /// Sends everybody elsewhere. A path is one of this server, where requests are answered.
    pub fn redirect_to(&self, url: &str) {
        self.state.lock().redirect = Some(url.to_owned());
    }

    /// Does this wrong.
    pub fn fail(&self, fault: Fault) {
        self.state.lock().fault = Some(fault);
    }

    /// Does nothing wrong any more, with requests that come from now on.
    pub fn mend(&self) {
        self.state.lock().fault = None;
    }

    /// The requests that have come, over all the time, without their bodies.
    pub fn requests(&self) -> Vec<Request<()>> {
        self.state.lock().requests.clone()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(address: SocketAddr, tls: Option<Arc<ServerConfig>>, state: Arc<Mutex<State>>) -> JoinHandle<()> {
    let acceptor = tls.map(TlsAcceptor::from);
    let listener = TcpListener::bind(address).await.expect("the port is free");
    tokio::spawn(async move {
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                Ok((stream, _)) = listener.accept() => {
                    open.spawn(serve(stream, acceptor.clone(), Arc::clone(&state)));
                }
                Some(_) = open.join_next() => {}
            }
        }
    })
}

async fn serve(stream: TcpStream, acceptor: Option<TlsAcceptor>, state: Arc<Mutex<State>>) {
    match acceptor {
        None => converse(stream, state).await,
        // Who is refused learns so by the protocol.
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                converse(stream, state).await;
            }
        }
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<Mutex<State>>) {
    let answer = service_fn(|request| {
        let state = Arc::clone(&state);
        async move {
            let mut response = answer(request, &state).await;
            response.headers_mut().extend(state.lock().headers.clone());
            Ok::<_, Infallible>(response)
        }
    });
    // Clients close when they like, and faults close in the middle.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

type Body = BoxBody<Bytes, io::Error>;

async fn answer(request: Request<Incoming>, state: &Mutex<State>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let request = Request::from_parts(head, ());
    // Who breaks off in the middle has put nothing.
    let Ok(body) = body.collect().await else { return empty(StatusCode::BAD_REQUEST) };
    let fault = {
        let mut state = state.lock();
        state.requests.push(request.clone());
        state.fault
    };
    let fault = match fault {
        None => None,
        Some(Fault::Status(status)) => return empty(StatusCode::from_u16(status).expect("a status of HTTP")),
        Some(Fault::Garbage) => return ok("application/json", full(Bytes::from_static(GARBAGE))),
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Oversized { len }) => return ok("application/json", blanks(len)),
        Some(fault @ (Fault::Slow { .. } | Fault::CutShort)) => Some(fault),
    };
    respond(&request, body.to_bytes(), &mut state.lock(), fault)
}

/// Whatever the server answers that takes requests.
fn respond(request: &Request<()>, body: Bytes, state: &mut State, fault: Option<Fault>) -> Response<Body> {
    if let Some(url) = &state.redirect
        && url != request.uri().path()
    {
        return with(empty(StatusCode::TEMPORARY_REDIRECT), header::LOCATION, value(url));
    }
    let shown = request.headers().get(header::AUTHORIZATION);
    if let Some(bearer) = &state.bearer
        && shown != Some(&value(&format!("Bearer {bearer}")))
    {
        return with(empty(StatusCode::UNAUTHORIZED), header::WWW_AUTHENTICATE, value("Bearer"));
    }
    match *request.method() {
        Method::GET => get(request, state, fault),
        Method::PUT => put(request, body, state),
        _ => with(empty(StatusCode::METHOD_NOT_ALLOWED), header::ALLOW, value("GET, PUT")),
    }
}

fn get(request: &Request<()>, state: &State, fault: Option<Fault>) -> Response<Body> {
    let path = request.uri().path();
    let Some(document) = state.documents.get(path) else { return empty(StatusCode::NOT_FOUND) };
    let etag = state.etag(path);
    let is = |condition: HeaderName, known: Option<&HeaderValue>| {
        known.is_some() && request.headers().get(condition) == known
    };
    let is_known = is(header::IF_NONE_MATCH, etag.as_ref())
        || is(header::IF_MODIFIED_SINCE, state.headers.get(header::LAST_MODIFIED));
    with_etag(if is_known { empty(StatusCode::NOT_MODIFIED) } else { document.response(fault) }, etag)
}

fn put(request: &Request<()>, bytes: Bytes, state: &mut State) -> Response<Body> {
    let path = request.uri().path();
    let (etag, is_new) = (state.etag(path), !state.documents.contains_key(path));
    let wanted = request.headers().get(header::IF_MATCH);
    let wants_none = request.headers().contains_key(header::IF_NONE_MATCH);
    if (wanted.is_some() && wanted != etag.as_ref()) || (wants_none && !is_new) {
        return empty(StatusCode::PRECONDITION_FAILED);
    }
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|text| text.to_str().ok());
    let document = Document { content_type: content_type.unwrap_or("text/plain").to_owned(), bytes };
    state.documents.insert(path.to_owned(), document);
    with_etag(empty(if is_new { StatusCode::CREATED } else { StatusCode::NO_CONTENT }), state.etag(path))
}

impl State {
    fn etag(&self, path: &str) -> Option<HeaderValue> {
        self.documents.get(path).filter(|_| !self.without_etags).map(Document::etag)
    }
}

impl Document {
    fn etag(&self) -> HeaderValue {
        let mut hasher = DefaultHasher::new();
        self.bytes.hash(&mut hasher);
        value(&format!("\"{:x}\"", hasher.finish()))
    }

    fn response(&self, fault: Option<Fault>) -> Response<Body> {
        let bytes = self.bytes.clone();
        let body = match fault {
            Some(Fault::Slow { pause }) => bit_by_bit(bytes, pause),
            Some(Fault::CutShort) => cut_short(bytes),
            _ => full(bytes),
        };
        with(ok(&self.content_type, body), header::CONTENT_LENGTH, self.bytes.len().into())
    }
}

fn blanks(len: u64) -> Body {
    let (mut sender, body) = Channel::new(1);
    tokio::spawn(async move {
        let pieces = len / PIECE.len() as u64 + 1;
        for _ in 0..pieces {
            if sender.send_data(PIECE).await.is_err() {
                return;
            }
        }
    });
    body.boxed()
}

fn bit_by_bit(bytes: Bytes, pause: Duration) -> Body {
    let (mut sender, body) = Channel::new(1);
    tokio::spawn(async move {
        for at in 0..bytes.len() {
            time::sleep(pause).await;
            if sender.send_data(bytes.slice(at..=at)).await.is_err() {
                return;
            }
        }
    });
    body.boxed()
}

fn cut_short(bytes: Bytes) -> Body {
    let (mut sender, body) = Channel::new(1);
    tokio::spawn(async move {
        // Whoever does not want the first half does not miss the other.
        if sender.send_data(bytes.slice(..bytes.len() / 2)).await.is_ok() {
            // What is broken off at once is not begun.
            time::sleep(FLUSH).await;
            sender.abort(io::Error::other("the document is cut short"));
        }
    });
    body.boxed()
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    response
}

fn ok(content_type: &str, body: Body) -> Response<Body> {
    with(Response::new(body), header::CONTENT_TYPE, value(content_type))
}

fn with_etag(response: Response<Body>, etag: Option<HeaderValue>) -> Response<Body> {
    match etag {
        Some(etag) => with(response, header::ETAG, etag),
        None => response,
    }
}

fn with(mut response: Response<Body>, name: HeaderName, value: HeaderValue) -> Response<Body> {
    response.headers_mut().insert(name, value);
    response
}

fn value(text: &str) -> HeaderValue {
    text.try_into().expect("the value of a header")
}
