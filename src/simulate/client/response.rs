//! An HTTP/1.1 response, read whole and kept as it came.

use std::io::Read;
use std::time::Duration;

use super::{ClientError, io_error};

const HEAD_LIMIT: usize = 16 * 1024;
const HEADER_LIMIT: usize = 64;
const BODY_LIMIT: usize = 1024 * 1024;

const HEAD_TOO_LARGE: ClientError = ClientError::Malformed("the head is longer than 16 KiB");
const BODY_TOO_LARGE: ClientError = ClientError::Malformed("the body is longer than 1 MiB");

/// A response as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status of the status line.
    pub status: u16,
    /// The status line without its end.
    pub status_line: String,
    /// Names in the spelling received, in the order received.
    pub headers: Vec<(String, String)>,
    /// The body without its transfer encoding.
    pub body: Vec<u8>,
    /// From before the connection until the last byte.
    pub elapsed: Duration,
}

impl Answer {
    /// The value of the first header of this name, whatever its spelling.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(candidate, _)| candidate.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Reads one response; interim ones (1xx) are skipped. `elapsed` is left at zero for the caller to set.
pub(super) fn read(stream: &mut impl Read) -> Result<Answer, ClientError> {
    let mut reader = Reader { stream, buffer: Vec::new() };
    loop {
        let mut answer = reader.head()?;
        if (100..200).contains(&answer.status) {
            continue;
        }
        answer.body = reader.body(&answer)?;
        return Ok(answer);
    }
}

/// What has been received and not yet used up.
struct Reader<'s, S> {
    stream: &'s mut S,
    buffer: Vec<u8>,
}

