//! Canonical JSON: the forms of a body that KooGallery may have signed instead of the bytes it sent (spec 1-basic-v2
//! §2.3).
//!
//! This works on unauthenticated input of up to the body limit, so there is no value tree and no recursion. The text is
//! validated first, then rewritten in one pass into one buffer no longer than the input; only the members of the top
//! level are remembered one by one (12 bytes each, and a member takes 5 bytes of input at least). Reading a body to act
//! on it is not done here.

use std::cmp::Ordering;

use serde::de::IgnoredAny;

/// What becomes of `null` members of the top level. Nested ones always stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nulls {
    /// Left out: the candidate `sorted`.
    Drop,
    /// Written: the candidate `sorted-with-nulls`.
    Keep,
}

/// The canonical form of a body: `None` unless it is one JSON object in UTF-8 whose texts are all Unicode (an escaped
/// lone surrogate has no UTF-8 form, so it cannot have been signed).
pub fn render(body: &[u8], nulls: Nulls) -> Option<String> {
    let members = Members::parse(body)?;
    let mut text = String::with_capacity(members.arena.len());
    members.feed(nulls, &mut |piece| text.push_str(piece));
    Some(text)
}

/// The members of an object's top level: sorted, each name once, the values already compact.
#[derive(Debug)]
pub struct Members {
    /// Decoded name, then canonical value, member after member in the order received.
    arena: String,
    members: Vec<Member>,
}

/// Where a member lies in the arena: the name up to `value`, the value up to `end`.
#[derive(Clone, Copy, Debug)]
struct Member {
    name: u32,
    value: u32,
    end: u32,
}

impl Members {
    /// Reads a body; `None` as for [`render`].
    ///
    /// The last of several top-level members of one name counts. Repeated names inside nested objects are kept as they
    /// stand: nothing says what a signer would make of them.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        // serde_json skips values with a loop, not by recursion, and one byte of memory for each open bracket.
        serde_json::from_str::<IgnoredAny>(text).ok()?;
        let mut rewriter = Rewriter { text, at: 0, arena: String::with_capacity(text.len()) };
        let members = rewriter.object()?;
        let mut parsed = Self { arena: rewriter.arena, members };
        parsed.sort();
        Some(parsed)
    }

    /// Whether a member of the top level is `null`, so that the two canonical forms differ.
    pub fn has_nulls(&self) -> bool {
        self.members.iter().any(|&member| self.is_null(member))
    }

    /// Names and canonical values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.members.iter().map(|&member| (self.name(member), self.value(member)))
    }

    /// Hands the canonical text to `sink`, piece by piece and without building it.
    pub fn feed(&self, nulls: Nulls, sink: &mut dyn FnMut(&str)) {
        let mut name = String::new();
        let mut before = "{\"";
        for &member in &self.members {
            if nulls == Nulls::Drop && self.is_null(member) {
                continue;
            }
            name.clear();
            self.name(member).chars().for_each(|char| push_escaped(&mut name, char));
            sink(before);
            sink(&name);
            sink("\":");
            sink(self.value(member));
            before = ",\"";
        }
        // The opening brace goes with the first member's quote; without any member it is still to be written.
        sink(if before == "{\"" { "{}" } else { "}" });
    }

    /// Sorts by name; of one name the member received last stays.
    fn sort(&mut self) {
        let Self { arena, members } = self;
        let name = |member: &Member| &arena.as_bytes()[member.name as usize..member.value as usize];
        members.sort_unstable_by(|a, b| utf16_order(name(a), name(b)).then(b.name.cmp(&a.name)));
        members.dedup_by(|later, kept| name(later) == name(kept));
    }

    fn name(&self, member: Member) -> &str {
        &self.arena[member.name as usize..member.value as usize]
    }

    fn value(&self, member: Member) -> &str {
        &self.arena[member.value as usize..member.end as usize]
    }

    fn is_null(&self, member: Member) -> bool {
        self.value(member) == "null"
    }
}

/// One pass over valid JSON text. `None` stands for "not an object" or a lone surrogate; a syntax error cannot occur
/// after validation and would end in `None` as well.
struct Rewriter<'t> {
    text: &'t str,
    at: usize,
    arena: String,
}

