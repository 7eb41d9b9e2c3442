//! Operations: when two calls are the same one, and what follows from what is known of it.
//!
//! The identity of each call is part of its family's rules; here it becomes one unambiguous text, and the record of it
//! becomes a decision: run, wait, replay. Storing and answering lives in `dispatch`.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::instance::{Change, Instance, Request, Verdict};
use crate::kind::Kind;
use crate::protocol::result_code::ResultCode;

/// Real calls and test calls (`testFlag` 1) live in worlds of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Orders of real buyers.
    Real,
    /// The seller console's debugging cases and KooGallery's twice-daily probes.
    Test,
}

impl Environment {
    /// The world that a flag "test" names.
    pub fn of_test_flag(test: bool) -> Self {
        if test { Self::Test } else { Self::Real }
    }

    /// The word in the database and in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Test => "test",
        }
    }
}

/// The text that two calls share exactly when they are the same operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity(String);

impl Identity {
    /// Joins the parts as a JSON array, so that no choice of parts runs into another.
    pub fn new<'p>(
        environment: Environment,
        kind: Kind,
        verb: &'p str,
        parts: impl IntoIterator<Item = &'p str>,
    ) -> Self {
        let mut all = vec![environment.as_str(), kind.as_str(), verb];
        all.extend(parts);
        Self(Value::from(all).to_string())
    }

    /// The identity of a change to an instance. Freezing and unfreezing are told apart by the status change they stand
    /// for, not by what the request carries: `FREEZE` asks for the change that leads to, or led to, the frozen state.
    /// Everything else is identified by its family's fields.
    pub fn of_change<'p>(
        environment: Environment,
        kind: Kind,
        instance_id: &'p str,
        current: &Instance,
        request: &Request,
        verdict: &Verdict,
        fields: &'p [String],
    ) -> Self {
        let mut parts = vec![instance_id];
        let serial;
        if let Request::Freeze | Request::Unfreeze = request {
            let leads_on = matches!(verdict, Verdict::Apply(Change::Freeze | Change::Unfreeze));
            serial = (current.status_serial + i64::from(leads_on)).to_string();
            parts.push(&serial);
        } else {
            parts.extend(fields.iter().map(String::as_str));
        }
        Self::new(environment, kind, verb(request), parts)
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The verb of a change in its identity; one word whatever family it came in, so that a V1 and a V2 freeze are the same.
fn verb(request: &Request) -> &'static str {
    match request {
        Request::Renew { .. } => "renew",
        Request::Freeze => "freeze",
        Request::Unfreeze => "unfreeze",
        Request::Upgrade { .. } => "upgrade",
        Request::Release => "release",
        Request::CheckChange => "check",
    }
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Begun, not finished.
    Open,
    /// Succeeded: the answer is final.
    Done,
    /// The last attempt ended without success: the next call works on.
    Failed,
}

/// What a call may still do about its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The call has waited for the end of this run of the operation (which it may have begun itself).
    pub took_part: bool,
    /// There is time left to wait for others' work, and work that can end in time.
    pub may_wait: bool,
}

/// What to do about a call, given what is recorded of its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Do the work (again).
    Run,
    /// Answer from the record.
    Replay,
    /// Somebody works on it: wait.
    Wait,
    /// Unfinished, and no waiting any more: the provisional answer.
    Provisional,
    /// It failed while this call took part: answer how.
    Fail,
}

/// Decides. `recorded` is `None` for an identity never seen.
pub fn next(recorded: Option<State>, standing: Standing) -> Next {
    match recorded {
        None => Next::Run,
        Some(State::Done) => Next::Replay,
        Some(State::Open) if standing.may_wait => Next::Wait,
        Some(State::Open) => Next::Provisional,
        Some(State::Failed) if standing.took_part => Next::Fail,
        Some(State::Failed) => Next::Run,
    }
}

/// Whether an outcome ends an operation for good. Every code but success is worked on by the next call.
pub fn is_final(code: ResultCode) -> bool {
    code.is_success()
}

/// How a repeat differs from the first request, as `{"member": [first, now]}`; `None` where it does not.
pub fn difference(first: &Map<String, Value>, now: &Map<String, Value>) -> Option<Value> {
    let mut differing = Map::new();
    for name in first.keys().chain(now.keys()) {
        let (before, after) = (first.get(name), now.get(name));
        if before != after {
            let pair = [before, after].map(|value| value.cloned().unwrap_or(Value::Null));
            differing.insert(name.clone(), Value::from(pair.to_vec()));
        }
    }
    (!differing.is_empty()).then_some(Value::Object(differing))
}

