//! Named points at which tests and benchmarks stop or delay the process: `KOOGATE_FAULT=name:n` kills it at the n-th
//! passage of the point (n counts from 1; `name` alone means the first), `KOOGATE_FAULT_DELAY=name:milliseconds` waits
//! there at every passage, `KOOGATE_FAULT_PACE=name:milliseconds` makes what happens at a fixed pace happen at this one.
//! `KOOGATE_FAULT_WATCHED=1` lets a test look into the process. Debug builds have them, release builds only with the feature `fault-points`.

/// A point that a test may want to be the last one reached.
#[cfg(any(debug_assertions, feature = "fault-points"))]
pub fn point(name: &'static str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    fn setting(variable: &str) -> Option<(String, u64)> {
        let value = std::env::var(variable).ok()?;
        match value.split_once(':') {
            Some((name, number)) => Some((name.to_owned(), number.parse().ok()?)),
            None => Some((value, 1)),
        }
    }
    static KILL: LazyLock<Option<(String, u64)>> = LazyLock::new(|| setting("KOOGATE_FAULT"));
    static DELAY: LazyLock<Option<(String, u64)>> = LazyLock::new(|| setting("KOOGATE_FAULT_DELAY"));
    static PASSAGES: AtomicU64 = AtomicU64::new(0);

    if let Some((wanted, milliseconds)) = DELAY.as_ref()
        && wanted == name
    {
        std::thread::sleep(Duration::from_millis(*milliseconds));
    }
    if let Some((wanted, passage)) = KILL.as_ref()
        && wanted == name
        && PASSAGES.fetch_add(1, Ordering::SeqCst) + 1 == *passage
    {
        // As power loss and kill -9 do: no destructor, no flush, no checkpoint.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}

/// Nothing, in builds for use.
#[cfg(not(any(debug_assertions, feature = "fault-points")))]
#[inline(always)]
pub fn point(_name: &'static str) {}

/// How often something happens, or as often as a test wants it.
#[cfg(any(debug_assertions, feature = "fault-points"))]
pub fn pace(name: &'static str, usual: std::time::Duration) -> std::time::Duration {
    let wanted = std::env::var("KOOGATE_FAULT_PACE").ok();
    let of_name = wanted.as_deref().and_then(|wanted| wanted.strip_prefix(name)?.strip_prefix(':')?.parse().ok());
    of_name.map_or(usual, std::time::Duration::from_millis)
}

/// How often it usually does, in builds for use.
#[cfg(not(any(debug_assertions, feature = "fault-points")))]
#[inline(always)]
pub fn pace(_name: &'static str, usual: std::time::Duration) -> std::time::Duration {
    usual
}

/// How much something is, or as much as a test wants (`KOOGATE_FAULT_AMOUNT=name:number`).
#[cfg(any(debug_assertions, feature = "fault-points"))]
pub fn amount(name: &'static str, usual: u64) -> u64 {
    let wanted = std::env::var("KOOGATE_FAULT_AMOUNT").ok();
    wanted.as_deref().and_then(|wanted| wanted.strip_prefix(name)?.strip_prefix(':')?.parse().ok()).unwrap_or(usual)
}

/// How much it usually is, in builds for use.
#[cfg(not(any(debug_assertions, feature = "fault-points")))]
#[inline(always)]
pub fn amount(_name: &'static str, usual: u64) -> u64 {
    usual
}

/// Whether a test looks into the process, at its open files or by strace, as a user who is not root.
#[cfg(any(debug_assertions, feature = "fault-points"))]
pub fn is_watched() -> bool {
    std::env::var_os("KOOGATE_FAULT_WATCHED").is_some()
}

/// Never, in builds for use.
#[cfg(not(any(debug_assertions, feature = "fault-points")))]
#[inline(always)]
pub fn is_watched() -> bool {
    false
}
