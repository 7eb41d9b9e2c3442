//! What `koogate init` does: makes the keys and secrets of a new seller's server and a configuration to start from.
//!
//! All files are written or none, and none is ever overwritten: a sealing key that is gone takes every password in the
//! database with it. What the user reads is returned, not printed.

mod key_pair;

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, HEXLOWER};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

pub use key_pair::{KeyPair, NextKey, prepare_next};

use crate::secret::Secret;

/// The configuration file's name.
pub const CONFIG_FILE: &str = "koogate.toml";

const SEALING_KEY_FILE: &str = "sealing.key";
const PRIVATE_KEY_FILE: &str = "kit-private.pem";
const PUBLIC_KEY_FILE: &str = "kit-public.txt";
const HOOK_SECRET_FILE: &str = "hook.secret";
const ADMIN_TOKEN_FILE: &str = "admin.token";

/// For the owner alone.
const PRIVATE: u32 = 0o600;
/// For everybody.
const PUBLIC: u32 = 0o644;

const STARTER_CONFIG: &str = include_str!("init/koogate.toml");

/// What was made, and what the user has to do with it. Printed, it is the text for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initialised {
    /// Every file written.
    pub files: Vec<PathBuf>,
    /// The configuration to finish.
    pub config: PathBuf,
    /// The file to keep a copy of in another place.
    pub sealing_key: PathBuf,
    /// Form of the production address for the seller console.
    pub production_address: String,
    /// The public key for the seller console: base64 of the SubjectPublicKeyInfo, one line, no PEM header and footer.
    pub public_key: String,
}

/// Why nothing was made. Files written before the failure are removed again.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is something that would be overwritten.
    #[error("{} already there; init never overwrites anything, and nothing was changed", list(files))]
    AlreadyThere {
        /// The files in the way.
        files: Vec<PathBuf>,
    },
    /// A file or the folder could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The keys could not be made.
    #[error("cannot make keys: {0}")]
    Keys(String),
    /// There is no key that another could follow.
    #[error(
        "[keys] names no kit_private_keys, so there is no key to replace; `koogate init` has written the first one: \
         kit_private_keys = [\"{PRIVATE_KEY_FILE}\"] takes it into use"
    )]
    NoKeyInUse,
}

/// Makes keys, secrets and a configuration in a folder, which is created if need be. Takes seconds: RSA keys do.
///
/// # Errors
///
/// When one of the files is already there, cannot be written, or the operating system has no random numbers.
pub fn init(folder: &Path) -> Result<Initialised, InitError> {
    // Asked first because making keys takes its time; asked again by each write.
    refuse_existing(folder)?;
    write(folder, &Material::generate()?)
}

/// The secrets of one seller's server, fresh.
struct Material {
    sealing_key: Secret<String>,
    private_key: Zeroizing<String>,
    public_key: String,
    hook_secret: Secret<String>,
    admin_token: Secret<String>,
}

impl Material {
    fn generate() -> Result<Self, InitError> {
        let KeyPair { private_key, public_key } = KeyPair::generate()?;
        Ok(Self {
            sealing_key: Secret::new(HEXLOWER.encode(&*random()?)),
            private_key,
            public_key,
            hook_secret: Secret::new(format!("whsec_{}", BASE64.encode(&*random()?))),
            admin_token: Secret::new(HEXLOWER.encode(&*random()?)),
        })
    }

