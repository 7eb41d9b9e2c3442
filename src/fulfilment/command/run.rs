//! A process group and its three pipes, watched by one thread until the program ends or its time is over.
//!
//! Nothing here ever blocks on a pipe: a grandchild that inherited one may keep it open for as long as it likes. What the
//! outcome means is the caller's business.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::stderr::StderrLines;

/// How often the end of a program is looked for while its pipes are silent. Ends normally show at once, as the pipes
/// close; this is for programs that closed them early or left them to a grandchild.
const TICK: Duration = Duration::from_millis(20);
/// How long a killed program may take to disappear before it is given up (it hangs in the kernel then).
const REAP_LIMIT: Duration = Duration::from_secs(1);
/// Longer than any program should run, and short enough to add to every clock.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Read from one pipe before the others and the clock get their turn: all that a pipe can hold by default limits.
const TURN: usize = 1024 * 1024;

/// What bounds a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits<'a> {
    /// From start to SIGTERM.
    pub(super) timeout: Duration,
    /// From SIGTERM to SIGKILL.
    pub(super) grace: Duration,
    /// Bytes of stdout.
    pub(super) output: usize,
    /// Once set, the program is ended as if its time were over.
    pub(super) stop: &'a AtomicBool,
}

/// How a run ended.
#[derive(Debug)]
pub(super) enum End {
    Exited(ExitStatus),
    TimedOut,
    Stopped,
    TooMuchOutput,
}

/// Starts a program at the head of its own process group, with pipes to all three of its standard streams.
pub(super) fn spawn(mut command: Command) -> io::Result<Group> {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn()?;
    let id = Pid::from_child(&child);
    Ok(Group { child, id, is_over: false })
}

/// Feeds the program and collects what it says until it exits or breaks a limit; in that case its group is ended.
/// Returns what came on stdout, cut at the limit.
pub(super) fn watch<F: FnMut(&str)>(
    mut group: Group,
    input: &[u8],
    stderr: &mut StderrLines<'_, F>,
    limits: Limits<'_>,
) -> (io::Result<End>, Vec<u8>) {
    let deadline = Instant::now() + limits.timeout.min(LONGEST);
    let mut pipes = match Pipes::take(&mut group.child, input, limits.output) {
        Ok(pipes) => pipes,
        Err(error) => return (Err(error), Vec::new()),
    };
    let end = until_exit_or_limit(&mut group, &mut pipes, stderr, deadline, limits.stop);
    if !group.is_over {
        group.end(&mut pipes, stderr, limits.grace);
    }
    (end, pipes.output)
}

fn until_exit_or_limit<F: FnMut(&str)>(
    group: &mut Group,
    pipes: &mut Pipes<'_>,
    stderr: &mut StderrLines<'_, F>,
    deadline: Instant,
    stop: &AtomicBool,
) -> io::Result<End> {
    loop {
        // In this order: whatever the program wrote before it exited is in the pipes by now.
        let exited = group.child.try_wait()?;
        pipes.move_bytes(stderr);
        group.is_over = exited.is_some();
        if pipes.overflowed {
            return Ok(End::TooMuchOutput);
        }
        if let Some(status) = exited {
            return Ok(End::Exited(status));
        }
        if stop.load(Ordering::SeqCst) {
            return Ok(End::Stopped);
        }
        match deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => return Ok(End::TimedOut),
            left => pipes.wait(left.min(TICK))?,
        }
    }
}

/// A process group whose leader is our child. Dropped early, it is killed: nothing outlives the attempt by accident.
pub(super) struct Group {
    child: Child,
    id: Pid,
    /// The leader exited by itself, or the group was ended: no signal any more, its number may belong to others.
    is_over: bool,
}

