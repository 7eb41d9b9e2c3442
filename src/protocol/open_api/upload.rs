//! The upload of an online licence (LO): `multipart/form-data` with a text or a file (spec 5-open-api §7).

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::license::{Form, License};
use crate::protocol::open_api::aksk::{encoded, sha256_hex};
use crate::protocol::open_api::reply::{Code, Refusal};

/// Longest text that goes as `CHARACTERS`, in characters; a longer one goes as a file.
const LONGEST_TEXT: usize = 1024;

/// The file name of a text that goes as a file.
const TEXT_FILE: &str = "license.txt";

/// An upload, ready to be sent.
pub struct Upload {
    /// The value of `Content-Type`.
    pub content_type: String,
    /// The body. It holds the licence.
    pub body: Zeroizing<Vec<u8>>,
}

/// The path for one of KooGallery's requests for a licence.
pub fn path(event_id: &str) -> String {
    format!("/api/mkp-openapi-public/global/v1/market-event/{}/file", encoded(event_id))
}

impl Upload {
    /// The upload of a licence. `boundary` must be random: nobody may guess it and put it into a licence.
    pub fn new(license: &License, boundary: &str) -> Self {
        let (file, request) = match license.form() {
            Form::Text(text) if text.expose().chars().count() <= LONGEST_TEXT => {
                (None, json!({ "type": "CHARACTERS", "characters": text.expose() }))
            }
            Form::Text(text) => {
                (Some((TEXT_FILE, text.expose().as_bytes())), of_file(TEXT_FILE, text.expose().as_bytes()))
            }
            Form::File { name, content } => {
                (Some((name.as_str(), content.expose().as_slice())), of_file(name, content.expose()))
            }
        };
        let length = file.map_or(0, |(_, content)| content.len());
        let mut body = Zeroizing::new(Vec::with_capacity(length + 4096));
        if let Some((name, content)) = file {
            // As browsers do it (WHATWG HTML, multipart/form-data); a name has no control characters.
            let name = name.replace('"', "%22");
            let head = format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
                 Content-Type: application/octet-stream\r\n\r\n"
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        let request = Zeroizing::new(format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"isvUpdateFileReq\"\r\n\
             Content-Type: application/json\r\n\r\n{request}\r\n--{boundary}--\r\n"
        ));
        body.extend_from_slice(request.as_bytes());
        Self { content_type: format!("multipart/form-data; boundary={boundary}"), body }
    }
}

/// What to do about a refusal that stays one.
pub fn advice(refusal: &Refusal) -> &'static str {
    match refusal.code.as_ref().map_or("", Code::number) {
        "91381033" => "look in the seller centre what is wrong with the instance's licence resource",
        "91381034" | "91381038" => {
            "KooGallery does not wait for this licence (any more): look in the seller centre whether it has it, or \
             whether the buyer must apply again"
        }
        "91381035" => "no licence is left in the period: the buyer must buy more or apply again later",
        "91381037" => {
            "it is not of the form KooGallery was told in the seller centre: mend what makes licences; this one stays as \
             it is, so the buyer must apply again"
        }
        "0150" | "0151" | "91380150" | "APIGW.0302" => {
            "the access key of [open_api] must be of the seller's own account, or of a user with programmatic access"
        }
        _ => "look at the licence (koogate license list) and at the order in the seller centre",
    }
}

fn of_file(name: &str, content: &[u8]) -> Value {
    json!({ "type": "FILE", "file_name": name, "sha256": sha256_hex(content) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn body(license: &License) -> String {
        String::from_utf8(Upload::new(license, "b0").body.to_vec()).unwrap()
    }

    #[test]
    fn a_text_goes_as_characters_in_one_part() {
        let license = License::text(Secret::new("A-\"1\"云".to_owned())).unwrap();
        assert_eq!(
            body(&license),
            "--b0\r\nContent-Disposition: form-data; name=\"isvUpdateFileReq\"\r\nContent-Type: application/json\r\n\r\n\
             {\"characters\":\"A-\\\"1\\\"云\",\"type\":\"CHARACTERS\"}\r\n--b0--\r\n"
        );
    }

    #[test]
    fn a_file_goes_byte_for_byte_with_its_hash() {
        let license = License::file("a\"b.lic", Secret::new(b"x\r\n".to_vec())).unwrap();
        let hash = "\"sha256\":\"".to_owned() + &sha256_hex(b"x\r\n");
        let body = body(&license);
        assert!(body.starts_with("--b0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a%22b.lic\"\r\n"));
        assert!(body.contains("octet-stream\r\n\r\nx\r\n\r\n--b0\r\n"), "{body}");
        assert!(body.contains(&hash) && body.contains(r#""file_name":"a\"b.lic""#), "{body}");
    }

    #[test]
    fn a_text_over_1024_characters_goes_as_a_file() {
        let text = |length| License::text(Secret::new("云".repeat(length))).unwrap();
        assert!(body(&text(1024)).contains("CHARACTERS"));
        assert!(body(&text(1025)).contains(r#""file_name":"license.txt""#));
    }

    #[test]
    fn an_event_id_cannot_lead_elsewhere() {
        assert_eq!(path("../x?y"), "/api/mkp-openapi-public/global/v1/market-event/..%2Fx%3Fy/file");
    }
}
