//! Where a case is played: makes calls, has every reply checked, and collects the findings.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::call::{Call, Mode, Order, Signed, Subject};
use super::client::{Answer, Client, ClientError};
use super::reply::Reply;
use super::{Generation, Observed, Options, Target, console};
use crate::protocol::field_cipher::{self, EncryptType};
use crate::protocol::kit::client_secret::Oaep;
use crate::protocol::reply_checks::{self, Finding, Severity};
use crate::random;

/// An older requirement page and the European site give a server 5 s (spec README §7.4).
const SLOW: Duration = Duration::from_secs(5);
/// Half the window of the signature: a clock that is off by more may fail calls that took long.
const CLOCK_DIFFERENCE_MS: i64 = 30_000;
/// After so many calls in a row without an answer no more are made: each may take the whole deadline.
const UNANSWERED_LIMIT: u32 = 3;
/// What a made-up order lasts.
const ORDER_DAYS: i64 = 90;

/// What the cases of one run share.
pub(super) struct World {
    /// Makes the orders of this run unlike those of every other.
    pub run: String,
    orders: u32,
    answered: bool,
    /// Calls without an answer since the last one with.
    unanswered: u32,
    clock_reported: bool,
    /// The last time stamp, Unix milliseconds.
    stamped_ms: i64,
    /// The real instance or licence code the life-cycle goes on with.
    pub instance: Option<Instance>,
    /// The digests of OAEP that the server is known to take in client secrets.
    pub oaep: Oaep,
    /// There is none, and that is the server's right: what would go on with it is left out.
    pub is_declined: bool,
    /// The purchase before the restart, with its answer.
    pub kept: Option<(Order, Reply)>,
    /// Others have found that the server cannot be reached.
    pub is_dead: bool,
}

/// The real instance, or licence code, of the life-cycle.
#[derive(Clone)]
pub(super) struct Instance {
    pub subject: Subject,
    /// The final answer to its purchase; for a code, which has none, to its first call.
    pub created: Reply,
    /// The renewal that is retried and cancelled: its members and its answer.
    pub renewal: Option<(Value, Reply)>,
}

impl World {
    pub(super) fn new() -> Self {
        let run = Uuid::new_v4().simple().to_string().to_uppercase();
        let run = run.chars().take(10).collect();
        Self {
            run,
            orders: 0,
            answered: false,
            unanswered: 0,
            clock_reported: false,
            stamped_ms: 0,
            instance: None,
            oaep: Oaep::Sha256,
            is_declined: false,
            kept: None,
            is_dead: false,
        }
    }

    /// A time stamp that no call has had: a retry in the same millisecond would be the same GET to the byte.
    fn stamp(&mut self) -> Timestamp {
        self.stamped_ms = Timestamp::now().as_millisecond().max(self.stamped_ms + 1);
        Timestamp::from_millisecond(self.stamped_ms).unwrap_or(Timestamp::MAX)
    }

    /// Whether the server is taken for unreachable: it did not answer the first call, or several in a row.
    pub(super) fn gave_up(&self) -> bool {
        self.is_dead || self.unanswered >= UNANSWERED_LIMIT || (self.unanswered > 0 && !self.answered)
    }
}

/// One case being played.
pub(super) struct Stage<'r> {
    target: &'r Target,
    pub options: &'r Options<'r>,
    pub world: &'r mut World,
    findings: Vec<Finding>,
}

impl<'r> Stage<'r> {
    pub(super) fn new(target: &'r Target, options: &'r Options<'r>, world: &'r mut World) -> Self {
        Self { target, options, world, findings: Vec::new() }
    }

    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    /// Makes a call that must be answered with this result code. `what` tells the calls of a case apart; it may be empty.
    pub(super) fn expect(&mut self, what: &str, call: &Call, code: &str) -> Option<Reply> {
        self.expect_one_of(what, call, &[code])
    }

    /// The same with several good codes. `None` when there is no readable reply or the code is another.
    pub(super) fn expect_one_of(&mut self, what: &str, call: &Call, codes: &[&str]) -> Option<Reply> {
        let reply = self.call(what, call)?;
        self.judge(what, &reply, codes).then_some(reply)
    }

    /// Makes a call and checks its reply, whatever its result code. `None` when no reply could be read, and without a
    /// call once the server is taken for unreachable.
    pub(super) fn call(&mut self, what: &str, call: &Call) -> Option<Reply> {
        if self.world.gave_up() {
            return None;
        }
        let outcome = self.sign(call).send(&self.target.client);
        self.receive(what, call, outcome)
    }

