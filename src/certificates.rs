//! The certificate of the public listener: its files are read, and read again when they change, all or nothing; what is
//! wrong with it, and when it ends, is told. What a certificate must be is the door's matter (`http::Identity`).

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use zeroize::Zeroizing;

use crate::alert::{self, Alarm, Kind};
use crate::config;
use crate::http::{Chain, Identity, IdentityError, Tls, TlsError};

/// How often somebody should have [`Keeper::look`] look whether the files have changed.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A certificate that ends sooner is somebody's business, or one in the last quarter of its life if that is shorter: what
/// renews it does so in the last third.
const SOON: SignedDuration = SignedDuration::from_hours(21 * 24);

/// How often somebody is told.
const REMIND_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// Files that have changed a moment ago may change again within the same tick of the file system's clock.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_secs(2);

/// No chain comes near it; it only bounds what a wrong path (a log) can make us read.
const LONGEST: u64 = 1 << 20;

/// The certificate cannot be loaded; the key of the configuration is named first.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file.
    #[error("server.tls.{key}: {path} cannot be read: {source}")]
    Unreadable {
        /// `certificate` or `private_key`.
        key: &'static str,
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// What is in the files.
    #[error("server.tls.{key}: {path}: {source}")]
    Unusable {
        /// `certificate` or `private_key`.
        key: &'static str,
        /// The file.
        path: String,
        /// What is wrong.
        source: IdentityError,
    },
    /// TLS itself.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A certificate from its files.
#[derive(Debug)]
pub struct Loaded {
    /// What is in them.
    pub identity: Identity,
    /// Who else can read the key, and the mend.
    pub exposed: Option<String>,
    stamp: Option<Stamp>,
}

/// What somebody should know of a certificate that works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// KooGallery's calls fail, now or soon.
    pub is_grave: bool,
    /// What is the matter.
    pub text: String,
    /// What to do.
    pub mend: &'static str,
}

/// Reads the files.
///
/// # Errors
/// What is wrong with them.
pub fn load(files: &config::Tls) -> Result<Loaded, CertificateError> {
    // Before the files are read: what changes meanwhile is seen the next time.
    let stamp = Stamp::of(files);
    let (certificate, _) = read("certificate", &files.certificate)?;
    let (private_key, mode) = read("private_key", &files.private_key)?;
    let identity = Identity::from_pem(&certificate, &private_key).map_err(|source| {
        let (key, path) = match source.is_of_key() {
            true => ("private_key", &files.private_key),
            false => ("certificate", &files.certificate),
        };
        CertificateError::Unusable { key, path: path.display().to_string(), source }
    })?;
    // The group may read it: certbot's keys belong to root, who lends them to koogate's group.
    let exposed = config::exposed(mode & !0o040).map(|advice| {
        let advice = advice.replace("chmod 600", "chmod 640");
        format!("server.tls.private_key: {} {advice}", files.private_key.display())
    });
    Ok(Loaded { identity, exposed, stamp })
}

