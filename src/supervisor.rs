//! What the process tells its supervisor, in systemd's protocol (sd_notify(3)): ready, reloading, stopping, still well.
//! Without a supervisor that asks for it (`NOTIFY_SOCKET`) nobody is told anything.
//!
//! A datagram a message, and no crate for it: sd-notify 0.5 knows no abstract sockets, and waits for ever when nobody
//! takes its messages.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

const SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG: &str = "WATCHDOG_USEC";
const WATCHDOG_PROCESS: &str = "WATCHDOG_PID";

/// A supervisor that does not listen holds nobody up for longer.
const PATIENCE: Duration = Duration::from_millis(500);

/// Whoever started the process and wants to know how it is.
#[derive(Debug, Clone, Default)]
pub struct Supervisor {
    address: Option<SocketAddr>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// As the environment tells.
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var_os(name);
        let number = |name| variable(name).and_then(|value| value.to_str()?.parse::<u64>().ok());
        let is_ours = number(WATCHDOG_PROCESS).is_none_or(|process| process == u64::from(std::process::id()));
        let address = variable(SOCKET).and_then(|name| {
            let address = address(&name);
            if address.is_none() {
                log::warn!("{SOCKET} names no socket that can be reached; the supervisor is told nothing");
            }
            address
        });
        let watchdog = number(WATCHDOG).filter(|microseconds| is_ours && *microseconds > 0);
        Self { address, watchdog: watchdog.map(Duration::from_micros) }
    }

    /// Hearing nothing from [`alive`](Self::alive) for so long, it takes the process for dead.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Requests are served, and the configuration is the present one.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={}", in_one_line(status)));
    }

    /// The configuration is read again; [`ready`](Self::ready) ends it, whatever came of it.
    pub fn reloading(&self) {
        // The time tells this reload from the one before: microseconds, as systemd takes them (253 and later ask for it).
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}\nSTATUS=reading the configuration"));
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=answering what is in flight, then a last snapshot");
    }

    /// The process is well, as far as it can tell.
    pub fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    /// What it is doing, for whoever looks (`systemctl status`).
    pub fn status(&self, status: &str) {
        self.tell(&format!("STATUS={}", in_one_line(status)));
    }

    fn tell(&self, message: &str) {
        let Some(address) = &self.address else { return };
        let told = UnixDatagram::unbound().and_then(|socket| {
            socket.set_write_timeout(Some(PATIENCE))?;
            socket.send_to_addr(message.as_bytes(), address)
        });
        if let Err(error) = told {
            let about = message.split('=').next().unwrap_or_default();
            log::warn!("the supervisor could not be told {about}: {error}");
        }
    }
}

/// A path, or `@` and a name in the abstract namespace.
fn address(name: &OsStr) -> Option<SocketAddr> {
    match name.as_bytes() {
        [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name).ok(),
        [b'/', ..] => SocketAddr::from_pathname(name).ok(),
        _ => None,
    }
}

/// A line end would begin another assignment.
fn in_one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(supervisor: &Supervisor, socket: &UnixDatagram, say: impl FnOnce(&Supervisor)) -> String {
        say(supervisor);
        let mut bytes = [0; 1024];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn both_kinds_of_sockets_are_reached_and_a_message_is_one_datagram() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("@koogate-test-{}", uuid::Uuid::new_v4());
        for (name, at) in [(path.as_os_str(), None), (OsStr::new(&name), address(OsStr::new(&name)))] {
            let socket = match &at {
                Some(at) => UnixDatagram::bind_addr(at).unwrap(),
                None => UnixDatagram::bind(&path).unwrap(),
            };
            let supervisor = Supervisor { address: address(name), watchdog: None };
            assert_eq!(told(&supervisor, &socket, |s| s.ready("a\nREADY=0")), "READY=1\nSTATUS=a READY=0");
            assert_eq!(told(&supervisor, &socket, Supervisor::alive), "WATCHDOG=1");
            let reloading = told(&supervisor, &socket, Supervisor::reloading);
            let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().split('\n').next().unwrap();
            assert!(time.parse::<u64>().unwrap() > 0, "{reloading}");
            assert!(told(&supervisor, &socket, Supervisor::stopping).starts_with("STOPPING=1\n"));
        }
    }

    #[test]
    fn a_supervisor_that_is_gone_or_none_holds_nobody_up() {
        for name in ["/nowhere/at/all", "@koogate-nobody", "vsock:2:1234", ""] {
            Supervisor { address: address(OsStr::new(name)), watchdog: None }.alive();
        }
        Supervisor::default().alive();
    }
}
