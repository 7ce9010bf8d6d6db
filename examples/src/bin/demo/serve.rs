//! Services on loopback.

use std::{io, net::SocketAddr};

use axum::Router;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// A service that runs until it is stopped or dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    pub(crate) fn start(listener: TcpListener, app: Router) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(axum::serve(listener, app).with_graceful_shutdown(until(stopped)).into_future());
        Ok(Self { address, stop, task })
    }

    /// Takes no more requests, and waits until those that are open have ended.
    pub(crate) async fn stop(&mut self) -> io::Result<()> {
        self.stop.send_replace(true);
        (&mut self.task).await.map_err(io::Error::other)?
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the server is gone, which is a reason to stop as well.
    let _gone = stopped.wait_for(|stopped| *stopped).await;
}
