//! A bell that ends a thread's `poll`: a pipe that holds at most one byte.

use std::{
    io::{self, PipeReader, PipeWriter, Read, Write},
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

/// The side that rings, from any thread.
#[derive(Debug)]
pub(super) struct Bell {
    writer: PipeWriter,
    rung: Arc<AtomicBool>,
}

/// The side that waits.
#[derive(Debug)]
pub(super) struct BellWaiter {
    reader: PipeReader,
    rung: Arc<AtomicBool>,
}

pub(super) fn bell() -> io::Result<(Bell, BellWaiter)> {
    let (reader, writer) = io::pipe()?;
    let rung = Arc::new(AtomicBool::new(false));
    Ok((Bell { writer, rung: Arc::clone(&rung) }, BellWaiter { reader, rung }))
}

impl Bell {
    /// Wakes the waiter. What it is to see must be stored before.
    pub(super) fn ring(&self) {
        if !self.rung.swap(true, SeqCst) {
            // One byte always fits; it fails only when the waiter is gone, and then nobody needs waking.
            let _ = (&self.writer).write(b"!");
        }
    }
}

impl BellWaiter {
    /// Becomes readable when the bell rings.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// Takes the ring that made the descriptor readable; look at what changed afterwards.
    pub(super) fn answer(&self) {
        let _ = (&self.reader).read(&mut [0; 1]);
        self.rung.swap(false, SeqCst);
    }
}
