//! A trouble that lasts: told when it begins, once in a while, and when it is over. A fault of the machine must not
//! flood the log that is to tell of it.

use std::time::{Duration, Instant};

/// How often somebody is told of what he was told before.
const REMIND_EVERY: Duration = Duration::from_secs(600);

/// What comes back sooner after it was told is the same trouble that comes and goes.
const SAME_WITHIN: Duration = Duration::from_secs(60);

/// What is going wrong, or not.
#[derive(Debug, Default)]
pub struct Trouble {
    lasting: Option<Lasting>,
    told: Option<Instant>,
}

#[derive(Debug)]
struct Lasting {
    since: Instant,
    times: u64,
    is_told: bool,
}

/// A trouble that has ended, and of which somebody was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over {
    /// From the first time to the end.
    pub lasted: Duration,
    /// How often it was met.
    pub times: u64,
}

impl Trouble {
    /// It was met, again or for the first time; whether somebody is to be told.
    pub fn met(&mut self, now: Instant) -> bool {
        let silence = self.told.map(|told| now.duration_since(told));
        let lasting = self.lasting.get_or_insert(Lasting { since: now, times: 0, is_told: false });
        lasting.times += 1;
        let enough = if lasting.is_told { REMIND_EVERY } else { SAME_WITHIN };
        let tell = silence.is_none_or(|silence| silence >= enough);
        if tell {
            (self.told, lasting.is_told) = (Some(now), true);
        }
        tell
    }

    /// All is well; what had lasted until now, if somebody was told of it.
    pub fn over(&mut self, now: Instant) -> Option<Over> {
        let Lasting { since, times, is_told } = self.lasting.take()?;
        is_told.then(|| Over { lasted: now.duration_since(since), times })
    }

    /// Whether it lasts.
    pub fn lasts(&self) -> bool {
        self.lasting.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_at_its_beginning_every_ten_minutes_and_when_it_is_over() {
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        let mut trouble = Trouble::default();
        assert_eq!(trouble.over(begin), None);
        let told: Vec<u64> = (0..=1300).filter(|&second| trouble.met(after(second))).collect();
        assert_eq!(told, [0, 600, 1200]);
        assert!(trouble.lasts());
        assert_eq!(trouble.over(after(1301)), Some(Over { lasted: Duration::from_secs(1301), times: 1301 }));
        assert!(!trouble.lasts());
        assert!(trouble.met(after(1302)), "another one");
    }

    #[test]
    fn a_trouble_that_comes_and_goes_is_told_once_a_minute() {
        let begin = Instant::now();
        let mut trouble = Trouble::default();
        let mut lines = Vec::new();
        for second in 0..130 {
            let now = begin + Duration::from_secs(second);
            if trouble.met(now) {
                lines.push(second);
            }
            assert_eq!(trouble.over(now).is_some(), lines.last() == Some(&second));
        }
        assert_eq!(lines, [0, 60, 120]);
    }
}
