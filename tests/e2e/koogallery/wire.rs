//! Sockets of the mock: listening, reading requests, writing replies as they should be or as they should not, and being
//! gone. What a request means is not decided here.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use percent_encoding::percent_decode_str;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::behaviour::Delivery;
use super::reply::Reply;
use super::state::Shared;

/// AK/SK is for bodies up to so many bytes.
const LONGEST_BODY: usize = 12 << 20;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// As on the wire, without the query.
    pub path: String,
    /// Decoded, in the order it came.
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of this name, in any case.
    pub fn header(&self, wanted: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.next().map(|(_, value)| value.as_str())
    }
}

/// A port that stays the mock's own, whether something listens there or not.
pub struct Door {
    pub address: SocketAddr,
    /// Bound, never listening: nobody else gets the port while the door is closed.
    _holder: socket2::Socket,
    open: Mutex<Option<Acceptor>>,
    connections: Arc<Mutex<Vec<Connection>>>,
}

struct Acceptor {
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

struct Connection {
    socket: TcpStream,
    thread: JoinHandle<()>,
}

impl Door {
    /// A closed one on a port of its own.
    pub fn new() -> Self {
        let holder = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let address = holder.local_addr().unwrap().as_socket().unwrap();
        Self { address, _holder: holder, open: Mutex::new(None), connections: Arc::default() }
    }

    /// Listens from now on.
    pub fn open(&self, shared: &Arc<Shared>, tls: Option<&Arc<ServerConfig>>) {
        let socket = bound(self.address);
        socket.listen(128).unwrap();
        let (listener, stopping) = (TcpListener::from(socket), Arc::new(AtomicBool::new(false)));
        let (shared, tls, connections) = (Arc::clone(shared), tls.cloned(), Arc::clone(&self.connections));
        let stop = Arc::clone(&stopping);
        let accept = move || {
            for socket in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(socket) = socket else { continue };
                let (shared, tls, serving) = (Arc::clone(&shared), tls.clone(), socket.try_clone().unwrap());
                let thread = std::thread::spawn(move || serve(&shared, serving, tls));
                connections.lock().unwrap().push(Connection { socket, thread });
            }
        };
        let acceptor = Acceptor { stopping, thread: std::thread::spawn(accept) };
        assert!(self.open.lock().unwrap().replace(acceptor).is_none(), "the door is open already");
    }

    /// Nothing listens any more, and open connections are cut.
    pub fn close(&self) {
        let Some(acceptor) = self.open.lock().unwrap().take() else { return };
        acceptor.stopping.store(true, Ordering::SeqCst);
        // Wakes it up.
        drop(TcpStream::connect(self.address));
        acceptor.thread.join().unwrap();
        for connection in self.connections.lock().unwrap().iter() {
            let _ = connection.socket.shutdown(Shutdown::Both);
        }
    }

    /// Waits for the threads of all connections there were; whether each ended well. The door must be closed.
    pub fn join(&self) -> bool {
        let connections = std::mem::take(&mut *self.connections.lock().unwrap());
        let ended = connections.into_iter().map(|connection| connection.thread.join());
        ended.filter(Result::is_err).count() == 0
    }
}

/// A socket that shares its port with others of this kind as long as at most one listens.
fn bound(address: SocketAddr) -> socket2::Socket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

