//! Why a request was not handed on: the status the client gets and the words the operator gets. Pure.

/// A request the door refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    ForbiddenByte,
    BareLineFeed,
    BareCarriageReturn,
    RequestLine,
    HeaderLine,
    Target,
    HostMissing,
    HostRepeated,
    HostMalformed,
    LengthMalformed,
    LengthRepeated,
    LengthAndCoding,
    Truncated,
    HeadTooSlow,
    BodyTooSlow,
    BodyTooLarge,
    Expectation,
    HeadTooLarge,
    TooManyHeaders,
    TransferCoding,
    Connect,
    BodyMemory,
    Version,
    PlainHttp,
}

impl Refusal {
    /// The status of the answer (RFC 9110 §15, RFC 6585 §5).
    pub(super) fn status(self) -> u16 {
        self.describe().0
    }

    /// The words for the operator: fixed text, so that a flood of refusals costs no memory and nothing a peer sent
    /// reaches a log. The client never sees them.
    pub(super) fn reason(self) -> &'static str {
        self.describe().1
    }

    fn describe(self) -> (u16, &'static str) {
        match self {
            Self::ForbiddenByte => (400, "a control character or a byte outside ASCII in the head"),
            Self::BareLineFeed => (400, "a line feed without a carriage return"),
            Self::BareCarriageReturn => (400, "a carriage return without a line feed"),
            Self::RequestLine => (400, "a malformed request line"),
            Self::HeaderLine => (400, "a malformed or folded header line"),
            Self::Target => (400, "a malformed request target"),
            Self::HostMissing => (400, "HTTP/1.1 without Host"),
            Self::HostRepeated => (400, "more than one Host"),
            Self::HostMalformed => (400, "a malformed Host"),
            Self::LengthMalformed => (400, "a Content-Length that is not a number"),
            Self::LengthRepeated => (400, "more than one Content-Length"),
            Self::LengthAndCoding => (400, "Content-Length together with Transfer-Encoding"),
            Self::Truncated => (400, "the connection ended before the request was complete"),
            Self::HeadTooSlow => (408, "the head did not arrive in time"),
            Self::BodyTooSlow => (408, "the body did not arrive in time"),
            Self::BodyTooLarge => (413, "a body larger than allowed"),
            Self::Expectation => (417, "an expectation other than 100-continue"),
            Self::HeadTooLarge => (431, "a head larger than allowed"),
            Self::TooManyHeaders => (431, "more headers than allowed"),
            Self::TransferCoding => (501, "Transfer-Encoding, which is not supported"),
            Self::Connect => (501, "CONNECT, but this server is no proxy"),
            Self::BodyMemory => (503, "the memory for large bodies is used up"),
            Self::Version => (505, "an HTTP version other than 1.0 and 1.1"),
            Self::PlainHttp => (400, "an HTTP request on the port for HTTPS"),
        }
    }
}
