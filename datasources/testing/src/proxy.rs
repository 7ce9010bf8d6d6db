use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, oneshot, watch},
    task::{AbortHandle, JoinSet},
};

use crate::ports::{free_port, loopback};

/// A line between a client and a server that can be as bad as networks are. Dropping it cuts it.
///
/// # Example
///
/// ```
/// use sentinel_testing::Proxy;
/// use tokio::{net::{TcpListener, TcpStream}, runtime::Runtime};
///
/// Runtime::new()?.block_on(async {
///     let server = TcpListener::bind("127.0.0.1:0").await?;
///     let proxy = Proxy::to(server.local_addr()?).await;
///     let _client = TcpStream::connect(proxy.address()).await?;
///     server.accept().await?;
///     assert_eq!(proxy.connections(), 1);
///     proxy.cut().await;
///     assert!(TcpStream::connect(proxy.address()).await.is_err());
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    orders: mpsc::Sender<(Order, oneshot::Sender<()>)>,
    stalled: watch::Sender<bool>,
    connections: Arc<AtomicU64>,
    task: AbortHandle,
}

#[derive(Clone, Copy, Debug)]
enum Order {
    /// Listen, if it does not.
    Listen,
    /// Break the connections.
    Reset,
    /// Break the connections, and listen no more.
    Cut,
}

impl Proxy {
    /// Starts a line to this server.
    ///
    /// # Panics
    ///
    /// Outside of a runtime, and when no port can be had.
    pub async fn to(target: SocketAddr) -> Self {
        let address = loopback(free_port(&[0]));
        let (orders, received) = mpsc::channel(1);
        let (stalled, watched) = watch::channel(false);
        let connections = Arc::<AtomicU64>::default();
        let line = Line { address, target, stalled: watched, connections: Arc::clone(&connections) };
        let task = tokio::spawn(line.run(received)).abort_handle();
        let proxy = Self { address, orders, stalled, connections, task };
        proxy.order(Order::Listen).await;
        proxy
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections clients have made, over all the time.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Breaks all connections and refuses new ones.
    pub async fn cut(&self) {
        self.order(Order::Cut).await;
    }

    /// Breaks all connections once, with a reset as of a machine that has forgotten them.
    pub async fn reset(&self) {
        self.order(Order::Reset).await;
    }

    /// Keeps connections and takes new ones, but passes no byte.
    pub fn stall(&self) {
        self.stalled.send_replace(true);
    }

    /// Is a good line again, which passes what was held back.
    pub async fn heal(&self) {
        self.stalled.send_replace(false);
        self.order(Order::Listen).await;
    }

    /// Waits until the order was carried out.
    async fn order(&self, order: Order) {
        let (done, is_done) = oneshot::channel();
        self.orders.send((order, done)).await.expect("the line takes orders as long as it is there");
        is_done.await.unwrap_or_else(|_| panic!("{order:?} at {} was not carried out", self.address));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Line {
    address: SocketAddr,
    target: SocketAddr,
    stalled: watch::Receiver<bool>,
    connections: Arc<AtomicU64>,
}

impl Line {
    async fn run(self, mut orders: mpsc::Receiver<(Order, oneshot::Sender<()>)>) {
        let mut listener = None;
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                order = orders.recv() => {
                    let Some((order, done)) = order else { return };
                    match order {
                        Order::Listen if listener.is_some() => {}
                        Order::Listen => {
                            listener = Some(TcpListener::bind(self.address).await.expect("the port is free"));
                        }
                        Order::Reset => open.shutdown().await,
                        Order::Cut => {
                            listener = None;
                            open.shutdown().await;
                        }
                    }
                    // Who gave the order may have gone.
                    let _ = done.send(());
                }
                Ok(client) = accept(listener.as_ref()), if listener.is_some() => {
                    self.connections.fetch_add(1, Ordering::Relaxed);
                    open.spawn(pass(client, self.target, self.stalled.clone()));
                }
                Some(_) = open.join_next() => {}
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

/// Passes bytes both ways until one side breaks, or both have said all they have.
async fn pass(mut client: TcpStream, target: SocketAddr, mut stalled: watch::Receiver<bool>) -> io::Result<()> {
    // Closed without warning, a connection is reset.
    client.set_zero_linger()?;
    flowing(&mut stalled).await;
    let mut server = TcpStream::connect(target).await?;
    server.set_zero_linger()?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    tokio::try_join!(pump(from_client, to_server, stalled.clone()), pump(from_server, to_client, stalled))?;
    Ok(())
}

async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, mut stalled: watch::Receiver<bool>) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let len = from.read(&mut buffer).await?;
        flowing(&mut stalled).await;
        if len == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..len]).await?;
    }
}

/// Waits while the line is stalled.
async fn flowing(stalled: &mut watch::Receiver<bool>) {
    if stalled.wait_for(|stalled| !stalled).await.is_err() {
        // The proxy is gone, and so will be this task.
        std::future::pending::<()>().await;
    }
}
