//! Uploads of license texts and files: the multipart form and what is in it.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::gateway::event_id;
use super::reply::Reply;
use super::signature::sha256_hex;
use super::wire::Request;

/// An upload as it was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Upload {
    pub event_id: String,
    /// The part `isvUpdateFileReq`.
    pub request: Value,
    /// The bytes of the part `file`.
    pub file: Option<Vec<u8>>,
}

/// What is known and what came.
#[derive(Default)]
pub struct Uploads {
    events: BTreeMap<String, &'static str>,
    pub taken: Vec<Upload>,
}

impl Uploads {
    /// Takes in an event, and the code for an upload to it.
    pub fn put_event(&mut self, event_id: &str, code: &'static str) {
        self.events.insert(event_id.to_owned(), code);
    }

    /// Takes an upload.
    pub fn take(&mut self, request: &Request) -> Reply {
        let Some(upload) = read(request) else { return Reply::code(400, "CBC.0101") };
        let code = self.events.get(&upload.event_id).copied().unwrap_or("91381034");
        if code == "CBC.0000" {
            self.taken.push(upload);
        }
        let status = match code {
            "CBC.0150" => 403,
            "CBC.0101" => 400,
            "CBC.0999" => 500,
            _ => 200,
        };
        Reply::code(status, code)
    }
}

/// A part of a form.
struct Part<'a> {
    head: &'a str,
    content: &'a [u8],
}

fn read(request: &Request) -> Option<Upload> {
    let event_id = percent_decode_str(event_id(&request.path)?).decode_utf8().ok()?.into_owned();
    let parts = parts(request)?;
    let part = |name: &str| {
        let named = |part: &&Part<'_>| parameter(part.head, "name") == Some(name);
        parts.iter().find(named)
    };
    let (form, file) = (part("isvUpdateFileReq")?, part("file"));
    let only_these = parts.len() == 1 + usize::from(file.is_some());
    let is_json = form.head.to_ascii_lowercase().contains("content-type: application/json");
    if !only_these || !is_json || event_id.chars().count() > 64 {
        return None;
    }
    let form: Value = serde_json::from_slice(form.content).ok()?;
    let members = form.as_object()?;
    let known = ["type", "file_name", "sha256", "characters"];
    let text = |name: &str| form[name].as_str().is_some_and(|text| (1..=1024).contains(&text.chars().count()));
    let fits = match (form["type"].as_str()?, file) {
        ("CHARACTERS", None) => text("characters"),
        ("FILE", Some(file)) => {
            let named = parameter(file.head, "filename").is_some_and(|name| !name.is_empty());
            named && text("file_name") && form["sha256"] == sha256_hex(file.content)
        }
        _ => false,
    };
    if !fits || members.keys().any(|name| !known.contains(&name.as_str())) {
        return None;
    }
    Some(Upload { event_id, file: file.map(|file| file.content.to_vec()), request: form })
}

/// The parts of a form, if it is whole: nothing before the first and nothing behind the last.
fn parts(request: &Request) -> Option<Vec<Part<'_>>> {
    let boundary = parameter(request.header("content-type")?, "boundary")?;
    let (first, between) = (format!("--{boundary}"), format!("\r\n--{boundary}"));
    let mut rest = request.body.strip_prefix(first.as_bytes())?;
    let mut parts = Vec::new();
    while !matches!(rest, b"--" | b"--\r\n") {
        rest = rest.strip_prefix(b"\r\n")?;
        let (head, behind) = split(rest, b"\r\n\r\n")?;
        let (content, behind) = split(behind, between.as_bytes())?;
        parts.push(Part { head: str::from_utf8(head).ok()?, content });
        rest = behind;
    }
    Some(parts)
}

fn split<'a>(bytes: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let place = bytes.windows(at.len()).position(|window| window == at)?;
    Some((&bytes[..place], &bytes[place + at.len()..]))
}

/// A parameter of a header, in quotes or not.
fn parameter<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let given = |part: &'a str| part.trim().split_once('=').filter(|(given, _)| *given == name);
    let parts = header.split([';', '\r']);
    parts.filter_map(given).map(|(_, value)| value.trim_matches('"')).next()
}
