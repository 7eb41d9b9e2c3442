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

/// User and system time of a process, all its threads.
pub fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name of the process, in parentheses, may hold blanks; utime and stime are the 12th and 13th field after it.
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 1..].split_ascii_whitespace().collect();
    let ticks: u32 = fields[11..13].iter().map(|field| field.parse::<u32>().unwrap()).sum();
    TICK * ticks
}

/// Memory of a process: all that is resident, and the part that is its own (no file behind it), in MiB.
pub fn memory(pid: u32) -> (f64, f64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_ascii_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
    };
    (of("VmRSS:"), of("RssAnon:"))
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