    /// Makes the same call twice, to the byte; returns the second reply.
    pub(super) fn call_twice(&mut self, call: &Call) -> Option<Reply> {
        let signed = self.sign(call);
        let mut reply = None;
        for what in ["first call", "second call"] {
            let outcome = signed.send(&self.target.client);
            reply = self.receive(what, call, outcome);
        }
        reply
    }

    /// Makes two calls on one connection, as a client does that keeps its connections.
    pub(super) fn call_on_one_connection(&mut self, calls: [&Call; 2]) {
        if self.world.gave_up() {
            return;
        }
        let signed = calls.map(|call| self.sign(call));
        let (first, second) = match Signed::send_both(&signed, &self.target.client) {
            Ok((first, second)) => (Ok(first), second),
            Err(error) => (Err(error), None),
        };
        let first = self.receive("first call", calls[0], first);
        if let Some(reply) = first {
            self.judge("first call", &reply, &["000000"]);
        }
        let Some(outcome) = second else { return };
        if let Err(error) = &outcome {
            let text = format!(
                "the server keeps the connection open and does not answer a second call on it ({error}): answer it, or say \
                 `Connection: close` in the first answer"
            );
            return self.add("", Finding::fail("keep-alive", text));
        }
        if let Some(reply) = self.receive("second call", calls[1], outcome) {
            self.judge("second call", &reply, &["000000"]);
        }
    }

    /// The HTTP status that a call is answered with, whatever the answer; `None` where there is none.
    pub(super) fn status_of(&mut self, call: &Call) -> Option<u16> {
        self.sign(call).send(&self.target.client).ok().map(|answer| answer.status)
    }

