//! What a merchant's application answers to an event: the text in, an [`Answer`] or an [`AnswerFault`] out.
//!
//! A fault tells the merchant's developer what to mend and never shows a value, since any value may be a password. Pure:
//! transports bring the bytes, the job runner decides what an answer leads to.

use data_encoding::BASE64;
use serde_json::{Map, Value};
use thiserror::Error;

use super::event::EventName;
use crate::access::{Access, AccessFault, AccessParts};
use crate::license::{License, LicenseFault};
use crate::protocol::result_code::ResultCode;
use crate::secret::Secret;

/// What the application said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Done; for `instance.check_change`: allowed.
    Ready(Handout),
    /// Begun; the application will report on the admin listener when it is done.
    Pending,
    /// It will not do it.
    Refused {
        /// What KooGallery is told.
        result_code: ResultCode,
        /// Why, in words for people; may be empty. Not yet cut to KooGallery's 255 characters.
        message: String,
    },
}

/// What is handed out to the buyer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Handout {
    /// How to get in; counts for `instance.create`.
    pub access: Option<Access>,
    /// The licence; counts for `license.issue`.
    pub license: Option<License>,
}

/// The result codes a seller may refuse with: `000005`, `000100` to `000107` (result codes of the basic interfaces), and
/// for licences `000900` to `000903`.
const REFUSALS: [&str; 13] = [
    "000005", "000100", "000101", "000102", "000103", "000104", "000105", "000106", "000107", "000900", "000901",
    "000902", "000903",
];

/// Members of `access`.
const ACCESS_MEMBERS: [&str; 5] = ["frontEndUrl", "adminUrl", "userName", "password", "memo"];

/// What is wrong with an answer, in words for the merchant's developer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AnswerFault {
    /// Nothing was answered to a creation.
    #[error(
        "the answer to instance.create is empty; answer {{\"status\":\"ready\"}} (with \"access\", if the buyer is to \
         get it through KooGallery), {{\"status\":\"pending\"}} or {{\"status\":\"refused\", …}}"
    )]
    EmptyForCreate,
    /// No licence was answered where one was asked for.
    #[error(
        "the answer to license.issue has no \"license\": answer {{\"status\":\"ready\",\"license\":\"…\"}} with the licence \
         as text, or as a file: {{\"fileName\":\"…\",\"content\":\"base64\"}}"
    )]
    NoLicense,
    /// A licence that cannot be handed out.
    #[error("licence not accepted: {0}")]
    License(#[from] LicenseFault),
    /// A file that is not base64.
    #[error("\"license.content\" must be the file in base64 (standard alphabet, with padding)")]
    LicenseContent,
    /// Bytes that are not text.
    #[error("the answer is not UTF-8")]
    NotUtf8,
    /// No JSON.
    #[error("the answer is not JSON ({reason}){hint}")]
    NotJson {
        /// What the parser met, and where.
        reason: String,
        /// What it probably is instead.
        hint: &'static str,
    },
    /// JSON of another kind.
    #[error("the answer must be a JSON object, not {found}")]
    NotAnObject {
        /// What it is.
        found: &'static str,
    },
    /// The member that decides.
    #[error("the answer has no \"status\"; it must be \"ready\", \"pending\" or \"refused\"")]
    NoStatus,
    /// Another word.
    #[error("\"status\" must be \"ready\", \"pending\" or \"refused\" (lower case), not \"{status}\"")]
    UnknownStatus {
        /// What it is, shortened.
        status: String,
    },
    /// A check is answered at once or not at all.
    #[error("instance.check_change is a question: answer \"ready\" (allowed) or \"refused\", not \"pending\"")]
    PendingCheck,
    /// A member of another JSON type.
    #[error("\"{member}\" must be {expected}, not {found}")]
    WrongType {
        /// The member.
        member: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// Neither absent nor allowed.
    #[error(
        "a refusal needs \"resultCode\": one of 000005, 000100 to 000107 or, for licences, 000900 to 000903, as text in \
         quotes"
    )]
    RefusalCode,
    /// A member of `access` that would be lost.
    #[error("\"access\" has no member \"{member}\"; there are frontEndUrl, adminUrl, userName, password and memo")]
    UnknownAccessMember {
        /// Its name, shortened.
        member: String,
    },
    /// Access data KooGallery would reject.
    #[error("access data not accepted: {0}")]
    Access(#[from] AccessFault),
}

