//! As whom the server runs, and which of its files it cannot use: the classic is a `sudo koogate …` that leaves files of root's
//! in a service user's folder. Nothing is opened, only asked for its owner and mode.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Sink, Subject};
use crate::config::{Config, Fulfilment};

const SUBJECT: Subject = "account";

const ROOT: u32 = 0;

/// Somebody who has files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    name: String,
    uid: u32,
    /// All of them, the first of which is its own.
    groups: Vec<u32>,
}

/// What the server does with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    ReadAndWrite,
    /// A folder in which it makes files.
    MakeFiles,
    Execute,
}

impl Use {
    /// The bits of a mode that it takes, for one class of users.
    fn bits(self) -> u32 {
        match self {
            Self::Read => 0o4,
            Self::ReadAndWrite => 0o6,
            Self::MakeFiles => 0o7,
            Self::Execute => 0o1,
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::ReadAndWrite => "read and write",
            Self::MakeFiles => "make files in",
            Self::Execute => "start",
        }
    }
}

impl Account {
    /// Of a running process.
    pub(super) fn of_process(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let numbers = |name: &str| -> Option<Vec<u32>> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.split_whitespace().filter_map(|number| number.parse().ok()).collect())
        };
        // Real, effective, saved, of the file system: the last decides about files.
        let (uid, gid) = (*numbers("Uid:")?.last()?, *numbers("Gid:")?.last()?);
        let groups = [vec![gid], numbers("Groups:").unwrap_or_default()].concat();
        Some(Self { name: user_name(uid), uid, groups })
    }

    /// Of this number, with the groups that the system's files give it.
    pub(super) fn of_user(uid: u32) -> Self {
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let groups = fs::read_to_string("/etc/group").unwrap_or_default();
        let (name, own) = in_passwd(&passwd, |_, found| found == uid).unwrap_or_else(|| (uid.to_string(), uid));
        let member = |line: &str| {
            let mut fields = line.split(':').skip(2);
            let (gid, members) = (fields.next()?.parse().ok()?, fields.next()?);
            members.split(',').any(|member| member == name).then_some(gid)
        };
        let groups = std::iter::once(own).chain(groups.lines().filter_map(member)).collect();
        Self { name, uid, groups }
    }

    /// Of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let uid = passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == name).then(|| fields.nth(1)?.parse().ok()).flatten()
        })?;
        Some(Self::of_user(uid))
    }

    pub(super) fn is_root(&self) -> bool {
        self.uid == ROOT
    }

    /// Whether this account may do so by owner and mode; lists of access rights are not looked at.
    fn may(&self, wanted: Use, mode: u32, owner: u32, group: u32) -> bool {
        let bits = wanted.bits();
        if self.uid == ROOT {
            return wanted != Use::Execute || mode & 0o111 != 0;
        }
        let class = if owner == self.uid {
            mode >> 6
        } else if self.groups.contains(&group) {
            mode >> 3
        } else {
            mode
        };
        class & bits == bits
    }

    /// Why a program cannot be started by it; `None` where it can.
    pub(super) fn cannot_start(&self, program: &Path) -> Option<String> {
        let found = match fs::metadata(program) {
            Ok(found) => found,
            Err(error) => return Some(format!("{} cannot be looked at: {error}", program.display())),
        };
        if !found.is_file() {
            return Some(format!("{} is no file", program.display()));
        }
        self.fault(program, Use::Execute, &found).map(|(text, _)| text)
    }

    /// What is in the way, and the mend.
    fn fault(&self, path: &Path, wanted: Use, found: &Metadata) -> Option<(String, String)> {
        if !self.may(wanted, found.mode(), found.uid(), found.gid()) {
            let (owner, mode) = (user_name(found.uid()), found.mode() & 0o7777);
            let text = format!(
                "{} belongs to {owner} (mode {mode:04o}): {}, as whom the server runs, cannot {} it",
                path.display(),
                self.name,
                wanted.verb()
            );
            let mend = match wanted {
                Use::Execute => format!("chmod 755 {}", path.display()),
                _ => format!("chown {}: {}", self.name, path.display()),
            };
            return Some((text, mend));
        }
        // Whoever may use a file must get to it.
        let blocked = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()).find(|folder| {
            fs::metadata(folder)
                .is_ok_and(|found| !self.may(Use::Execute, found.mode(), found.uid(), found.gid()) && !self.is_root())
        })?;
        let text =
            format!("{} cannot get to {}: the folder {} is closed to it", self.name, path.display(), blocked.display());
        Some((text, format!("chmod o+x {}, or put the file elsewhere", blocked.display())))
    }
}

/// As whom the server runs: as its process does, as its unit says, or as whom the folder of the database belongs to.
pub(super) fn find(config: &Config, pid: Option<u32>, unit_user: Option<&str>) -> Account {
    let folder = folder_of(&config.database.path);
    let of_folder = || fs::metadata(folder).map(|found| Account::of_user(found.uid())).ok();
    let found = pid.and_then(Account::of_process).or_else(|| unit_user.and_then(Account::named)).or_else(of_folder);
    found.unwrap_or_else(|| Account::of_user(rustix::process::geteuid().as_raw()))
}