    /// The address that is called.
    pub(super) fn client(&self) -> &'r Client {
        &self.target.client
    }

    /// Makes all calls at once, each on a thread of its own.
    pub(super) fn call_at_once(&mut self, calls: &[Call]) -> Vec<Reply> {
        let client = &self.target.client;
        let signed: Vec<Signed> = calls.iter().map(|call| self.sign(call)).collect();
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let start = |signed: Signed| scope.spawn(move || signed.send(client));
            let threads: Vec<_> = signed.into_iter().map(start).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or(Err(ClientError::Timeout))).collect()
        });
        let numbered = calls.iter().zip(outcomes).zip(1..);
        numbered
            .filter_map(|((call, outcome), number)| self.receive(&format!("call {number}"), call, outcome))
            .collect()
    }

    /// Whether the reply has one of the result codes; a finding when not.
    pub(super) fn judge(&mut self, what: &str, reply: &Reply, codes: &[&str]) -> bool {
        let good = codes.contains(&reply.code.as_str());
        if !good {
            let found = reply.described();
            let mut finding = Finding::fail("answer", format!("answered {found}; must be {}", codes.join(" or ")));
            // The console makes only calls that must succeed.
            finding.console = codes.contains(&"000000").then(|| console::RESULT_CODE.to_owned());
            self.add(what, finding);
        }
        good
    }

    /// Adds a finding of the case's own.
    pub(super) fn add(&mut self, what: &str, mut finding: Finding) {
        if finding.console.is_none() {
            finding.console = console::of_content(&finding);
        }
        if !what.is_empty() {
            finding.text = format!("{what}: {}", finding.text);
        }
        // The text may quote the peer, and goes to a terminal.
        finding.text.retain(|char| !char.is_control());
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Whether a repeat was answered as the call it repeats, byte for byte.
    pub(super) fn same_answer(&mut self, what: &str, first: &Reply, again: &Reply) {
        let text = |kind: &str| {
            format!("{kind} than the first success; keep the answer with the operation and send those bytes again")
        };
        if first.members != again.members {
            self.add(what, Finding::fail("verbatim", text("the repeat was answered with other content")));
        } else if first.answer.body != again.answer.body {
            self.add(what, Finding::warn("verbatim", text("the repeat has the same content in other bytes")));
        } else if first.answer.header("Body-Sign") != again.answer.header("Body-Sign") {
            self.add(what, Finding::warn("verbatim", text("the repeat has the same bytes and another Body-Sign")));
        }
    }

    /// Compares the recorded state with what it must be, if there is an observer.
    pub(super) fn expect_state(&mut self, what: &str, instance_id: &str, status: &str, expire_time: Option<Timestamp>) {
        let Some(observer) = self.options.observer else { return };
        let found = observer.instance(self.generation().kind(), instance_id);
        let Some(Observed { status: found, expire_time: expires }) = found else {
            return self.add(what, Finding::fail("state", "the server has no record of the instance"));
        };
        if found != status {
            self.add(what, Finding::fail("state", format!("the instance is {found}; it must be {status}")));
        }
        if let Some(expected) = expire_time
            && expires != Some(expected)
        {
            let expires = expires.map_or_else(|| "none".to_owned(), |instant| instant.to_string());
            let text = format!("the expiry date is {expires}; it must be set to {expected}, never added to");
            self.add(what, Finding::fail("expire-time", text));
        }
    }

    pub(super) fn generation(&self) -> Generation {
        self.options.generation
    }

    /// A debugging call with these members.
    pub(super) fn test(&self, members: Value) -> Call {
        Call::new(self.generation(), &Mode::Test.flag(members))
    }

    /// A call with these members that stands for a real order.
    pub(super) fn real(&self, members: Value) -> Call {
        Call::new(self.generation(), &Mode::Real.flag(members))
    }

    /// An order that has never been seen before.
    pub(super) fn new_order(&mut self) -> Order {
        self.world.orders += 1;
        let order_id = format!("CSSIM{}{:03}", self.world.run, self.world.orders);
        Order::new(order_id, self.options.product_id, days_ahead(ORDER_DAYS))
    }

    /// A text encrypted as KooGallery encrypts personal data.
    pub(super) fn encrypted(&self, encrypt_type: EncryptType, text: &str) -> String {
        field_cipher::encrypt(&self.target.key, encrypt_type, random::iv(), text)
    }

    /// Signs a call, with a stamp and a nonce of its own.
    fn sign(&mut self, call: &Call) -> Signed {
        call.sign(&self.target.key, self.world.stamp(), &new_nonce())
    }

    fn receive(&mut self, what: &str, call: &Call, outcome: Result<Answer, ClientError>) -> Option<Reply> {
        let answer = match outcome {
            Ok(answer) => answer,
            Err(error) => {
                self.world.unanswered += 1;
                let fault = self.target.client.certificate_fault(&error, Timestamp::now());
                let text = fault.map_or_else(|| error.to_string(), |fault| format!("TLS failed: {fault}"));
                let console = call.is_genuine().then(|| console::of_error(&error).to_owned());
                self.add(what, Finding { console, ..Finding::fail("no-answer", text) });
                return None;
            }
        };
        self.world.answered = true;
        self.world.unanswered = 0;
        let Answer { status, headers, body, .. } = &answer;
        if !call.exists() {
            return Reply::read(answer);
        }
        let checks = (&call.shape(), call.body_sign());
        let signer = self.target.signer(call, headers, body);
        let mut findings = reply_checks::check_reply(checks, *status, headers, body, signer);
        if self.generation().encrypts_credentials() {
            findings.append(&mut reply_checks::check_credentials(body, &self.target.key));
        }
        for mut finding in findings {
            finding.console = console::of_reply(&finding, &answer).filter(|_| call.is_genuine());
            if finding.rule == "body-sign" && !call.is_genuine() {
                // Nothing but its key tells whose such a call is (spec README §7.2).
                finding.severity = Severity::Warn;
                finding.text.push_str("; KooGallery makes no such call, and its refusal may bear another key of yours");
            }
            self.add(what, finding);
        }
        self.check_time(what, &answer);
        Reply::read(answer)
    }

    fn check_time(&mut self, what: &str, answer: &Answer) {
        if answer.elapsed > SLOW {
            let text = format!(
                "answered after {} ms; answer within 5 s and work on in the background",
                answer.elapsed.as_millis()
            );
            self.add(what, Finding::warn("slow", text));
        }
        let date = answer.header("Date").and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        let difference_ms =
            date.map_or(0, |date| date.timestamp().as_millisecond() - Timestamp::now().as_millisecond());
        if difference_ms.abs() > CLOCK_DIFFERENCE_MS && !self.world.clock_reported {
            self.world.clock_reported = true;
            let text = format!(
                "the server's clock and this one are {} s apart; signatures are refused beyond 60 s: synchronise both",
                difference_ms.abs() / 1000
            );
            self.add("", Finding::warn("clock", text));
        }
    }
}

/// 64 hex digits, as in KooGallery's calls.
pub(super) fn new_nonce() -> String {
    let halves = [Uuid::new_v4(), Uuid::new_v4()].map(|half| half.simple().to_string());
    halves.concat().to_uppercase()
}

/// A business id, new for every request, retries included.
pub(super) fn new_business_id() -> String {
    Uuid::new_v4().to_string()
}

/// The whole second that lies so many days ahead.
pub(super) fn days_ahead(days: i64) -> Timestamp {
    let second = Timestamp::now().as_second() + days * 86_400;
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

/// Waits between two polls, a little longer each time, until `deadline`; `false` when it has passed.
pub(super) fn pause(attempt: u32, deadline: Instant) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    let pause = Duration::from_millis(50) * 2_u32.pow(attempt.min(5));
    std::thread::sleep(pause.min(left));
    !left.is_zero()
}

#[cfg(test)]
mod tests;