impl Group {
    /// SIGTERM to the group, SIGKILL to what is left of it after `grace`. Its last words are still heard.
    fn end<F: FnMut(&str)>(&mut self, pipes: &mut Pipes<'_>, stderr: &mut StderrLines<'_, F>, grace: Duration) {
        self.signal(Signal::TERM);
        let kill_at = Instant::now() + grace;
        loop {
            let is_gone = matches!(self.child.try_wait(), Ok(Some(_))) && self.is_empty();
            pipes.move_bytes(stderr);
            if is_gone {
                self.is_over = true;
                return;
            }
            match kill_at.saturating_duration_since(Instant::now()) {
                Duration::ZERO => break,
                left if pipes.wait(left.min(TICK)).is_ok() => {}
                _ => break,
            }
        }
        self.kill();
        pipes.move_bytes(stderr);
    }

    fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.is_over = true;
        let give_up_at = Instant::now() + REAP_LIMIT;
        while !matches!(self.child.try_wait(), Ok(Some(_))) {
            if Instant::now() >= give_up_at {
                log::error!("process {} does not go away after SIGKILL", self.id.as_raw_nonzero());
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The group's number stays taken while it has a member, reaped leader or not, so the signal reaches nobody else. A
    /// group that has just become empty is no error.
    fn signal(&self, signal: Signal) {
        let _nobody_left = kill_process_group(self.id, signal);
    }

    fn is_empty(&self) -> bool {
        test_kill_process_group(self.id) == Err(Errno::SRCH)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.is_over {
            self.kill();
        }
    }
}

/// Our ends of the pipes, none of which blocks; `None` once closed.
struct Pipes<'a> {
    stdin: Option<ChildStdin>,
    input: &'a [u8],
    stdout: Option<ChildStdout>,
    output: Vec<u8>,
    output_limit: usize,
    overflowed: bool,
    stderr: Option<ChildStderr>,
}

impl<'a> Pipes<'a> {
    fn take(child: &mut Child, input: &'a [u8], output_limit: usize) -> io::Result<Self> {
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        stdin.as_ref().map_or(Ok(()), |pipe| ioctl_fionbio(pipe, true))?;
        stdout.as_ref().map_or(Ok(()), |pipe| ioctl_fionbio(pipe, true))?;
        stderr.as_ref().map_or(Ok(()), |pipe| ioctl_fionbio(pipe, true))?;
        Ok(Self { stdin, input, stdout, output: Vec::new(), output_limit, overflowed: false, stderr })
    }

    /// Moves what can be moved without waiting.
    fn move_bytes<F: FnMut(&str)>(&mut self, stderr: &mut StderrLines<'_, F>) {
        self.feed();
        let (output, limit, overflowed) = (&mut self.output, self.output_limit, &mut self.overflowed);
        drain(&mut self.stdout, |bytes| {
            let room = limit - output.len();
            *overflowed |= bytes.len() > room;
            output.extend_from_slice(&bytes[..bytes.len().min(room)]);
        });
        drain(&mut self.stderr, |bytes| stderr.take(bytes));
    }

    /// A program may close stdin whenever it has read enough; then the rest is not sent.
    fn feed(&mut self) {
        while let Some(pipe) = &mut self.stdin {
            match pipe.write(self.input) {
                Ok(written) => self.input = &self.input[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_closed) => self.input = &[],
            }
            if self.input.is_empty() {
                self.stdin = None;
            }
        }
    }

    /// Waits until a pipe can be moved on, at most for `limit`.
    fn wait(&self, limit: Duration) -> io::Result<()> {
        let mut ready = Vec::with_capacity(3);
        ready.extend(self.stdin.as_ref().map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::OUT)));
        ready.extend(self.stdout.as_ref().map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)));
        ready.extend(self.stderr.as_ref().map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)));
        let limit = Timespec { tv_sec: 0, tv_nsec: limit.min(TICK).subsec_nanos().into() };
        match poll(&mut ready, Some(&limit)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Reads until there is nothing more for now, at most one [`TURN`]; closes the pipe at its end.
fn drain<R: Read>(pipe: &mut Option<R>, mut take: impl FnMut(&[u8])) {
    let mut buffer = [0; 16 * 1024];
    let mut taken = 0;
    while let Some(open) = pipe
        && taken < TURN
    {
        match open.read(&mut buffer) {
            Ok(0) => *pipe = None,
            Ok(amount) => {
                take(&buffer[..amount]);
                taken += amount;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(_broken) => *pipe = None,
        }
    }
}