/// Sixteen bytes that tell one content from another without keeping it.
pub fn content_digest(content: &Map<String, Value>) -> [u8; 16] {
    // A Map is sorted by name, so equal contents have equal texts.
    let text = serde_json::to_vec(content).unwrap_or_default();
    let digest = ring::digest::digest(&ring::digest::SHA256, &text);
    let mut half = [0; 16];
    half.copy_from_slice(&digest.as_ref()[..16]);
    half
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::instance::{Rules, Status};

    #[test]
    fn a_record_decides_what_a_call_does() {
        use State::{Done, Failed, Open};
        let newcomer = Standing { took_part: false, may_wait: true };
        let late = Standing { took_part: true, may_wait: false };
        let table = [
            (None, newcomer, Next::Run),
            (Some(Done), newcomer, Next::Replay),
            (Some(Done), late, Next::Replay),
            (Some(Open), newcomer, Next::Wait),
            (Some(Open), late, Next::Provisional),
            (Some(Failed), newcomer, Next::Run),
            (Some(Failed), Standing { took_part: true, may_wait: true }, Next::Fail),
            (Some(Failed), late, Next::Fail),
        ];
        for (recorded, standing, expected) in table {
            assert_eq!(next(recorded, standing), expected, "{recorded:?} {standing:?}");
        }
    }

    #[test]
    fn a_freeze_a_retried_freeze_and_a_second_freeze_have_two_identities() {
        let rules = Rules { refresh_unfreezes: true };
        let now = jiff::Timestamp::UNIX_EPOCH;
        let mut current =
            Instance { status: Status::Active, status_serial: 1, expire_time: None, product_id: None, sku_code: None };
        let mut call = |request: Request| {
            let verdict = current.decide(&request, now, rules);
            let identity = Identity::of_change(Environment::Real, Kind::Saas, "i", &current, &request, &verdict, &[]);
            if let Verdict::Apply(change) = &verdict {
                current = current.after(change);
            }
            identity
        };
        let first = call(Request::Freeze);
        assert_eq!(call(Request::Freeze), first);
        let unfreeze = call(Request::Unfreeze);
        assert_eq!(call(Request::Unfreeze), unfreeze);
        assert_ne!(call(Request::Freeze), first);
    }

    /// What stands in the database already: another text would make the next retry a new operation.
    #[test]
    fn an_identity_is_the_text_that_earlier_versions_have_stored() {
        let id = Identity::new(Environment::Test, Kind::LicenseCode, "create", ["a\"b", ""]);
        assert_eq!(id.as_str(), r#"["test","license-code","create","a\"b",""]"#);
        assert_eq!(id.to_string(), id.as_str());

        let current =
            Instance { status: Status::Frozen, status_serial: 3, expire_time: None, product_id: None, sku_code: None };
        let fields = ["F".to_owned()];
        let identity = |request: &Request| {
            let verdict = current.decide(request, jiff::Timestamp::UNIX_EPOCH, Rules { refresh_unfreezes: true });
            let (real, saas) = (Environment::Real, Kind::Saas);
            Identity::of_change(real, saas, "i", &current, request, &verdict, &fields).to_string()
        };
        let renew = Request::Renew { expire_time: None, product_id: None, cancels_renewal: false };
        for (request, expected) in [
            (renew, r#"["real","saas","renew","i","F"]"#),
            (Request::Freeze, r#"["real","saas","freeze","i","3"]"#),
            (Request::Unfreeze, r#"["real","saas","unfreeze","i","4"]"#),
            (Request::Upgrade { product_id: None, sku_code: None }, r#"["real","saas","upgrade","i","F"]"#),
            (Request::Release, r#"["real","saas","release","i","F"]"#),
            (Request::CheckChange, r#"["real","saas","check","i","F"]"#),
        ] {
            assert_eq!(identity(&request), expected);
        }
    }

    #[test]
    fn real_and_test_calls_are_told_apart_by_their_flag_and_share_nothing() {
        assert_eq!(
            (Environment::of_test_flag(true), Environment::of_test_flag(false)),
            (Environment::Test, Environment::Real)
        );
        let identity = |environment| Identity::new(environment, Kind::Saas, "create", ["a"]);
        assert_ne!(identity(Environment::Real), identity(Environment::Test));
        for environment in [Environment::Real, Environment::Test] {
            assert_eq!(serde_json::to_string(&environment).unwrap(), format!("\"{}\"", environment.as_str()));
        }
    }

    #[test]
    fn success_alone_ends_an_operation_for_good() {
        assert!(is_final(ResultCode::SUCCESS));
        for code in [ResultCode::PROCESSING, ResultCode::INTERNAL, ResultCode::UNKNOWN_INSTANCE, ResultCode::PARAMETER]
        {
            assert!(!is_final(code), "{code}");
        }
    }

    #[test]
    fn a_digest_depends_on_every_member_and_not_on_their_order() {
        let digest = |text: &str| content_digest(&serde_json::from_str(text).unwrap());
        assert_eq!(digest(r#"{"a":1,"b":"x"}"#), digest(r#"{"b":"x","a":1}"#));
        let all = [r#"{}"#, r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":"1"}"#, r#"{"b":1}"#, r#"{"a":1,"b":"x"}"#].map(digest);
        assert_eq!(HashSet::from(all).len(), all.len());
        // The first half of SHA-256 of the canonical text; digests in the database must stay comparable.
        assert_eq!(digest("{}").map(|byte| format!("{byte:02x}")).concat(), "44136fa355b3678a1146ad16f7e8649e");
    }

    #[test]
    fn a_difference_names_the_members_and_both_values() {
        let (first, now) = (json!({"a": 1, "b": "x"}), json!({"a": 2, "c": "y"}));
        let found = difference(first.as_object().unwrap(), now.as_object().unwrap());
        assert_eq!(found, Some(json!({"a": [1, 2], "b": ["x", null], "c": [null, "y"]})));
        assert_eq!(difference(first.as_object().unwrap(), first.as_object().unwrap()), None);
    }

    proptest! {
        #[test]
        fn different_parts_never_share_an_identity(
            all in proptest::collection::hash_set(proptest::collection::vec("[a\",\\[\\]\\\\]{0,3}", 0..4), 1..20)
        ) {
            let identities: HashSet<_> = all
                .iter()
                .map(|parts| Identity::new(Environment::Real, Kind::Saas, "create", parts.iter().map(String::as_str)))
                .collect();
            prop_assert_eq!(identities.len(), all.len());
        }
    }
}
