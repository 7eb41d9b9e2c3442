//! The process as the system sees it, under the names that every Prometheus client has for it.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// The numbers of one moment; what the system does not tell is 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct Process {
    /// Computed so long, on all cores together.
    pub cpu: Duration,
    /// Memory in bytes that is in use.
    pub resident: u64,
    /// Memory in bytes that is set aside.
    pub virtual_size: u64,
    /// Threads.
    pub threads: u64,
    /// Open files and sockets.
    pub open_fds: u64,
    /// So many may be open.
    pub max_fds: u64,
}

impl Process {
    /// Of this process. Everything is the process's own to read, whatever the unit hides.
    pub fn now() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        // The folder that is read is open, too.
        let open_fds = std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count().saturating_sub(1) as u64);
        Self {
            cpu: Duration::new(cpu.tv_sec.try_into().unwrap_or_default(), cpu.tv_nsec.try_into().unwrap_or_default()),
            open_fds,
            max_fds: getrlimit(Resource::Nofile).current.unwrap_or_default(),
            ..Self::read(&status)
        }
    }

    /// Reads `/proc/self/status`: `VmRSS: 5432 kB` (proc_pid_status(5)).
    fn read(status: &str) -> Self {
        let number = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
        };
        Self {
            resident: number("VmRSS") * 1024,
            virtual_size: number("VmSize") * 1024,
            threads: number("Threads"),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_by_its_names() {
        let status = "Name:\tkoogate\nVmSize:\t  123456 kB\nVmRSS:\t    5432 kB\nRssAnon:\t 1 kB\nThreads:\t47\n";
        let process = Process::read(status);
        assert_eq!((process.virtual_size, process.resident, process.threads), (123_456 * 1024, 5432 * 1024, 47));
        assert_eq!(Process::read("").threads, 0);
    }

    #[test]
    fn this_process_is_alive() {
        let process = Process::now();
        assert!(process.resident > 0 && process.virtual_size > process.resident, "{process:?}");
        assert!(process.threads > 0 && process.open_fds > 0 && process.max_fds >= process.open_fds, "{process:?}");
    }
}
