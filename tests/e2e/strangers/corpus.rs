//! The form of the corpora: dialogues between a stranger and the door, one after another in a text file.
//!
//! | line | meaning |
//! | --- | --- |
//! | `== NAME` | a case begins; names are unique among all files |
//! | `# TEXT` | why, and where it comes from |
//! | `> BYTES` | the stranger sends these; lines that follow one another are one write |
//! | `! half close` | it sends no more, and still listens |
//! | `! reset` | it is gone, by a TCP reset |
//! | `< 400` | refused by the door: this status, `Connection: close`, and the end (`head`: without content) |
//! | `< 100` | the invitation to send the body |
//! | `< answered` | the handler's answer, and the connection goes on (`head`: without content; `close`: the end) |
//! | `< alert NAME` | (TLS) this fatal alert, and the end |
//! | `< hello` | (TLS) the server's hello |
//! | `< nothing` | the end without a word |
//! | `< end` | (TLS) the end, whatever is said before it |
//! | `= METHOD TARGET BODY` | what the handler must have seen: all such lines of a case, in order, and nothing else |
//!
//! A case that is not ended by the door is continued with a sound request, which must be answered. `N times` before or
//! behind multiplies a line with `=` or `<`.
//!
//! In bytes, `\r \n \t \0 \\ \xNN` are what they are in Rust. `\{5 abc}` is `abc` five times, `\{purchase}` a signed
//! purchase that would be booked if it were ever taken for a request, `\{purchase length}` its number of bytes; what else
//! stands between such brackets is looked up in the words of the test.

use std::fs;
use std::path::Path;

/// One dialogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    pub name: String,
    pub steps: Vec<Step>,
    /// What the handler must have seen.
    pub seen: Vec<Vec<u8>>,
}

/// What happens next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Send(Vec<u8>),
    HalfClose,
    Reset,
    Invited,
    Answered { head: bool, close: bool },
    Refused { status: u16, head: bool },
    Alert(String),
    Hello,
    Ended,
    EndedSomehow,
}

/// Words that stand for bytes.
pub type Words<'w> = &'w dyn Fn(&str) -> Option<Vec<u8>>;

/// The cases of all files of a folder below `tests/`.
pub fn cases(folder: &str, words: Words) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut all: Vec<Case> = Vec::new();
    for file in files {
        for case in read(&fs::read_to_string(&file).unwrap(), words) {
            assert!(all.iter().all(|other| other.name != case.name), "{}: twice", case.name);
            all.push(case);
        }
    }
    all
}

/// The cases of one file.
pub fn read(text: &str, words: Words) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        if mark == "==" {
            cases.push(Case { name: rest.to_owned(), steps: Vec::new(), seen: Vec::new() });
            continue;
        }
        let case = cases.last_mut().unwrap_or_else(|| panic!("before the first case: {line:?}"));
        match (mark, rest) {
            (">", _) => match case.steps.last_mut() {
                Some(Step::Send(bytes)) => bytes.extend(unescaped(rest, words)),
                _ => case.steps.push(Step::Send(unescaped(rest, words))),
            },
            ("!", "half close") => case.steps.push(Step::HalfClose),
            ("!", "reset") => case.steps.push(Step::Reset),
            ("<", _) => {
                let (rest, times) = match rest.strip_suffix(" times").and_then(|rest| rest.rsplit_once(' ')) {
                    Some((rest, times)) => (rest, times.parse().unwrap()),
                    None => (rest, 1),
                };
                case.steps.extend(std::iter::repeat_n(expected(rest), times));
            }
            ("=", _) => {
                let (times, rest) = match rest.split_once(" times ") {
                    Some((times, rest)) => (times.parse().unwrap(), rest),
                    None => (1, rest),
                };
                case.seen.extend(std::iter::repeat_n(unescaped(rest, words), times));
            }
            _ => panic!("{}: what is {line:?}?", case.name),
        }
    }
    cases
}

fn expected(text: &str) -> Step {
    let words: Vec<&str> = text.split(' ').collect();
    match words[..] {
        ["100"] => Step::Invited,
        ["hello"] => Step::Hello,
        ["nothing"] => Step::Ended,
        ["end"] => Step::EndedSomehow,
        ["alert", name] => Step::Alert(name.to_owned()),
        ["answered", ref more @ ..] => {
            assert!(more.iter().all(|word| ["head", "close"].contains(word)), "{text}");
            Step::Answered { head: more.contains(&"head"), close: more.contains(&"close") }
        }
        [status, ref more @ ..] => {
            assert!(more.is_empty() || *more == ["head"], "{text}");
            Step::Refused { status: status.parse().unwrap_or_else(|_| panic!("{text}")), head: !more.is_empty() }
        }
        [] => panic!("nothing expected"),
    }
}

fn unescaped(text: &str, words: Words) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend(&rest.as_bytes()[..at]);
        let escape = rest[at + 1..].chars().next().unwrap_or_else(|| panic!("a lone backslash in {text:?}"));
        rest = &rest[at + 1 + escape.len_utf8()..];
        match escape {
            'r' => bytes.push(b'\r'),
            'n' => bytes.push(b'\n'),
            't' => bytes.push(b'\t'),
            '0' => bytes.push(0),
            '\\' => bytes.push(b'\\'),
            'x' => {
                bytes.push(u8::from_str_radix(&rest[..2], 16).unwrap_or_else(|_| panic!("{text:?}")));
                rest = &rest[2..];
            }
            '{' => {
                let (inner, after) = rest.split_once('}').unwrap_or_else(|| panic!("no }} in {text:?}"));
                rest = after;
                bytes.extend(words(inner).unwrap_or_else(|| repeated(inner, words)));
            }
            _ => panic!("\\{escape} in {text:?}"),
        }
    }
    bytes.extend(rest.as_bytes());
    bytes
}

fn repeated(inner: &str, words: Words) -> Vec<u8> {
    let (count, what) = inner.split_once(' ').unwrap_or_else(|| panic!("what is {inner:?}?"));
    unescaped(what, words).repeat(count.parse().unwrap_or_else(|_| panic!("what is {inner:?}?")))
}

#[test]
fn a_case_is_read_as_it_is_written() {
    let text = "# A file.\n\n== one\n# Why.\n> a\\r\\n\n> \\{2 \\x00\\\\}\\{word}b\n< 100\n! half close\n< answered head close 2 times\n\
                == two\n! reset\n= 2 times GET /\n< 413 head\n< alert x\n< nothing\n";
    let read = read(text, &|word| (word == "word").then(|| b"WORD".to_vec()));
    let answered = Step::Answered { head: true, close: true };
    let sent = Step::Send(b"a\r\n\0\\\0\\WORDb".to_vec());
    assert_eq!(read[0].steps, [sent, Step::Invited, Step::HalfClose, answered.clone(), answered]);
    let refused = Step::Refused { status: 413, head: true };
    assert_eq!(read[1].steps, [Step::Reset, refused, Step::Alert("x".to_owned()), Step::Ended]);
    assert_eq!((&read[1].seen[..], read.len()), (&[b"GET /".to_vec(), b"GET /".to_vec()][..], 2));
}
