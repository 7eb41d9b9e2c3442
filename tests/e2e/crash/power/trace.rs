//! What a process did to files and sockets, in the order it did it: strace around the real binary, and its log, read.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The system calls that change what is on disk, or tell somebody something.
const CALLS: &str = "trace=openat,creat,pwrite64,write,pwritev,pwritev2,writev,ftruncate,truncate,fallocate,fdatasync,fsync,\
    sync_file_range,rename,renameat,renameat2,unlink,unlinkat,link,linkat,copy_file_range,sendfile,sendto,sendmsg,msync";

/// Something that happened. Files are named by their name in the one folder that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Opened for writing, made if it is not there.
    Make(String),
    Write {
        file: String,
        at: u64,
        bytes: Vec<u8>,
    },
    Cut {
        file: String,
        length: u64,
    },
    /// So many bytes of one file put behind what another has.
    Copy {
        from: String,
        to: String,
        count: u64,
    },
    Sync(String),
    SyncFolder,
    Rename {
        from: String,
        to: String,
    },
    Link {
        from: String,
        to: String,
    },
    Unlink(String),
    /// Bytes sent to whoever has this port.
    Send {
        port: u16,
        bytes: Vec<u8>,
    },
}

/// A deed, with the lines of the log in which it begins and in which it is over: what it does happens in between.
#[derive(Debug, Clone)]
pub struct Event {
    pub begun: usize,
    pub over: usize,
    pub deed: Deed,
}

/// The command that runs another one and logs what it does. It needs strace.
pub fn traced(command: &Command, log: &Path) -> Command {
    let there = Command::new("strace").arg("--version").output().is_ok_and(|output| output.status.success());
    assert!(there, "this test needs strace: apt-get install strace");
    let mut traced = Command::new("strace");
    traced.args([
        "--follow-forks",
        "--decode-fds=all",
        "-xx",
        "--string-limit=100000000",
        "--seccomp-bpf",
        "-e",
        CALLS,
    ]);
    traced.arg("-o").arg(log).arg(command.get_program()).args(command.get_args());
    // Or only root would see what is written.
    traced.env("KOOGATE_FAULT_WATCHED", "1");
    traced.current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    traced
}

/// The process that a strace has started.
pub fn child_of(strace: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{strace}/task/{strace}/children")).unwrap();
    children.split_whitespace().next().expect("a child").parse().unwrap()
}

/// Reads a log: everything that was done in the folder and on TCP sockets, in the order in which it began.
pub fn read(log: &Path, folder: &Path) -> Vec<Event> {
    let folder = folder.canonicalize().unwrap();
    let text = fs::read_to_string(log).unwrap();
    let mut unfinished: HashMap<&str, (usize, String)> = HashMap::new();
    let mut events = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let (process, rest) = line.split_once(' ').unwrap();
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
            unfinished.insert(process, (number, begun.to_owned()));
            continue;
        }
        let (begun, whole) = match rest.strip_prefix("<... ") {
            Some(resumed) => {
                let (_, end) = resumed.split_once(" resumed>").unwrap();
                let (begun, beginning) = unfinished.remove(process).unwrap_or_else(|| panic!("line {number}: {line}"));
                (begun, beginning + end)
            }
            None => (number, rest.to_owned()),
        };
        let deed = deed(&whole, &folder);
        events.extend(deed.map(|deed| Event { begun, over: number, deed }));
    }
    // What a killed process had begun may have happened.
    for (_, (begun, beginning)) in unfinished {
        let deed = deed(&format!("{}) = ?", beginning.trim_end()), &folder);
        events.extend(deed.map(|deed| Event { begun, over: usize::MAX, deed }));
    }
    events.sort_by_key(|event| event.begun);
    events
}