impl Answer {
    /// Reads what the application answered to an event: an HTTP body or a command's output.
    ///
    /// # Errors
    /// Whatever is not an answer is a failed attempt, with the reason.
    pub fn parse(event: EventName, body: &[u8]) -> Result<Self, AnswerFault> {
        let text = std::str::from_utf8(body).map_err(|_| AnswerFault::NotUtf8)?;
        // Some editors put a byte-order mark in front of every script's output.
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text).trim();
        match (text.is_empty(), event) {
            (true, EventName::InstanceCreate) => return Err(AnswerFault::EmptyForCreate),
            (true, EventName::LicenseIssue) => return Err(AnswerFault::NoLicense),
            (true, _) => return Ok(Self::Ready(Handout::default())),
            (false, _) => {}
        }
        let object = match serde_json::from_str(text).map_err(|error| AnswerFault::not_json(text, &error))? {
            Value::Object(object) => object,
            other => return Err(AnswerFault::NotAnObject { found: kind(&other) }),
        };
        match optional_text(&object, "status")?.as_deref() {
            None => Err(AnswerFault::NoStatus),
            Some("ready") => handout(event, &object).map(Self::Ready),
            Some("pending") if event == EventName::InstanceCheckChange => Err(AnswerFault::PendingCheck),
            Some("pending") => Ok(Self::Pending),
            Some("refused") => refusal(&object),
            Some(other) => Err(AnswerFault::UnknownStatus { status: word(other) }),
        }
    }
}

impl AnswerFault {
    fn unknown_access_member(name: &str) -> Self {
        Self::UnknownAccessMember { member: word(name) }
    }

    /// serde_json's syntax errors tell position and expectation and quote nothing, unlike its type errors.
    fn not_json(text: &str, error: &serde_json::Error) -> Self {
        let hint = match text.as_bytes().first() {
            Some(b'<') => "; it looks like an HTML or XML page",
            Some(b'\'') => "; JSON wants double quotes",
            _ if error.is_eof() => "; it ends too early",
            _ => "",
        };
        Self::NotJson { reason: error.to_string(), hint }
    }
}

fn handout(event: EventName, object: &Map<String, Value>) -> Result<Handout, AnswerFault> {
    let license = match event {
        EventName::LicenseIssue => Some(license(object)?.ok_or(AnswerFault::NoLicense)?),
        // The report that an instance is ready is read as its creation's answer, and may bring a licence.
        EventName::InstanceCreate => license(object)?,
        _ => None,
    };
    Ok(Handout { access: access(object)?, license })
}

fn license(object: &Map<String, Value>) -> Result<Option<License>, AnswerFault> {
    match object.get("license") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(License::text(Secret::new(text.clone()))?)),
        Some(Value::Object(file)) => {
            let name = optional_text(file, "fileName")?.unwrap_or_default();
            let content = optional_text(file, "content")?.unwrap_or_default();
            let content = BASE64.decode(content.as_bytes()).map_err(|_| AnswerFault::LicenseContent)?;
            Ok(Some(License::file(&name, Secret::new(content))?))
        }
        Some(other) => {
            Err(AnswerFault::WrongType { member: "license", expected: "text or a JSON object", found: kind(other) })
        }
    }
}

fn access(object: &Map<String, Value>) -> Result<Option<Access>, AnswerFault> {
    match object.get("access") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(access)) => read_access(access).map(Some),
        Some(other) => Err(AnswerFault::WrongType { member: "access", expected: "a JSON object", found: kind(other) }),
    }
}

fn refusal(object: &Map<String, Value>) -> Result<Answer, AnswerFault> {
    let code = optional_text(object, "resultCode")?.ok_or(AnswerFault::RefusalCode)?;
    let known = ResultCode::parse(&code).filter(|code| REFUSALS.contains(&code.as_str()));
    Ok(Answer::Refused {
        result_code: known.ok_or(AnswerFault::RefusalCode)?,
        message: optional_text(object, "message")?.unwrap_or_default(),
    })
}

/// Unknown members are refused: a misspelt "passWord" would otherwise be lost without a word.
fn read_access(object: &Map<String, Value>) -> Result<Access, AnswerFault> {
    if let Some(unknown) = object.keys().find(|name| !ACCESS_MEMBERS.contains(&name.as_str())) {
        return Err(AnswerFault::unknown_access_member(unknown));
    }
    let [front_end_url, admin_url, user_name, password, memo] =
        ACCESS_MEMBERS.map(|member| optional_text(object, member));
    Ok(Access::accept(AccessParts {
        front_end_url: front_end_url?.unwrap_or_default(),
        admin_url: admin_url?,
        user_name: user_name?.map(Secret::new),
        password: password?.map(Secret::new),
        memo: memo?,
    })?)
}

