//! A client of the API server that rests on no process-wide cryptography, and notices when the line is dead.

use std::{panic::resume_unwind, time::Duration};

use http::{HeaderValue, Request, header};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Builder, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client,
    client::{Body, ConfigExt as _},
};
use sentinel_datasource::{Cause, Secret, SourceError, secrecy::ExposeSecret as _};
use tokio::task::{JoinError, spawn_blocking};
use tower::{BoxError, ServiceBuilder, filter::FilterLayer};

use crate::{
    access::{Access, Entrance},
    error,
};

/// After how long without a word the server is asked for one.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// How long it may take to answer that.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// What requests say that they come from.
const AGENT: &str = concat!("sentinel-kit/", env!("CARGO_PKG_VERSION"));

/// A client, and what its server is called in messages.
pub(crate) struct Connected {
    pub(crate) client: Client,
    pub(crate) server: String,
}

/// Makes a client. It connects when it is used.
pub(crate) async fn connect(access: &Access) -> Result<Connected, SourceError> {
    let access = access.clone();
    // Files are read, and a kubeconfig may have a command run.
    match spawn_blocking(move || prepare(access.enter()?)).await.map_err(JoinError::try_into_panic) {
        Ok(prepared) => prepared,
        Err(Ok(panic)) => resume_unwind(panic),
        // The runtime is going.
        Err(Err(_)) => Err(SourceError::Ended),
    }
}

fn prepare(entrance: Entrance) -> Result<Connected, SourceError> {
    let server = entrance.config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let credentials = |failed| error::of_client(&server, failed);
    let auth = entrance.config.auth_layer().map_err(credentials)?;
    if auth.is_none() && entrance.config.auth_info.exec.is_some() {
        let cause = Cause::text("a command that prints certificates: only one that prints tokens is known");
        return Err(SourceError::Setting { setting: "the kubeconfig", cause });
    }
    let headers = entrance.config.extra_headers_layer().map_err(credentials)?;
    let http = Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_keep_alive_while_idle(true)
        .build(connector(&entrance)?);
    let token = entrance.token;
    let service = ServiceBuilder::new()
        .map_err(error::without_secrets)
        .layer(entrance.config.base_uri_layer())
        .option_layer(auth)
        .layer(headers)
        .layer(FilterLayer::new(move |request| introduce(request, token.as_ref())))
        .map_err(BoxError::from)
        .service(http);
    Ok(Connected { client: Client::new(service, entrance.config.default_namespace), server })
}

/// Says in a request who comes.
fn introduce(mut request: Request<Body>, token: Option<&Secret>) -> Result<Request<Body>, BoxError> {
    let headers = request.headers_mut();
    headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
    if let Some(token) = token {
        let token = token.reveal()?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret())).map_err(|_| {
            let cause = Cause::text("it has characters that no token has");
            SourceError::Setting { setting: "the token", cause }
        })?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    Ok(request)
}

fn connector(entrance: &Entrance) -> Result<HttpsConnector<HttpConnector>, SourceError> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    // Where the server or what is before it speaks HTTP/1 only, this notices a dead line, in its own time.
    http.set_keepalive(Some(PING_INTERVAL));
    let mut builder = HttpsConnectorBuilder::new().with_tls_config(entrance.tls.client_config()?).https_or_http();
    if let Some(name) = &entrance.tls.domain {
        let name = name.clone().try_into().map_err(|_| SourceError::Setting {
            setting: "the name of the server",
            cause: Cause::text("it is no name of a host"),
        })?;
        builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    Ok(builder.enable_http1().enable_http2().wrap_connector(http))
}
