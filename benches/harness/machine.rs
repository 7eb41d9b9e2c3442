//! What the kernel knows: CPU time and memory of a process, and how fast the disk makes bytes last.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The kernel counts the CPU time of processes in these (USER_HZ; proc(5)).
const TICK: Duration = Duration::from_millis(10);

/// Prints what the figures depend on.
pub fn announce() {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{cores} cores{model}, Linux {}, load before {}", kernel.trim(), load.trim());
}

/// A folder for databases, on the disk of the build and not in memory.
pub fn scratch() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// User and system time of a process, all its threads, and of its children: those that run and those it has waited for.
pub fn cpu_time(pid: u32) -> Duration {
    TICK * family(pid).iter().map(|process| process.ticks).sum()
}

/// The same of this process without its children: the servers are among them.
pub fn own_cpu_time() -> Duration {
    TICK * Process::read(std::process::id()).unwrap().own_ticks
}

/// Memory of a process: all that is resident, and the part that is its own (no file behind it), in MiB.
pub fn memory(pid: u32) -> (f64, f64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    (mebibytes(&status, "VmRSS:").unwrap(), mebibytes(&status, "RssAnon:").unwrap())
}

/// Resident memory of a process and its children in MiB. A page that several share counts once (PSS).
pub fn shared_memory(pid: u32) -> f64 {
    let of = |process: &Process| {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", process.pid)).unwrap_or_default();
        mebibytes(&rollup, "Pss:").unwrap_or_default()
    };
    family(pid).iter().map(of).sum()
}

/// A line of kibibytes in a file of the kernel's.
fn mebibytes(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_ascii_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

struct Process {
    pid: u32,
    /// Its own, and those of children it has waited for.
    ticks: u32,
    own_ticks: u32,
}

/// A process and those it has begotten. Children that end while this looks are left out.
fn family(pid: u32) -> Vec<Process> {
    let mut members: Vec<Process> = Process::read(pid).into_iter().collect();
    let mut looked_at = 0;
    while let Some(parent) = members.get(looked_at).map(|process| process.pid) {
        // A thread's children are listed with it. Most processes have none.
        for task in fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            members.extend(children.split_ascii_whitespace().filter_map(|pid| Process::read(pid.parse().ok()?)));
        }
        looked_at += 1;
    }
    members
}

impl Process {
    fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name of the process, in parentheses, may hold blanks; utime, stime and those of children that have been
        // waited for are the 12th to 15th field after it.
        let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().collect();
        let sum = |fields: &[&str]| fields.iter().map(|field| field.parse::<u32>().unwrap()).sum();
        Some(Self { pid, ticks: sum(fields.get(11..15)?), own_ticks: sum(&fields[11..13]) })
    }
}

/// The median time of a flush (append 4 KiB, fdatasync) in a folder.
pub fn flush_time(folder: &Path) -> Duration {
    let path: PathBuf = folder.join("flush");
    let mut file = File::create(&path).unwrap();
    let mut times: Vec<Duration> = (0..300)
        .map(|_| {
            file.write_all(&[b'x'; 4096]).unwrap();
            let begun = Instant::now();
            file.sync_data().unwrap();
            begun.elapsed()
        })
        .collect();
    fs::remove_file(path).unwrap();
    times.sort_unstable();
    times[times.len() / 2]
}
