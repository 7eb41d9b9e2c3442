//! One authenticated call from its request to its reply: what every pass needs to know, and how an outcome becomes bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::http::Reply;
use crate::operation::Environment;
use crate::protocol::auth_token::Mark;
use crate::protocol::call::{Call, Outcome};
use crate::protocol::field_cipher::EncryptType;
use crate::protocol::key::AccessKey;
use crate::protocol::reply_checks::{self, Severity};
use crate::protocol::result_code::ResultCode;
use crate::protocol::{Family, body_sign, field_cipher};
use crate::random;
use crate::settings::Settings;
use crate::store::{AnswerBytes, Answered, NewExchange, OrderWanted, StoreError, Tx};

/// Kept back from `answer_within` for the transaction that records a provisional answer.
const RECORDING_TIME: Duration = Duration::from_millis(500);

/// The facts of one call; nothing in it changes.
pub(super) struct Conversation {
    pub(super) family: &'static dyn Family,
    pub(super) settings: Arc<Settings>,
    /// The key that verified the request signs the answer.
    pub(super) key: AccessKey,
    /// When the request was complete.
    pub(super) started: Instant,
    /// The call's row in the journal, as far as it is known before it is answered.
    pub(super) exchange: NewExchange,
    /// `None`: the request could not be read.
    pub(super) call: Option<Call>,
    /// Of the call's content, where it is an operation; else zeros.
    pub(super) content_digest: [u8; 16],
    /// `koogate simulate` made it, and not KooGallery: some of its test calls are wrong on purpose.
    pub(super) is_simulated: bool,
}

/// An answer, ready to be recorded and sent.
pub(super) struct Prepared {
    /// What the body says.
    pub(super) code: ResultCode,
    /// What is sent.
    pub(super) bytes: AnswerBytes,
    /// The body for people, where the one that is sent holds secrets.
    pub(super) shown: Option<Vec<u8>>,
}

/// An answer that is on disk, or, where the disk is the trouble, the one that is sent all the same; with what is counted of
/// it.
pub(super) struct Told {
    /// What is sent.
    pub(super) bytes: AnswerBytes,
    /// What the body says.
    pub(super) code: ResultCode,
    /// It is an earlier call's.
    pub(super) replayed: bool,
}

impl From<Prepared> for Told {
    /// An answer that was made for this call.
    fn from(prepared: Prepared) -> Self {
        Self { bytes: prepared.bytes, code: prepared.code, replayed: false }
    }
}

/// A call's row in the journal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// Its number.
    pub(super) number: i64,
    /// It is there, and only its answer is missing; otherwise it will get this number when it is written.
    pub(super) is_written: bool,
}

/// What a recorded answer has to do with an operation.
#[derive(Debug, Clone, Default)]
pub(super) struct Belongs {
    /// The operation's row.
    pub(super) operation: Option<i64>,
    /// The instance's id where the request did not name it.
    pub(super) instance_id: Option<String>,
    /// The answer is an earlier call's.
    pub(super) replayed: bool,
    /// How the request differs from the first one, JSON.
    pub(super) difference: Option<String>,
}

impl Conversation {
    /// An outcome in the bytes that are sent and in the bytes that are kept. What KooGallery would reject is replaced by a
    /// plain `000005`, and said loudly.
    pub(super) fn prepare(&self, outcome: &Outcome) -> Prepared {
        let encrypt = |size: EncryptType, text: &str| field_cipher::encrypt(&self.key, size, random::iv(), text);
        let body = self.family.reply(self.call.as_ref(), outcome, &encrypt);
        if let Some(fault) = self.fault_in(&body) {
            log::error!("{}: the answer broke KooGallery's rules and was not sent: {fault}", self.title());
            let code = ResultCode::INTERNAL;
            let body = self.family.reply(None, &Outcome::refusal(code, "internal error"), &encrypt);
            return Prepared { code, shown: None, bytes: self.signed(body) };
        }
        // Blanks need no encryption.
        let plain = |_: EncryptType, text: &str| text.to_owned();
        let blanked = || self.family.reply(self.call.as_ref(), &outcome.without_secrets(), &plain);
        Prepared { code: outcome.code, shown: outcome.has_secrets().then(blanked), bytes: self.signed(body) }
    }