impl Rewriter<'_> {
    fn object(&mut self) -> Option<Vec<Member>> {
        let mut members = Vec::new();
        if self.next_token()? != b'{' {
            return None;
        }
        loop {
            match self.next_token()? {
                b'}' => return Some(members),
                b',' => {}
                b'"' => members.push(self.member()?),
                _ => return None,
            }
        }
    }

    /// A member whose opening quote has been read.
    fn member(&mut self) -> Option<Member> {
        let name = self.mark()?;
        self.string(String::push)?;
        let value = self.mark()?;
        if self.next_token()? != b':' {
            return None;
        }
        self.value()?;
        Some(Member { name, value, end: self.mark()? })
    }

    /// Copies a value of any depth without its white space, and stops before the `,` or `}` that ends the member.
    fn value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            let byte = self.next_token()?;
            match byte {
                b',' | b'}' if depth == 0 => {
                    self.at -= 1;
                    return Some(());
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            self.arena.push(char::from(byte));
            if byte == b'"' {
                self.string(push_escaped)?;
                self.arena.push('"');
            }
        }
    }

    /// Decodes a string whose opening quote has been read. Only characters that were escaped go through `push`: no
    /// other can need an escape.
    fn string(&mut self, push: fn(&mut String, char)) -> Option<()> {
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(['"', '\\'])?;
            self.arena.push_str(&rest[..plain]);
            self.at += plain + 1;
            if rest.as_bytes()[plain] == b'"' {
                return Some(());
            }
            let char = self.escape()?;
            push(&mut self.arena, char);
        }
    }

    /// An escape whose backslash has been read.
    fn escape(&mut self) -> Option<char> {
        let byte = *self.text.as_bytes().get(self.at)?;
        self.at += 1;
        Some(match byte {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            other => char::from(other),
        })
    }

    /// `XXXX`, and `\uXXXX` after it when the first is a high surrogate.
    fn unicode_escape(&mut self) -> Option<char> {
        let first = self.hex4()?;
        if !(0xD800..0xDC00).contains(&first) {
            return char::from_u32(first);
        }
        if self.text.get(self.at..self.at + 2)? != "\\u" {
            return None;
        }
        self.at += 2;
        let second = self.hex4()?.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
        char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + second)
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    /// The next byte that is not white space.
    fn next_token(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let skipped = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))?;
        self.at += skipped + 1;
        Some(rest[skipped])
    }

    /// The end of the arena. Input beyond 4 GiB has no canonical form.
    fn mark(&self) -> Option<u32> {
        u32::try_from(self.arena.len()).ok()
    }
}

/// Rule 4 of §2.3: `"` and `\`, the five short escapes, other control characters as `\u00XX` with upper-case hex.
fn push_escaped(text: &mut String, char: char) {
    match char {
        '"' => text.push_str("\\\""),
        '\\' => text.push_str("\\\\"),
        '\u{8}' => text.push_str("\\b"),
        '\u{c}' => text.push_str("\\f"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        control @ '\0'..='\u{1f}' => {
            text.push_str(if control < '\u{10}' { "\\u000" } else { "\\u001" });
            let digit = char::from_digit(u32::from(control) & 0xF, 16).unwrap_or('0');
            text.push(digit.to_ascii_uppercase());
        }
        other => text.push(other),
    }
}

/// Orders UTF-8 texts as their UTF-16 code units would be.
///
/// UTF-8 sorts by code point. UTF-16 differs in one thing: U+E000 to U+FFFF (lead bytes EE and EF) come after the
/// characters written with surrogates (lead bytes F0 to F4). Where two texts first differ both bytes are leads or both
/// are continuations, so lifting those two leads above F4 is enough.
pub(super) fn utf16_order(a: &[u8], b: &[u8]) -> Ordering {
    let weight = |byte: u8| if matches!(byte, 0xEE | 0xEF) { byte + 0x10 } else { byte };
    match a.iter().zip(b).find(|(a, b)| a != b) {
        Some((&a, &b)) => weight(a).cmp(&weight(b)),
        None => a.len().cmp(&b.len()),
    }
}

#[cfg(test)]
mod tests;
