//! Opening and closing the door: settings, listener, and the thread behind which everything else starts.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

use super::{Counters, Handler, Tls, accept::Acceptor, shared::Shared, wake};

/// Connections that the kernel completes before the door accepts them; with the lobby, more than a burst needs.
const BACKLOG: i32 = 1024;

/// The limits of a door. The defaults are those of the appliance; tests shorten the times.
#[derive(Debug, Clone)]
pub struct DoorSettings {
    /// Where to listen; port 0 takes any free port.
    pub listen: SocketAddr,
    /// What the door's threads are called, followed by a number.
    pub name: &'static str,
    /// Speaks HTTPS with this; HTTP without.
    pub tls: Option<Arc<Tls>>,
    /// Connections open at once, and the most threads. A new one takes the place of the one that has waited longest
    /// for its client, of a stranger if there is one, and of the host that has the most.
    pub max_connections: usize,
    /// The largest head in bytes: request line, headers and the empty line. V1 calls carry up to 32 KiB in the query.
    pub max_head: usize,
    /// The largest body in bytes.
    pub max_body: usize,
    /// Bytes that all bodies above 64 KiB may take together.
    pub body_memory: usize,
    /// From the connection to the end of the TLS handshake.
    pub handshake_within: Duration,
    /// From the first byte of a request to the end of its head.
    pub head_within: Duration,
    /// From the end of the head to the end of the body. One deadline does for a minimum rate: it asks for
    /// `max_body / body_within` of the largest body, and slower senders make room first when places are short.
    pub body_within: Duration,
    /// From the beginning of an answer until the client has taken all but what fits the socket.
    pub write_within: Duration,
    /// Between two requests, or from the connection to the first.
    pub idle_within: Duration,
    /// After an early refusal: how long what the client still sends is read and thrown away, so that it sees the
    /// answer before the connection is reset.
    pub drain_within: Duration,
    /// And at most how many bytes of it.
    pub drain_bytes: usize,
    /// A connection makes room for a new one only after it has waited this long for its client, so that a burst does
    /// not cut those whose request is just arriving.
    pub evict_after: Duration,
    /// Whether strangers may come here. In a crowd they are the ones who wait.
    pub for_anybody: bool,
    /// Where the door counts. Whoever is told the numbers before the door is open keeps another hand on them.
    pub counters: Arc<Counters>,
}

impl Default for DoorSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            name: "door",
            tls: None,
            max_connections: 256,
            max_head: 48 << 10,
            max_body: 10 << 20,
            body_memory: 64 << 20,
            handshake_within: Duration::from_secs(10),
            head_within: Duration::from_secs(10),
            body_within: Duration::from_secs(30),
            write_within: Duration::from_secs(10),
            idle_within: Duration::from_secs(60),
            drain_within: Duration::from_millis(500),
            drain_bytes: 64 << 10,
            evict_after: Duration::from_millis(100),
            for_anybody: true,
            counters: Arc::default(),
        }
    }
}

/// Why a door could not be opened.
#[derive(Debug, Error)]
pub enum DoorError {
    /// The address is in use, not ours, or its port needs a privilege.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address as configured.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system has no thread or descriptor left.
    #[error("cannot start the thread that accepts connections")]
    Start {
        /// What the system said.
        source: io::Error,
    },
}

/// An open door. Dropping it closes it without grace; [`close`](Door::close) lets requests finish.
pub struct Door {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<usize>>,
}

impl Door {
    /// Listens and serves from now on.
    pub fn open(settings: DoorSettings, handler: Arc<dyn Handler>) -> Result<Self, DoorError> {
        let address = settings.listen;
        let listener = listen(address).map_err(|source| DoorError::Listen { address, source })?;
        let address = listener.local_addr().map_err(|source| DoorError::Listen { address, source })?;
        let start = || {
            let name = format!("{}-accept", settings.name);
            let (bell, waiter) = wake::bell()?;
            let shared = Arc::new(Shared::new(settings, handler, bell));
            let acceptor = Acceptor::new(listener, waiter, Arc::clone(&shared));
            let thread = thread::Builder::new().name(name).spawn(move || acceptor.run())?;
            Ok(Self { address, shared, acceptor: Some(thread) })
        };
        start().map_err(|source| DoorError::Start { source })
    }

    /// Where the door listens, with the port that was chosen for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The door's counters; they can be kept and read after the door is closed.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }

    /// Accepts no more, closes idle connections at once, and gives requests that have begun to arrive or are with the
    /// handler up to `grace` to be answered. Then the rest is cut and the threads are joined.
    ///
    /// Returns the number of requests that were still with the handler: their threads end when it returns, and their
    /// clients get no answer.
    pub fn close(mut self, grace: Duration) -> usize {
        self.shut(grace)
    }

    fn shut(&mut self, grace: Duration) -> usize {
        let Some(acceptor) = self.acceptor.take() else { return 0 };
        self.shared.start_closing(Instant::now() + grace);
        acceptor.join().unwrap_or_else(|_| {
            log::error!("the accepting thread panicked (bug)");
            0
        })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shut(Duration::ZERO);
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the last connections of the process before it to be forgotten.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
