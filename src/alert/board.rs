//! Where the rest of koogate raises alarms. There is one board for the process, as there is one log: whoever meets something
//! wrong need not be handed anything to say so.
//!
//! Raising is a push into a bounded queue under a lock that is held for nothing else: no file, no socket, no waiting, and
//! so fit for the inside of a transaction and for the thread that writes. Where nobody takes alarms (a command, a test), the
//! queue fills up and what comes later is dropped: the log has it all the same.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::{Alarm, Kind};

/// So many alarms wait at most. Alarms that are the same wait as one.
const MOST: usize = 1024;

/// What was said on the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// It was met, so often.
    Met(Alarm, i64),
    /// All of this kind are over.
    Over(Kind),
}

#[derive(Debug)]
struct Board {
    notes: VecDeque<Note>,
    dropped: u64,
    /// Somebody wants the taker to look before its time.
    nudged: bool,
}

static BOARD: Mutex<Board> = Mutex::new(Board { notes: VecDeque::new(), dropped: 0, nudged: false });
static CAME: Condvar = Condvar::new();

/// Something is wrong.
pub fn raise(alarm: Alarm) {
    put(Note::Met(alarm, 1));
}

/// What was raised of this kind is over. Costs next to nothing when nothing was.
pub fn over(kind: Kind) {
    put(Note::Over(kind));
}

fn put(note: Note) {
    let mut board = lock();
    // The same again is one more of it: a flood of equal alarms takes one place. What was said to be over since is new.
    if let Note::Met(alarm, _) = &note {
        for known in board.notes.iter_mut().rev() {
            match known {
                Note::Met(other, times) if other == alarm => {
                    *times = times.saturating_add(1);
                    return;
                }
                Note::Over(kind) if *kind == alarm.kind() => break,
                _ => {}
            }
        }
    }
    if board.notes.back() == Some(&note) {
        return;
    }
    if board.notes.len() >= MOST {
        board.dropped = board.dropped.saturating_add(1);
        return;
    }
    board.notes.push_back(note);
    drop(board);
    CAME.notify_all();
}

/// Wakes the taker, which has something else to do.
pub(super) fn nudge() {
    lock().nudged = true;
    CAME.notify_all();
}

/// Does nothing for a while, whatever is said on the board: a storm of alarms must not keep its taker busy. A nudge ends it.
pub(super) fn rest(time: Duration) {
    drop(CAME.wait_timeout_while(lock(), time, |board| !board.nudged));
}

/// Takes what has been said since; waits for it, but no longer than `patience`.
pub(super) fn take(patience: Duration) -> Vec<Note> {
    let idle = |board: &mut Board| board.notes.is_empty() && !board.nudged;
    let mut board = CAME.wait_timeout_while(lock(), patience, idle).unwrap_or_else(PoisonError::into_inner).0;
    board.nudged = false;
    let dropped = std::mem::take(&mut board.dropped);
    let notes = board.notes.drain(..).collect();
    drop(board);
    if dropped > 0 {
        log::warn!("{dropped} alarms came faster than they were taken; the log has them");
    }
    notes
}

fn lock() -> std::sync::MutexGuard<'static, Board> {
    // Nothing that can panic runs under the lock.
    BOARD.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raising_never_waits_and_the_same_alarm_takes_one_place() {
        // Other tests of this process raise alarms, too: only what is told apart here is looked at.
        let mine = |notes: Vec<Note>| -> Vec<Note> {
            notes
                .into_iter()
                .filter(
                    |note| matches!(note, Note::Met(Alarm::StockEmpty { stock }, _) if stock.starts_with("board-test")),
                )
                .collect()
        };
        let alarm = Alarm::StockEmpty { stock: "board-test".to_owned() };
        for _ in 0..10 * MOST {
            raise(alarm.clone());
        }
        assert_eq!(mine(take(Duration::ZERO)), [Note::Met(alarm.clone(), 10 * MOST as i64)]);
        raise(alarm.clone());
        over(Kind::StockEmpty);
        raise(alarm.clone());
        assert_eq!(mine(take(Duration::ZERO)), [Note::Met(alarm.clone(), 1), Note::Met(alarm, 1)]);
        for number in 0..2 * MOST {
            raise(Alarm::StockEmpty { stock: format!("board-test-{number}") });
        }
        assert!(mine(take(Duration::ZERO)).len() <= MOST);
    }
}
