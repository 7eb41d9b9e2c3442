//! A proxy in front of a server, which passes everything on as it came, or spoils it in one way as proxies do.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::harness::PATIENCE;

/// In which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoil {
    Nothing,
    /// All names of response headers in lower case, as over HTTP/2.
    LowerCase,
    /// Says that the body is compressed.
    Gzip,
    /// Sends everybody somewhere else.
    Redirect,
    /// 413 from 1 MiB on.
    SmallBodies,
    /// Promises to keep the connection, and ends it when something more is asked for.
    DeadKeepAlive,
    /// Cuts a request line off at 8 KiB with 414.
    ShortLines,
    /// Writes the blanks of a query as `+` instead of `%20`.
    OtherBlanks,
    /// Writes the body of a request anew, with blanks.
    OtherBody,
    /// Writes the body of an answer anew, with a line's end.
    OtherAnswer,
    /// Answers that the server behind is away.
    BadGateway,
    /// Knows no such path.
    NotFound,
    /// The answer comes in pieces of the chunked coding.
    Chunked,
}

/// A running proxy; new connections end when it is dropped.
pub struct Proxy {
    pub address: SocketAddr,
    spoil: Arc<Mutex<Spoil>>,
    ended: Arc<AtomicBool>,
}

impl Proxy {
    pub fn start(to: SocketAddr, spoil: Spoil) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (spoil, ended) = (Arc::new(Mutex::new(spoil)), Arc::new(AtomicBool::new(false)));
        let (shared, end) = (Arc::clone(&spoil), Arc::clone(&ended));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                let spoil = *shared.lock().unwrap();
                // A peer that goes away is no failure of a proxy.
                thread::spawn(move || drop(serve(stream, to, spoil)));
            }
        });
        Self { address, spoil, ended }
    }

    /// From now on it spoils otherwise.
    pub fn spoil(&self, spoil: Spoil) {
        *self.spoil.lock().unwrap() = spoil;
    }

    /// The production address through it.
    pub fn url(&self) -> String {
        format!("http://{}/saasproduce", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: TcpStream, to: SocketAddr, spoil: Spoil) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let (head, body) = message(&mut stream)?;
    let answer = match spoil {
        Spoil::Redirect => {
            b"HTTP/1.1 301 Moved Permanently\r\nLocation: https://x/\r\nContent-Length: 0\r\n\r\n".to_vec()
        }
        Spoil::BadGateway => {
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n".to_vec()
        }
        Spoil::NotFound => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        Spoil::SmallBodies if body.len() >= 1 << 20 => {
            b"HTTP/1.1 413 Request Entity Too Large\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n".to_vec()
        }
        Spoil::ShortLines if head.lines().next().unwrap_or_default().len() > 8 << 10 => {
            b"HTTP/1.1 414 Request-URI Too Large\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n".to_vec()
        }
        _ => passed_on(to, spoil, &head, &body)?,
    };
    stream.write_all(&answer)?;
    if spoil == Spoil::DeadKeepAlive {
        // Until something more is asked for.
        let _ = stream.read(&mut [0]);
    }
    Ok(())
}

fn passed_on(to: SocketAddr, spoil: Spoil, head: &str, body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut body = body.to_vec();
    if spoil == Spoil::OtherBody && !body.is_empty() {
        body.splice(1..1, *b" ");
    }
    let mut lines: Vec<String> = head.split("\r\n").map(str::to_owned).filter(|line| !line.is_empty()).collect();
    if spoil == Spoil::OtherBlanks {
        lines[0] = lines[0].replace("%20", "+");
    }
    let is = |line: &str, name: &str| line.to_ascii_lowercase().starts_with(name);
    lines.retain(|line| !is(line, "connection:") && !is(line, "content-length:"));
    lines.push(format!("Content-Length: {}", body.len()));
    lines.push("Connection: close".to_owned());
    let mut upstream = TcpStream::connect(to)?;
    upstream.set_read_timeout(Some(PATIENCE))?;
    // A server may answer before it has read everything.
    let _ = upstream.write_all(&[format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes(), &body].concat());
    let (head, mut body) = message(&mut upstream)?;
    let mut lines: Vec<String> = head.split("\r\n").map(str::to_owned).filter(|line| !line.is_empty()).collect();
    if lines.iter().any(|line| is(line, "transfer-encoding:")) {
        upstream.read_to_end(&mut body)?;
        body = unchunked(&body).ok_or(std::io::ErrorKind::InvalidData)?;
    }
    let of_the_hop = ["connection:", "content-length:", "transfer-encoding:"];
    lines.retain(|line| !of_the_hop.iter().any(|name| is(line, name)));
    match spoil {
        Spoil::LowerCase => {
            for line in &mut lines[1..] {
                let (name, value) = line.split_once(':').unwrap();
                *line = format!("{}:{value}", name.to_ascii_lowercase());
            }
        }
        Spoil::Gzip => lines.push("Content-Encoding: gzip".to_owned()),
        Spoil::OtherAnswer => body.push(b'\n'),
        _ => {}
    }
    if spoil != Spoil::DeadKeepAlive {
        lines.push("Connection: close".to_owned());
    }
    if spoil == Spoil::Chunked {
        lines.push("Transfer-Encoding: chunked".to_owned());
        body = [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    } else {
        lines.push(format!("Content-Length: {}", body.len()));
    }
    Ok([format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes(), &body].concat())
}

/// What pieces of the chunked coding hold.
fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(end + 2..end + 2 + size)?);
        rest = rest.get(end + 2 + size + 2..)?;
    }
}

/// A head, and the body that its Content-Length tells; without one, what has come with the head.
fn message(stream: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut piece = [0; 65536];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let is_length = |line: &&str| line.to_ascii_lowercase().starts_with("content-length:");
            let length = head.lines().find(is_length).and_then(|line| line.split(':').nth(1)?.trim().parse().ok());
            let Some(length): Option<usize> = length else { return Ok((head, bytes[end + 4..].to_vec())) };
            while bytes.len() < end + 4 + length {
                match stream.read(&mut piece)? {
                    0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                    read => bytes.extend_from_slice(&piece[..read]),
                }
            }
            return Ok((head, bytes[end + 4..end + 4 + length].to_vec()));
        }
        match stream.read(&mut piece)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => bytes.extend_from_slice(&piece[..read]),
        }
    }
}
