//! Answers of the local API: an object, or `{"error": "…"}`.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::codes::CodeFault;
use crate::http::{Method, Reply, Request};
use crate::open_api::error::{Again, OpenApiError};
use crate::store::StoreError;

/// Whoever finds KooGallery away is asked to come back after so many seconds.
const COME_BACK: i64 = 5;

/// 200 with a JSON object.
pub(super) fn ok(object: &Value) -> Reply {
    with_status(200, object)
}

/// Text for people and for programs that look at the status only.
pub(super) fn text(status: u16, text: impl Into<Vec<u8>>) -> Reply {
    Reply::new(status, "text/plain; charset=utf-8", text)
}

/// A JSON object with another status.
pub(super) fn with_status(status: u16, object: &Value) -> Reply {
    Reply::new(status, "application/json", object.to_string())
}

/// The value of `Allow` for the methods of a path.
pub(super) fn allowed<'m>(methods: impl Iterator<Item = &'m Method>) -> String {
    let with_head = |method: &Method| if *method == Method::Get { "GET, HEAD" } else { method.as_str() }.to_owned();
    methods.map(with_head).collect::<Vec<_>>().join(", ")
}

/// Why a request is not answered as asked. What the caller is told is apart from what the log is told.
#[derive(Debug)]
pub(super) struct Problem {
    status: u16,
    error: String,
    header: Option<(&'static str, String)>,
    /// KooGallery's code, where it is KooGallery that refuses.
    code: Option<String>,
    log: Option<String>,
}

impl Problem {
    pub(super) fn new(status: u16, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), header: None, code: None, log: None }
    }

    /// What the caller is told.
    pub(super) fn error(&self) -> &str {
        &self.error
    }

    /// 400: the request cannot be read, or asks for what cannot be.
    pub(super) fn bad_request(error: impl Into<String>) -> Self {
        Self::new(400, error)
    }

    /// 404.
    pub(super) fn not_found(error: impl Into<String>) -> Self {
        Self::new(404, error)
    }

    /// 409: things do not stand as the request needs them.
    pub(super) fn conflict(error: impl Into<String>) -> Self {
        Self::new(409, error)
    }

    pub(super) fn unauthorised() -> Self {
        let problem = Self::new(401, "a bearer token is needed: Authorization: Bearer <admin.token>");
        Self { header: Some(("WWW-Authenticate", "Bearer".to_owned())), ..problem }
    }

    /// 405, with the methods that the path has.
    pub(super) fn wrong_method<'m>(methods: impl Iterator<Item = &'m Method>) -> Self {
        let allowed = allowed(methods);
        let problem = Self::new(405, format!("{allowed} only"));
        Self { header: Some(("Allow", allowed)), ..problem }
    }

    /// 503: too many wait for KooGallery already.
    pub(super) fn crowded() -> Self {
        let problem = Self::new(503, "too many questions about orders wait for KooGallery");
        Self { header: Some(("Retry-After", COME_BACK.to_string())), ..problem }
    }

    /// 500: the log says why.
    pub(super) fn internal(cause: String) -> Self {
        Self { log: Some(cause), ..Self::new(500, "internal error, see the log") }
    }

    /// As it is answered; what is the log's is logged.
    pub(super) fn reply(self, request: &Request) -> Reply {
        if let Some(cause) = self.log {
            log::error!("{} {:?}: {cause}", request.method, request.path());
        }
        let mut problem = json!({ "error": self.error });
        if let Some(code) = self.code {
            problem["code"] = code.into();
        }
        let reply = with_status(self.status, &problem);
        match self.header {
            Some((name, value)) => reply.with_header(name, value),
            None => reply,
        }
    }
}

impl From<CodeFault> for Problem {
    fn from(fault: CodeFault) -> Self {
        if let CodeFault::Store(cause) = fault {
            return Self::internal(cause);
        }
        let problem = Self::new(fault.status(), fault.to_string());
        let header = match &fault {
            CodeFault::Away { after, .. } => Some(("Retry-After", after.as_secs().max(1).to_string())),
            _ => None,
        };
        Self { header, code: fault.code().map(str::to_owned), ..problem }
    }
}

impl From<OpenApiError> for Problem {
    fn from(error: OpenApiError) -> Self {
        if let OpenApiError::Store(error) = error {
            return error.into();
        }
        let code = error.refusal().and_then(|refusal| refusal.code.as_ref()).map(|code| code.number().to_owned());
        let (status, wait) = match (&error, error.again()) {
            (OpenApiError::NotConfigured, _) => (503, None),
            // KooGallery has the same answer for an order of another seller and for none at all.
            (_, Again::Never) if code.as_deref() == Some("0150") => (404, None),
            (_, Again::Never) => (502, None),
            (_, Again::NotBefore(until)) => (503, Some(until.duration_since(Timestamp::now()).as_secs().max(1))),
            (_, Again::Later) => (503, Some(COME_BACK)),
        };
        let header = wait.map(|seconds| ("Retry-After", seconds.to_string()));
        Self { header, code, ..Self::new(status, error.to_string()) }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::internal(error.to_string())
    }
}
