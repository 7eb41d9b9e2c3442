//! Plays a dialogue of the corpus over a connection, in one piece or byte by byte, and collects what went wrong.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::corpus::{Case, Step};
use crate::door_client::Client;
use crate::tls::peer::Secured;

/// How the stranger's writes are cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pieces {
    Whole,
    Bytes,
}

impl Pieces {
    /// Larger cases would take thousands of packets, and their size is what they are about.
    const LARGEST: usize = 3000;

    pub fn suits(self, case: &Case) -> bool {
        let size = |step: &Step| if let Step::Send(bytes) = step { bytes.len() } else { 0 };
        self == Self::Whole || case.steps.iter().map(size).sum::<usize>() <= Self::LARGEST
    }
}

/// A connection that a stranger uses.
pub trait Wire: Read + Write {
    fn tcp(&self) -> &TcpStream;

    /// Nothing more is sent.
    fn half_close(&mut self);
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }

    fn half_close(&mut self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Wire for Secured {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }

    fn half_close(&mut self) {
        self.conn.send_close_notify();
        let _ = self.flush();
        let _ = self.sock.shutdown(Shutdown::Write);
    }
}

/// Plays one case; panics where the door does anything else than the case says.
pub fn play(wire: impl Wire, case: &Case, pieces: Pieces) {
    let mut client = Client::over(wire);
    let mut ended = false;
    for (number, step) in case.steps.iter().enumerate() {
        match step {
            Step::Send(bytes) => send(client.inner(), bytes, pieces),
            Step::HalfClose => {
                client.inner().half_close();
            }
            Step::Reset => {
                let socket = socket2::SockRef::from(client.inner().tcp());
                socket.set_linger(Some(Duration::ZERO)).unwrap();
                return;
            }
            Step::Invited => assert_eq!(client.answer_head().status, 100, "step {number}"),
            Step::Answered { head, close } => {
                // The door does not wait for bytes that come after the last answer, and the reset that meets them may take
                // the answer along. What the handler saw is looked at all the same.
                if *close && pieces == Pieces::Bytes && client.is_reset() {
                    return;
                }
                let answer = final_answer(&mut client, *head);
                // The handler's, whatever it is: over the real server path and method decide.
                assert!(matches!(answer.status, 200 | 404 | 405), "step {number}: {answer:?}");
                // A half-closed connection is not known to be one when it is answered.
                assert_eq!(answer.header("Connection"), close.then_some("close"), "step {number}: {answer:?}");
                ended |= *close;
            }
            Step::Refused { status, head } => {
                let answer = final_answer(&mut client, *head);
                assert_eq!((answer.status, answer.header("Connection")), (*status, Some("close")), "step {number}");
                ended = true;
            }
            Step::Ended => ended = true,
            Step::Alert(_) | Step::Hello | Step::EndedSomehow => panic!("step {number} is of a handshake"),
        }
        if ended {
            assert_eq!(number + 1, case.steps.len(), "nothing can follow the end");
            assert!(client.is_ended(), "the connection goes on, or something follows the last answer");
        }
    }
    if !ended {
        send(client.inner(), b"GET /healthz?probe HTTP/1.1\r\nHost: a\r\n\r\n", Pieces::Whole);
        assert_eq!(final_answer(&mut client, false).status, 200, "a sound request afterwards");
    }
}

fn send(wire: &mut impl Wire, bytes: &[u8], pieces: Pieces) {
    let size = if pieces == Pieces::Whole { bytes.len().max(1) } else { 1 };
    for piece in bytes.chunks(size) {
        // The door may have refused what it has seen, and closed.
        if wire.write_all(piece).and_then(|()| wire.flush()).is_err() {
            return;
        }
    }
}

/// Invitations that are not asked for come when the head arrives alone.
fn final_answer<S: Wire>(client: &mut Client<S>, head: bool) -> crate::door_client::Answer {
    loop {
        let mut answer = client.answer_head();
        if answer.status != 100 {
            if !head {
                client.read_body(&mut answer);
            }
            return answer;
        }
    }
}

/// Plays all cases; what went wrong, by name.
pub fn play_all(cases: &[Case], pieces: Pieces, mut one: impl FnMut(&Case)) -> Vec<String> {
    let suitable = cases.iter().filter(|case| pieces.suits(case));
    let wrong = suitable.filter_map(|case| {
        let fault = catch_unwind(AssertUnwindSafe(|| one(case))).err()?;
        let text = fault.downcast_ref::<String>().cloned();
        let text = text.or_else(|| fault.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Some(format!("{}: {}", case.name, text.unwrap_or_default()))
    });
    wrong.collect()
}

/// A plain connection.
pub fn plain(address: SocketAddr) -> TcpStream {
    crate::tls::peer::tcp(address)
}