    /// The files, with their permissions. The configuration comes last: where it stands, everything stands.
    fn files(&self) -> [(&'static str, u32, Zeroizing<String>); 6] {
        let line = |text: &str| Zeroizing::new(format!("{text}\n"));
        [
            (SEALING_KEY_FILE, PRIVATE, line(self.sealing_key.expose())),
            (PRIVATE_KEY_FILE, PRIVATE, self.private_key.clone()),
            (PUBLIC_KEY_FILE, PUBLIC, line(&self.public_key)),
            (HOOK_SECRET_FILE, PRIVATE, line(self.hook_secret.expose())),
            (ADMIN_TOKEN_FILE, PRIVATE, line(self.admin_token.expose())),
            // Private too: the access key will stand in it.
            (CONFIG_FILE, PRIVATE, Zeroizing::new(STARTER_CONFIG.to_owned())),
        ]
    }
}

/// Writes all files, or none.
fn write(folder: &Path, material: &Material) -> Result<Initialised, InitError> {
    fs::create_dir_all(folder).map_err(|source| InitError::Io { path: folder.to_owned(), source })?;
    let mut written = Vec::new();
    let mut write_all = || {
        for (name, mode, content) in material.files() {
            let path = folder.join(name);
            create(&path, mode, &mut written)
                .and_then(|mut file| {
                    file.write_all(content.as_bytes())?;
                    file.sync_all()
                })
                .map_err(|source| match source.kind() {
                    io::ErrorKind::AlreadyExists => InitError::AlreadyThere { files: vec![path] },
                    _ => InitError::Io { path, source },
                })?;
        }
        sync_folder(folder).map_err(|source| InitError::Io { path: folder.to_owned(), source })
    };
    if let Err(error) = write_all() {
        for path in &written {
            // The first error is the one to tell; what cannot be removed will be named by the next run.
            let _ = fs::remove_file(path);
        }
        return Err(error);
    }
    Ok(Initialised {
        files: written,
        config: folder.join(CONFIG_FILE),
        sealing_key: folder.join(SEALING_KEY_FILE),
        production_address: "https://YOUR-DOMAIN/saasproduce".to_owned(),
        public_key: material.public_key.clone(),
    })
}

/// Creates a file that is not there, not even as a dangling link, and notes it as ours.
fn create(path: &Path, mode: u32, written: &mut Vec<PathBuf>) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    written.push(path.to_owned());
    Ok(file)
}