/// Tells what the account cannot use.
pub(super) fn look(
    path: &Path,
    config: &Config,
    account: &Account,
    is_running: bool,
    to: &mut Sink<'_>,
) -> anyhow::Result<()> {
    let mut is_good = true;
    for (file, wanted) in wanted(path, config) {
        let Ok(found) = fs::metadata(&file) else { continue };
        if let Some((text, mend)) = account.fault(&file, wanted, &found) {
            is_good = false;
            to.error(SUBJECT, text, mend)?;
        }
    }
    if account.is_root() && is_running {
        let text = "the server runs as root";
        return to.warning(SUBJECT, text, "give it a user of its own: docs/operations.md, First start");
    }
    if is_good {
        to.ok(SUBJECT, format!("{} can use every file that the server needs", account.name))?;
    }
    Ok(())
}

/// The files that the configuration names, with what the server does with each; some need not be there.
fn wanted(path: &Path, config: &Config) -> Vec<(PathBuf, Use)> {
    let database = &config.database.path;
    let beside = |end: &str| {
        let mut name = database.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let mut files = vec![(path.to_owned(), Use::Read), (folder_of(database).to_owned(), Use::MakeFiles)];
    let own = [database.clone(), beside("-wal"), beside("-shm"), beside(".lock"), config.database.snapshot_path()];
    files.extend(own.map(|file| (file, Use::ReadAndWrite)));
    files.extend(config.database.snapshots.iter().map(|series| (series.directory.clone(), Use::MakeFiles)));
    if let Some(tls) = &config.server.tls {
        files.extend([&tls.certificate, &tls.private_key].map(|file| (file.clone(), Use::Read)));
    }
    files.extend(config.secret_files().map(|file| (file, Use::Read)));
    files
}

/// The program of a command, wherever it is found; `None`: nowhere.
pub(super) fn program_of(fulfilment: &Fulfilment) -> Option<(PathBuf, Option<PathBuf>)> {
    let Fulfilment::Command { program, .. } = fulfilment else { return None };
    if program.components().count() > 1 {
        return Some((program.clone(), program.exists().then(|| program.clone())));
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|file| file.is_file());
    Some((program.clone(), found))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn user_name(uid: u32) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    in_passwd(&passwd, |_, found| found == uid).map_or_else(|| format!("user {uid}"), |(name, _)| name)
}

/// Name and group of the first user that is wanted.
fn in_passwd(passwd: &str, is_wanted: impl Fn(&str, u32) -> bool) -> Option<(String, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, uid, gid) = (fields.next()?, fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        is_wanted(name, uid).then(|| (name.to_owned(), gid))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn account(uid: u32, groups: &[u32]) -> Account {
        Account { name: "shop".to_owned(), uid, groups: groups.to_vec() }
    }

    #[test]
    fn owner_group_and_others_are_told_apart() {
        let shop = account(990, &[990, 33]);
        for (wanted, mode, owner, group, expected) in [
            (Use::Read, 0o600, 990, 990, true),
            (Use::ReadAndWrite, 0o600, 0, 0, false),
            (Use::Read, 0o640, 0, 33, true),
            (Use::ReadAndWrite, 0o640, 0, 33, false),
            (Use::Read, 0o604, 0, 0, true),
            // The owner's class alone counts for the owner.
            (Use::Read, 0o077, 990, 33, false),
            (Use::MakeFiles, 0o700, 990, 990, true),
            (Use::MakeFiles, 0o755, 0, 0, false),
            (Use::Execute, 0o755, 0, 0, true),
            (Use::Execute, 0o644, 990, 990, false),
        ] {
            assert_eq!(shop.may(wanted, mode, owner, group), expected, "{wanted:?} {mode:o} {owner} {group}");
        }
        let root = account(ROOT, &[]);
        assert!(root.may(Use::ReadAndWrite, 0o000, 990, 990) && !root.may(Use::Execute, 0o644, 0, 0));
    }

    #[test]
    fn a_file_of_somebody_elses_is_told_with_the_chown() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let file = folder.path().join("koogate.db-wal");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let own = fs::metadata(&file).unwrap();
        let other = account(own.uid() + 1, &[own.gid() + 1]);
        let (text, mend) = other.fault(&file, Use::ReadAndWrite, &own).unwrap();
        assert!(text.contains("shop, as whom the server runs, cannot read and write it"), "{text}");
        assert_eq!(mend, format!("chown shop: {}", file.display()));
        assert_eq!(account(own.uid(), &[]).fault(&file, Use::ReadAndWrite, &own), None);
        // A file that is open, in a folder that is not.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let open = fs::metadata(&file).unwrap();
        let (text, _) = other.fault(&file, Use::Read, &open).unwrap();
        assert!(text.contains("cannot get to"), "{text}");
    }

    #[test]
    fn this_process_is_whoever_has_started_it() {
        let own = Account::of_process(std::process::id()).unwrap();
        assert_eq!(own.uid, rustix::process::geteuid().as_raw());
        assert_eq!(Account::of_process(u32::MAX), None);
        assert_eq!(Account::named("root").unwrap().uid, ROOT);
        assert_eq!(Account::named("no such user"), None);
    }
}
