//! When the write-ahead log is moved into the database, by whom, and how much of a large one is cut: decided from sizes
//! alone. What is decided here is done by `wal`.

use super::mover::Pass;

/// After so many new pages (of 4 KiB) the log is moved: more at once would keep the disk from the commits for longer.
const MOVE_AFTER: i64 = 4096;

/// From so many pages on the log is begun anew once all of it is moved. What is slowest at full load is the end of the move
/// before that, when commits wait until the database is on disk: a large log makes that rare.
const ANEW_FROM: i64 = 32 * 1024;

/// When it has grown by so many more while it was moved, commits wait for that.
const WAIT_AFTER: i64 = ANEW_FROM;

/// Up to so many pages are moved by the writer itself: a few milliseconds, and the next commit can begin the log anew.
const LEFT_TO_WRITER: i64 = 256;

/// Up to so many where another pass of the mover would leave as many.
const LEFT_AT_MOST: i64 = 1024;

/// A file of so many bytes is cut, not only written over from its beginning, which is quicker: what a sync has to wait for
/// is less where the file keeps its size. None comes to this that no reader holds back.
const CUT_FROM: u64 = 384 << 20;

/// While there is work, so many bytes are cut off at a time: it takes the system up to a millisecond a MiB, and the commits
/// wait.
const CUT_BY: u64 = 16 << 20;

/// From so many pages on something is wrong, and is said.
const WARN_FROM: i64 = 4 * ANEW_FROM;

/// How far the log has been moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// Pages in the log.
    pub(super) pages: i64,
    /// How many of them are in the database file, too.
    pub(super) moved: i64,
}

impl Progress {
    pub(super) fn left(self) -> i64 {
        self.pages - self.moved
    }
}

/// What the writer does about the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing yet.
    Rest,
    /// The mover begins a pass, beside the commits.
    Move(Pass),
    /// The writer moves what is left, and the next commit begins the log anew.
    Finish,
    /// A reader holds the rest back.
    Held,
}

/// What has been tried with the log as it is.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// Pages in the log when it was last tried, and that came to something: while a reader holds it back, each try must be
    /// worth it.
    tried_at: i64,
    /// Pages that the mover's last pass was to move.
    asked: i64,
    /// The fewest that any pass of this try has left.
    nearest: i64,
    /// Pages in the log when its size was last warned of.
    warned_at: i64,
}

impl Schedule {
    /// To be called with what a commit has left before anything else is asked.
    pub(super) fn committed(&mut self, now: Progress) {
        if now.pages < self.tried_at {
            // It was written over from its beginning.
            (self.tried_at, self.warned_at) = (0, 0);
        }
    }

    /// Whether the log grows faster than it is moved, so that commits wait for the pass that is under way.
    pub(super) fn is_late(&self, now: Progress) -> bool {
        now.pages - self.tried_at >= WAIT_AFTER.max(self.asked / 2)
    }

    /// After a commit, when no pass is under way.
    pub(super) fn after_commit(&mut self, now: Progress) -> Step {
        if now.pages - self.tried_at < MOVE_AFTER || now.left() == 0 {
            return Step::Rest;
        }
        self.tried_at = now.pages;
        self.nearest = now.left();
        self.pass(now)
    }

    /// When the mover has done what it could of what it found, and commits have waited for that or not. A log that Litestream
    /// follows is begun anew after each.
    pub(super) fn after_pass(&mut self, pass: Progress, has_waited: bool, now: Progress, is_followed: bool) -> Step {
        let left = now.left();
        let is_nearer = left <= self.nearest / 4 * 3;
        if pass.left() > LEFT_TO_WRITER {
            // It is tried again when the log has grown once more.
            return Step::Held;
        }
        if now.pages < ANEW_FROM && !is_followed {
            // What is left is moved with what comes.
            return Step::Rest;
        }
        let is_little = left <= LEFT_TO_WRITER || left <= LEFT_AT_MOST && !is_nearer;
        // The disk is slow, and another pass would be waited for, too.
        let is_hopeless = has_waited && left < 2 * WAIT_AFTER;
        if is_little || is_hopeless {
            return Step::Finish;
        }
        if is_nearer {
            // Nobody needs to wait while each pass leaves less, such as of a log that a reader has made large.
            (self.tried_at, self.nearest) = (now.pages, left);
        }
        self.pass(now)
    }

