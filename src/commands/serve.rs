//! `koogate serve`: the server, until a signal ends it.

use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::alert::{self, Alarm, Kind};
use crate::certificates;
use crate::config::Config;
use crate::demo;
use crate::permissions;
use crate::run::Server;
use crate::supervisor::Supervisor;

/// Exit code when a second signal ends the process before it has stopped by itself.
const EXIT_FORCED: i32 = 1;

/// Arguments of `koogate serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Show everything on 127.0.0.1 with made-up keys and a throw-away database
    #[arg(long)]
    demo: bool,
    /// With --demo: the port to serve on; by default 8080, or any free one if it is taken
    #[arg(long, requires = "demo", value_name = "PORT")]
    port: Option<u16>,
    /// With --demo: stop after the table instead of serving on
    #[arg(long, requires = "demo")]
    once: bool,
}

impl Args {
    pub(super) fn is_demo(&self) -> bool {
        self.demo
    }
}

pub(super) fn run(path: &Path, args: &Args) -> anyhow::Result<ExitCode> {
    // Before anything is started: a signal during the start must not leave a half-open database.
    let mut signals = Signals::catch().context("cannot catch signals")?;
    if args.demo {
        return demo::run(args.port, args.once, &mut || signals.wait_for_end());
    }
    let supervisor = Supervisor::from_environment();
    let config = super::load(path)?;
    warn(&config);
    supervisor.status("opening the database; after a crash all of it may be checked");
    let server = Server::start(&config, supervisor.clone())?;
    // Now that the database is there.
    warn_of_files(path, &config);
    let serving = announce(&config, &server);
    supervisor.ready(&serving);
    let look_every = server.certificates().map(|_| certificates::LOOK_EVERY);
    loop {
        match signals.wait(look_every)? {
            Some(Signal::Reload) => {
                supervisor.reloading();
                reload(path, &server);
                supervisor.ready(&serving);
            }
            Some(Signal::End) => break,
            None => server.certificates().into_iter().for_each(|keeper| keeper.look(Timestamp::now())),
        }
    }
    supervisor.stopping();
    log::info!("stopping; a second signal ends at once");
    server.stop().context("the database could not be closed cleanly; nothing is lost, its WAL stays beside it")?;
    Ok(ExitCode::SUCCESS)
}

fn warn(config: &Config) {
    for warning in &config.warnings {
        log::warn!("{warning}");
    }
}

fn warn_of_files(path: &Path, config: &Config) {
    for remark in permissions::remarks(path, config) {
        log::warn!("{remark}");
    }
}

/// Tells where what is served; returns it in short.
fn announce(config: &Config, server: &Server) -> String {
    let (address, path) = (server.address(), &config.server.base_path);
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    log::info!(
        "koogate {} serves {scheme}://{address}{path} from {}, answers within {:?}, [[product]] entries: {}",
        env!("CARGO_PKG_VERSION"),
        config.database.path.display(),
        config.server.answer_within,
        config.products.len()
    );
    if let Some(admin) = server.admin_address() {
        log::info!("admin API on http://{admin}");
    }
    format!("serving {scheme}://{address}{path}")
}

/// Products, keys, settings of the protocol and of products change all or nothing; the rest needs a restart.
fn reload(path: &Path, server: &Server) {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(errors) => {
            // One line an event: a line end in a message would be masked.
            let errors = errors.to_string().replace('\n', "; ");
            alert::raise(Alarm::ReloadFailed);
            return log::error!("ALERT the configuration was not reloaded, the old one stays: {errors}");
        }
    };
    warn(&config);
    warn_of_files(path, &config);
    let reloaded = server.reload(&config);
    match &reloaded {
        Ok(_) => alert::over(Kind::ReloadFailed),
        Err(_) => alert::raise(Alarm::ReloadFailed),
    }
    match reloaded {
        Ok(needs_restart) if needs_restart.is_empty() => log::info!("the configuration was reloaded"),
        Ok(needs_restart) => {
            let waiting = needs_restart.join(", ");
            log::warn!("the configuration was reloaded, but changes in these need a restart: {waiting}");
        }
        Err(error) => log::error!("ALERT the configuration was not reloaded, the old one stays: {error}"),
    }
}

enum Signal {
    Reload,
    End,
}

struct Signals {
    woken: UnixStream,
    end: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
}

impl Signals {
    fn catch() -> std::io::Result<Self> {
        let (woken, waker) = UnixStream::pair()?;
        let (end, reload) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the second signal finds `end` set by the first and ends the process.
            signal_hook::flag::register_conditional_shutdown(signal, EXIT_FORCED, Arc::clone(&end))?;
            signal_hook::flag::register(signal, Arc::clone(&end))?;
            signal_hook::low_level::pipe::register(signal, waker.try_clone()?)?;
        }
        signal_hook::flag::register(SIGHUP, Arc::clone(&reload))?;
        signal_hook::low_level::pipe::register(SIGHUP, waker)?;
        Ok(Self { woken, end, reload })
    }

    /// Waits for a signal; `None` when the time is over first.
    fn wait(&mut self, time: Option<Duration>) -> anyhow::Result<Option<Signal>> {
        self.woken.set_read_timeout(time).context("waiting for a signal")?;
        loop {
            if self.end.load(Ordering::SeqCst) {
                return Ok(Some(Signal::End));
            }
            if self.reload.swap(false, Ordering::SeqCst) {
                return Ok(Some(Signal::Reload));
            }
            match self.woken.read_exact(&mut [0]) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(None),
                woken => woken.context("waiting for a signal")?,
            }
        }
    }

    fn wait_for_end(&mut self) -> anyhow::Result<()> {
        while !matches!(self.wait(None)?, Some(Signal::End)) {}
        Ok(())
    }
}
