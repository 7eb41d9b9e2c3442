//! What a program writes to stderr, line by line: bounded in length and number, harmless to print, without the private
//! values of the event. Where the lines go is the caller's business.

use crate::excerpt::excerpt;

/// Lines handed on per run; a program in a loop must not fill the disk through the log.
const LINES_LIMIT: usize = 100;
/// Characters shown of a line.
const LINE_SHOWN: usize = 300;
/// Bytes kept of a line: enough for as many characters of any script.
const LINE_KEPT: usize = 4 * LINE_SHOWN;

/// Takes bytes as they come and hands lines to `show`.
pub(super) struct StderrLines<'a, F: FnMut(&str)> {
    private: &'a [&'a str],
    show: F,
    line: Vec<u8>,
    lines: usize,
    last: String,
}

impl<'a, F: FnMut(&str)> StderrLines<'a, F> {
    pub(super) fn new(private: &'a [&'a str], show: F) -> Self {
        Self { private, show, line: Vec::new(), lines: 0, last: String::new() }
    }

    /// Takes the next bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_KEPT - self.line.len();
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    /// Ends the last line, says how many were not shown, and returns the last one that had text.
    pub(super) fn finish(mut self) -> String {
        self.end_line();
        if self.lines > LINES_LIMIT {
            (self.show)(&format!("… and {} more lines", self.lines - LINES_LIMIT));
        }
        self.last
    }

    fn end_line(&mut self) {
        let line = excerpt(&self.line, self.private, LINE_SHOWN);
        self.line.clear();
        if line.is_empty() {
            return;
        }
        self.lines += 1;
        if self.lines <= LINES_LIMIT {
            (self.show)(&line);
        }
        self.last = line;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[&[u8]], expected: &[&str], expected_last: &str) {
        let mut shown = Vec::new();
        let mut lines = StderrLines::new(&["13800138000"], |line| shown.push(line.to_owned()));
        chunks.iter().for_each(|chunk| lines.take(chunk));
        let last = lines.finish();
        assert_eq!(
            (shown.iter().map(String::as_str).collect::<Vec<_>>(), last.as_str()),
            (expected.to_vec(), expected_last)
        );
    }

    #[test]
    fn lines_are_put_together_whatever_the_reads_were() {
        check(&[b"on", b"e\ntw", b"o\n\n  \nthree"], &["one", "two", "three"], "three");
        check(&[], &[], "");
        check(&[b"phone 138001", b"38000\r\n"], &["phone ***"], "phone ***");
    }

    #[test]
    fn a_flood_is_counted_instead_of_shown() {
        let mut shown = 0;
        let mut lines = StderrLines::new(&[], |_| shown += 1);
        (0..250).for_each(|n| lines.take(format!("line {n}\n").as_bytes()));
        assert_eq!(lines.finish(), "line 249");
        assert_eq!(shown, LINES_LIMIT + 1);
    }

    #[test]
    fn an_endless_line_costs_bounded_memory() {
        let mut lines = StderrLines::new(&[], |_| {});
        (0..1000).for_each(|_| lines.take(&[b'x'; 4096]));
        assert!(lines.line.capacity() <= 2 * LINE_KEPT, "{}", lines.line.capacity());
        assert_eq!(lines.finish(), format!("{}…", "x".repeat(LINE_SHOWN)));
    }
}