/// A text member; absent and null are `None`.
fn optional_text(object: &Map<String, Value>, member: &'static str) -> Result<Option<String>, AnswerFault> {
    match object.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(AnswerFault::WrongType { member, expected: "text in double quotes", found: kind(other) }),
    }
}

/// What may be shown of a word that is none of the right ones. Anything but a word may be what the application hands out, a
/// password in the wrong place, and is not shown.
fn word(text: &str) -> String {
    const LONGEST: usize = 20;
    let is_word = text.len() <= LONGEST && text.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
    if is_word { text.to_owned() } else { format!("(a text of {} characters)", text.chars().count()) }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATE: EventName = EventName::InstanceCreate;

    fn check(event: EventName, body: &str, expected: &str) {
        let actual = match Answer::parse(event, body.as_bytes()) {
            Ok(Answer::Ready(Handout { license: Some(license), .. })) => format!("licence {license:?}"),
            Ok(Answer::Ready(Handout { access: None, .. })) => "ready".to_owned(),
            Ok(Answer::Ready(Handout { access: Some(access), .. })) => format!("ready {}", access.front_end_url()),
            Ok(Answer::Pending) => "pending".to_owned(),
            Ok(Answer::Refused { result_code, message }) => format!("refused {} {message}", result_code.as_str()),
            Err(fault) => fault.to_string(),
        };
        assert_eq!(actual, expected, "{event} {body}");
    }

    #[test]
    fn the_documented_answers_are_understood() {
        let ready = r#"{"status":"ready","access":{"frontEndUrl":"https://a/","adminUrl":"https://a/admin",
            "userName":"u","password":"p","memo":"m"},"debug":{"anything":1}}"#;
        check(CREATE, ready, "ready https://a/");
        check(CREATE, r#"{"status":"ready"}"#, "ready");
        check(CREATE, r#"{"status":"ready","access":null}"#, "ready");
        check(CREATE, "\u{FEFF}\n{\"status\":\"pending\"}\n", "pending");
        check(CREATE, r#"{"status":"refused","resultCode":"000106","message":"sold out"}"#, "refused 000106 sold out");
        check(EventName::InstanceCheckChange, r#"{"status":"refused","resultCode":"000005"}"#, "refused 000005 ");
    }

    #[test]
    fn an_empty_answer_means_done_except_for_a_creation() {
        let wants_more = |event: &EventName| matches!(event, EventName::InstanceCreate | EventName::LicenseIssue);
        for event in EventName::ALL.into_iter().filter(|event| !wants_more(event)) {
            check(event, " \r\n", "ready");
        }
        assert_eq!(Answer::parse(CREATE, b"\n"), Err(AnswerFault::EmptyForCreate));
        assert_eq!(Answer::parse(EventName::LicenseIssue, b"\n"), Err(AnswerFault::NoLicense));
    }

    #[test]
    fn a_licence_is_a_text_or_a_file_and_never_missing() {
        let license = |answer: &str| match Answer::parse(EventName::LicenseIssue, answer.as_bytes()) {
            Ok(Answer::Ready(Handout { license, .. })) => Ok(license),
            Ok(other) => panic!("{other:?}"),
            Err(fault) => Err(fault),
        };
        let text = License::text(Secret::new("A-1".to_owned())).unwrap();
        assert_eq!(license(r#"{"status":"ready","license":"A-1"}"#), Ok(Some(text)));
        let file = License::file("a.lic", Secret::new(vec![0, 255])).unwrap();
        let answer = r#"{"status":"ready","license":{"fileName":"a.lic","content":"AP8="}}"#;
        assert_eq!(license(answer), Ok(Some(file)));
        assert_eq!(license(r#"{"status":"ready"}"#), Err(AnswerFault::NoLicense));
        assert_eq!(license(r#"{"status":"ready","license":""}"#), Err(LicenseFault::Empty.into()));
        let answer = r#"{"status":"ready","license":{"fileName":"a","content":"?"}}"#;
        assert_eq!(license(answer), Err(AnswerFault::LicenseContent));
        assert!(matches!(license(r#"{"status":"ready","license":7}"#), Err(AnswerFault::WrongType { .. })));
    }

    #[test]
    fn faults_say_what_to_mend() {
        let words = "must be \"ready\", \"pending\" or \"refused\"";
        check(CREATE, "{}", &format!("the answer has no \"status\"; it {words}"));
        check(CREATE, r#"{"status":"OK"}"#, &format!("\"status\" {words} (lower case), not \"OK\""));
        let long = "a".repeat(21);
        for (status, shown) in [("p4ssword", 8), ("pass word", 9), ("密码密码", 4), (long.as_str(), 21)] {
            let shown = format!("\"status\" {words} (lower case), not \"(a text of {shown} characters)\"");
            check(CREATE, &format!(r#"{{"status":"{status}"}}"#), &shown);
        }
        check(CREATE, r#"{"status":true}"#, "\"status\" must be text in double quotes, not true or false");
        check(CREATE, r#"{"status":"ready","access":"x"}"#, "\"access\" must be a JSON object, not text");
        check(
            CREATE,
            "<html>",
            "the answer is not JSON (expected value at line 1 column 1); it looks like an HTML or XML page",
        );
        check(
            CREATE,
            r#"{"status":"#,
            "the answer is not JSON (EOF while parsing a value at line 1 column 10); it ends too early",
        );
        check(CREATE, "[]", "the answer must be a JSON object, not a list");
        check(
            EventName::InstanceCheckChange,
            r#"{"status":"pending"}"#,
            "instance.check_change is a question: answer \"ready\" (allowed) or \"refused\", not \"pending\"",
        );
        check(
            CREATE,
            r#"{"status":"ready","access":{"userName":"u"}}"#,
            "access data not accepted: access needs \"frontEndUrl\": the address where the buyer uses the product",
        );
        check(
            CREATE,
            r#"{"status":"ready","access":{"frontEndUrl":"https://a","passWord":"p"}}"#,
            "\"access\" has no member \"passWord\"; there are frontEndUrl, adminUrl, userName, password and memo",
        );
        assert_eq!(Answer::parse(CREATE, b"\xff"), Err(AnswerFault::NotUtf8));
    }

    #[test]
    fn only_the_codes_of_a_seller_refuse() {
        for code in REFUSALS {
            let body = format!(r#"{{"status":"refused","resultCode":"{code}"}}"#);
            assert!(matches!(Answer::parse(CREATE, body.as_bytes()), Ok(Answer::Refused { .. })), "{code}");
        }
        for code in ["\"000000\"", "\"000004\"", "\"000108\"", "\"000904\"", "\"106\"", "\"\"", "null"] {
            let body = format!(r#"{{"status":"refused","resultCode":{code}}}"#);
            assert_eq!(Answer::parse(CREATE, body.as_bytes()), Err(AnswerFault::RefusalCode), "{code}");
        }
        check(
            CREATE,
            r#"{"status":"refused","resultCode":106}"#,
            "\"resultCode\" must be text in double quotes, not a number",
        );
    }

    #[test]
    fn no_fault_shows_a_value_of_the_access_data() {
        for access in [
            r#"{"frontEndUrl":"https://a","password":["hunter2"]}"#,
            r#"{"frontEndUrl":"hunter2"}"#,
            r#"{"frontEndUrl":"https://a","password":"hunter2\n"}"#,
            r#"{"frontEndUrl":"https://a","password":"hunter2"#,
            r#""hunter2""#,
        ] {
            let fault = Answer::parse(CREATE, format!(r#"{{"status":"ready","access":{access}}}"#).as_bytes());
            let fault = fault.unwrap_err();
            assert!(!format!("{fault} {fault:?}").contains("hunter2"), "{fault:?}");
        }
    }

    #[test]
    fn the_members_of_the_json_object_are_the_wires() {
        let object = serde_json::json!({"frontEndUrl": "https://a", "adminUrl": "", "userName": "root",
            "password": "p\"w\\密", "memo": "line\nline"});
        let access = read_access(object.as_object().unwrap()).unwrap();
        assert!(!format!("{access:?}").contains("root"));
        assert_eq!(
            access.into_parts(),
            AccessParts {
                front_end_url: "https://a".into(),
                admin_url: None,
                user_name: Some(Secret::new("root".into())),
                password: Some(Secret::new("p\"w\\密".into())),
                memo: Some("line\nline".into()),
            }
        );
    }
}