/// One line of the log; `None` if it is about something else, or failed.
fn deed(line: &str, folder: &Path) -> Option<Deed> {
    let (name, rest) = line.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    if result.starts_with('-') {
        return None;
    }
    let arguments = split(arguments.trim_end().strip_suffix(')')?);
    let argument = |at: usize| arguments.get(at).map_or("", |argument| argument.trim());
    let number = |at: usize| argument(at).parse::<u64>().unwrap_or_else(|_| panic!("{line:.300}"));
    // A descriptor with what it leads to, `7</the/folder/koogate.db>`; other places are nobody's business.
    let descriptor = |text: &str| {
        let path = text.split_once('<')?.1;
        let path = unescaped(path.strip_suffix("(deleted)").unwrap_or(path).strip_suffix('>')?);
        let path = Path::new(std::str::from_utf8(&path).ok()?).to_owned();
        let name = path.strip_prefix(folder).ok()?.to_str()?.to_owned();
        Some(name)
    };
    let named = |at: usize| {
        let path = unescaped(argument(at).trim_matches('"'));
        let path = Path::new(std::str::from_utf8(&path).unwrap()).to_owned();
        let in_folder = path.is_relative() || path.parent() == Some(folder);
        in_folder.then(|| path.file_name().unwrap().to_str().unwrap().to_owned())
    };
    let bytes = |at: usize| {
        let bytes = argument(at);
        assert!(bytes.starts_with('"') && bytes.ends_with('"'), "not whole: {line:.300}");
        unescaped(&bytes[1..bytes.len() - 1])
    };
    match name {
        "openat" if argument(2).contains("O_CREAT") => descriptor(result.trim()).map(Deed::Make),
        "openat" => {
            assert!(!argument(2).contains("O_TRUNC") || descriptor(result).is_none(), "{line}");
            None
        }
        "pwrite64" => Some(Deed::Write { file: descriptor(argument(0))?, at: number(3), bytes: bytes(1) }),
        "ftruncate" => Some(Deed::Cut { file: descriptor(argument(0))?, length: number(1) }),
        "fsync" | "fdatasync" => {
            let file = descriptor(argument(0))?;
            // One that the process did not live to see done nothing for sure.
            let is_done = result.trim() == "0";
            is_done.then_some(if file.is_empty() { Deed::SyncFolder } else { Deed::Sync(file) })
        }
        "rename" => Some(Deed::Rename { from: named(0)?, to: named(1)? }),
        "renameat" | "renameat2" => Some(Deed::Rename { from: named(1)?, to: named(3)? }),
        "link" => Some(Deed::Link { from: named(0)?, to: named(1)? }),
        "linkat" => Some(Deed::Link { from: named(1)?, to: named(3)? }),
        "unlink" => named(0).map(Deed::Unlink),
        "unlinkat" => named(1).map(Deed::Unlink),
        "copy_file_range" | "sendfile" => {
            let (from, to) = if name == "sendfile" { (1, 0) } else { (0, 2) };
            let to = descriptor(argument(to))?;
            let count: u64 = result.trim().parse().unwrap();
            let from = unescaped(argument(from).split_once('<').unwrap().1.strip_suffix('>').unwrap());
            (count > 0).then(|| Deed::Copy { from: String::from_utf8(from).unwrap(), to, count })
        }
        "sendto" | "write" if argument(0).contains("<TCP") => {
            let port = argument(0).strip_suffix("]>")?.rsplit_once(':')?.1.parse().ok()?;
            Some(Deed::Send { port, bytes: bytes(1) })
        }
        "write" | "sendto" => {
            assert!(descriptor(argument(0)).is_none(), "a write without a place: {line:.300}");
            None
        }
        // Nothing of ours uses these; if that changes, the model must learn them.
        _ => {
            assert!(!arguments.iter().any(|argument| descriptor(argument.trim()).is_some()), "{line:.300}");
            assert!(!argument(0).contains("<TCP"), "{line:.300}");
            None
        }
    }
}

/// Arguments, at commas outside of texts and brackets.
fn split(arguments: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut in_text) = (Vec::new(), 0, 0, false);
    for (at, byte) in arguments.bytes().enumerate() {
        match byte {
            // Every byte of a text is written as \xNN, so no quote in it is escaped.
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => depth += 1,
            b']' | b'}' if !in_text => depth -= 1,
            b',' if !in_text && depth == 0 => {
                parts.push(&arguments[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&arguments[start..]);
    parts
}

/// `\x6b` and plain characters as bytes.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4);
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        match (first, behind) {
            (b'\\', [b'x', high, low, behind @ ..]) => {
                let digit = |byte: &u8| u8::try_from(char::from(*byte).to_digit(16).unwrap()).unwrap();
                bytes.push(digit(high) * 16 + digit(low));
                rest = behind;
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    bytes
}