/// A connection, plain or not.
enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// Serves a connection to its end; a peer that goes away ends it too.
fn serve(shared: &Shared, socket: TcpStream, tls: Option<Arc<ServerConfig>>) {
    let mut wire = match tls {
        None => Wire::Plain(socket.try_clone().unwrap()),
        Some(config) => {
            let session = ServerConnection::new(config).unwrap();
            Wire::Tls(Box::new(StreamOwned::new(session, socket.try_clone().unwrap())))
        }
    };
    if !shared.turns_away_connection() {
        let mut buffer = Vec::new();
        while let Some(request) = read_request(&mut wire, &mut buffer).unwrap_or_else(complain) {
            let is_last = request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
            let (reply, delivery) = shared.handle(request);
            if !matches!(write_reply(&mut wire, &reply, delivery), Ok(true)) || is_last {
                break;
            }
        }
        if let Wire::Tls(stream) = &mut wire {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    }
    let _ = socket.shutdown(Shutdown::Both);
}

/// What a client sends that no HTTP server would take is shown with the test that fails by it.
fn complain(error: io::Error) -> Option<Request> {
    if error.kind() == io::ErrorKind::InvalidData {
        eprintln!("KooGallery cannot read a request: {error}");
    }
    None
}

/// The next request of a connection, if there is one; what came behind it stays in the buffer.
fn read_request(wire: &mut Wire, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    loop {
        if let Some((request, length)) = parse_head(buffer)? {
            let wanted = length + request.header("content-length").map_or(Ok(0), str::parse).map_err(invalid)?;
            if request.header("transfer-encoding").is_some() || wanted - length > LONGEST_BODY {
                return Err(invalid("a body in chunks, or too long"));
            }
            while buffer.len() < wanted {
                if !read_more(wire, buffer)? {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            let rest = buffer.split_off(wanted);
            let body = std::mem::replace(buffer, rest).split_off(length);
            return Ok(Some(Request { body, ..request }));
        }
        if !read_more(wire, buffer)? {
            return Ok(None);
        }
    }
}

fn read_more(wire: &mut Wire, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = [0; 8192];
    let count = wire.read(&mut chunk)?;
    buffer.extend_from_slice(&chunk[..count]);
    Ok(count > 0)
}

/// A request without its body and the length of its head, once that is all there.
fn parse_head(bytes: &[u8]) -> io::Result<Option<(Request, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(bytes).map_err(invalid)? else { return Ok(None) };
    let target = head.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let decode = |text: &str| -> io::Result<String> {
        Ok(percent_decode_str(&text.replace('+', " ")).decode_utf8().map_err(invalid)?.into_owned())
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decode(name)?, decode(value)?))
    });
    let headers = head.headers.iter().map(|header| {
        let value = str::from_utf8(header.value).map_err(invalid)?;
        Ok((header.name.to_owned(), value.to_owned()))
    });
    let request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: pairs.collect::<io::Result<_>>()?,
        headers: headers.collect::<io::Result<_>>()?,
        body: Vec::new(),
    };
    Ok(Some((request, length)))
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Writes a reply; whether the connection goes on.
fn write_reply(wire: &mut Wire, reply: &Reply, delivery: Delivery) -> io::Result<bool> {
    let body = reply.body.as_slice();
    match delivery {
        Delivery::Whole => {
            wire.write_all(&[reply.head(Some(body.len())).as_bytes(), body].concat())?;
            wire.flush()?;
            return Ok(true);
        }
        Delivery::Nothing => {}
        Delivery::HalfHead => {
            let head = reply.head(Some(body.len()));
            wire.write_all(&head.as_bytes()[..head.len() / 2])?;
        }
        Delivery::HalfBody => {
            wire.write_all(reply.head(Some(body.len())).as_bytes())?;
            wire.write_all(&body[..body.len() / 2])?;
        }
        Delivery::Flood(length) => {
            wire.write_all(reply.head(Some(length)).as_bytes())?;
            wire.write_all(body)?;
            pour(wire, length - body.len())?;
        }
        Delivery::Endless => {
            wire.write_all(reply.head(None).as_bytes())?;
            wire.write_all(body)?;
            pour(wire, usize::MAX)?;
        }
        Delivery::Drip(pause) => {
            for byte in [reply.head(Some(body.len())).as_bytes(), body].concat() {
                wire.write_all(&[byte])?;
                wire.flush()?;
                std::thread::sleep(pause);
            }
        }
    }
    wire.flush()?;
    Ok(false)
}

/// Blanks, which JSON allows behind its end, until the client has enough.
fn pour(wire: &mut Wire, mut count: usize) -> io::Result<()> {
    while count > 0 {
        let part = count.min(1 << 16);
        wire.write_all(&vec![b' '; part])?;
        count -= part;
    }
    Ok(())
}