/// Makes the names of the files durable, not only their contents.
fn sync_folder(folder: &Path) -> io::Result<()> {
    // "" is the current folder for `join`, but not for `open`.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

fn refuse_existing(folder: &Path) -> Result<(), InitError> {
    let names = [CONFIG_FILE, SEALING_KEY_FILE, PRIVATE_KEY_FILE, PUBLIC_KEY_FILE, HOOK_SECRET_FILE, ADMIN_TOKEN_FILE];
    let paths = names.map(|name| folder.join(name));
    // `exists` would follow links, and miss one that leads nowhere.
    let files: Vec<_> = paths.into_iter().filter(|path| fs::symlink_metadata(path).is_ok()).collect();
    if files.is_empty() { Ok(()) } else { Err(InitError::AlreadyThere { files }) }
}

fn random() -> Result<Zeroizing<[u8; 32]>, InitError> {
    let mut bytes = Zeroizing::new([0; 32]);
    SystemRandom::new()
        .fill(&mut *bytes)
        .map_err(|_| InitError::Keys("the operating system has no random numbers".to_owned()))?;
    Ok(bytes)
}

fn list(files: &[PathBuf]) -> String {
    let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

impl fmt::Display for Initialised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Written:")?;
        for file in &self.files {
            writeln!(f, "    {}", file.display())?;
        }
        write!(
            f,
            "
Next:

 1. Seller console 卖家中心 > 应用工具 > 密钥管理: copy the access key of the basic interface 基础接口 into
    {config}, where it says CHANGE-ME. Write there too, under [[product]], where your application is.

 2. Keep a copy of {sealing_key} in another place than the backups of the database.
    A copy of the database without this key cannot be read, by you either.
    请将 {sealing_key} 另行备份：没有它，数据库备份无法读取。

 3. KooGallery speaks HTTPS: name your certificate in {config}, under [server.tls], or put a proxy
    with it in front. Write the production address into public_url there. See whether all is well, and start it:
    koogate --config {config} check --offline
    koogate --config {config} serve

 4. Look at the way that KooGallery will go, and play the console's debugging cases 调试 beforehand:
    koogate --config {config} check
    koogate --config {config} simulate --rehearse

 5. Seller console > 应用工具 > 生产地址管理: register the production address 生产地址
    {address}
    and bind the access key to it 绑定密钥.

For joint-operation products 联营商品 besides:

 6. Copy the access key of 联营SaaS同步接口 from the same page 密钥管理 into {config}, and take the # away from
    the lines kit and kit_private_keys. In 生产地址管理 bind that key to the same production address as it stands;
    KooGallery appends /produceAPI/… by itself. The rehearsal plays its debugging cases, too.

 7. Seller console > 应用工具 > 应用凭证管理 > 凭证申请, and the debugging of applicationSync, ask for a public key 公钥.
    Paste this line; it stands in {public_key} too:

{key}
",
            config = self.config.display(),
            address = self.production_address,
            key = self.public_key,
            public_key = self.config.with_file_name(PUBLIC_KEY_FILE).display(),
            sealing_key = self.sealing_key.display(),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::LazyLock;

    use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey};
    use rsa::traits::PublicKeyParts;
    use rsa::{PrivateKey, PublicKey};

    use super::*;
    use crate::config::{Config, Fulfilment};

    /// Made once: an RSA key takes seconds.
    static MATERIAL: LazyLock<Material> = LazyLock::new(|| Material::generate().unwrap());

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_configuration_loads_once_the_access_key_is_pasted() {
        let folder = tempfile::tempdir().unwrap();
        let config = write(folder.path(), &MATERIAL).unwrap().config;

        let message = Config::load(&config).unwrap_err().to_string();
        let line = STARTER_CONFIG.lines().position(|line| line.starts_with("basic")).unwrap() + 1;
        assert_eq!(
            message,
            format!(
                "{}:{line}: keys.basic: still the placeholder; paste the access key of the basic interface (基础接口) \
                 from the seller console: 应用工具 > 密钥管理",
                config.display()
            )
        );

        let text = fs::read_to_string(&config).unwrap();
        let pasted = text.replace("\"CHANGE-ME\"", "\"de305d54-75b4-431b-adb2-eb6b9e546014\"");
        fs::write(&config, &pasted).unwrap();
        let loaded = Config::load(&config).unwrap();
        assert_eq!(loaded.warnings, []);
        assert_eq!((loaded.keys.kit.len(), loaded.keys.kit_private_keys.len()), (0, 0));
        assert_eq!(loaded.admin.unwrap().token, MATERIAL.admin_token);
        let Fulfilment::Http { secret, .. } = &loaded.products[0].fulfilment else { panic!() };
        assert_eq!(secret.as_ref(), Some(&MATERIAL.hook_secret));

        // The kit is switched on by taking the # away.
        fs::write(&config, pasted.replace("#kit", "kit")).unwrap();
        let keys = Config::load(&config).unwrap().keys;
        assert_eq!(keys.kit.len(), 1);
        assert_eq!(keys.kit_private_keys[0].pem.expose().trim_end(), MATERIAL.private_key.trim_end());
    }

    #[test]
    fn the_manual_entry_of_the_configuration_loads_too() {
        let folder = tempfile::tempdir().unwrap();
        let config = write(folder.path(), &MATERIAL).unwrap().config;
        let (head, _) = STARTER_CONFIG.split_once("\n[[product]]").unwrap();
        let text = format!("{head}\n[[product]]\nfulfilment = \"manual\"\n");
        assert!(STARTER_CONFIG.contains("#[[product]]\n#fulfilment = \"manual\""));
        fs::write(&config, text.replace("\"CHANGE-ME\"", "\"de305d54-75b4-431b-adb2-eb6b9e546014\"")).unwrap();
        assert_eq!(Config::load(&config).unwrap().products[0].fulfilment, Fulfilment::Manual);
    }

    #[test]
    fn the_production_address_and_the_alerts_of_the_configuration_load_without_their_marks() {
        let folder = tempfile::tempdir().unwrap();
        let config = write(folder.path(), &MATERIAL).unwrap().config;
        let (head, rest) = STARTER_CONFIG.split_once("\n#[alerts]\n").unwrap();
        let (alerts, rest) = rest.split_once("\n\n").unwrap();
        let alerts = alerts.replace("\n#", "\n");
        let text = format!("{head}\n[alerts]\n{}\n\n{rest}", alerts.trim_start_matches('#'));
        let text = text.replace("\n#public_url", "\npublic_url");
        fs::write(&config, text.replace("\"CHANGE-ME\"", "\"de305d54-75b4-431b-adb2-eb6b9e546014\"")).unwrap();
        for (name, content) in
            [("robot.url", "https://oapi.dingtalk.com/robot/send?access_token=1"), ("robot.secret", "SEC0123456789")]
        {
            create(&folder.path().join(name), PRIVATE, &mut Vec::new()).unwrap().write_all(content.as_bytes()).unwrap();
        }
        let loaded = Config::load(&config).unwrap();
        assert_eq!(loaded.warnings, []);
        assert!(loaded.server.public_url.is_some() && loaded.alerts.unwrap().webhooks.len() == 1);
    }

    #[test]
    fn secrets_are_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        for file in write(folder.path(), &MATERIAL).unwrap().files {
            let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
            if file.ends_with(PUBLIC_KEY_FILE) {
                assert_eq!(mode & 0o600, 0o600);
            } else {
                assert_eq!(mode, 0o600, "{}", file.display());
            }
        }
    }

    #[test]
    fn the_key_pair_is_what_the_console_wants() {
        let folder = tempfile::tempdir().unwrap();
        let initialised = write(folder.path(), &MATERIAL).unwrap();
        let pem = fs::read_to_string(folder.path().join(PRIVATE_KEY_FILE)).unwrap();
        let private_key = PrivateKey::from_pkcs8_pem(&pem).unwrap();
        assert_eq!(private_key.n().bit_width_vartime(), 3072);

        let line = fs::read_to_string(folder.path().join(PUBLIC_KEY_FILE)).unwrap();
        assert_eq!(line, format!("{}\n", initialised.public_key));
        let der = BASE64.decode(initialised.public_key.as_bytes()).unwrap();
        assert_eq!(&PublicKey::from_public_key_der(&der).unwrap(), private_key.as_public_key());
    }

    #[test]
    fn nothing_is_ever_overwritten() {
        for (in_the_way, _, _) in MATERIAL.files() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(in_the_way);
            fs::write(&path, "precious").unwrap();

            let expected =
                format!("{} is already there; init never overwrites anything, and nothing was changed", path.display());
            // Both before the keys are made, and when the file appears meanwhile.
            assert_eq!(init(folder.path()).unwrap_err().to_string(), expected);
            assert_eq!(write(folder.path(), &MATERIAL).unwrap_err().to_string(), expected);
            assert_eq!(names(folder.path()), [in_the_way]);
            assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        }
    }

    #[test]
    fn a_link_that_leads_nowhere_is_in_the_way_too() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = folder.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, folder.path().join(SEALING_KEY_FILE)).unwrap();
        assert!(matches!(init(folder.path()), Err(InitError::AlreadyThere { .. })));
        assert!(matches!(write(folder.path(), &MATERIAL), Err(InitError::AlreadyThere { .. })));
        assert_eq!(names(folder.path()), [SEALING_KEY_FILE]);
    }

    #[test]
    fn a_second_init_names_every_file_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let parent = folder.path().join("new/folder");
        write(&parent, &MATERIAL).unwrap();
        let Err(InitError::AlreadyThere { files }) = init(&parent) else { panic!() };
        assert_eq!(files.len(), MATERIAL.files().len());
    }

    #[test]
    fn every_seller_gets_other_secrets_and_the_user_is_told_what_matters() {
        let folder = tempfile::tempdir().unwrap();
        let initialised = init(folder.path()).unwrap();
        assert_ne!(initialised.public_key, MATERIAL.public_key);
        let sealing_key = fs::read_to_string(folder.path().join(SEALING_KEY_FILE)).unwrap();
        assert_ne!(sealing_key.trim_end(), MATERIAL.sealing_key.expose());

        let told = initialised.to_string();
        let texts = ["https://YOUR-DOMAIN/saasproduce", &initialised.public_key, "cannot be read", "CHANGE-ME"];
        for needed in texts.into_iter().chain(["public_url", "check --offline", "simulate --rehearse"]) {
            assert!(told.contains(needed), "{needed} is missing in\n{told}");
        }
        assert!(!told.contains(sealing_key.trim_end()));
    }
}
