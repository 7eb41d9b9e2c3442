//! RSA key pairs for the kit's client secrets: the first one, and the next (spec 3-kit §7).
//!
//! A key is replaced by holding two. Orders from before the change send secrets under the old one until their settings are
//! pushed, so the old key goes last, and by hand.

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use rsa::{Generate, PrivateKey};
use zeroize::Zeroizing;

use super::{InitError, PRIVATE, PUBLIC, create, sync_folder};
use crate::config::PrivateKeyFile;
use crate::protocol::kit::client_secret::{SMALLEST_MODULUS, public_key_text};

const _: () = assert!(PrivateKey::DEFAULT_BITS >= SMALLEST_MODULUS as usize);

/// A fresh key pair.
pub struct KeyPair {
    /// PKCS#8 in PEM.
    pub private_key: Zeroizing<String>,
    /// In the form of the seller console: base64 of the SubjectPublicKeyInfo, one line, no PEM header and footer.
    pub public_key: String,
}

impl KeyPair {
    /// Makes one. Takes up to a second: RSA keys do.
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub fn generate() -> Result<Self, InitError> {
        let failed = |error: &dyn fmt::Display| InitError::Keys(error.to_string());
        let key = PrivateKey::try_generate().map_err(|error| failed(&error))?;
        Ok(Self {
            private_key: key.to_pkcs8_pem(LineEnding::LF).map_err(|error| failed(&error))?,
            public_key: public_key_text(key.as_public_key()).map_err(|error| failed(&error))?,
        })
    }
}

/// The next key pair, and what the user has to do with it. Printed, it is the text for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextKey {
    /// The private key's file.
    pub file: PathBuf,
    /// The public key's file, beside it.
    pub public_file: PathBuf,
    /// The configuration that is to name it.
    pub config: PathBuf,
    /// Names of the private keys in use, as the configuration writes them.
    pub in_use: Vec<String>,
    /// The name of the new one, to be written likewise.
    pub name: String,
    /// The public key for the seller console.
    pub public_key: String,
}

/// Makes the next key pair and writes both keys beside the private key in use, under the next number. Nothing is
/// overwritten, and nothing changes for the running server. `config` is the configuration's file.
///
/// # Errors
/// When no key is in use, there are no random numbers, or the files cannot be written.
pub fn prepare_next(config: &Path, in_use: &[PrivateKeyFile]) -> Result<NextKey, InitError> {
    let Some(first) = in_use.first() else { return Err(InitError::NoKeyInUse) };
    let folder = first.path.parent().unwrap_or(Path::new(""));
    let number = next_number(folder)?;
    let file_name = format!("{PRIVATE_STEM}{number}.pem");
    let pair = KeyPair::generate()?;
    let file = folder.join(&file_name);
    let public_file = folder.join(format!("{PUBLIC_STEM}{number}.txt"));
    let public_line = format!("{}\n", pair.public_key);
    write_new(&[(&file, PRIVATE, &pair.private_key), (&public_file, PUBLIC, &public_line)])?;
    Ok(NextKey {
        config: config.to_owned(),
        name: Path::new(&first.name).with_file_name(&file_name).display().to_string(),
        in_use: in_use.iter().map(|key| key.name.clone()).collect(),
        public_key: pair.public_key,
        file,
        public_file,
    })
}

/// What stands before the number in the names of private keys.
const PRIVATE_STEM: &str = "kit-private-";
/// The same for public keys.
const PUBLIC_STEM: &str = "kit-public-";

/// One more than the highest number in the folder, and at least 2: a number that was given up is not given again, because
/// copies of its keys may be about.
fn next_number(folder: &Path) -> Result<u32, InitError> {
    // "" is the current folder for `join`, but not for `read_dir`.
    let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = fs::read_dir(listed).map_err(|source| InitError::Io { path: folder.to_owned(), source })?;
    let number = |name: &str| -> Option<u32> {
        let private = || name.strip_prefix(PRIVATE_STEM)?.strip_suffix(".pem");
        let public = || name.strip_prefix(PUBLIC_STEM)?.strip_suffix(".txt");
        private().or_else(public)?.parse().ok()
    };
    let taken = entries.filter_map(|entry| number(entry.ok()?.file_name().to_str()?));
    Ok(taken.max().unwrap_or(1).saturating_add(1))
}

/// Writes all files, given with their permissions, or none.
fn write_new(files: &[(&Path, u32, &str)]) -> Result<(), InitError> {
    let mut written = Vec::new();
    let done = files.iter().try_for_each(|&(path, mode, content)| {
        let done = create(path, mode, &mut written).and_then(|mut file| {
            file.write_all(content.as_bytes())?;
            file.sync_all()?;
            sync_folder(path.parent().unwrap_or(Path::new("")))
        });
        done.map_err(|source| InitError::Io { path: path.to_owned(), source })
    });
    done.inspect_err(|_| {
        for path in &written {
            // The first error is the one to tell.
            let _ = fs::remove_file(path);
        }
    })
}