    /// Writes the call's row with the answer that is sent, passwords blanked.
    pub(super) fn record(
        &self,
        tx: &Tx<'_>,
        prepared: &Prepared,
        row: Option<Row>,
        belongs: &Belongs,
    ) -> Result<i64, StoreError> {
        let body = prepared.shown.as_ref().unwrap_or(&prepared.bytes.body);
        self.write_row(tx, prepared.code, Some(body), row, belongs)
    }

    /// Writes the call's row with a reference to its operation's final answer.
    pub(super) fn record_final(&self, tx: &Tx<'_>, row: Option<Row>, belongs: &Belongs) -> Result<i64, StoreError> {
        self.write_row(tx, ResultCode::SUCCESS, None, row, belongs)
    }

    fn write_row(
        &self,
        tx: &Tx<'_>,
        code: ResultCode,
        body: Option<&[u8]>,
        row: Option<Row>,
        belongs: &Belongs,
    ) -> Result<i64, StoreError> {
        let answered = Answered {
            operation: belongs.operation,
            instance_id: belongs.instance_id.as_deref(),
            result_code: code.as_str(),
            answer: body,
            replayed: belongs.replayed,
            difference: belongs.difference.clone(),
            duration_us: i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX),
        };
        if self.is_test_of_koogallery() {
            // They come twice a day; their rows are purged after days, the calendar stays.
            let failed = is_failure(code);
            let at = self.exchange.received_at;
            tx.count_test_call(crate::alert::beijing::half_day(at), failed, at)?;
        }
        if let Some(Row { number, is_written: true }) = row {
            return tx.answer_exchange(number, &answered).map(|()| number);
        }
        let number = tx.insert_answered_exchange(&self.exchange, &answered)?;
        debug_assert!(row.is_none_or(|row| row.number == number), "{row:?} became {number}");
        Ok(number)
    }

    /// The order that is read before anything is done about a call, where it only names one and orders are read.
    /// `product_id` is the billing item that the call names.
    pub(super) fn order_wanted(&self, call: &Call, product_id: Option<&str>) -> Option<OrderWanted> {
        let reads = call.order_query && call.environment == Environment::Real && self.settings.order_query().is_some();
        let order = call.order.as_ref().filter(|_| reads)?;
        let (order_id, order_line_id) = (order.order_id.clone(), order.order_line_id.clone());
        Some(OrderWanted { order_id, order_line_id, product_id: product_id.map(str::to_owned) })
    }

    /// Whether it is one of the test calls by which KooGallery judges a product.
    pub(super) fn is_test_of_koogallery(&self) -> bool {
        self.exchange.environment == Environment::Test && !self.is_simulated
    }

    /// When the answer must leave.
    pub(super) fn answer_by(&self) -> Instant {
        self.started + self.settings.answer_within
    }

    /// How long the call may wait for others, so that its answer can still be recorded in time.
    pub(super) fn wait_until(&self) -> Instant {
        let within = self.settings.answer_within;
        self.started + within.saturating_sub(RECORDING_TIME.min(within / 2))
    }

    /// The call in a few words, for the log.
    pub(super) fn title(&self) -> String {
        let exchange = &self.exchange;
        let mut title = exchange.activity.unwrap_or("unreadable call").to_owned();
        for (word, id) in [(" of order ", &exchange.order_id), (" on instance ", &exchange.instance_id)] {
            if let Some(id) = id {
                // Ids come from outside: quoted, so that none can fake a line of the log.
                title.push_str(&format!("{word}{id:?}"));
            }
        }
        title
    }

    fn fault_in(&self, body: &[u8]) -> Option<String> {
        let findings = reply_checks::check_body(&self.family.reply_shape(self.call.as_ref()), body);
        findings.into_iter().find(|finding| finding.severity == Severity::Fail).map(|finding| finding.text)
    }

    /// Whether recorded bytes are not those that were signed: SQLite does not notice when a byte changes on the disk.
    pub(super) fn is_altered(&self, recorded: &AnswerBytes) -> bool {
        let AnswerBytes { body, body_sign } = recorded;
        !body_sign.is_empty() && *body_sign != body_sign::header_value(&self.key, body)
    }

    /// What tells this call from every other, in families where one can come again word for word.
    pub(super) fn mark(&self) -> Option<Mark> {
        self.mark_in(&self.exchange.request_line)
    }

    /// The same of a call in the journal.
    pub(super) fn mark_in(&self, request_line: &str) -> Option<Mark> {
        let (_, query) = request_line.split_once('?')?;
        self.family.mark(query)
    }

    /// A body with the signature its family gives it.
    pub(super) fn signed(&self, body: Vec<u8>) -> AnswerBytes {
        let signs = self.family.signs_replies(&self.settings.rules);
        let body_sign = if signs { body_sign::header_value(&self.key, &body) } else { String::new() };
        AnswerBytes { body, body_sign }
    }
}

