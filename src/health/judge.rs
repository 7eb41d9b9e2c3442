//! From what the watchdog saw to what it makes of it. Pure: it counts looks, not seconds, so that neither a clock that
//! jumps nor a machine that was asleep condemns anybody.
//!
//! A process that is restarted loses nothing, but for some seconds nobody is answered; so a restart must be able to help.
//! Hence a part that does not answer, but shows that it works on, is never counted against the process: a writer that
//! waits for another program's transaction, or a listener that strangers crowd, would be no better off after it, and a
//! flood that could have the process restarted would have won.

/// Both parts fail so many looks in a row: the process is dead. One alone: it is ill, and says so.
const TOGETHER: u32 = 2;

/// One part alone fails so many looks in a row: the process is dead. A listener that answers nobody sells nothing, and
/// without a writer every call is answered "try again"; but one operation of a disk that stalls may well take a minute.
const ALONE: u32 = 12;

/// What one look at one part showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It answered.
    Well,
    /// It did not answer in time, but has done other work meanwhile.
    Busy,
    /// It did not answer, nor did it do anything else.
    Missed,
}

/// The parts that the watchdog looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Takes KooGallery's calls.
    Listener,
    /// Puts things on disk.
    Writer,
}

impl Part {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Listener => "the public listener",
            Self::Writer => "the writer",
        }
    }
}

/// What the looks so far come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Calls are answered.
    Good,
    /// This part does not keep up; a restart would change nothing.
    Busy(Part),
    /// This part does not answer, and if that goes on, the process is to end.
    Ill(Part),
    /// The process is to end: this part alone has not answered for too long, or, with `None`, neither has.
    Dead(Option<Part>),
}

/// How often in a row.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    /// It showed no life.
    missed: u32,
    /// It did not answer.
    unanswered: u32,
}

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Judge {
    listener: Count,
    writer: Count,
}

impl Count {
    fn see(&mut self, seen: Seen) {
        (self.missed, self.unanswered) = match seen {
            Seen::Well => (0, 0),
            Seen::Busy => (0, self.unanswered.saturating_add(1)),
            Seen::Missed => (self.missed.saturating_add(1), self.unanswered.saturating_add(1)),
        };
    }
}

impl Judge {
    /// After another look at both.
    pub(super) fn judge(&mut self, listener: Seen, writer: Seen) -> Verdict {
        self.listener.see(listener);
        self.writer.see(writer);
        let parts = [(Part::Writer, self.writer), (Part::Listener, self.listener)];
        let first = |is: fn(&Count) -> bool| parts.iter().find(|(_, count)| is(count)).map(|(part, _)| *part);
        if parts.iter().all(|(_, count)| count.missed >= TOGETHER) {
            return Verdict::Dead(None);
        }
        if let Some(part) = first(|count| count.missed >= ALONE) {
            return Verdict::Dead(Some(part));
        }
        if let Some(part) = first(|count| count.missed >= TOGETHER) {
            return Verdict::Ill(part);
        }
        first(|count| count.unanswered >= TOGETHER).map_or(Verdict::Good, Verdict::Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks, written as a letter for the listener and one for the writer, and what they come to.
    #[track_caller]
    fn check(looks: &str, expected: Verdict) {
        let seen = |letter| match letter {
            b'w' => Seen::Well,
            b'b' => Seen::Busy,
            _ => Seen::Missed,
        };
        let mut judge = Judge::default();
        let pairs = looks.split(' ').map(str::as_bytes);
        let last = pairs.map(|pair| judge.judge(seen(pair[0]), seen(pair[1]))).last();
        assert_eq!(last, Some(expected), "{looks}");
    }

    #[test]
    fn one_miss_is_none_and_two_in_a_row_are_an_illness() {
        check("ww", Verdict::Good);
        check("mm", Verdict::Good);
        check("mw wm", Verdict::Good);
        check("mw ww mw", Verdict::Good);
        check("mw mw", Verdict::Ill(Part::Listener));
        check("wm wm", Verdict::Ill(Part::Writer));
        check("wm wm ww", Verdict::Good);
    }

    #[test]
    fn both_missing_twice_are_the_end() {
        check("mm mm", Verdict::Dead(None));
        check("mw mm wm mw", Verdict::Good);
        check("mw mm mm", Verdict::Dead(None));
        check("mm bm", Verdict::Ill(Part::Writer));
    }

    #[test]
    fn one_part_alone_is_the_end_after_a_long_time_only() {
        let looks = |look: &str, count| vec![look; count].join(" ");
        check(&looks("wm", 11), Verdict::Ill(Part::Writer));
        check(&looks("wm", 12), Verdict::Dead(Some(Part::Writer)));
        check(&looks("mw", 12), Verdict::Dead(Some(Part::Listener)));
    }

    #[test]
    fn a_part_that_works_on_is_never_the_end() {
        let looks = |look: &str| vec![look; 1000].join(" ");
        check("bw", Verdict::Good);
        check("bw bw", Verdict::Busy(Part::Listener));
        check(&looks("bw"), Verdict::Busy(Part::Listener));
        check(&looks("bb"), Verdict::Busy(Part::Writer));
        // Life in between is life.
        check(&format!("{} bw mw", ["mw"; 11].join(" ")), Verdict::Busy(Part::Listener));
    }
}
