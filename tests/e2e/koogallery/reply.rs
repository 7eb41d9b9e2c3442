//! Replies of KooGallery and of the gateway before it.

use serde_json::{Value, json};

/// A reply, without the headers that every reply has.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// JSON with a status.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json;charset=UTF-8", &body.to_string())
    }

    /// Any text.
    pub fn text(status: u16, content_type: &str, body: &str) -> Self {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Self { status, headers, body: body.as_bytes().to_vec() }
    }

    /// A code in the envelope of all calls but the order query.
    pub fn code(status: u16, code: &str) -> Self {
        Self::json(status, &json!({ "error_code": code, "error_msg": message(code) }))
    }

    /// A code in the envelope of the order query.
    pub fn result(status: u16, code: &str) -> Self {
        Self::json(status, &json!({ "resultCode": code, "resultMsg": message(code) }))
    }

    /// A code of the gateway.
    pub fn gateway(status: u16, code: &str, why: &str) -> Self {
        let body = json!({ "error_msg": why, "error_code": code, "request_id": crate::harness::nonce() });
        Self::json(status, &body)
    }

    /// The gateway's throttling.
    pub fn throttled_by_gateway() -> Self {
        Self::gateway(429, "APIGW.0308", "The throttling threshold has been reached")
    }

    /// KooGallery's throttling.
    pub fn throttled() -> Self {
        Self::code(406, "MKT.0250")
    }

    /// A page of a proxy, as with 502, 503 and 504.
    pub fn html(status: u16) -> Self {
        Self::text(status, "text/html", &format!("<html><body><h1>{status}</h1><hr>nginx</body></html>\n"))
    }

    /// Success that is no JSON.
    pub fn broken_json() -> Self {
        Self::text(200, "application/json", "{\"error_code\":\"MKT.0000\",\"resultCode\":\"MKT.0000\",")
    }

    /// A redirect; no client may follow it, signed as its call is.
    pub fn redirect(location: &str) -> Self {
        let mut reply = Self::text(302, "text/html", "");
        reply.headers.push(("Location".to_owned(), location.to_owned()));
        reply
    }

    /// The same with another member in its JSON.
    pub fn with(self, name: &str, value: Value) -> Self {
        self.change(|body| body[name] = value)
    }

    /// The same in the other of the two envelopes.
    pub fn in_other_envelope(self) -> Self {
        self.change(|body| {
            let members = body.as_object_mut().unwrap();
            for (one, other) in [("error_code", "resultCode"), ("error_msg", "resultMsg")] {
                match (members.remove(one), members.remove(other)) {
                    (Some(value), _) => members.insert(other.to_owned(), value),
                    (None, Some(value)) => members.insert(one.to_owned(), value),
                    (None, None) => None,
                };
            }
        })
    }

    fn change(mut self, change: impl FnOnce(&mut Value)) -> Self {
        let mut body = serde_json::from_slice(&self.body).unwrap();
        change(&mut body);
        self.body = body.to_string().into_bytes();
        self
    }

    /// Status line and headers, with the length of the body that is announced.
    pub fn head(&self, length: Option<usize>) -> String {
        let mut head = format!("HTTP/1.1 {} Status\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match length {
            Some(length) => head.push_str(&format!("Content-Length: {length}\r\n")),
            None => head.push_str("Connection: close\r\n"),
        }
        head + "\r\n"
    }
}

fn message(code: &str) -> &'static str {
    match code {
        "MKT.0000" | "CBC.0000" => "Success",
        "92020000" => "success",
        "94060999" => "Failed",
        "MKT.0102" => "Invalid body signature",
        "MKT.0250" => "The call frequency has been exceeded",
        _ => "Error",
    }
}