fn read(key: &'static str, path: &PathBuf) -> Result<(Zeroizing<Vec<u8>>, u32), CertificateError> {
    let open = || {
        // Asked before opening: opening a named pipe would wait for its other end.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len().min(LONGEST)).unwrap_or(0)));
        file.take(LONGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LONGEST {
            return Err(io::Error::other("it is too long"));
        }
        Ok((bytes, metadata.mode()))
    };
    open().map_err(|source| CertificateError::Unreadable { key, path: path.display().to_string(), source })
}

/// A certificate in a line.
pub fn describe(identity: &Identity) -> String {
    let names = match identity.names() {
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        [one, others @ ..] => format!("{one} and {} more names", others.len()),
        [] => String::new(),
    };
    format!("{names}, valid until {}", identity.not_after())
}

/// What somebody should know of it at this time.
pub fn remarks(identity: &Identity, now: Timestamp) -> Vec<Remark> {
    [time_remark(identity, now), chain_remark(identity.chain())].into_iter().flatten().collect()
}

fn time_remark(identity: &Identity, now: Timestamp) -> Option<Remark> {
    const RENEW: &str = "renew it: docs/operations.md, HTTPS";
    let (from, until, name) = (identity.not_before(), identity.not_after(), named(identity));
    let left = until.duration_since(now);
    let (is_grave, text, mend) = if now > until {
        (true, format!("the certificate for {name} has expired: it was valid until {until}"), RENEW)
    } else if now < from {
        (true, format!("the certificate for {name} is not valid before {from}"), "is this machine's clock right?")
    } else if left < SOON.min(until.duration_since(from) / 4) {
        let days = left.as_hours() / 24;
        (false, format!("the certificate for {name} expires in {days} days, at {until}"), RENEW)
    } else {
        return None;
    };
    Some(Remark { is_grave, text, mend })
}

fn chain_remark(chain: Chain) -> Option<Remark> {
    const WHOLE: &str = "name the file with the whole chain, such as certbot's fullchain.pem";
    let (text, mend) = match chain {
        Chain::InOrder => return None,
        Chain::SelfSigned => (
            "the certificate is signed by itself: KooGallery does not accept it",
            "get one from a public CA: docs/operations.md, HTTPS",
        ),
        Chain::IssuerMissing => {
            ("the certificate stands alone in its file: KooGallery may not find the way to its CA", WHOLE)
        }
        Chain::OutOfOrder => ("in the certificate's file not every certificate is followed by its issuer's", WHOLE),
    };
    Some(Remark { is_grave: false, text: text.to_owned(), mend })
}

fn named(identity: &Identity) -> &str {
    identity.names().first().map(String::as_str).unwrap_or_default()
}

/// Keeps what the door shows in step with the files.
#[derive(Debug)]
pub struct Keeper {
    tls: Arc<Tls>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    files: config::Tls,
    /// The files as they were when what is shown was read; `None`: to be read again in any case.
    read: Option<Stamp>,
    failure: Option<Failure>,
    reminded: Option<Timestamp>,
}

/// The files cannot be used since they have changed.
#[derive(Debug)]
struct Failure {
    stamp: Option<Stamp>,
    text: String,
    is_alerted: bool,
}

impl Keeper {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn start(files: &config::Tls, now: Timestamp) -> Result<Self, CertificateError> {
        let Loaded { identity, exposed, stamp } = load(files)?;
        log::info!("the certificate is for {}", describe(&identity));
        tell(&identity, exposed.as_deref());
        let tls = Arc::new(Tls::new(identity)?);
        let read = stamp.filter(|stamp| stamp.is_settled(now));
        let state = State { files: files.clone(), read, failure: None, reminded: None };
        let keeper = Self { tls, state: Mutex::new(state) };
        keeper.remind(now);
        Ok(keeper)
    }

    /// What the door shows.
    pub fn tls(&self) -> &Arc<Tls> {
        &self.tls
    }

    /// Reads the files again if they have changed, and tells who should know when the certificate ends soon. When they do
    /// not fit (one of the two is replaced before the other), what is shown stays.
    pub fn look(&self, now: Timestamp) {
        let (files, read) = {
            let state = self.state();
            (state.files.clone(), state.read)
        };
        if read.is_none() || Stamp::of(&files) != read {
            match load(&files) {
                Ok(loaded) => {
                    if let Err(error) = self.adopt(&files, loaded, now) {
                        self.fail(None, error.to_string());
                    }
                }
                Err(error) => self.fail(Stamp::of(&files), error.to_string()),
            }
        }
        self.remind(now);
    }

    /// Shows what was loaded from these files, and looks at them from now on.
    ///
    /// # Errors
    /// When TLS cannot be set up; then what is shown stays.
    pub fn adopt(&self, files: &config::Tls, loaded: Loaded, now: Timestamp) -> Result<(), TlsError> {
        let Loaded { identity, exposed, stamp } = loaded;
        let is_new = !identity.is_same(&self.tls.identity());
        if is_new {
            let description = describe(&identity);
            self.tls.replace(identity)?;
            log::info!("the certificate was replaced: it is for {description}");
            tell(&self.tls.identity(), exposed.as_deref());
        }
        let mut state = self.state();
        state.files = files.clone();
        state.read = stamp.filter(|stamp| stamp.is_settled(now));
        state.failure = None;
        alert::over(Kind::CertificateNotReplaced);
        if is_new {
            state.reminded = None;
        }
        Ok(())
    }

    /// Told once for each change, and loudly only if it is still so the next time.
    fn fail(&self, stamp: Option<Stamp>, text: String) {
        let mut state = self.state();
        match &mut state.failure {
            Some(known) if known.stamp == stamp && known.text == text => {
                if !known.is_alerted {
                    log::error!("ALERT the certificate was not replaced, the old one stays: {text}");
                    alert::raise(Alarm::CertificateNotReplaced);
                    known.is_alerted = true;
                }
            }
            _ => {
                log::warn!("the certificate was not replaced, the old one stays for now: {text}");
                state.failure = Some(Failure { stamp, text, is_alerted: false });
            }
        }
    }

    fn remind(&self, now: Timestamp) {
        let mut state = self.state();
        // In either direction: a clock that was set back must not keep the reminder away.
        if state.reminded.is_some_and(|at| now.duration_since(at).abs() < REMIND_EVERY) {
            return;
        }
        if let Some(Remark { text, mend, .. }) = time_remark(&self.tls.identity(), now) {
            log::error!("ALERT {text}; {mend}");
            state.reminded = Some(now);
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Changed by one thread, member by member: a poisoned one is looked at again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is not a matter of time.
fn tell(identity: &Identity, exposed: Option<&str>) {
    exposed.iter().for_each(|advice| log::warn!("{advice}"));
    if let Some(Remark { text, mend, .. }) = chain_remark(identity.chain()) {
        log::warn!("{text}; {mend}");
    }
}

/// Both files, as the file system describes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp([FileStamp; 2]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Links are followed: certbot replaces them. `None` when a file is not there.
    fn of(files: &config::Tls) -> Option<Self> {
        let stamp = |path: &Path| fs::metadata(path).ok().map(|metadata| FileStamp::from(&metadata));
        Some(Self([stamp(&files.certificate)?, stamp(&files.private_key)?]))
    }

    /// Whether a change after this look cannot have the same stamp.
    fn is_settled(&self, now: Timestamp) -> bool {
        let latest = self.0.iter().map(|file| file.changed.0.max(file.modified.0)).max().unwrap_or_default();
        Timestamp::from_second(latest).is_ok_and(|latest| now.duration_since(latest) > SETTLED_AFTER)
    }
}

impl From<&Metadata> for FileStamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests;