impl From<AnswerBytes> for Reply {
    /// HTTP 200 whatever happened: KooGallery counts every other status as a failure of the server.
    fn from(bytes: AnswerBytes) -> Self {
        let reply = Self::new(200, "application/json", bytes.body);
        if bytes.body_sign.is_empty() { reply } else { reply.with_header(body_sign::HEADER_NAME, bytes.body_sign) }
    }
}

/// Whether KooGallery takes a call with this result for failed.
pub(super) fn is_failure(code: ResultCode) -> bool {
    !matches!(code, ResultCode::SUCCESS | ResultCode::PROCESSING)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::config::Config;
    use crate::protocol::basic_v2::BASIC_V2;
    use crate::protocol::call::Detail;
    use crate::secret::Secret;

    /// The types that an outcome is made of hold most limits; this is what is left when one of them does not.
    #[test]
    fn an_answer_that_koogallery_would_reject_becomes_a_plain_signed_000005() {
        let conversation = conversation();
        let created = |instance_id: String| Outcome {
            detail: Detail::Created { instance_id, access: None, license: None, encrypt_type: EncryptType::Aes256 },
            ..Outcome::success()
        };
        let good = conversation.prepare(&created("i".repeat(64)));
        assert_eq!(good.code, ResultCode::SUCCESS);

        let bad = conversation.prepare(&created("i".repeat(65)));
        assert_eq!((bad.code, bad.shown), (ResultCode::INTERNAL, None));
        let said: serde_json::Value = serde_json::from_slice(&bad.bytes.body).unwrap();
        assert_eq!(said, serde_json::json!({ "resultCode": "000005", "resultMsg": "internal error" }));
        assert_eq!(bad.bytes.body_sign, body_sign::header_value(&conversation.key, &bad.bytes.body));
    }

    fn conversation() -> Conversation {
        let text = format!(
            "[keys]\nbasic = 'basic-key'\nsealing_key = '{}'\n[[product]]\nkind = 'saas'\nfulfilment = 'manual'\n",
            "00".repeat(32)
        );
        let config = Config::from_toml(&text, std::path::Path::new("")).unwrap();
        Conversation {
            family: &BASIC_V2,
            settings: Arc::new(Settings::new(&config).unwrap()),
            key: AccessKey::new("label".to_owned(), Secret::new("basic-key".to_owned())),
            started: Instant::now(),
            exchange: NewExchange {
                received_at: Timestamp::UNIX_EPOCH,
                environment: Environment::Real,
                family: BASIC_V2.name(),
                activity: None,
                peer: String::new(),
                access_key: "label".to_owned(),
                request_line: String::new(),
                request_body: Vec::new(),
                request_sealed: false,
                order_id: None,
                instance_id: None,
            },
            call: None,
            content_digest: [0; 16],
            is_simulated: false,
        }
    }
}