impl fmt::Display for NextKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[&str]| names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let all: Vec<&str> = self.in_use.iter().chain([&self.name]).map(String::as_str).collect();
        write!(
            f,
            "Written:
    {file}
    {public_file}

These are the next private key 私钥 and its public key 公钥. The server does not use them yet.

 1. Put the private key beside the one in use, in {config} under [keys]:

    kit_private_keys = [{both}]

    and let the running server read that again: SIGHUP suffices (systemctl reload koogate). From then on it opens
    client secrets under either key.

 2. Only then give the public key 公钥 to the seller console 卖家中心 > 应用工具 > 应用凭证管理.
    Paste this line; it stands in {public_file} too:

{key}

    For a listed product submit the change 修改商品 for approval, and push it to existing orders afterwards 订单修改设置,
    批量订单设置.

 3. Keep the old key until that push has reached every order: until then existing orders use it. Then take it out,

    kit_private_keys = [{new}]

    send SIGHUP once more, and delete its file and that of its public key. 所有存量订单完成设置推送之前，请勿移除旧私钥。

`koogate key show` prints the public keys of all private keys in use.",
            file = self.file.display(),
            public_file = self.public_file.display(),
            config = self.config.display(),
            both = list(&all),
            new = list(&[&self.name]),
            key = self.public_key,
        )
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::protocol::kit::client_secret::PrivateKeys;
    use crate::secret::Secret;

    fn in_use(folder: &Path, name: &str) -> PrivateKeyFile {
        PrivateKeyFile { name: name.to_owned(), path: folder.join(name), pem: Secret::new(String::new()) }
    }

    #[test]
    fn the_next_pair_stands_beside_the_one_in_use_and_the_user_is_told_what_to_write() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        fs::create_dir(&keys).unwrap();
        let next = prepare_next(Path::new("koogate.toml"), &[in_use(folder.path(), "keys/kit-private.pem")]).unwrap();
        assert_eq!((next.file.clone(), next.name.as_str()), (keys.join("kit-private-2.pem"), "keys/kit-private-2.pem"));
        assert_eq!(fs::metadata(&next.file).unwrap().permissions().mode() & 0o777, 0o600);
        let pem = fs::read_to_string(&next.file).unwrap();
        let public: Vec<_> = PrivateKeys::parse([pem.as_str()]).unwrap().public_keys().collect();
        assert_eq!(public, [next.public_key.as_str()]);
        assert_eq!(next.public_file, keys.join("kit-public-2.txt"));
        assert_eq!(fs::read_to_string(&next.public_file).unwrap(), format!("{}\n", next.public_key));
        let told = next.to_string();
        let written = format!("Written:\n    {}\n    {}\n", next.file.display(), next.public_file.display());
        assert!(told.starts_with(&written), "{told}");
        for needed in [
            "kit_private_keys = [\"keys/kit-private.pem\", \"keys/kit-private-2.pem\"]",
            "kit_private_keys = [\"keys/kit-private-2.pem\"]",
            next.public_key.as_str(),
            "SIGHUP",
        ] {
            assert!(told.contains(needed), "{needed} is missing in\n{told}");
        }
        assert!(!told.contains("BEGIN"));
    }

    #[test]
    fn a_number_is_never_given_twice() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            ("kit-private-2.pem", 3),
            ("kit-private-9.pem", 10),
            ("kit-private-x.pem", 10),
            ("kit-public.txt", 10),
            ("kit-public-12.txt", 13),
        ];
        for (name, next) in names {
            fs::write(folder.path().join(name), "precious").unwrap();
            assert_eq!(next_number(folder.path()).unwrap(), next, "{name}");
        }
    }

    #[test]
    fn both_files_are_written_or_none_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let [private, public] = ["kit-private-2.pem", "kit-public-2.txt"].map(|name| folder.path().join(name));
        for (precious, other) in [(&private, &public), (&public, &private)] {
            fs::write(precious, "precious").unwrap();
            let fault = write_new(&[(&private, PRIVATE, "a"), (&public, PUBLIC, "b")]).unwrap_err();
            assert!(matches!(fault, InitError::Io { path, .. } if path == *precious));
            assert_eq!(fs::read_to_string(precious).unwrap(), "precious");
            assert!(!other.exists());
            fs::remove_file(precious).unwrap();
        }
    }

    #[test]
    fn where_no_key_is_in_use_there_is_none_to_follow() {
        let fault = prepare_next(Path::new("koogate.toml"), &[]).unwrap_err().to_string();
        assert!(fault.contains("kit_private_keys = [\"kit-private.pem\"]"), "{fault}");
    }
}