    /// When there is nothing else to do and no pass is under way; `file` is the length of the log's file in bytes.
    pub(super) fn when_idle(&mut self, now: Progress, file: u64) -> Step {
        match now.left() {
            0 if !is_cut(file) => Step::Rest,
            left if left > LEFT_TO_WRITER => {
                (self.asked, self.nearest) = (left, left);
                Step::Move(Pass::Synced)
            }
            _ => Step::Finish,
        }
    }

    /// Before the log is begun anew all is to be on the disk: the commits wait for what is not. Earlier it need not be, and
    /// pages that change all the time would be written over and over.
    fn pass(&mut self, now: Progress) -> Step {
        self.asked = now.left();
        Step::Move(if now.pages < ANEW_FROM { Pass::Written } else { Pass::Synced })
    }

    /// Whether the log has become so large that it is said: once, and again whenever it is twice as large.
    pub(super) fn is_to_be_warned_of(&mut self, now: Progress) -> bool {
        let warns = now.left() > 0 && now.pages >= self.warned_at.saturating_mul(2).max(WARN_FROM);
        if warns {
            self.warned_at = now.pages;
        }
        warns
    }
}

/// Whether a file of so many bytes is cut when there is nothing else to do.
pub(super) fn is_cut(file: u64) -> bool {
    file >= CUT_FROM
}