impl<S: Read> Reader<'_, S> {
    fn head(&mut self) -> Result<Answer, ClientError> {
        loop {
            if let Some((answer, length)) = parse_head(&self.buffer)? {
                self.buffer.drain(..length);
                return Ok(answer);
            }
            if self.buffer.len() > HEAD_LIMIT {
                return Err(HEAD_TOO_LARGE);
            }
            self.more("the connection was closed before the head was complete")?;
        }
    }

    fn body(&mut self, answer: &Answer) -> Result<Vec<u8>, ClientError> {
        if let Some(coding) = answer.header("Transfer-Encoding") {
            if !coding.trim().eq_ignore_ascii_case("chunked") {
                return Err(ClientError::Malformed("the Transfer-Encoding is not chunked"));
            }
            return self.chunks();
        }
        match answer.header("Content-Length") {
            Some(length) => {
                let length =
                    length.trim().parse().map_err(|_| ClientError::Malformed("Content-Length is no number"))?;
                self.exactly(length, "the connection was closed before Content-Length bytes had come")
            }
            None => self.until_the_end(),
        }
    }

    fn chunks(&mut self) -> Result<Vec<u8>, ClientError> {
        const CUT: &str = "the connection was closed inside a chunked body";
        let mut body = Vec::new();
        loop {
            let size = self.chunk_size(CUT)?;
            if body.len() + size > BODY_LIMIT {
                return Err(BODY_TOO_LARGE);
            }
            if size == 0 {
                // Trailers carry nothing we look at, and the connection ends here.
                return Ok(body);
            }
            body.append(&mut self.exactly(size, CUT)?);
            if self.exactly(2, CUT)? != b"\r\n" {
                return Err(ClientError::Malformed("a chunk does not end where its size says"));
            }
        }
    }

    fn chunk_size(&mut self, cut: &'static str) -> Result<usize, ClientError> {
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((length, size))) => {
                    self.buffer.drain(..length);
                    return usize::try_from(size).ok().filter(|size| *size <= BODY_LIMIT).ok_or(BODY_TOO_LARGE);
                }
                Ok(httparse::Status::Partial) if self.buffer.len() <= HEAD_LIMIT => self.more(cut)?,
                _ => return Err(ClientError::Malformed("a chunk size is not readable")),
            }
        }
    }

    fn exactly(&mut self, length: usize, cut: &'static str) -> Result<Vec<u8>, ClientError> {
        if length > BODY_LIMIT {
            return Err(BODY_TOO_LARGE);
        }
        while self.buffer.len() < length {
            self.more(cut)?;
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    fn until_the_end(&mut self) -> Result<Vec<u8>, ClientError> {
        while self.fill()? {
            if self.buffer.len() > BODY_LIMIT {
                return Err(BODY_TOO_LARGE);
            }
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    fn more(&mut self, cut: &'static str) -> Result<(), ClientError> {
        if self.fill()? { Ok(()) } else { Err(ClientError::Malformed(cut)) }
    }

    /// Takes in what comes next; `false` at the end of the stream.
    fn fill(&mut self) -> Result<bool, ClientError> {
        let mut piece = [0; 8192];
        loop {
            match self.stream.read(&mut piece) {
                Ok(length) => {
                    self.buffer.extend_from_slice(&piece[..length]);
                    return Ok(length > 0);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(io_error(error)),
            }
        }
    }
}

/// The head and its length, or `None` while it is incomplete.
fn parse_head(buffer: &[u8]) -> Result<Option<(Answer, usize)>, ClientError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADER_LIMIT];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(buffer) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(ClientError::Malformed("more than 64 headers")),
        Err(_) => return Err(ClientError::Malformed("the status line or a header is not readable")),
    };
    if length > HEAD_LIMIT {
        return Err(HEAD_TOO_LARGE);
    }
    let line_end = buffer.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(0);
    let headers = response.headers.iter();
    let headers =
        headers.map(|header| (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned())).collect();
    let answer = Answer {
        status: response.code.unwrap_or_default(),
        status_line: String::from_utf8_lossy(&buffer[..line_end]).into_owned(),
        headers,
        body: Vec::new(),
        elapsed: Duration::ZERO,
    };
    Ok(Some((answer, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in pieces of one size.
    struct Drip<'b>(&'b [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let length = self.1.min(self.0.len()).min(buffer.len());
            buffer[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    fn check(wire: &[u8], expected: Result<&[u8], &str>) {
        for piece in [1, 7, 8192] {
            let body = read(&mut Drip(wire, piece)).map(|answer| answer.body).map_err(|error| error.to_string());
            let expected = expected.map(<[u8]>::to_vec).map_err(|text| format!("the answer is not good HTTP: {text}"));
            assert_eq!(
                body,
                expected,
                "{} in pieces of {piece}",
                String::from_utf8_lossy(&wire[..wire.len().min(200)])
            );
        }
    }

    #[test]
    fn bodies_of_all_framings_are_read() {
        check(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}rest", Ok(b"{}"));
        check(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\n{\r\n1\r\n}\r\n0\r\n\r\n", Ok(b"{}"));
        check(b"HTTP/1.0 200 OK\r\n\r\n{}", Ok(b"{}"));
        check(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Ok(b""));
    }

    #[test]
    fn the_head_is_kept_as_it_came() {
        let wire = b"HTTP/1.1 500 Went Wrong\r\nbody-SIGN: a\r\nX: b \r\nContent-Length: 0\r\n\r\n";
        let answer = read(&mut Drip(wire, 8192)).unwrap();
        assert_eq!(answer.status, 500);
        assert_eq!(answer.status_line, "HTTP/1.1 500 Went Wrong");
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(answer.headers, [header("body-SIGN", "a"), header("X", "b"), header("Content-Length", "0")]);
        assert_eq!(answer.header("Body-Sign"), Some("a"));
    }

    #[test]
    fn cut_and_ill_formed_answers_are_told_apart() {
        check(b"", Err("the connection was closed before the head was complete"));
        check(b"HTTP/1.1 200", Err("the connection was closed before the head was complete"));
        check(b"SSH-2.0-OpenSSH\r\n\r\n", Err("the status line or a header is not readable"));
        let length = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}";
        check(length, Err("the connection was closed before Content-Length bytes had come"));
        check(b"HTTP/1.1 200 OK\r\nContent-Length: 1O\r\n\r\n", Err("Content-Length is no number"));
        let cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n";
        check(cut, Err("the connection was closed inside a chunked body"));
        let wrong = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n";
        check(wrong, Err("a chunk does not end where its size says"));
        check(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", Err("the Transfer-Encoding is not chunked"));
    }

    #[test]
    fn answers_beyond_the_limits_are_refused() {
        let long_head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(20_000));
        assert!(matches!(read(&mut Drip(long_head.as_bytes(), 8192)), Err(ClientError::Malformed(_))));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(65));
        check(many.as_bytes(), Err("more than 64 headers"));
        let promised = b"HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n";
        check(promised, Err("the body is longer than 1 MiB"));
        let chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n";
        check(chunk, Err("the body is longer than 1 MiB"));
        let endless = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b' '; 1_100_000]].concat();
        assert!(matches!(read(&mut Drip(&endless, 8192)), Err(ClientError::Malformed(_))));
    }
}