/// To how many bytes a file of so many is cut when it is begun anew while there is work; `None`: it keeps its length.
pub(super) fn limit(file: u64) -> Option<u64> {
    (file > CUT_FROM).then(|| file.saturating_sub(CUT_BY).max(CUT_FROM))
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use proptest::prelude::*;

    use super::*;

    /// Commits of some size, beside them a mover of some speed and a reader that stays for a while.
    #[derive(Debug, Clone)]
    struct Course {
        commits: usize,
        /// Pages a commit.
        size: i64,
        /// Pages that are moved in the time of a commit, in turn.
        speeds: Vec<i64>,
        /// What a pass costs besides, in pages.
        overhead: i64,
        reader: Range<usize>,
    }

    #[derive(Debug, Default)]
    struct Log {
        pages: i64,
        moved: i64,
        /// From here on a reader holds it back.
        held: Option<i64>,
        /// Up to where the mover's pass goes, and how much it has before it.
        pass: Option<(i64, i64)>,
    }

    impl Log {
        fn now(&self) -> Progress {
            Progress { pages: self.pages, moved: self.moved }
        }

        fn end_pass(&mut self) -> Option<Progress> {
            let (until, _) = self.pass.take()?;
            self.moved = self.moved.max(until.min(self.held.unwrap_or(until)));
            Some(Progress { pages: until, moved: self.moved })
        }

        fn take(&mut self, step: Step, overhead: i64) {
            match step {
                Step::Rest | Step::Held => {}
                Step::Move(_) => {
                    self.pass = Some((self.pages, self.pages - self.moved + overhead));
                }
                Step::Finish => self.moved = self.moved.max(self.held.unwrap_or(self.pages)),
            }
        }
    }

    /// How large the log is after each commit, and how often commits waited.
    fn run(course: &Course) -> (Vec<i64>, usize) {
        let (mut log, mut schedule, mut sizes, mut waits) = (Log::default(), Schedule::default(), Vec::new(), 0);
        for number in 0..course.commits {
            let is_read = course.reader.contains(&number);
            log.held = is_read.then(|| log.held.unwrap_or(log.pages));
            if log.moved == log.pages && log.held.is_none() {
                (log.pages, log.moved) = (0, 0);
            }
            log.pages += course.size;
            if let Some((_, work)) = &mut log.pass {
                *work -= course.speeds[number % course.speeds.len()];
            }
            schedule.committed(log.now());
            let is_waited_for = log.pass.is_some() && schedule.is_late(log.now());
            waits += usize::from(is_waited_for);
            if is_waited_for || log.pass.is_some_and(|(_, work)| work <= 0) {
                let pass = log.end_pass().unwrap();
                let step = schedule.after_pass(pass, is_waited_for, log.now(), false);
                log.take(step, course.overhead);
            } else if log.pass.is_none() {
                let step = schedule.after_commit(log.now());
                log.take(step, course.overhead);
            }
            sizes.push(log.pages);
        }
        (sizes, waits)
    }

    fn courses() -> impl Strategy<Value = Course> {
        let speeds = prop::collection::vec(1..1000_i64, 1..40);
        (1..3000_i64, speeds, 0..20_000_i64, 0..3000_usize, 0..3000_usize).prop_map(
            |(size, speeds, overhead, from, length)| {
                let commits = from + 4 * length + usize::try_from(1_500_000 / size).unwrap();
                Course { commits, size, speeds, overhead, reader: from..from + length }
            },
        )
    }

    proptest! {
        #[test]
        fn without_a_reader_the_log_stays_within_its_bound_however_slow_the_disk(course in courses()) {
            let (sizes, _) = run(&Course { reader: 0..0, ..course });
            prop_assert!(sizes.iter().all(|size| *size <= 4 * ANEW_FROM));
            prop_assert!(sizes.windows(2).filter(|pair| pair[1] < pair[0]).count() >= 10);
        }

        #[test]
        fn what_a_reader_has_made_of_the_log_grows_to_its_double_at_most_and_the_log_is_begun_anew(course in courses()) {
            let (sizes, _) = run(&course);
            let large = sizes.iter().take(course.reader.end).max().copied().unwrap_or(0);
            let since = sizes.get(course.reader.end..).unwrap();
            prop_assert!(since.iter().all(|size| *size <= 2 * large + 4 * ANEW_FROM));
            let anew = since.iter().position(|size| *size == course.size);
            prop_assert!(anew.is_some_and(|at| since[at..].iter().all(|size| *size <= 4 * ANEW_FROM)));
        }
    }

    #[test]
    fn a_mover_that_is_quick_enough_is_never_waited_for_whatever_a_reader_has_made_of_the_log() {
        for reader in [0..0, 10..20, 100..4000, 100..9000] {
            let course = Course { commits: 20_000, size: 64, speeds: vec![200], overhead: 1000, reader };
            let (sizes, waits) = run(&course);
            assert_eq!(waits, 0, "{course:?}");
            assert!(sizes.last().unwrap() <= &(2 * ANEW_FROM));
        }
    }

    #[test]
    fn what_is_moved_is_put_on_the_disk_before_the_log_is_begun_anew_and_not_earlier() {
        let mut schedule = Schedule::default();
        for pages in (0..=ANEW_FROM + MOVE_AFTER).step_by(512) {
            let wanted = if pages < ANEW_FROM { Pass::Written } else { Pass::Synced };
            let step = schedule.after_commit(Progress { pages, moved: 0 });
            assert!([Step::Rest, Step::Move(wanted)].contains(&step), "{pages}: {step:?}");
        }
        let left = Progress { pages: 1000, moved: 0 };
        assert_eq!(Schedule::default().when_idle(left, 0), Step::Move(Pass::Synced));
    }

    #[test]
    fn a_large_file_is_cut_bit_by_bit_down_to_where_it_is_kept() {
        assert_eq!(limit(CUT_FROM), None);
        assert!(is_cut(CUT_FROM) && !is_cut(CUT_FROM - 1));
        let mut file = 3 << 30;
        while let Some(less) = limit(file) {
            assert!((CUT_FROM..file).contains(&less) && file - less <= CUT_BY, "{file} -> {less}");
            file = less;
        }
        assert_eq!(file, CUT_FROM);
    }

    #[test]
    fn a_log_that_is_held_back_is_warned_of_when_it_is_large_and_whenever_it_has_doubled() {
        let mut schedule = Schedule::default();
        let mut warned = Vec::new();
        for pages in (0..1_000_000).step_by(1024) {
            let held = Progress { pages, moved: 100 };
            warned.extend(schedule.is_to_be_warned_of(held).then_some(pages));
        }
        assert_eq!(warned, [WARN_FROM, 2 * WARN_FROM, 4 * WARN_FROM]);
        assert!(!schedule.is_to_be_warned_of(Progress { pages: 1 << 30, moved: 1 << 30 }), "nobody holds it back");
    }
}
